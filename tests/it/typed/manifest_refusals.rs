//! What `atoll check` refuses before a socket is opened. Each error names its position in the manifest.

use crate::it::atoll::Home;
use crate::it::components::dummy;
use std::fs;

/// Runs `atoll check` on this manifest, which it must refuse. Returns the error text. `files` are components for it.
async fn refused(manifest: &str, files: &[(&str, Vec<u8>)]) -> String {
    let home = Home::new(manifest);
    for (name, bytes) in files {
        fs::write(home.folder.path().join(name), bytes).unwrap();
    }
    home.link_cache();
    let output = home.output(&["check"]).await;
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{manifest}\n{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// Whether an error text contains `part`, wherever the terminal breaks its lines.
fn says(complaint: &str, part: &str) -> bool {
    let squeezed = |text: &str| text.split_whitespace().filter(|word| !["|", "│"].contains(word)).collect::<String>();
    squeezed(complaint).contains(&squeezed(part))
}

const SERVICES: &str = r#"[service.types]
component = "{component:fixture-types}"
[service.relay]
component = "{component:fixture-relay}"
calls = ["types"]
"#;

#[tokio::test]
async fn every_import_that_no_service_provides_is_reported_at_its_position() {
    for (manifest, position, what) in [
        (
            SERVICES.replace("calls = [\"types\"]\n", ""),
            "atoll.toml:4:13",
            "needs `calls = [\"types\"]` in [service.relay] of the manifest",
        ),
        (
            SERVICES.replace("calls = [\"types\"]", "calls = []"),
            "atoll.toml:5:9",
            "imports atoll:fixture-types/echo@1.0.0",
        ),
        (
            SERVICES.replace("fixture-types}", "fixture-cycle}"),
            "atoll.toml:5:9",
            "imports atoll:fixture-types/echo@1.0.0, which no service of the manifest exports",
        ),
        (
            SERVICES.replace("calls = [\"types\"]", "calls = [\"types\", \"more\"]")
                + "[service.more]\ncomponent = \"{component:fixture-types}\"\n",
            "atoll.toml:5:9",
            "imports atoll:fixture-types/echo@1.0.0, which more, types export",
        ),
        (
            SERVICES
                .replace("calls = [\"types\"]", "calls = [\"types\"]\nidempotent = [\"reports#sleep\", \"snooze\"]"),
            "atoll.toml:6:",
            "snooze",
        ),
    ] {
        let complaint = refused(&manifest, &[]).await;
        assert!(says(&complaint, position) && says(&complaint, what), "{position} {what}:\n{complaint}");
    }
}

#[tokio::test]
async fn every_error_of_every_typed_route_is_reported_at_once() {
    let routes = r#"[[route]]
method = "GET"
path = "/a"
call = "types/no-such"
[[route]]
method = "GET"
path = "/b"
call = "types/echo-person"
[[route]]
method = "POST"
path = "/c/{value}"
call = "types/echo-person"
[[route]]
method = "POST"
path = "/d"
call = "types/streams#length"
[[route]]
method = "GET"
path = "/e/{no}"
call = "types/faults#count"
[[route]]
method = "GET"
path = "/f"
call = "relay/trap-result"
from_header = { no = "x-no" }
[[route]]
method = "GET"
path = "/g"
call = "types/sum"
[[route]]
method = "GET"
path = "/h"
call = "types/faults#refuse"
errors = { no-such-case = 409 }
"#;
    let complaint = refused(&format!("{SERVICES}{routes}"), &[]).await;
    for (position, what) in [
        ("atoll.toml:9:8", "no-such"),
        ("atoll.toml:13:8", "`value`"),
        ("atoll.toml:16:8", "`value`"),
        ("atoll.toml:21:8", "holds a stream, which has no JSON"),
        ("atoll.toml:24:8", "no"),
        ("atoll.toml:30:15", "no"),
        ("atoll.toml:34:8", "`sum`"),
        ("atoll.toml:39:10", "no-such-case"),
    ] {
        assert!(says(&complaint, position) && says(&complaint, what), "{position} {what}:\n{complaint}");
    }
}

#[tokio::test]
async fn types_that_cannot_cross_between_services_are_reported_with_their_function() {
    let cases = [
        ("resource conn {} f: func() -> conn;", "`f` of a:b/i@1.0.0: the result is resource `conn`"),
        (
            "resource conn {} f: func(conns: list<borrow<conn>>);",
            "`f` of a:b/i@1.0.0: parameter `conns` holds resource `conn`",
        ),
        ("record r { a: u8 } g: func(rows: stream<r>);", "`g` of a:b/i@1.0.0: parameter `rows` is stream<r>"),
        ("g: func() -> future<list<u8>>;", "`g` of a:b/i@1.0.0: the result is future<list<u8>>"),
        ("f: func(why: error-context);", "`f` of a:b/i@1.0.0: parameter `why` is error-context"),
    ];
    for side in ["import", "export"] {
        for (body, why) in cases {
            let wit =
                format!("package a:b@1.0.0; interface i {{ {body} }} world w {{ {side} i; export run: func(); }}");
            let manifest = "[service.foreign]\ncomponent = \"foreign.wasm\"\n";
            let complaint = refused(manifest, &[("foreign.wasm", dummy(&wit))]).await;
            assert!(says(&complaint, "atoll.toml:2:13") && says(&complaint, why), "{side} {why}:\n{complaint}");
        }
    }
}

/// The two components were built against different texts of the same version.
#[tokio::test]
async fn an_import_whose_types_differ_from_the_export_is_reported_with_the_difference() {
    let world = |side: &str, ty: &str| {
        format!(
            "package a:b@1.0.0; interface i {{ record r {{ a: {ty} }} f: func(r: r); }} \
             world w {{ {side} i; export run: func(); }}"
        )
    };
    let files = [("user.wasm", dummy(&world("import", "u8"))), ("owner.wasm", dummy(&world("export", "u16")))];
    let manifest =
        "[service.owner]\ncomponent = \"owner.wasm\"\n[service.user]\ncomponent = \"user.wasm\"\ncalls = [\"owner\"]\n";
    let complaint = refused(manifest, &files).await;
    for part in ["atoll.toml:5:9", "service `user`", "what service `owner` does not offer", "`f`", "u8", "u16"] {
        assert!(says(&complaint, part), "{part}:\n{complaint}");
    }
}
