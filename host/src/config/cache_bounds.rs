//! `cache` of `[gateway]`: in how much memory answers are kept, and on how much disk.

use super::reader::file::{CreatedPath, PathKind};
use super::reader::finding::ValueOrigin;
use super::reader::key::ManifestKey;
use super::reader::measure::{GIB, KIB, MIB, SizeKind, TIB, in_memory};
use super::reader::section::Section;
use crate::gateway::CacheBounds;
use std::path::{Path, PathBuf};

static MEMORY: ManifestKey<SizeKind> = ManifestKey::new(
    "memory",
    SizeKind { min: MIB, max: 256 * GIB },
    r#""64MiB""#,
    "The most bytes of kept answers, of all routes with `cache` together, with their headers. When it is full, answers \
     leave that were asked for only once.",
);
static OBJECT: ManifestKey<SizeKind> = ManifestKey::new(
    "object",
    SizeKind { min: KIB, max: GIB },
    r#""1MiB""#,
    "The most bytes of one answer's content in memory, at most a tenth of `memory`. A larger answer streams to its \
     client and is not kept, unless there is a `disk`.",
);
static DISK: ManifestKey<SizeKind> = ManifestKey::without_default(
    "disk",
    SizeKind { min: 16 * MIB, max: 64 * TIB },
    "The most bytes of files for content that is larger than `object`. Absent: nothing is kept on the disk. With the \
     headers of these answers half of `memory` may be used.",
);
static DISK_OBJECT: ManifestKey<SizeKind> = ManifestKey::without_default(
    "disk_object",
    SizeKind { min: KIB, max: 6 * TIB },
    "The most bytes of one answer's content on the disk, at most a tenth of `disk`. Absent: a tenth of `disk`.",
);
const ANSWERS: CreatedPath = CreatedPath { is_folder: true, help: "name a folder of its own for the kept answers" };
static FOLDER: ManifestKey<PathKind> = ManifestKey::new(
    "folder",
    PathKind,
    r#"".atoll/answers""#,
    "The folder of these files, on a disk with so much room. The host creates it, readable by its user alone, and \
     empties it at each start: an answer of another life of the host is never given. Two hosts cannot share it.",
);

/// Where large answers are kept, in `cache` of `[gateway]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheDiskSettings {
    /// The folder, which is made if it is not there.
    pub folder: PathBuf,
    /// The most bytes of all files in it.
    pub most_bytes: u64,
}

/// The bounds of the cache, in `cache` of `[gateway]`, and its disk, if it has one.
pub(super) fn bounds(parent: &mut Section<'_>, manifest_folder: &Path) -> (CacheBounds, Option<CacheDiskSettings>) {
    let mut section = parent.section("cache");
    let (memory, object) = (section.get(&MEMORY), section.get_sourced(&OBJECT));
    if object.value > memory / 10 {
        let origin = if object.span().is_some() { object.origin } else { ValueOrigin::Text(section.span.clone()) };
        let help = "make `object` smaller, or `memory` larger: one answer may not move all others out";
        section.report.push(origin, "`object` is more than a tenth of `memory`", help);
    }
    let disk = section.find(&DISK);
    let folder = ANSWERS.resolve(section.get_sourced(&FOLDER), manifest_folder, section.report);
    let disk_object = section.find(&DISK_OBJECT);
    let mut bounds =
        CacheBounds { memory: in_memory(memory), object: in_memory(object.value), ..CacheBounds::default() };
    if let Some(disk) = &disk {
        bounds.disk_object = disk_object.as_ref().map_or(disk.value / 10, |most| most.value);
        let origin = disk_object.map_or_else(|| disk.origin.clone(), |most| most.origin);
        if bounds.disk_object > disk.value / 10 {
            let help = "make `disk_object` smaller, or `disk` larger: one answer may not move all others out";
            section.report.push(origin, "`disk_object` is more than a tenth of `disk`", help);
        } else if bounds.disk_object <= object.value {
            let help =
                "make `object` smaller: what is larger goes to the disk. Or make `disk` and `disk_object` larger";
            section.report.push(origin, "no answer is for the disk: all up to `disk_object` are for the memory", help);
        }
    } else {
        for (name, span) in ["disk_object", "folder"].iter().filter_map(|name| section.first_of(&[name])) {
            let help = "say in `disk` how many bytes it may have, or remove the key";
            section.report.push(ValueOrigin::Text(span), format!("`{name}` without `disk` has no effect"), help);
        }
    }
    section.close();
    (bounds, disk.map(|disk| CacheDiskSettings { folder, most_bytes: disk.value }))
}
