//! `[log]`: the bounds of the log.

use super::reader::key::ManifestKey;
use super::reader::kind::CountKind;
use super::reader::measure::{GIB, KIB, SizeKind, in_memory};
use super::reader::section::Section;
use crate::telemetry::LogSettings;

/// How many lines there may be.
const LINES: CountKind<u32> = CountKind { min: 1, max: 1_000_000 };

static QUEUE: ManifestKey<SizeKind> = ManifestKey::new(
    "queue",
    SizeKind { min: 64 * KIB, max: GIB },
    r#""4MiB""#,
    "The most bytes of the log that wait for a slow reader. Further lines are dropped, and counted in the log and in \
     `atoll_log_lines_dropped_total`.",
);
static REPEATS: ManifestKey<CountKind<u32>> = ManifestKey::new(
    "repeats",
    LINES,
    "1",
    "How many lines of one kind about failures (of one service, with one message and one cause) are written at once. \
     Further ones are counted every 10 s, until there was none for 10 s.",
);
static GUEST_LINES: ManifestKey<CountKind<u32>> = ManifestKey::new(
    "guest_lines",
    LINES,
    "100",
    "How many lines in a second the instances of one service may print into the log, on average. Further ones are \
     counted every 10 s.",
);
static GUEST_BURST: ManifestKey<CountKind<u32>> = ManifestKey::new(
    "guest_burst",
    LINES,
    "1000",
    "How many lines the instances of one service may print at once, after 10 s of silence.",
);

static REFUSALS: ManifestKey<CountKind<u32>> = ManifestKey::new(
    "refusals",
    LINES,
    "100",
    "How many lines in a second the access log has, on average, of requests that the open circuits of one service \
     refuse, and ten times as many at once after 10 s of silence. Further ones are counted every 10 s.",
);

/// Reads `[log]`.
pub(super) fn read(root: &mut Section<'_>) -> LogSettings {
    let mut section = root.section("log");
    let settings = LogSettings {
        queue: in_memory(section.get(&QUEUE)),
        repeats: section.get(&REPEATS),
        guest_lines: section.get(&GUEST_LINES),
        guest_burst: section.get(&GUEST_BURST),
        refusals: section.get(&REFUSALS),
        ..LogSettings::default()
    };
    section.close();
    settings
}
