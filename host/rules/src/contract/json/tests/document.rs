//! Holds the examples of `docs/json-mapping.md` against the code.

use super::wit_text::{Declared, spelt};
use super::{violations, written};
use crate::contract::json::{MAX_VALUES, MAX_VIOLATION_BYTES, MAX_VIOLATIONS, Names, read};
use crate::contract::testing::SampleValue;

const DOCUMENT: &str = include_str!("../../../../../../docs/json-mapping.md");

/// The WIT that the document declares its types in.
fn declared() -> Declared {
    let (_, rest) = DOCUMENT.split_once("```wit\n").expect("the document declares types");
    Declared::new(rest.split("```").next().unwrap_or_default())
}

/// The rows of all tables that begin with these columns. Further columns are prose.
fn rows<const N: usize>(columns: [&str; N]) -> Vec<[String; N]> {
    let cells = |line: &str| -> Option<[String; N]> {
        let cells: Vec<String> =
            line.strip_prefix("| ")?.split(" | ").take(N).map(|cell| cell.trim_end_matches(" |").into()).collect();
        cells.try_into().ok()
    };
    let mut rows = Vec::new();
    let mut lines = DOCUMENT.lines();
    while let Some(line) = lines.next() {
        if cells(line).is_some_and(|head| head == columns) {
            let body = lines.by_ref().skip(1).take_while(|line| line.starts_with('|'));
            rows.extend(
                body.map(|line| {
                    cells(line).expect("a row has all columns").map(|cell| cell.trim_matches('`').to_owned())
                }),
            );
        }
    }
    rows
}

fn value(ty: &str, json: &str) -> SampleValue {
    read(&declared().ty(ty), Names::Snake, json.as_bytes()).unwrap_or_else(|error| panic!("{ty}: {json}: {error:?}"))
}

#[test]
fn each_value_is_written_and_read_as_the_document_says() {
    let rows = rows(["Type", "Value", "JSON"]);
    assert!(rows.len() > 40, "the document has only {} examples", rows.len());
    for [ty, wanted, json] in rows {
        let value = value(&ty, &json);
        assert_eq!(spelt(&value), wanted, "{ty}: {json}");
        assert_eq!(
            written(&declared().ty(&ty), Names::Snake, &value),
            json.replace(", ", ",").replace(": ", ":"),
            "{ty}"
        );
    }
}

#[test]
fn other_forms_are_read_as_the_document_says() {
    let rows = rows(["Type", "JSON", "The same as"]);
    assert!(rows.len() > 5, "the document has only {} other forms", rows.len());
    for [ty, json, same] in rows {
        assert_eq!(value(&ty, &json), value(&ty, &same), "{ty}: {json}");
    }
}

#[test]
fn violations_are_as_the_document_says() {
    let rows = rows(["Type", "JSON", "Pointer", "Detail"]);
    assert!(rows.len() > 20, "the document has only {} violations", rows.len());
    for [ty, json, pointer, detail] in rows {
        let pointer: String = serde_json::from_str(&pointer).expect("a pointer stands in quotes");
        assert_eq!(violations(&declared().ty(&ty), &json), [(pointer, detail)], "{ty}: {json}");
    }
}

#[test]
fn bounds_are_as_the_document_says() {
    // A bound may be split over two lines.
    let prose = DOCUMENT.split_whitespace().collect::<Vec<_>>().join(" ");
    let violations = format!("(at most {MAX_VIOLATIONS}, and {} KiB of them)", MAX_VIOLATION_BYTES / 1024);
    for bound in [violations, format!("at most {MAX_VALUES} values")] {
        assert!(prose.contains(&bound), "{bound}");
    }
}

#[test]
fn names_are_as_the_document_says() {
    let rows = rows(["Contract", "`snake_case`", "`camelCase`", "`kebab-case`"]);
    assert!(rows.len() > 3, "the document has only {} names", rows.len());
    for [wit, snake, camel, kebab] in rows {
        assert_eq!([Names::Snake, Names::Camel, Names::Kebab].map(|names| names.of(&wit)), [snake, camel, kebab]);
    }
}
