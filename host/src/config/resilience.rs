//! How the calls of a `[service.NAME]` are spread, tried again and, on purpose, made to fail: `balance`, `ejection`, `retry` and `fault`.

use crate::balance::{self, Ejection, Policy};
use crate::config::kind::{Choice, Count, KindError, ValueKind, refused};
use crate::config::measure::{Duration, HOUR, MIB, MINUTE, Size, in_memory};
use crate::config::section::{ManifestKey, Section};
use crate::fault::{Fault, Share};
use crate::retry;
use toml::Spanned;
use toml::de::DeValue;

static BALANCE: ManifestKey<Choice<Policy>> = ManifestKey {
    name: "balance",
    kind: Choice(&[
        ("random", Policy::Random),
        ("round-robin", Policy::RoundRobin),
        ("least-request", Policy::LeastRequest),
        ("peak-ewma", Policy::PeakEwma),
    ]),
    default: Some(r#""peak-ewma""#),
};
static SLOW_START: ManifestKey<Duration> =
    ManifestKey { name: "slow_start", kind: Duration { min: 0, max: HOUR }, default: Some(r#""10s""#) };

static EJECTED_MOST: ManifestKey<Count<u8>> =
    ManifestKey { name: "most", kind: Count { min: 0, max: 100 }, default: Some("50") };
static LEAST_CALLS: ManifestKey<Count<u32>> =
    ManifestKey { name: "least_calls", kind: Count { min: 1, max: 1_000_000 }, default: Some("20") };
/// A margin of 0 would eject every endpoint that is a little worse than the middle one.
static MARGIN: ManifestKey<Count<u8>> =
    ManifestKey { name: "margin", kind: Count { min: 1, max: 100 }, default: Some("30") };
/// No ejection is longer than 5 min.
static PAUSE: ManifestKey<Duration> =
    ManifestKey { name: "pause", kind: Duration { min: 1, max: 5 * MINUTE }, default: Some(r#""10s""#) };

const BACKOFF: Duration = Duration { min: 1, max: MINUTE };
static TRIES: ManifestKey<Count<u32>> =
    ManifestKey { name: "tries", kind: Count { min: 0, max: 10 }, default: Some("1") };
static BACKOFF_LEAST: ManifestKey<Duration> =
    ManifestKey { name: "backoff", kind: BACKOFF, default: Some(r#""25ms""#) };
static BACKOFF_MOST: ManifestKey<Duration> =
    ManifestKey { name: "backoff_most", kind: BACKOFF, default: Some(r#""250ms""#) };
static BUDGET: ManifestKey<Count<u8>> =
    ManifestKey { name: "budget", kind: Count { min: 0, max: 100 }, default: Some("20") };
static BUDGET_FLOOR: ManifestKey<Count<u32>> =
    ManifestKey { name: "budget_floor", kind: Count { min: 0, max: 10_000 }, default: Some("10") };
/// So much of every call's body is in memory until the call has its answer.
static KEPT_BODY: ManifestKey<Size> =
    ManifestKey { name: "body", kind: Size { min: 0, max: 16 * MIB }, default: Some(r#""64KiB""#) };

static LATENCY: ManifestKey<Duration> =
    ManifestKey { name: "latency", kind: Duration { min: 0, max: HOUR }, default: Some(r#""0ms""#) };
static ERROR: ManifestKey<Percent> = ManifestKey { name: "error", kind: Percent, default: Some(r#""0%""#) };
static TRAP: ManifestKey<Percent> = ManifestKey { name: "trap", kind: Percent, default: Some(r#""0%""#) };

/// A share of calls, in percent.
struct Percent;

impl ValueKind for Percent {
    type Value = Share;

    fn accepts(&self) -> String {
        "a share of 0% to 100%".into()
    }

    fn help(&self) -> String {
        "write a number with % in quotes: \"10%\" or \"0.1%\"".into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<Share, Vec<KindError>> {
        value.get_ref().as_str().and_then(|text| Share::parse(text).ok()).ok_or_else(|| refused(self, value))
    }
}

/// How an endpoint is chosen, and which ones rest.
pub(super) fn balance(service: &mut Section<'_>) -> balance::Settings {
    let (policy, slow_start) = (service.get(&BALANCE), service.get(&SLOW_START));
    let mut section = service.section("ejection");
    let ejection = Ejection {
        most: section.get(&EJECTED_MOST),
        least_calls: section.get(&LEAST_CALLS),
        margin: section.get(&MARGIN),
        pause: section.get(&PAUSE),
    };
    section.close();
    balance::Settings { policy, slow_start, ejection }
}

/// Whether and when a call that failed is tried again.
pub(super) fn retry(service: &mut Section<'_>) -> retry::Settings {
    let mut section = service.section("retry");
    let (backoff, most) = (section.get_found(&BACKOFF_LEAST), section.get_found(&BACKOFF_MOST));
    section.refuse_longer((&BACKOFF_LEAST, &backoff), (&BACKOFF_MOST, &most));
    let settings = retry::Settings {
        tries: section.get(&TRIES),
        backoff: backoff.value,
        backoff_most: most.value,
        budget: section.get(&BUDGET),
        budget_floor: section.get(&BUDGET_FLOOR),
        body: in_memory(section.get(&KEPT_BODY)),
    };
    section.close();
    settings
}

/// The fault on purpose; `None` where nothing is to go wrong.
pub(super) fn fault(service: &mut Section<'_>) -> Option<Fault> {
    let mut section = service.section("fault");
    let latency = section.get(&LATENCY);
    let (error, trap) = (section.get_found(&ERROR), section.get_found(&TRAP));
    section.close();
    let fault = Fault::new(latency, error.value, trap.value);
    let fault = fault.map_err(|invalid| service.report.push_error(trap.place, &invalid, "make one of them smaller"));
    fault.ok().filter(|fault| !fault.is_nothing())
}
