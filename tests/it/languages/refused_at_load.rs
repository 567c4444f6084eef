//! What cannot run does not load: too much memory from the start, and versions of WASI that the host does not have.

use super::{Guests, complaint, dummy, guest, home, route, says};

/// A typed service that starts with `pages` of memory, 64 KiB each.
fn large(pages: u32) -> Vec<u8> {
    guest(
        "package t:large@1.0.0; interface i { f: func() -> u32; } world w { export i; }",
        &format!(
            r#"(module (memory {pages})
                (func (export "t:large/i@1.0.0#f") (result i32) (memory.size)))"#
        ),
    )
}

#[tokio::test]
async fn a_component_that_starts_above_its_memory_limit_is_refused_with_the_numbers_and_the_mend() {
    let manifest = |large: &str, more: &str| {
        let service = format!("[service.large]\ncomponent = \"{large}\"\nlimits = {{ memory = \"64MiB\" }}\n");
        format!("{service}{more}{}", route("/", "large/f"))
    };
    let why = "starts with 65 MiB of memory, and `limits.memory` of [service.large] is 64 MiB";
    let mend = "set limits = { memory = \"65MiB\" } or more in [service.large]";
    let files = [("large.wasm", large(65 * 16)), ("right.wasm", large(64 * 16))];
    // The pool has room for the largest limit of all services.
    let roomy = "\n[service.roomy]\ncomponent = \"right.wasm\"\nlimits = { memory = \"100MiB\" }\n";
    for more in ["", roomy] {
        let bad = home(&manifest("large.wasm", more), &files);
        for verb in ["check", "run"] {
            let complaint = complaint(&bad, &[verb]).await;
            for part in ["atoll.toml:2:13", why, mend] {
                assert!(says(&complaint, part), "{verb} {part}\n{complaint}");
            }
        }
        let guests = Guests::start(&manifest("right.wasm", more), &files).await;
        assert_eq!(guests.get("/").await, (200, "1024".into()));
        let (status, detail) = guests.swap("large", "large.wasm").await;
        assert!(status == 422 && says(&detail, why), "{status} {detail}");
        let against = complaint(&guests.home, &["inspect", "large.wasm", "--against", "large"]).await;
        assert!(says(&against, why), "{against}");
    }
}

#[tokio::test]
async fn a_version_of_wasi_that_is_not_there_is_named_with_those_that_are() {
    let cases = [
        (
            "wasi:http/types@0.3.0-rc-2026-03-15",
            "wasi:http/types@0.3.0-rc-2026-03-15 (there is 0.2.12 and 0.3.0)",
            "wasi:http/types@0.3.0-rc-2026-03-15: there is 0.2.12 and 0.3.0 of it",
        ),
        ("wasi:io/poll@0.3.0", "wasi:io/poll@0.3.0 (there is 0.2.12)", "wasi:io/poll@0.3.0: there is 0.2.12 of it"),
        (
            "wasi:cli/stdout@1.0.0",
            "wasi:cli/stdout@1.0.0 (there is 0.2.12 and 0.3.0)",
            "there is 0.2.12 and 0.3.0 of it",
        ),
        ("wasi:keyvalue/store@0.2.0-draft2", "(there is 0.2.0-draft)", "there is 0.2.0-draft of it"),
        ("atoll:state/transactions@1.0.0", "(there is 0.1.0 and 0.2.0)", "there is 0.1.0 and 0.2.0 of it"),
        (
            "wasi:nn/tensor@0.2.0-rc-2024-10-28",
            "what this host does not offer: wasi:nn/tensor@0.2.0-rc-2024-10-28",
            "wasi:nn/tensor@0.2.0-rc-2024-10-28: this host does not offer it",
        ),
    ];
    for (import, why, line) in cases {
        let (path, version) = import.split_once('@').unwrap();
        let (package, interface) = path.split_once('/').unwrap();
        let wit = format!(
            "package t:old@1.0.0; interface i {{ f: func() -> u32; }} world w {{ import {import}; export i; }}
            package {package}@{version} {{ interface {interface} {{ g: func(); }} }}"
        );
        let bad = home("[service.old]\ncomponent = \"old.wasm\"\nstate = true\n", &[("old.wasm", dummy(&wit))]);
        for verb in ["check", "run"] {
            let complaint = complaint(&bad, &[verb]).await;
            assert!(says(&complaint, "atoll.toml:2:13") && says(&complaint, why), "{verb} {why}\n{complaint}");
        }
        let report = complaint(&bad, &["inspect", "old.wasm"]).await;
        assert!(says(&report, line) && says(&report, why), "{line}\n{report}");
    }
}

#[tokio::test]
async fn an_import_of_a_later_version_links_if_the_host_has_its_functions() {
    let wit = |function: &str| {
        format!(
            "package t:new@1.0.0; interface i {{ f: func() -> u32; }}
            world w {{ import wasi:random/random@0.2.99; export i; }}
            package wasi:random@0.2.99 {{ interface random {{ {function}: func() -> u64; }} }}"
        )
    };
    let manifest = "[service.new]\ncomponent = \"new.wasm\"\n";
    let good = home(manifest, &[("new.wasm", dummy(&wit("get-random-u64")))]);
    let output = good.output(&["check"]).await;
    assert!(output.status.success(), "{output:?}");
    let bad = home(manifest, &[("new.wasm", dummy(&wit("get-random-u128")))]);
    let complaint = complaint(&bad, &["check"]).await;
    let why = "does not link: it imports wasi:random/random@0.2.99, and there is 0.2.12; ";
    assert!(says(&complaint, why) && says(&complaint, "get-random-u128"), "{why}\n{complaint}");
}

#[tokio::test]
async fn a_command_and_a_handler_of_another_version_are_no_services() {
    for (export, wit, why, mend) in [
        (
            "wasi:cli/run@0.2.6",
            "package wasi:cli@0.2.6 { interface run { run: func() -> result; } }",
            "exports nothing to call",
            "it is a program that runs once (wasi:cli/run)",
        ),
        (
            "wasi:http/handler@0.3.0-rc-2026-03-15",
            "package wasi:http@0.3.0-rc-2026-03-15 { interface handler { handle: func(); } }",
            "it exports wasi:http/handler@0.3.0-rc-2026-03-15",
            "the README shows the smallest service",
        ),
    ] {
        let component = dummy(&format!("package t:c; world w {{ export {export}; }} {wit}"));
        let bad = home("[service.c]\ncomponent = \"c.wasm\"\n", &[("c.wasm", component)]);
        for arguments in [vec!["check"], vec!["inspect", "c.wasm"]] {
            let complaint = complaint(&bad, &arguments).await;
            assert!(says(&complaint, why) && says(&complaint, mend), "{arguments:?} {why} {mend}\n{complaint}");
            assert!(!says(&complaint, "called by typed routes"), "{complaint}");
        }
    }
}
