//! `func` and `async func` of the same name and types are one contract: the binary format lets an `async func` be
//! lifted and lowered synchronously. The link is made by what the importer declares.

use super::{Guests, dummy, guest, home, route, says};
use serde_json::json;

/// Both ways to declare a function.
const BOTH: [&str; 2] = ["func", "async func"];

/// A component whose `add` answers with one more, declared as `declared`.
fn callee(declared: &str) -> Vec<u8> {
    guest(
        &format!("package t:callee@1.0.0; interface i {{ add: {declared}(a: u32) -> u32; }} world w {{ export i; }}"),
        r#"(module (func (export "t:callee/i@1.0.0#add") (param i32) (result i32)
            (i32.add (local.get 0) (i32.const 1))))"#,
    )
}

/// The contract of a caller that exports `twice` as `exported` and imports `add` as `imported`.
fn caller_contract(exported: &str, imported: &str) -> String {
    format!(
        "package t:caller@1.0.0;
        interface j {{ twice: {exported}(a: u32) -> u32; }}
        world w {{ import t:callee/i@1.0.0; export j; }}
        package t:callee@1.0.0 {{ interface i {{ add: {imported}(a: u32) -> u32; }} }}"
    )
}

/// A component whose `twice` calls `add` twice.
fn caller(exported: &str, imported: &str) -> Vec<u8> {
    guest(
        &caller_contract(exported, imported),
        r#"(module (import "t:callee/i@1.0.0" "add" (func $add (param i32) (result i32)))
            (func (export "t:caller/j@1.0.0#twice") (param i32) (result i32)
                (call $add (call $add (local.get 0)))))"#,
    )
}

const CALL: &str = "
[service.callee]
component = \"callee.wasm\"

[service.caller]
component = \"caller.wasm\"
calls = [\"callee\"]
";

#[tokio::test]
async fn every_pair_of_func_and_async_func_meets() {
    for offered in BOTH {
        for (exported, imported) in [("async func", "async func"), ("async func", "func"), ("func", "func")] {
            let files = [("callee.wasm", callee(offered)), ("caller.wasm", caller(exported, imported))];
            let guests = Guests::start(&format!("{CALL}{}", route("/{a}", "caller/twice")), &files).await;
            let answer = guests.get("/40").await;
            assert_eq!(answer, (200, "42".into()), "{exported} calls {offered}, which it imports as {imported}");
        }
    }
}

#[tokio::test]
async fn a_swap_from_func_to_async_func_and_back_breaks_neither_callers_nor_routes() {
    let manifest = format!("{CALL}{}{}", route("/twice/{a}", "caller/twice"), route("/once/{a}", "callee/add"));
    let [func, async_func] = BOTH.map(callee);
    let files = [("callee.wasm", func), ("async.wasm", async_func), ("caller.wasm", caller("func", "func"))];
    let guests = Guests::start(&manifest, &files).await;
    for name in ["async.wasm", "callee.wasm"] {
        assert_eq!(guests.swap("callee", name).await, (200, String::new()), "{name}");
        assert_eq!(guests.get("/twice/40").await, (200, "42".into()), "{name}");
        assert_eq!(guests.get("/once/41").await, (200, "42".into()), "{name}");
    }
}

/// `wit-bindgen` lifts and lowers an `async func` asynchronously.
#[tokio::test]
async fn functions_of_both_abis_call_each_other() {
    let hop = |declared: &str| {
        format!(
            "package atoll:fixture-cycle@1.0.0 {{
                interface hop {{
                    variant error {{ unavailable(string) }}
                    hop: {declared}(left: u32) -> result<u32, error>;
                }}
            }}"
        )
    };
    // The answer is at 16: the case in the first byte, the number at 20.
    let second = guest(
        &format!("package t:second; world w {{ export atoll:fixture-cycle/hop@1.0.0; }} {}", hop("func")),
        r#"(module (memory (export "memory") 1)
            (func (export "atoll:fixture-cycle/hop@1.0.0#hop") (param i32) (result i32)
                (i32.store (i32.const 20) (i32.add (local.get 0) (i32.const 39))) (i32.const 16)))"#,
    );
    let outer = guest(
        &format!(
            "package t:outer@1.0.0; interface o {{ run: func(left: u32) -> u32; }}
            world w {{ import atoll:fixture-cycle/hop@1.0.0; export o; }} {}",
            hop("func")
        ),
        r#"(module (import "atoll:fixture-cycle/hop@1.0.0" "hop" (func $hop (param i32 i32)))
            (memory (export "memory") 1)
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
            (func (export "t:outer/o@1.0.0#run") (param i32) (result i32)
                (call $hop (local.get 0) (i32.const 16)) (i32.load (i32.const 20))))"#,
    );
    let services = "
[service.outer]
component = \"outer.wasm\"
calls = [\"first\"]

[service.first]
component = \"{component:fixture-cycle}\"
calls = [\"second\"]

[service.second]
component = \"second.wasm\"
";
    let files = [("second.wasm", second), ("outer.wasm", outer)];
    let guests = Guests::start(&format!("{services}{}", route("/{left}", "outer/run")), &files).await;
    assert_eq!(guests.get("/3").await, (200, "42".into()), "3 is 2 at the second, which adds 39; the first adds 1");
}

#[tokio::test]
async fn a_service_of_wasi_02_calls_the_shops_contract_and_the_state() {
    let manifest = "
[service.users]
component = \"{component:users}\"
state = true

[service.old]
component = \"{component:fixture-shop02}\"
state = true
calls = [\"users\"]

[[route]]
prefix = \"/api/users\"
service = \"users\"
strip_prefix = \"/api\"

[[route]]
prefix = \"/old\"
service = \"old\"
strip_prefix = \"/old\"
";
    let guests = Guests::start(manifest, &[]).await;
    let new = json!({"name": "Ada", "email": "ada@example.org"});
    let url = format!("{}/api/users", guests.atoll.gateway);
    let created = guests.http.json(http::Method::POST, &url, &new).await;
    assert_eq!(created.status, 201, "{created:?}");
    let id = created.json()["id"].as_str().map_or_else(|| created.json()["id"].to_string(), str::to_owned);
    assert_eq!(guests.get(&format!("/old/users/{id}")).await, (200, "Ada".into()));
    assert_eq!(guests.get("/old/users/1").await.0, 404);
    for visits in 1..=3 {
        assert_eq!(guests.get("/old/visits").await, (200, visits.to_string()));
    }

    // `inspect` says what it costs.
    let file = crate::it::components::component("fixture-shop02");
    let output = guests.home.output(&["inspect", file.to_str().unwrap()]).await;
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for part in [
        "waits a `func` of shop:users/users@1.0.0 (get) holds its whole instance until the answer is there",
        "a `func` of atoll:state/transactions@0.1.0 (commit, get-many, scan) holds its whole instance",
    ] {
        assert!(says(&report, part), "{part}\n{report}");
    }
}

/// A component that exports the HTTP handler of WASI 0.2, or a `func`, and imports an `async func`.
fn bound_to_trap() -> [(&'static str, Vec<u8>); 3] {
    let http = |import: &str, package: &str| {
        dummy(&format!(
            "package t:http; world w {{ import {import}; export wasi:http/incoming-handler@0.2.0; }} {package}
            package wasi:http@0.2.0 {{ interface incoming-handler {{ handle: func(); }} }}"
        ))
    };
    let state = "package atoll:state@0.1.0 { interface transactions { get-many: async func(keys: list<string>); } }";
    let callee = "package t:callee@1.0.0 { interface i { add: async func(a: u32) -> u32; } }";
    [
        ("t:callee/i@1.0.0#add", http("t:callee/i@1.0.0", callee)),
        ("atoll:state/transactions@0.1.0#get-many", http("atoll:state/transactions@0.1.0", state)),
        ("t:callee/i@1.0.0#add", caller("func", "async func")),
    ]
}

#[tokio::test]
async fn what_is_bound_to_trap_is_refused_at_load_with_the_way_out() {
    for (function, component) in bound_to_trap() {
        let first = caller("func", "func");
        let files = [("callee.wasm", callee("func")), ("caller.wasm", first), ("bad.wasm", component)];
        let manifest = CALL.replace("calls", "state = true\ncalls");
        let why = format!(
            "exports only `func`s (a handler of WASI 0.2 is one), which may not wait for an `async func`, so that each \
             call of these imports would trap: {function}"
        );
        let bad = home(&manifest.replace("caller.wasm", "bad.wasm"), &files);
        for arguments in [vec!["check"], vec!["run"], vec!["inspect", "bad.wasm"]] {
            let complaint = super::complaint(&bad, &arguments).await;
            assert!(says(&complaint, &why), "{arguments:?} {why}\n{complaint}");
            assert!(says(&complaint, "declare them as `func`"), "{arguments:?} {complaint}");
        }
        let guests = Guests::start(&manifest, &files).await;
        let complaint = super::complaint(&guests.home, &["inspect", "bad.wasm", "--against", "caller"]).await;
        assert!(says(&complaint, &why) && !says(&complaint, "fits: nothing"), "{why}\n{complaint}");
        let (status, detail) = guests.swap("caller", "bad.wasm").await;
        assert_eq!(status, 422);
        assert!(says(&detail, &why), "{why}\n{detail}");
    }
}
