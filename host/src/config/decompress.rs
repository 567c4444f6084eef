//! `decompress` of `[[route]]`: the codings of requests.

use super::reader::finding::ValueOrigin;
use super::reader::key::ManifestKey;
use super::reader::kind::{CountKind, FlagKind};
use super::reader::section::Section;
use crate::gateway::BodyDecoding;

static DECOMPRESS: ManifestKey<FlagKind> = ManifestKey::new(
    "decompress",
    FlagKind,
    "false",
    "Whether the service gets bodies of requests without their `br`, `zstd` or `gzip`. `body` bounds what comes out. \
     Any other coding is answered with 415.",
);
static RATIO: ManifestKey<CountKind<u32>> = ManifestKey::new(
    "decompress_ratio",
    CountKind { min: 2, max: 100_000 },
    "100",
    "How many times as long a body may become, after its first 64 KiB. Beyond it the answer is 413. A text of one \
     letter alone becomes 1,000 times as long from `gzip`, and 100,000 times from `br`.",
);

/// How the bodies of the route's requests are decompressed; `None`: not at all.
pub(super) fn read(section: &mut Section<'_>) -> Option<BodyDecoding> {
    let (wanted, ratio) = (section.get(&DECOMPRESS), section.get(&RATIO));
    if let Some((name, span)) = section.first_of(&[RATIO.name]).filter(|_| !wanted) {
        let origin = ValueOrigin::Text(span);
        section.report.push(origin, format!("`{name}` has no effect without `decompress`"), "add decompress = true");
    }
    wanted.then_some(BodyDecoding { ratio })
}
