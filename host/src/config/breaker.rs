//! `breaker` of a `[service.NAME]`: the full breaker, or the simple one if one of its keys is written.

use super::reader::finding::ValueOrigin;
use super::reader::key::ManifestKey;
use super::reader::kind::CountKind;
use super::reader::measure::{DurationKind, HOUR, MINUTE};
use super::reader::section::Section;
use crate::breaker::{OpenTime, Probes, Settings, Trip, WindowedTrip};
use std::time::Duration;

/// A share of calls. With 0, every call would be too many.
const PERCENT: CountKind<u8> = CountKind { min: 1, max: 100 };
const STREAK: CountKind<u32> = CountKind { min: 1, max: 1000 };
const OPEN_TIME: DurationKind = DurationKind { min: 1, max: HOUR };

static FAILURE_THRESHOLD: ManifestKey<CountKind<u32>> = ManifestKey::new(
    "failure_threshold",
    STREAK,
    "5",
    "The simple breaker: the number of failures in a row that open the circuit. A success resets the count.",
);
static RECOVERY_TIMEOUT: ManifestKey<DurationKind> = ManifestKey::new(
    "recovery_timeout",
    OPEN_TIME,
    r#""5s""#,
    "The simple breaker: how long an open circuit refuses every call. After that time one call is a probe: it tries \
     whether the endpoint has recovered.",
);

static IN_A_ROW: ManifestKey<CountKind<u32>> = ManifestKey::new(
    "in_a_row",
    STREAK,
    "5",
    "The number of endpoint faults in a row that open the circuit. A success or a request fault resets the count.",
);
/// The window is divided into ten parts.
static WINDOW: ManifestKey<DurationKind> = ManifestKey::new(
    "window",
    DurationKind { min: 100, max: 10 * MINUTE },
    r#""10s""#,
    "The length of the time window in which the shares below are counted. It moves in ten steps.",
);
static LEAST_CALLS: ManifestKey<CountKind<u32>> = ManifestKey::new(
    "least_calls",
    CountKind { min: 1, max: 1_000_000 },
    "20",
    "With fewer calls in the window, no share opens the circuit.",
);
static RATIO: ManifestKey<CountKind<u8>> = ManifestKey::new(
    "ratio",
    PERCENT,
    "50",
    "Percent of the calls in the window: if at least this share of them failed, the circuit opens.",
);
static SLOW_CALL: ManifestKey<DurationKind> = ManifestKey::without_default(
    "slow_call",
    DurationKind { min: 1, max: HOUR },
    "A call that takes this long or longer is slow. A probe that is slow has failed. Absent: no call is slow.",
);
static SLOW_RATIO: ManifestKey<CountKind<u8>> = ManifestKey::new(
    "slow_ratio",
    PERCENT,
    "50",
    "Percent of the calls in the window: if at least this share of them were slow, the circuit opens. Only with \
     `slow_call`.",
);
static OPEN: ManifestKey<DurationKind> = ManifestKey::new(
    "open",
    OPEN_TIME,
    r#""1s""#,
    "How long the circuit refuses every call when it opens for the first time.",
);
static OPEN_MOST: ManifestKey<DurationKind> = ManifestKey::new(
    "open_most",
    OPEN_TIME,
    r#""60s""#,
    "The longest time that it refuses every call, however often it opened before and whatever `Retry-After` asks for. \
     It is not shorter than `open`.",
);
static JITTER: ManifestKey<CountKind<u8>> = ManifestKey::new(
    "jitter",
    CountKind { min: 0, max: 100 },
    "50",
    "Percent of that time: a random part of it, up to this share, is added, so that circuits which opened together are \
     not probed together. With 50 and `open_most = \"60s\"` the time is 90 s at most.",
);
static PROBES: ManifestKey<CountKind<u32>> = ManifestKey::new(
    "probes",
    CountKind { min: 1, max: 100 },
    "1",
    "The number of calls at the same time that may try, after that time, whether the endpoint has recovered.",
);
static SUCCESSES: ManifestKey<CountKind<u32>> = ManifestKey::new(
    "successes",
    CountKind { min: 1, max: 100 },
    "2",
    "The number of such calls that must succeed to close the circuit. One failure opens it again.",
);

/// A probe may hold its permit for this much longer than a call may take.
const LEASE_MARGIN: Duration = Duration::from_secs(1);

/// The breaker of each endpoint; `timeout` is how long a call may take.
pub(super) fn read(service: &mut Section<'_>, timeout: Duration) -> Settings {
    let mut section = service.section("breaker");
    let lease = timeout + LEASE_MARGIN;
    let simple = Settings::simple(section.get(&FAILURE_THRESHOLD), section.get(&RECOVERY_TIMEOUT), lease);
    let full = full(&mut section, lease);
    let is_simple = section.first_of(&[FAILURE_THRESHOLD.name, RECOVERY_TIMEOUT.name]);
    refuse_mixture(&section, is_simple.as_ref().map(|(name, _)| *name));
    section.close();
    if is_simple.is_some() { simple } else { full }
}

fn full(section: &mut Section<'_>, lease: Duration) -> Settings {
    let trip = Trip::Full(WindowedTrip {
        in_a_row: section.get(&IN_A_ROW),
        window: section.get(&WINDOW),
        least_calls: section.get(&LEAST_CALLS),
        ratio: section.get(&RATIO),
        slow_call: section.find(&SLOW_CALL).map(|found| found.value),
        slow_ratio: section.get(&SLOW_RATIO),
    });
    if let Some((_, span)) = section.first_of(&[SLOW_RATIO.name]).filter(|_| section.lacks(SLOW_CALL.name)) {
        let message = "`slow_ratio` has no effect, since no call is too slow";
        let help = "add slow_call = \"1s\", or leave `slow_ratio` out";
        section.report.push_if_whole(ValueOrigin::Text(span), message, help);
    }
    let (least, most) = (section.get_sourced(&OPEN), section.get_sourced(&OPEN_MOST));
    section.refuse_longer((&OPEN, &least), (&OPEN_MOST, &most));
    let open = OpenTime { least: least.value, most: most.value, jitter: section.get(&JITTER) };
    let probes = Probes { at_a_time: section.get(&PROBES), successes: section.get(&SUCCESSES), lease };
    Settings { trip, open, probes }
}

/// Reports a key of the full breaker beside a key of the simple one: nobody could say which of the two rules holds.
fn refuse_mixture(section: &Section<'_>, simple: Option<&str>) {
    let full = [
        IN_A_ROW.name,
        WINDOW.name,
        LEAST_CALLS.name,
        RATIO.name,
        SLOW_CALL.name,
        SLOW_RATIO.name,
        OPEN.name,
        OPEN_MOST.name,
        JITTER.name,
        PROBES.name,
        SUCCESSES.name,
    ];
    if let (Some(simple), Some((full, span))) = (simple, section.first_of(&full)) {
        let message = format!("`{simple}` of the simple breaker and `{full}` of the full one exclude each other");
        let help = "leave out `failure_threshold` and `recovery_timeout`, or every other key of `breaker`";
        section.report.push(ValueOrigin::Text(span), message, help);
    }
}
