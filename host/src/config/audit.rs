//! `[audit]`: the file of changes and refusals.

use super::edge_finding_key::EdgeFindingKey;
use super::reader::file::{CreatedPath, PathKind};
use super::reader::finding::ValueOrigin;
use super::reader::key::ManifestKey;
use super::reader::key_spans::KeySpans;
use super::reader::kind::CountKind;
use super::reader::section::Section;
use crate::audit::Settings;
use std::path::Path;

static FILE: ManifestKey<PathKind> = ManifestKey::without_default(
    "file",
    PathKind,
    "The file to which a line is added for each change by an operator, each key that is made or revoked, and refusals \
     of callers. The host creates it, readable by its user alone. The section needs it.",
);
static REFUSALS: ManifestKey<CountKind<u32>> = ManifestKey::new(
    "refusals",
    CountKind { min: 0, max: 10_000 },
    "10",
    "The most refusals of callers (401 and 403) in one second that get a line. The next line says how many were left \
     out.",
);

const AUDIT_FILE: CreatedPath = CreatedPath { is_folder: false, help: "name a file in it, such as audit.jsonl" };

/// Reads `[audit]`; `None` without a file.
pub(super) fn read(root: &mut Section<'_>, folder: &Path, spans: &mut KeySpans<EdgeFindingKey>) -> Option<Settings> {
    let there = root.has("audit");
    let mut section = root.section("audit");
    spans.note_key(EdgeFindingKey::AuditFile, &section, FILE.name);
    let (file, refusals) = (section.find(&FILE), section.get(&REFUSALS));
    if there && section.lacks(FILE.name) {
        let origin = ValueOrigin::Text(section.span.clone());
        let help = "add file = \"audit.jsonl\", or leave the section out";
        section.report.push_if_whole(origin, "`[audit]` has no `file`, so nothing would be recorded", help);
    }
    section.close();
    Some(Settings { path: AUDIT_FILE.resolve(file?, folder, root.report), refusals })
}
