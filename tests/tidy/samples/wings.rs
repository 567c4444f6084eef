//! Planted rooms: imports between wings and files, and the drawing of them.

use crate::tidy::graph::{Circle, Levels, Tree};
use crate::tidy::{Breach, drawing};
use std::collections::BTreeMap;

const ORDER: Levels<'static> = &[&["call"], &["table", "dial"], &["clock"]];

/// A room `mesh` in good order, with these files in place of its own.
fn tree(changes: &[(&str, &str)]) -> Tree {
    let files = [
        ("mod.rs", "mod call; mod clock; mod dial; mod table; pub use call::Mesh; pub use table::Service;"),
        ("call/mod.rs", "mod retry; pub use retry::Mesh;"),
        ("call/retry.rs", "use crate::mesh::{table::{self, Service}}; use super::super::clock::now; pub struct Mesh;"),
        ("table/mod.rs", "mod service; pub(crate) use service::Service;"),
        ("table/service.rs", "use super::super::clock; pub struct Service;"),
        ("dial/mod.rs", "use crate::base::Body; pub struct Dial;"),
        ("clock.rs", "pub fn now() {}"),
    ];
    let host = |(file, code): &(&str, &str)| (format!("host/src/mesh/{file}"), format!("//! A file.\n{code}"));
    let mut sources: BTreeMap<String, String> = files.iter().map(host).collect();
    sources.extend(changes.iter().map(host));
    sources.insert("host/rules/src/base/mod.rs".to_owned(), "//! A room.\npub struct Body;".to_owned());
    sources.insert("host/src/lib.rs".to_owned(), "//! All.\npub mod base; pub mod mesh;".to_owned());
    Tree::new(&sources)
}

fn breaches(changes: &[(&str, &str)], order: Option<Levels>, circles: &[Circle]) -> Vec<String> {
    tree(changes).breaches_of_room("mesh", order, circles).iter().map(Breach::to_string).collect()
}

/// Asserts one breach of the room with this file in it, whose text contains each of `parts`.
#[track_caller]
fn assert_breach(file: &str, code: &str, parts: &[&str]) {
    let found = breaches(&[(file, code)], Some(ORDER), &[]);
    let [only] = found.as_slice() else { panic!("wanted one breach with {parts:?}, found {found:#?}") };
    assert!(parts.iter().all(|part| only.contains(part)), "wanted {parts:?}: {only}");
}

#[test]
fn imports_down_through_the_wings_are_free() {
    assert_eq!(breaches(&[], Some(ORDER), &[]), [] as [&str; 0]);
    let visibility = [("clock.rs", "pub(in crate::mesh::call) fn now() {}")];
    assert_eq!(breaches(&visibility, Some(ORDER), &[]), [] as [&str; 0], "who may see it is no import");
}

#[test]
fn an_import_that_climbs_between_wings_is_found() {
    let climbs = ["host/src/mesh/dial/mod.rs:3: mesh/dial imports mesh/call, up"];
    for code in [
        "\nuse crate::mesh::call::Mesh;",
        "\nuse super::call;",
        "\nfn f() { super::call::retry::go() }",
        "\nuse {std::fmt, super::{call::{retry::Mesh}}};",
        "\nuse crate::mesh::Mesh; // through the room's re-export and that of the wing",
        "\nfn f() -> super::Mesh {}",
        "\nmod inner { use super::super::call::Mesh; }",
        "\nmacro_rules! m { () => { $crate::mesh::call::go() } }",
    ] {
        assert_breach("dial/mod.rs", code, &climbs);
    }
    assert_breach("clock.rs", "use super::dial::Dial;", &["clock.rs:2: mesh/clock imports mesh/dial, up"]);
    assert_breach(
        "dial/deep/far.rs",
        "use crate::mesh::Mesh;",
        &["dial/deep/far.rs:2: mesh/dial imports mesh/call, up"],
    );
}

#[test]
fn an_import_between_wings_of_one_level_is_found() {
    let sideways = ["mesh/dial imports mesh/table, sideways: a wing imports only from wings below it"];
    assert_breach("dial/mod.rs", "use crate::mesh::Service;", &sideways);
}

#[test]
fn what_a_rooms_charter_defines_is_above_its_wings() {
    let charter = "mod clock; mod dial; pub struct Both; use std::fmt::Write; pub use std::io::Error;";
    let both = breaches(&[("mod.rs", charter), ("clock.rs", "use super::Both;")], Some(ORDER), &[]);
    assert_eq!(
        both,
        ["host/src/mesh/clock.rs:2: mesh/clock imports mesh/mod, up: a wing imports only from wings below it"]
    );
    let foreign = breaches(&[("mod.rs", charter), ("clock.rs", "use super::{Error, Write};")], Some(ORDER), &[]);
    assert_eq!(foreign, [] as [&str; 0], "what the charter has from another crate");
}

#[test]
fn tests_may_import_what_they_like() {
    for (file, code) in [
        ("clock.rs", "#[cfg(test)] mod tests { use crate::mesh::call::Mesh; }"),
        ("clock.rs", "#[cfg(test)] use super::call::Mesh;"),
        ("dial/tests/wire.rs", "use crate::mesh::call::Mesh;"),
        ("table_tests.rs", "use crate::mesh::call::Mesh;"),
    ] {
        assert_eq!(breaches(&[(file, code)], Some(ORDER), &[]), [] as [&str; 0], "{file}: {code}");
    }
    let fake = [("dial/mod.rs", "#[cfg(test)] mod fake;"), ("dial/fake.rs", "use crate::mesh::call::Mesh;")];
    assert_eq!(breaches(&fake, Some(ORDER), &[]), [] as [&str; 0]);
}

#[test]
fn the_table_of_wings_is_the_tree() {
    let levels = r#"its imports allow [["call", "dial"], ["table"], ["clock"]]"#;
    let missing = breaches(&[], Some(&[&["call"], &["table"], &["clock"]]), &[]);
    assert_eq!(missing, [format!("host/src/mesh/mod.rs:1: `mesh/dial` is not in the room's order of wings; {levels}")]);
    let none = breaches(&[], None, &[]);
    assert_eq!(none.len(), 1, "{none:?}");
    assert!(none[0].contains("`mesh` has folders, but no order of wings") && none[0].contains(levels), "{none:?}");
    let gone = breaches(&[], Some(&[&["call"], &["table", "dial"], &["clock", "attic"]]), &[]);
    assert_eq!(gone, ["host/src/mesh/mod.rs:1: the order of wings names `mesh/attic`, which is not there"]);
}

#[test]
fn a_circle_among_files_is_found_and_named() {
    let changes = [
        ("table/service.rs", "use super::replica::Replica; pub struct Service;"),
        ("table/replica.rs", "\nuse crate::mesh::table::weight::Weight; pub struct Replica;"),
        ("table/weight.rs", "use crate::mesh::Service; pub struct Weight;"),
    ];
    let steps = "table/replica.rs (line 3) → table/weight.rs (line 2) → table/service.rs (line 2) → table/replica.rs";
    let wanted = format!("host/src/mesh/table/replica.rs:3: files of mesh import each other in a circle: {steps}");
    assert_eq!(breaches(&changes, Some(ORDER), &[]), [wanted]);

    let files: &'static [&'static str] = &["table/replica.rs", "table/service.rs", "table/weight.rs"];
    assert_eq!(breaches(&changes, Some(ORDER), &[("mesh", files, "a reason")]), [] as [&str; 0]);
    assert_eq!(breaches(&changes, Some(ORDER), &[("mesh", &files[..2], "")]).len(), 2, "a part of a circle is none");
    let stale = breaches(&[], Some(ORDER), &[("mesh", &["clock.rs", "call/retry.rs"], "no longer")]);
    assert_eq!(stale.len(), 1, "{stale:?}");
    assert!(stale[0].contains("which is none, or not all of one"), "{stale:?}");
}

#[test]
fn a_drawing_out_of_date_is_found() {
    let rooms = ["base".to_owned(), "mesh".to_owned()];
    let drawn = drawing::draw(&tree(&[]), &rooms);
    for line in [
        "subgraph floor5[\"floor 5\"]",
        "mesh-dial[\"dial/\"]",
        "mesh-clock[\"clock\"]",
        "floor5 ==> floor0",
        "mesh-call --> mesh-table",
        "mesh-table --> mesh-clock",
    ] {
        assert!(drawn.contains(line), "wanted {line:?}:\n{drawn}");
    }
    assert!(!drawn.contains("mesh-call --> mesh-clock"), "call → table → clock says it:\n{drawn}");

    let page = "# The house\n<!-- drawing: made by `just drawing` -->\nold\n<!-- end of drawing -->\nAfter.\n";
    let found = drawing::breaches(page, &drawn);
    assert!(matches!(found.as_slice(), [Breach { line: 2, rule, .. }] if rule.contains("out of date")), "{found:?}");
    let written = drawing::replace(page, &drawn).unwrap();
    assert!(written.starts_with("# The house\n") && written.ends_with("\nAfter.\n"), "{written}");
    assert_eq!(drawing::breaches(&written, &drawn), []);
    assert_eq!(drawing::replace(&written, &drawn).unwrap(), written);

    let moved = drawing::draw(&tree(&[("dial/mod.rs", "use crate::mesh::clock;")]), &rooms);
    assert_eq!(drawing::breaches(&written, &moved).len(), 1, "another import is another drawing");
    assert!(drawing::breaches("# No markers.\n", &drawn)[0].rule.contains("no markers"));
}

#[test]
fn a_file_named_as_tests_are_is_declared_for_tests() {
    let found = |declaration: &str| -> Vec<String> {
        let files = [("dial/mod.rs", declaration), ("dial/socket_tests.rs", "fn f() {}")];
        tree(&files).breaches_of_test_names().iter().map(Breach::to_string).collect()
    };
    assert_eq!(found("#[cfg(test)]\nmod socket_tests;"), [] as [&str; 0]);
    assert_eq!(found("#[cfg(any(test, feature = \"testing\"))]\npub mod socket_tests;"), [] as [&str; 0]);
    let rule = "named as a test file, but no `#[cfg(test)] mod` declares it";
    assert_eq!(found("mod socket_tests;"), [format!("host/src/mesh/dial/socket_tests.rs:1: {rule}")]);
}
