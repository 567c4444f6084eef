//! Holds `docs/manifest.md` against the keys that the code reads.

use super::{folder, parse};
use crate::config::manifest::read;
use crate::config::reader::finding::ManifestText;
use crate::config::reader::report::{KeyFacts, Report};
use crate::config::reader::section::Section;
use crate::config::reader::syntax;
use std::sync::Arc;

/// Every key that is read from a manifest with all sections, without duplicates.
pub(super) fn facts() -> Vec<KeyFacts> {
    let source = Arc::new(ManifestText::new("atoll.toml".into(), include_str!("every_key.toml").into()));
    let (table, syntax) = syntax::parse(&source);
    let report = Report::new(source.clone(), syntax);
    read(Section::root(table.get_ref(), &report), folder().path(), &|_| None);
    let mut facts: Vec<KeyFacts> = Vec::new();
    for mut key in report.keys.take() {
        key.section = key
            .section
            .replace("users", "NAME")
            .replace("legacy", "NAME")
            .replace("machines", "NAME")
            .replace("faces", "NAME")
            .replace('`', "");
        if !facts.contains(&key) {
            facts.push(key);
        }
    }
    facts
}

#[test]
fn the_reference_has_every_key_with_its_bounds_its_default_and_its_meaning() {
    let reference = include_str!("../../../../docs/manifest.md");
    let mut missing = Vec::new();
    let mut rows = 0;
    for key in facts() {
        let default = key.default.map_or_else(|| "none".into(), |default| format!("`{default}`"));
        let row = format!("| `{}` | {} | {default} | {} |", key.name, key.accepts, key.help);
        let section = reference.split("\n## ").find(|part| part.starts_with(&format!("{}\n", key.section)));
        rows += 1;
        if !section.is_some_and(|section| section.lines().any(|line| line == row)) {
            missing.push(format!("## {}\n{row}", key.section));
        }
    }
    assert!(missing.is_empty(), "copy these rows into docs/manifest.md:\n{}", missing.join("\n"));
    let written = reference.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(written, rows, "docs/manifest.md has rows for keys that do not exist");
}

#[test]
fn the_examples_of_the_reference_are_valid_manifests() {
    let reference = include_str!("../../../../docs/manifest.md");
    let examples = reference.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let sizes = examples.map(|example| {
        let there = ["users", "products"].iter().fold(example.to_owned(), |text, name| {
            text.replace(&format!("components/dist/{name}.wasm"), "users.wasm").replace(&format!("wit/{name}"), "wit")
        });
        let there = there.replace("certs/internal.pem", "ca.pem");
        let manifest = parse(&there, &[]).unwrap_or_else(|errors| panic!("{errors}\nin\n{there}"));
        (manifest.services.len(), manifest.routes.len())
    });
    assert_eq!(sizes.collect::<Vec<_>>(), [(2, 4), (2, 2), (2, 1)]);
}
