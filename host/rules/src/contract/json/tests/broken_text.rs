//! Texts that are broken at random: nothing panics, and each violation points into the text.

use super::{ReadError, STYLES, Violation, read, written};
use crate::contract::json::Names;
use crate::contract::testing::{SampleValue, typed};
use crate::contract::wit::Type;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value as Json, json};

/// One change of a text.
#[derive(Debug, Clone)]
enum Edit {
    Set(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    Repeat(Index, Index),
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let byte =
        || prop_oneof![proptest::sample::select(b"{}[]\",:0123456789-+.eE\\/~ntu \xff\xc3".to_vec()), any::<u8>()];
    let edit = prop_oneof![
        (any::<Index>(), byte()).prop_map(|(at, byte)| Edit::Set(at, byte)),
        (any::<Index>(), byte()).prop_map(|(at, byte)| Edit::Insert(at, byte)),
        any::<Index>().prop_map(Edit::Remove),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Edit::Repeat(from, to)),
    ];
    proptest::collection::vec(edit, 1..4)
}

fn apply(text: &mut Vec<u8>, edit: &Edit) {
    if text.is_empty() {
        return;
    }
    match edit {
        Edit::Set(at, byte) => {
            let at = at.index(text.len());
            text[at] = *byte;
        }
        Edit::Insert(at, byte) => text.insert(at.index(text.len() + 1), *byte),
        Edit::Remove(at) => {
            text.remove(at.index(text.len()));
        }
        Edit::Repeat(from, to) => {
            let (from, to) = (from.index(text.len()), to.index(text.len()));
            let part = text[from.min(to)..=from.max(to)].to_vec();
            text.splice(from..from, part);
        }
    }
}

/// The pointers of all parts of a tree.
fn pointers(tree: &Json, at: &str, out: &mut Vec<String>) {
    out.push(at.to_owned());
    match tree {
        Json::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| pointers(item, &format!("{at}/{index}"), out))
        }
        Json::Object(members) => members.iter().for_each(|(name, value)| {
            pointers(value, &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), out);
        }),
        _ => {}
    }
}

fn foreign_values() -> impl Strategy<Value = Json> {
    proptest::sample::select(vec![
        json!(null),
        json!(true),
        json!(-1),
        json!(1.5),
        json!(1e300),
        json!(u64::MAX),
        json!(""),
        json!("id"),
        json!("NaN"),
        json!("AA=="),
        json!([]),
        json!([[]]),
        json!({}),
        json!({"id": null}),
        json!({"ok": 1, "err": 2}),
        json!({"a/b~c": [0]}),
        json!([1, "x", null]),
    ])
}

/// Replaces a part of a tree by a foreign value, or adds the value to that part.
fn disturb(tree: &mut Json, at: &Index, foreign: &Json, add: bool) {
    let mut all = Vec::new();
    pointers(tree, "", &mut all);
    let part = tree.pointer_mut(&all[at.index(all.len())]).expect("the pointer is of this tree");
    match part {
        Json::Object(members) if add => drop(members.insert("a/b~c".into(), foreign.clone())),
        Json::Array(items) if add => items.push(foreign.clone()),
        part => *part = foreign.clone(),
    }
}

fn check_pointers(tree: &Json, violations: &[Violation]) -> Result<(), TestCaseError> {
    prop_assert!(!violations.is_empty());
    for Violation { pointer, detail } in violations {
        let parent = pointer.rfind('/').map_or("", |end| &pointer[..end]);
        let there = if detail == "must be there" {
            tree.pointer(pointer).is_none() && tree.pointer(parent).is_some()
        } else {
            tree.pointer(pointer).is_some()
        };
        prop_assert!(there, "{pointer:?} {detail} in {tree}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn a_broken_text_never_panics_and_its_violations_point_into_it((ty, value) in typed(), edits in edits()) {
        let mut text = written(&ty, Names::Snake, &value).into_bytes();
        edits.iter().for_each(|edit| apply(&mut text, edit));
        let tree = serde_json::from_slice::<Json>(&text);
        match read::<SampleValue>(&ty, Names::Snake, &text) {
            // Whatever was broken, a value that is read is of the type.
            Ok(value) => {
                let again = written(&ty, Names::Snake, &value);
                prop_assert_eq!(read::<SampleValue>(&ty, Names::Snake, again.as_bytes()), Ok(value));
            }
            Err(ReadError::Malformed { .. }) => prop_assert!(tree.is_err()),
            Err(ReadError::Violations(violations)) => {
                // Pointers cannot be checked in two cases: a tree keeps only one of two equal members, and it refuses
                // some bytes that the reader skips.
                let repeated = |detail: &str| detail.contains("second time") || detail.contains("exactly one member");
                let twice = violations.iter().any(|violation| repeated(&violation.detail));
                if let (Ok(tree), false) = (tree, twice) {
                    check_pointers(&tree, &violations)?;
                }
            }
        }
    }

    #[test]
    fn a_foreign_value_in_a_text_is_pointed_at(
        (ty, value) in typed(),
        changes in proptest::collection::vec((any::<Index>(), foreign_values(), any::<bool>()), 1..4),
    ) {
        for names in STYLES {
            let mut tree: Json = serde_json::from_str(&written(&ty, names, &value)).unwrap();
            for (at, foreign, add) in &changes {
                disturb(&mut tree, at, foreign, *add);
            }
            match read::<SampleValue>(&ty, names, tree.to_string().as_bytes()) {
                Ok(_) => {}
                Err(ReadError::Violations(violations)) => check_pointers(&tree, &violations)?,
                Err(malformed) => prop_assert!(false, "{malformed} in {tree}"),
            }
        }
    }
}

#[test]
fn a_text_that_is_not_json_is_reported_with_line_and_column() {
    let malformed = |text: &[u8]| match read::<SampleValue>(&Type::Bool, Names::Snake, text) {
        Err(ReadError::Malformed { line, column, detail }) => (line, column, detail),
        other => panic!("{other:?}"),
    };
    assert_eq!(malformed(b""), (1, 0, "EOF while parsing a value".into()));
    assert_eq!(malformed(b"true\n  true"), (2, 3, "trailing characters".into()));
    assert_eq!(malformed(b"[1,\n2"), (2, 1, "EOF while parsing a list".into()));
    assert_eq!(malformed(b"\"\xff\""), (1, 2, "invalid unicode code point".into()));
    assert_eq!(malformed(b"\"\\ud800\"").2, "unexpected end of hex escape");
}

#[test]
fn a_deep_text_does_not_exhaust_the_stack() {
    let deep = [b"[".repeat(1_000_000), b"]".repeat(1_000_000)].concat();
    for ty in [Type::Bool, Type::List(Type::Bool.into())] {
        assert!(matches!(read::<SampleValue>(&ty, Names::Snake, &deep), Err(ReadError::Violations(_))));
        assert!(matches!(read::<SampleValue>(&ty, Names::Snake, &deep[..1_500_000]), Err(ReadError::Malformed { .. })));
    }
}
