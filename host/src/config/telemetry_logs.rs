//! `[telemetry.logs]`: the format of the log, and the memory of its last lines.

use super::reader::key::ManifestKey;
use super::reader::kind::ChoiceKind;
use super::reader::measure::{GIB, SizeKind, in_memory};
use super::reader::section::Section;
use crate::telemetry::{AccessFormat, LogFormat, LogSettings};

static KEEP: ManifestKey<SizeKind> = ManifestKey::new(
    "keep",
    SizeKind { min: 0, max: GIB },
    "0",
    "The memory that keeps the last lines of the log for `atoll logs`; the oldest ones make room. 0: none is kept.",
);
static FORMAT: ManifestKey<ChoiceKind<LogFormat>> = ManifestKey::without_default(
    "format",
    ChoiceKind(&[("pretty", LogFormat::Pretty), ("json", LogFormat::Json)]),
    "The format of the log: for people, or one JSON object a line. `--log-format` goes before it; without both it is \
     `pretty`. Lines before the manifest is read have the format of the flag.",
);
static ACCESS: ManifestKey<ChoiceKind<AccessFormat>> = ManifestKey::new(
    "access",
    ChoiceKind(&[
        ("short", AccessFormat::Short),
        ("full", AccessFormat::Full),
        ("common", AccessFormat::Common),
        ("combined", AccessFormat::Combined),
    ]),
    r#""short""#,
    "How the access log is written: as lines of the log, `short` or `full` (with the client's address, the route, the \
     endpoint, its revision, the tries, the wait in the queue, whose deadline ended it, the version of HTTP, and what \
     the client names as referer and user agent); or in the `common` or `combined` format of \
     web servers, whatever `format` is. None has the query.",
);

/// Reads `logs` of `[telemetry]` into the settings of the log.
pub(super) fn read(telemetry: &mut Section<'_>, log: LogSettings) -> LogSettings {
    let mut section = telemetry.section("logs");
    let keep = in_memory(section.get(&KEEP));
    let format = section.find(&FORMAT).map(|format| format.value);
    let access = section.get(&ACCESS);
    section.close();
    LogSettings { keep, format, access, ..log }
}
