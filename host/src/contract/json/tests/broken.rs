//! Texts that are broken at random: nothing panics, and each fault points into the text.

use super::{ReadError, STYLES, Violation, read, written};
use crate::contract::Names;
use crate::contract::sample::{SampleValue, typed};
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

/// The places of a tree, each by its pointer.
fn places(tree: &Json, at: &str, out: &mut Vec<String>) {
    out.push(at.to_owned());
    match tree {
        Json::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| places(item, &format!("{at}/{index}"), out))
        }
        Json::Object(members) => members.iter().for_each(|(name, value)| {
            places(value, &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), out);
        }),
        _ => {}
    }
}

fn strangers() -> impl Strategy<Value = Json> {
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

/// Puts a stranger into a place, or beside what stands there.
fn disturb(tree: &mut Json, at: &Index, stranger: &Json, beside: bool) {
    let mut all = Vec::new();
    places(tree, "", &mut all);
    let place = tree.pointer_mut(&all[at.index(all.len())]).expect("the place is of this tree");
    match place {
        Json::Object(members) if beside => drop(members.insert("a/b~c".into(), stranger.clone())),
        Json::Array(items) if beside => items.push(stranger.clone()),
        place => *place = stranger.clone(),
    }
}

fn check_pointers(tree: &Json, faults: &[Violation]) -> Result<(), TestCaseError> {
    prop_assert!(!faults.is_empty());
    for Violation { pointer, detail } in faults {
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
    fn broken_texts_never_panic((ty, value) in typed(), edits in edits()) {
        let mut text = written(&ty, Names::Snake, &value).into_bytes();
        edits.iter().for_each(|edit| apply(&mut text, edit));
        let tree = serde_json::from_slice::<Json>(&text);
        match read::<SampleValue>(&ty, Names::Snake, &text) {
            // What is read is of the type, whatever was broken.
            Ok(value) => {
                let again = written(&ty, Names::Snake, &value);
                prop_assert_eq!(read::<SampleValue>(&ty, Names::Snake, again.as_bytes()), Ok(value));
            }
            Err(ReadError::Malformed { .. }) => prop_assert!(tree.is_err()),
            Err(ReadError::Faults(faults)) => {
                // A tree keeps one of two equal members, and what is skipped may have bytes that it refuses.
                let twice = faults.iter().any(|fault| fault.detail.contains("second time") || fault.detail.contains("says it all"));
                if let (Ok(tree), false) = (tree, twice) {
                    check_pointers(&tree, &faults)?;
                }
            }
        }
    }

    #[test]
    fn strangers_in_a_tree_are_pointed_at(
        (ty, value) in typed(),
        changes in proptest::collection::vec((any::<Index>(), strangers(), any::<bool>()), 1..4),
    ) {
        for names in STYLES {
            let mut tree: Json = serde_json::from_str(&written(&ty, names, &value)).unwrap();
            for (at, stranger, beside) in &changes {
                disturb(&mut tree, at, stranger, *beside);
            }
            match read::<SampleValue>(&ty, names, tree.to_string().as_bytes()) {
                Ok(_) => {}
                Err(ReadError::Faults(faults)) => check_pointers(&tree, &faults)?,
                Err(malformed) => prop_assert!(false, "{malformed} in {tree}"),
            }
        }
    }
}

#[test]
fn what_is_no_json_is_told_with_its_place() {
    let malformed = |text: &[u8]| match read::<SampleValue>(&crate::contract::Type::Bool, Names::Snake, text) {
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
fn depth_exhausts_nothing() {
    let deep = [b"[".repeat(1_000_000), b"]".repeat(1_000_000)].concat();
    for ty in [crate::contract::Type::Bool, crate::contract::Type::List(crate::contract::Type::Bool.into())] {
        assert!(matches!(read::<SampleValue>(&ty, Names::Snake, &deep), Err(ReadError::Faults(_))));
        assert!(matches!(read::<SampleValue>(&ty, Names::Snake, &deep[..1_500_000]), Err(ReadError::Malformed { .. })));
    }
}
