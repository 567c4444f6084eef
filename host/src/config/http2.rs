//! `[gateway.http2]`: whether and within which bounds clients may speak HTTP/2.

use super::reader::key::ManifestKey;
use super::reader::kind::{CountKind, FlagKind};
use super::reader::measure::{DurationKind, GIB, HOUR, KIB, MINUTE, SizeKind};
use super::reader::section::Section;
use crate::listen::Http2Settings;

static PRIOR_KNOWLEDGE: ManifestKey<FlagKind> = ManifestKey::new(
    "prior_knowledge",
    FlagKind,
    "false",
    "Whether a client without TLS may begin with HTTP/2. Behind a proxy that speaks it, such as one that ends TLS.",
);
static STREAMS: ManifestKey<CountKind<u32>> = ManifestKey::new(
    "streams",
    CountKind { min: 1, max: 10_000 },
    "100",
    "The largest number of requests of one connection at the same time.",
);
/// RFC 9113, section 6.9.1: a window has 31 bits.
const WINDOW: SizeKind = SizeKind { min: 16 * KIB, max: GIB };
static STREAM_WINDOW: ManifestKey<SizeKind> = ManifestKey::new(
    "stream_window",
    WINDOW,
    r#""64KiB""#,
    "How much of one request's body a client may send before it is read.",
);
static CONNECTION_WINDOW: ManifestKey<SizeKind> = ManifestKey::new(
    "connection_window",
    // It begins with 64 KiB, and can only grow (RFC 9113, section 6.9.2).
    SizeKind { min: 64 * KIB, max: GIB },
    r#""1MiB""#,
    "How much of all bodies of one connection a client may send before they are read.",
);
static MAX_AGE: ManifestKey<DurationKind> = ManifestKey::without_default(
    "max_age",
    DurationKind { min: MINUTE, max: 24 * HOUR },
    "How old a connection may get. Then it takes no further request, and its client makes a new one, perhaps to \
     another host. Absent: as old as it likes.",
);

/// How HTTP/2 is spoken; `None` without the section: not at all.
pub(super) fn read(gateway: &mut Section<'_>) -> Option<Http2Settings> {
    let wanted = gateway.has("http2");
    let mut section = gateway.section("http2");
    let window = |size: u64| u32::try_from(size).expect("at most 1 GiB");
    let settings = Http2Settings {
        prior_knowledge: section.get(&PRIOR_KNOWLEDGE),
        streams: section.get(&STREAMS),
        stream_window: window(section.get(&STREAM_WINDOW)),
        connection_window: window(section.get(&CONNECTION_WINDOW)),
        max_age: section.find(&MAX_AGE).map(|found| found.value),
        unmetered: false,
    };
    section.close();
    wanted.then_some(settings)
}
