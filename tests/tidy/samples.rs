//! For each rule a text that breaks it and one that nearly does: a test that cannot fail holds no wall.

mod wings;
mod words;

use std::collections::BTreeMap;

use super::{Breach, breaches_of_document, breaches_of_rooms, breaches_of_source, form};

/// The breaches of a file that is in order but for `code`, as `line: rule`. The code begins on line 2.
fn breaches(file: &str, code: &str) -> Vec<String> {
    let found = breaches_of_source(file, &format!("//! A sample.\n{code}"));
    found.into_iter().map(|Breach { line, rule, .. }| format!("{line}: {rule}")).collect()
}

/// Asserts one breach, on `line`, whose rule contains `rule`.
#[track_caller]
fn assert_breach(file: &str, code: &str, line: usize, rule: &str) {
    let found = breaches(file, code);
    let [only] = found.as_slice() else { panic!("{file}: {code}\nwanted one breach with {rule:?}, found {found:#?}") };
    assert!(only.starts_with(&format!("{line}: ")), "wanted line {line}: {only}");
    assert!(only.contains(rule), "wanted {rule:?}: {only}");
}

#[track_caller]
fn assert_clean(file: &str, code: &str) {
    assert_eq!(breaches(file, code), Vec::<String>::new(), "{file}: {code}");
}

const CIRCUIT: &str = "host/rules/src/breaker/circuit.rs";
const MESH: &str = "host/src/mesh/mod.rs";

#[test]
fn imports_from_below_are_free() {
    assert_clean(CIRCUIT, "use crate::base::{Blame, ErrorKind};\nuse super::Settings;\nuse crate::telemetry::Metrics;");
    assert_clean(
        CIRCUIT,
        "fn f() -> impl Iterator<Item = u8> + use<'_> { mesh::call() }\nuse ::mesh::x;\nuse mesh::y;",
    );
    assert_clean(CIRCUIT, "pub(crate) fn new() -> Self { self.reset(); crate::base::Blame::Service }");
    assert_clean(MESH, "use crate::{base::ServiceName, runtime::{self, Pool}, breaker};\nuse self::attempt::Attempt;");
    assert_clean("host/src/lib.rs", "pub mod cli;\npub use crate::cli::main;");
}

#[test]
fn an_import_that_climbs_is_found() {
    assert_breach(CIRCUIT, "use crate::mesh::Call;", 2, "breaker (floor 2) imports mesh (floor 5), up");
    assert_breach(CIRCUIT, "fn f() {\n    crate::mesh::call();\n}", 3, "imports mesh");
    assert_breach("host/src/state/redb.rs", "pub use crate::config;", 2, "imports config");
}

#[test]
fn an_import_that_goes_sideways_is_found() {
    assert_breach(CIRCUIT, "use crate::balance::Pick;", 2, "balance (floor 2), sideways");
}

#[test]
fn imports_inside_of_use_trees_are_found() {
    assert_breach(CIRCUIT, "use crate::{base::Body, mesh};", 2, "imports mesh");
    assert_breach(CIRCUIT, "use crate::{\n    base::{Body, BodyError},\n    mesh::{b::{c}},\n};", 4, "imports mesh");
    assert_breach(CIRCUIT, "use {std::fmt, crate::{{mesh::Call}}};", 2, "imports mesh");
    assert_eq!(breaches(CIRCUIT, "use crate::{cli, base::x, app::{y, z}, mesh as m};").len(), 4);
}

#[test]
fn imports_through_super_are_found() {
    assert_breach(CIRCUIT, "use super::super::mesh::Call;", 2, "imports mesh");
    assert_breach(CIRCUIT, "use super::{super::mesh::Call, Settings};", 2, "imports mesh");
    assert_breach("host/rules/src/breaker/mod.rs", "use super::mesh::Call;", 2, "imports mesh");
    assert_breach("host/rules/src/breaker/mod.rs", "use self::super::{base, mesh};", 2, "imports mesh");
    assert_breach(CIRCUIT, "mod tests {\n    use super::super::super::mesh::Call;\n}", 3, "imports mesh");
    // Two up from a module inside of the file is the room itself; a module that ended counts no more.
    assert_clean(CIRCUIT, "mod tests { use super::super::mesh; }\nmod more { mod deep {} }\nuse super::mesh;");
    assert_breach(CIRCUIT, "mod tests { fn f() {} }\nuse super::super::mesh;", 3, "imports mesh");
}

#[test]
fn imports_inside_of_macros_are_found() {
    assert_breach(CIRCUIT, "fn f() { select! { x = crate::mesh::call() => x } }", 2, "imports mesh");
    assert_breach(CIRCUIT, "macro_rules! m { () => { $crate::mesh::call() } }", 2, "imports mesh");
}

#[test]
fn ways_around_the_walls_are_found() {
    assert_breach(CIRCUIT, "use crate as host;", 2, "`crate::crate` is not a room");
    assert_breach(CIRCUIT, "use crate::{self as host};", 2, "not a room");
    assert_breach(CIRCUIT, "use crate::*;", 2, "`crate::*` is not a room");
    assert_breach("host/rules/src/breaker/mod.rs", "use super::*;", 2, "not a room");
    assert_breach(CIRCUIT, "#[path = \"../mesh/call.rs\"]\nmod call;", 2, "hides an import");
    assert_breach(CIRCUIT, "#[cfg_attr(unix, path = \"../mesh/call.rs\")]\nmod call;", 2, "hides an import");
    assert_breach("host/src/lib.rs", "extern crate self as host;", 2, "hides an import");
    assert_breach(CIRCUIT, "use crate::Host;", 2, "`crate::Host` is not a room");
    assert_breach("host/src/helpers.rs", "use crate::base::Body;", 2, "`helpers` is not a room");
}

#[test]
fn comments_and_strings_are_no_imports() {
    assert_clean(CIRCUIT, "// use crate::mesh::Call;\n/* crate::mesh /* unsafe */ */\n/// [`crate::mesh`]\nfn f() {}");
    assert_clean(CIRCUIT, "const A: &str = \"crate::mesh\";\nconst B: &str = r#\"wasmtime::Engine \" unsafe\"#;");
    assert_clean(CIRCUIT, "const C: char = '\"'; fn f<'a>(x: &'a str) {}");
}

#[test]
fn closed_doors_are_held() {
    for room in ["runtime", "registry", "breaker", "balance", "state"] {
        let code = format!("use crate::{room}::X;");
        assert_breach("host/src/gateway/serve.rs", &code, 2, "the gateway reaches services through the mesh alone");
    }
    assert_clean("host/src/gateway/serve.rs", "use crate::{mesh::Mesh, route::Route, listen::Drain};");
    assert_clean("host/src/admin/serve.rs", "use crate::registry::Table;");
    assert_breach("host/src/runtime/pool.rs", "use crate::registry::Table;", 2, "does not know who calls");
}

#[test]
fn only_runtime_names_wasmtime() {
    assert_clean("host/src/runtime/engine.rs", "use wasmtime::Engine;\nuse wasmtime_wasi::p3;");
    assert_breach(MESH, "fn f(engine: &wasmtime::Engine) {}", 2, "only `runtime` names Wasmtime");
    assert_breach(MESH, "type P = wasmtime_wasi_http::p3::Proxy;", 2, "only `runtime` names Wasmtime");
    assert_breach("host/src/main.rs", "#[cfg(test)] mod tests { fn f() { wasmtime::x() } }", 2, "Wasmtime");
    assert_clean(MESH, "let wasmtime = 48;");
}

#[test]
fn floor_two_is_pure() {
    for code in [
        "async fn f() { g().await }",
        "let now = Instant::now();",
        "let now = std::time::SystemTime::now();",
        "let age = since.elapsed();",
        "let mut rng = rand::rng();",
        "let x: u8 = rand::random();",
        "tracing::warn!(\"open\");",
        "use tracing::warn;",
        "log::warn!(\"open\");",
        "fn f(r: &hyper::Request) {}",
    ] {
        assert_breach(CIRCUIT, code, 2, "floor 2 decides from values");
        assert_clean(MESH, code);
    }
    assert_clean(CIRCUIT, "fn f(now: Instant, rng: &mut impl Rng) { self.elapsed.min(now - self.since) }");
}

#[test]
fn tests_of_floor_two_may_read_a_clock() {
    assert_clean(CIRCUIT, "#[cfg(test)]\nmod tests { fn f() { let start = Instant::now(); } }");
    assert_clean("host/rules/src/breaker/tests.rs", "fn f() { let start = Instant::now(); }");
    assert_breach(CIRCUIT, "#[cfg(test)]\nuse std::fmt;\nfn f() { Instant::now() }", 4, "floor 2");
    assert_breach(CIRCUIT, "#[cfg(test)]\nmod tests { fn f() {} }\nfn f() { Instant::now() }", 4, "floor 2");
    assert_breach(CIRCUIT, "#[cfg(not(test))]\nfn f() { Instant::now() }", 3, "floor 2");
    assert_breach(CIRCUIT, "#[cfg(test)]\nmod tests { use crate::mesh::Call; }", 3, "imports mesh");
}

#[test]
fn floor_zero_does_no_io() {
    assert_breach("host/rules/src/base/body.rs", "use tokio::sync::mpsc;", 2, "floor 0 is vocabulary");
    assert_breach("host/rules/src/base/body.rs", "use std::fs::File;", 2, "floor 0 is vocabulary");
}

#[test]
fn anyhow_is_for_app_and_cli() {
    assert_breach(MESH, "fn f() -> anyhow::Result<()> {}", 2, "`anyhow` is for `app` and `cli`");
    assert_clean("host/src/app/run.rs", "use anyhow::Context;");
}

#[test]
fn a_file_begins_with_what_it_is_about_and_ends_in_time() {
    for text in ["", "fn main() {}\n//! Too late.", "// Not a doc comment.", " //! Not at the margin."] {
        let found = breaches_of_source("bench/src/main.rs", text);
        assert!(
            matches!(found.as_slice(), [Breach { line: 1, rule, .. }] if rule.contains("`//!`")),
            "{text:?}: {found:?}"
        );
    }
    assert_clean("tests/it/swap.rs", &"\n".repeat(499));
    assert_breach("tests/it/swap.rs", &"\n".repeat(500), 501, "501 lines");
    assert_breach("tests/it/swap.rs", "fn f( {", 1, "is not Rust");
}

#[test]
fn unsafe_is_kept_in_its_places() {
    let code = "fn f() {\n    unsafe { g() }\n}";
    assert_clean("components/users/src/bindings.rs", code);
    assert_clean("host/src/runtime/artifact.rs", code);
    assert_clean("host/src/listen/unsent.rs", code);
    for file in
        [MESH, "host/src/main.rs", "components/users/src/domain.rs", "tests/it/swap.rs", "host/src/listen/socket.rs"]
    {
        assert_breach(file, code, 3, "`unsafe` is for one module");
    }
}

#[test]
fn a_room_is_in_the_table_chartered_and_not_empty() {
    let source = |path: &str, text: &str| (format!("host/src/{path}"), text.to_owned());
    let sources = BTreeMap::from([
        ("host/rules/src/base/mod.rs".to_owned(), "//! A charter.\nmod name;".to_owned()),
        ("host/rules/src/base/name.rs".to_owned(), "//! A name.\npub struct Name;".to_owned()),
        source("limit/mod.rs", "//! In the wrong crate: its floor is below the cut.\npub struct Limit;"),
        source("mesh/mod.rs", "//! A charter alone.\n/// fn\nmod call;"),
        source("health/watch.rs", "//! No charter.\nfn f() {}"),
        source("attic/mod.rs", "//! No plan.\nfn f() {}"),
        source("runtime/mod.rs", "//! A charter.\nfn f() { unsafe { } }"),
        source("runtime/pool.rs", "//! A pool.\nfn f() { unsafe { } }"),
    ]);
    let folders = ["base", "mesh", "health", "attic", "runtime", "retry", "limit"].map(str::to_owned);
    let found: Vec<String> = breaches_of_rooms(&folders, &sources).iter().map(Breach::to_string).collect();
    assert_eq!(
        found,
        [
            "host/src/mesh/mod.rs:1: room `mesh` is empty: a room comes with its first code",
            "host/src/health/mod.rs:1: room `health` has no `mod.rs` with its charter",
            "host/src/attic/mod.rs:1: `attic` is not a room of the table of floors",
            "host/rules/src/retry/mod.rs:1: room `retry` has no `mod.rs` with its charter",
            "host/rules/src/retry/mod.rs:1: room `retry` is empty: a room comes with its first code",
            "host/rules/src/limit/mod.rs:1: room `limit` has no `mod.rs` with its charter",
            "host/rules/src/limit/mod.rs:1: room `limit` is empty: a room comes with its first code",
            "host/src/runtime/pool.rs:1: a second module of `runtime` with `unsafe`: one holds it all",
        ]
    );
}

#[test]
fn a_document_names_only_files_that_are_there() {
    let text = "See `host/src/mesh`.\nSee host/src/mesh/, (host/src/attic/x.rs) and [it](../host/src/lib.rs).\n\
                `host/src/NAME/mod.rs`, host/src/*\n\
                `tests/it`, [a](../docs/attic.md), my/docs/own.md, https://example.com/docs/page";
    let exists = |path: &str| ["host/src", "host/src/mesh", "host/src/lib.rs", "tests/it"].contains(&path);
    let found = breaches_of_document("docs/ARCHITECTURE.md", text, exists);
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[1].to_string(), "docs/ARCHITECTURE.md:4: `docs/attic.md` does not exist");
    assert_eq!(found[0].to_string(), "docs/ARCHITECTURE.md:2: `host/src/attic/x.rs` does not exist");
}

#[test]
fn a_line_has_120_columns() {
    let lines = |file: &str, text: &str| -> Vec<usize> {
        form::breaches_of_columns(file, text).into_iter().map(|breach| breach.line).collect()
    };
    let (fits, long) = ("é".repeat(120), "é".repeat(121));
    for file in ["host/src/mesh/call.rs", "justfile", ".ci/run", "deny.toml", "docs/mesh.md"] {
        assert_eq!(lines(file, &format!("{fits}\n{long}\n{fits}")), [2], "{file}");
    }
    let code = format!("```\n{long}\n```\n{long}");
    assert_eq!(lines("docs/mesh.md", &code), [4], "code of a document keeps its lines");
    assert_eq!(lines("docs/mesh.md", &format!("| {long} |\n{long}")), [2], "a row of a table is one line");
    let written = format!("<!-- bench:http -->\n{long}\n<!-- /bench:http -->\n{long}");
    assert_eq!(lines("docs/performance.md", &written), [4], "what a program writes");
    let link = format!("[a](https://example.com/{long}) and [b](../{long}#c), {}", "x".repeat(100));
    assert_eq!(lines("docs/mesh.md", &link), [] as [usize; 0], "a link's target does not count");
    assert_eq!(lines("docs/mesh.md", &format!("{link}{link}")), [1]);
    assert_eq!(lines("host/src/mesh/call.rs", &format!("// {link}")), [1], "but it does in code");
}
