//! Planted types: a second meaning of a name, and nouns that the glossary lacks.

use crate::tidy::Breach;
use crate::tidy::graph::{Definition, Tree};
use crate::tidy::words::{Glossary, breaches_of_meanings};

fn definitions(files: &[(&str, &str)]) -> Vec<Definition> {
    let host = |(file, code): &(&str, &str)| (format!("host/src/{file}"), format!("//! A file.\n{code}"));
    Tree::new(&files.iter().map(host).collect()).definitions()
}

fn told(breaches: &[Breach]) -> Vec<String> {
    breaches.iter().map(Breach::to_string).collect()
}

#[test]
fn a_second_meaning_of_a_name_is_found() {
    let second = |code: &str| {
        let types = definitions(&[("breaker/permit.rs", "pub struct Permit;"), ("mesh/bulkhead.rs", code)]);
        told(&breaches_of_meanings(&types, &[]))
    };
    let rule = "`Permit` is also a type of `breaker` (host/src/breaker/permit.rs:2): one word has one meaning";
    for code in [
        "\npub(crate) struct Permit { x: u8 }",
        "\nenum Permit { A }",
        "\ntrait Permit<T>: Sized {}",
        "\ntype Permit = u8;",
        "\nmod inner { union Permit { a: u8 } }",
    ] {
        assert_eq!(second(code), [format!("host/src/mesh/bulkhead.rs:3: {rule}")], "{code}");
    }
    for code in [
        "use crate::breaker::Permit;",
        "impl Iterator for X { type Permit = u8; }",
        "trait X { type Permit; }",
        "fn f() { struct Permit; }",
        "#[cfg(test)] mod tests { struct Permit; }",
        "#[cfg(test)] struct Permit;",
        "// struct Permit;",
        "const A: &str = \"struct Permit;\";",
    ] {
        assert_eq!(second(code), [] as [&str; 0], "{code}");
    }
}

#[test]
fn a_name_may_be_shared_by_the_list_alone_and_only_while_it_is() {
    let types = definitions(&[
        ("mesh/settings.rs", "struct Settings;"),
        ("mesh/dial/settings.rs", "struct Settings;"),
        ("state/settings.rs", "struct Settings;"),
    ]);
    assert_eq!(told(&breaches_of_meanings(&types, &[("Settings", "each room's own")])), [] as [&str; 0]);
    assert_eq!(breaches_of_meanings(&types, &[]).len(), 1);
    let stale = told(&breaches_of_meanings(&types[..2], &[("Settings", "each room's own")]));
    assert_eq!(stale.len(), 1, "{stale:?}");
    assert!(stale[0].contains("take it from the list"), "{stale:?}");
}

const PAGE: &str = "\
| term | means | rooms |
| --- | --- | --- |
| bulkhead | bounds the calls of a service | mesh |
| circuit breaker, breaker | stops calls to an endpoint that fails | mesh, breaker |
| settings | what a room is told | any |
";

#[test]
fn a_noun_that_the_glossary_lacks_is_found() {
    let types = definitions(&[
        ("mesh/bulkhead.rs", "struct Bulkhead; struct BulkheadFull; enum OfBulkheads {} struct Settings;"),
        ("mesh/view.rs", "struct BreakerView;\nstruct Parcel;\nstruct BreakfastTable;"),
        ("breaker/breaker.rs", "struct CircuitBreaker;"),
    ]);
    let found = told(&Glossary::new(&[("docs/glossary.md", PAGE)]).breaches(&types));
    let rule = "docs/glossary.md has neither this name nor a noun that it ends in or begins with";
    assert_eq!(
        found,
        [
            format!("host/src/mesh/view.rs:3: `Parcel`: {rule}"),
            format!("host/src/mesh/view.rs:4: `BreakfastTable`: {rule}"),
            "docs/glossary.md:4: no type of `mesh` is named for `circuit breaker`: take the term or the room away"
                .into(),
        ]
    );
}

#[test]
fn a_glossary_has_each_term_once_in_order_and_with_a_meaning() {
    let page = "\
| term | means | rooms |
| --- | --- | --- |
| bulkhead | bounds calls | any |
| breaker | stops calls | any |
| breaker | breaks a fast | any |
| table |  | attic |

| another table | without terms |
| --- | --- |
| bulkhead | is free |
";
    let words = "| word | means |\n| --- | --- |\n| table | the words of the platform have an order of their own |\n";
    let found = told(&Glossary::new(&[("docs/ARCHITECTURE.md", words), ("docs/glossary.md", page)]).breaches(&[]));
    assert_eq!(
        found,
        [
            "docs/glossary.md:4: `breaker` stands behind `bulkhead`: the glossary is in alphabetical order",
            "docs/glossary.md:5: `breaker` has a meaning already, at docs/glossary.md:4",
            "docs/glossary.md:6: `attic` is not a room",
            "docs/glossary.md:6: `table` has no meaning",
            "docs/glossary.md:6: `table` has a meaning already, at docs/ARCHITECTURE.md:3",
        ]
    );
}
