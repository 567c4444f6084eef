//! `breaker` of a `[service.NAME]`: the full model, or the simple one for those that name a key of it.

use crate::breaker::{OpenTime, Probes, Settings, Trip, WindowedTrip};
use crate::config::finding::ValueOrigin;
use crate::config::kind::Count;
use crate::config::measure::{Duration, HOUR, MINUTE};
use crate::config::section::{ManifestKey, Section};
use std::time;

/// A share of calls: with 0 every call would be too many.
const PERCENT: Count<u8> = Count { min: 1, max: 100 };
const IN_A_ROW: Count<u32> = Count { min: 1, max: 1000 };
const OPEN_TIME: Duration = Duration { min: 1, max: HOUR };

static FAILURE_THRESHOLD: ManifestKey<Count<u32>> =
    ManifestKey { name: "failure_threshold", kind: IN_A_ROW, default: Some("5") };
static RECOVERY_TIMEOUT: ManifestKey<Duration> =
    ManifestKey { name: "recovery_timeout", kind: OPEN_TIME, default: Some(r#""5s""#) };

static FAULTS_IN_A_ROW: ManifestKey<Count<u32>> = ManifestKey { name: "in_a_row", kind: IN_A_ROW, default: Some("5") };
/// It is counted in ten parts.
static WINDOW: ManifestKey<Duration> =
    ManifestKey { name: "window", kind: Duration { min: 100, max: 10 * MINUTE }, default: Some(r#""10s""#) };
static LEAST_CALLS: ManifestKey<Count<u32>> =
    ManifestKey { name: "least_calls", kind: Count { min: 1, max: 1_000_000 }, default: Some("20") };
static RATIO: ManifestKey<Count<u8>> = ManifestKey { name: "ratio", kind: PERCENT, default: Some("50") };
static SLOW_CALL: ManifestKey<Duration> =
    ManifestKey { name: "slow_call", kind: Duration { min: 1, max: HOUR }, default: None };
static SLOW_RATIO: ManifestKey<Count<u8>> = ManifestKey { name: "slow_ratio", kind: PERCENT, default: Some("50") };
static OPEN: ManifestKey<Duration> = ManifestKey { name: "open", kind: OPEN_TIME, default: Some(r#""1s""#) };
static OPEN_MOST: ManifestKey<Duration> = ManifestKey { name: "open_most", kind: OPEN_TIME, default: Some(r#""60s""#) };
static JITTER: ManifestKey<Count<u8>> =
    ManifestKey { name: "jitter", kind: Count { min: 0, max: 100 }, default: Some("50") };
static PROBES: ManifestKey<Count<u32>> =
    ManifestKey { name: "probes", kind: Count { min: 1, max: 100 }, default: Some("1") };
static SUCCESSES: ManifestKey<Count<u32>> =
    ManifestKey { name: "successes", kind: Count { min: 1, max: 100 }, default: Some("2") };

/// How much longer than a call its probe may hold its place.
const LEASE_MARGIN: time::Duration = time::Duration::from_secs(1);

/// The breaker of each endpoint; `timeout`: that of a call.
pub(super) fn read(service: &mut Section<'_>, timeout: time::Duration) -> Settings {
    let mut section = service.section("breaker");
    let lease = timeout + LEASE_MARGIN;
    let simple = Settings::simple(section.get(&FAILURE_THRESHOLD), section.get(&RECOVERY_TIMEOUT), lease);
    let full = full(&mut section, lease);
    let is_simple = section.first_of(&[FAILURE_THRESHOLD.name, RECOVERY_TIMEOUT.name]);
    refuse_mixture(&section, is_simple.as_ref().map(|(name, _)| *name));
    section.close();
    if is_simple.is_some() { simple } else { full }
}

fn full(section: &mut Section<'_>, lease: time::Duration) -> Settings {
    let trip = Trip::Full(WindowedTrip {
        in_a_row: section.get(&FAULTS_IN_A_ROW),
        window: section.get(&WINDOW),
        least_calls: section.get(&LEAST_CALLS),
        ratio: section.get(&RATIO),
        slow_call: section.find(&SLOW_CALL).map(|found| found.value),
        slow_ratio: section.get(&SLOW_RATIO),
    });
    if let Some((_, place)) = section.first_of(&[SLOW_RATIO.name]).filter(|_| section.lacks(SLOW_CALL.name)) {
        let message = "`slow_ratio` has no effect, since no call is too slow";
        let help = "add slow_call = \"1s\", or leave `slow_ratio` out";
        section.report.push_if_whole(ValueOrigin::Text(place), message, help);
    }
    let (least, most) = (section.get_found(&OPEN), section.get_found(&OPEN_MOST));
    section.refuse_longer((&OPEN, &least), (&OPEN_MOST, &most));
    let open = OpenTime { least: least.value, most: most.value, jitter: section.get(&JITTER) };
    let probes = Probes { at_a_time: section.get(&PROBES), successes: section.get(&SUCCESSES), lease };
    Settings { trip, open, probes }
}

/// Refuses keys of the full model beside one of the simple one: nobody could say which of the two rules holds.
fn refuse_mixture(section: &Section<'_>, simple: Option<&str>) {
    let full = [
        FAULTS_IN_A_ROW.name,
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
    if let (Some(simple), Some((full, place))) = (simple, section.first_of(&full)) {
        let message = format!("`{simple}` of the simple breaker and `{full}` of the full one exclude each other");
        let help = "leave out `failure_threshold` and `recovery_timeout`, or every other key of `breaker`";
        section.report.push(ValueOrigin::Text(place), message, help);
    }
}
