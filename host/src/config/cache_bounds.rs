//! `cache` of `[gateway]`: in how much memory answers are kept.

use super::reader::finding::ValueOrigin;
use super::reader::key::ManifestKey;
use super::reader::measure::{GIB, KIB, MIB, SizeKind, in_memory};
use super::reader::section::Section;
use crate::gateway::CacheBounds;

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
    "The most bytes of one answer's content, at most a tenth of `memory`. A larger answer streams to its client and is \
     not kept.",
);

/// The bounds of the cache, in `cache` of `[gateway]`.
pub(super) fn bounds(parent: &mut Section<'_>) -> CacheBounds {
    let mut section = parent.section("cache");
    let (memory, object) = (section.get(&MEMORY), section.get_sourced(&OBJECT));
    if object.value > memory / 10 {
        let origin = if object.span().is_some() { object.origin } else { ValueOrigin::Text(section.span.clone()) };
        let help = "make `object` smaller, or `memory` larger: one answer may not move all others out";
        section.report.push(origin, "`object` is more than a tenth of `memory`", help);
    }
    section.close();
    CacheBounds { memory: in_memory(memory), object: in_memory(object.value) }
}
