//! `record` of a `[service.NAME]`: which of its calls are recorded; and `[record]`: where recordings are kept.

use super::reader::finding::ValueOrigin;
use super::reader::key::ManifestKey;
use super::reader::kind::{CountKind, FlagKind, ListKind, TextKind};
use super::reader::measure::{GIB, KIB, MIB, SizeKind, in_memory};
use super::reader::section::Section;
use crate::recording::{MaskRules, RecordingBounds};
use crate::runtime::{Isolation, RecordShare};

static EVERY: ManifestKey<CountKind<u64>> =
    ManifestKey::new("every", CountKind { min: 1, max: 1_000_000 }, "100", "One of so many calls is recorded.");
static FAILED: ManifestKey<FlagKind> = ManifestKey::new(
    "failed",
    FlagKind,
    "true",
    "Whether each call that fails is recorded too: a crash, a timeout, or an answer of 500 or more. Then each call is \
     recorded while it runs, since its end is not known before.",
);

static ENTRY: ManifestKey<SizeKind> = ManifestKey::new(
    "entry",
    SizeKind { min: KIB, max: 64 * MIB },
    r#""1MiB""#,
    "The most bytes of one recording. A call with more is not recorded.",
);
static TOTAL: ManifestKey<SizeKind> = ManifestKey::new(
    "total",
    SizeKind { min: KIB, max: 16 * GIB },
    r#""64MiB""#,
    "The most bytes of all recordings, which are in memory. The oldest go first, those of failed calls last.",
);
static MASK: ManifestKey<ListKind<TextKind>> = ManifestKey::new(
    "mask",
    ListKind { of: TextKind { min: 1 }, max: 256 },
    "[]",
    "What nobody sees of a recording besides the usual names of secrets: names of headers and of members of JSON, and \
     JSON pointers, in which `*` stands for any step: `\"/customer/email\"`.",
);

/// Where recordings are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordConfig {
    /// The bounds.
    pub bounds: RecordingBounds,
    /// What is masked.
    pub rules: MaskRules,
}

/// Reads `record` of a service; `None`: none of its calls is recorded.
pub(super) fn read(service: &mut Section<'_>, isolation: &Isolation) -> Option<RecordShare> {
    let there = service.has("record");
    let mut section = service.section("record");
    let share = RecordShare { every: section.get(&EVERY), failed: section.get(&FAILED) };
    if there && *isolation != Isolation::Request {
        let origin = ValueOrigin::Text(section.span.clone());
        let help = "leave `record` out, or `reuse`: what one call leaves in an instance would be missing in the \
                    recording of the next";
        section.report.push_if_whole(origin, "calls that share instances cannot be recorded", help);
    }
    section.close();
    there.then_some(share)
}

/// Reads `[record]`.
pub(super) fn place(root: &mut Section<'_>) -> RecordConfig {
    let mut section = root.section("record");
    let (total, entry) = (section.get(&TOTAL), section.get_sourced(&ENTRY));
    if entry.value > total {
        let help = "make `entry` smaller, or `total` larger";
        section.report.push_if_whole(entry.origin, "`entry` is more than `total`", help);
    }
    let mask = section.get(&MASK);
    section.close();
    RecordConfig {
        bounds: RecordingBounds { entry: in_memory(entry.value), total: in_memory(total) },
        rules: MaskRules::new(mask.iter().map(|rule| rule.get_ref().as_str())),
    }
}
