//! `balance`, `ejection`, `retry` and `fault` of a `[service.NAME]`: how its calls are spread and tried again, and
//! which of them fail on purpose.

use super::reader::key::ManifestKey;
use super::reader::kind::{ChoiceKind, CountKind, KindError, ValueKind, refused};
use super::reader::measure::{DurationKind, HOUR, MIB, MINUTE, SizeKind, in_memory};
use super::reader::section::Section;
use crate::balance::{self, Ejection, Policy};
use crate::fault::{Fault, Share};
use crate::retry;
use toml::Spanned;
use toml::de::DeValue;

static BALANCE: ManifestKey<ChoiceKind<Policy>> = ManifestKey::new(
    "balance",
    ChoiceKind(&[
        ("random", Policy::Random),
        ("round-robin", Policy::RoundRobin),
        ("least-request", Policy::LeastRequest),
        ("peak-ewma", Policy::PeakEwma),
    ]),
    r#""peak-ewma""#,
    "How an endpoint is chosen among those that may get a call. `\"random\"`: any of them. `\"round-robin\"`: one \
     after the other. The other two draw two endpoints at random. `\"least-request\"` chooses the one with fewer calls \
     in flight. `\"peak-ewma\"` chooses the one with the smaller product of its calls in flight and its recent \
     latency.",
);
static SLOW_START: ManifestKey<DurationKind> = ManifestKey::new(
    "slow_start",
    DurationKind { min: 0, max: HOUR },
    r#""10s""#,
    "How long the share of a new endpoint grows, from a tenth to the whole. If all endpoints are equally new, none is \
     held back. 0: a new endpoint gets its whole share at once.",
);

static EJECTED_MOST: ManifestKey<CountKind<u8>> = ManifestKey::new(
    "most",
    CountKind { min: 0, max: 100 },
    "50",
    "Percent of the service's endpoints that may be ejected at the same time, rounded down, and never all of them: \
     with 50 it is none of 1, 1 of 2 or 3, and 2 of 4. 0: none is ever ejected.",
);
static LEAST_CALLS: ManifestKey<CountKind<u32>> = ManifestKey::new(
    "least_calls",
    CountKind { min: 1, max: 1_000_000 },
    "20",
    "An endpoint that had fewer calls in about the last 8 s is not judged.",
);
/// A margin of 0 would eject every endpoint that is a little worse than the median.
static MARGIN: ManifestKey<CountKind<u8>> = ManifestKey::new(
    "margin",
    CountKind { min: 1, max: 100 },
    "30",
    "An endpoint is ejected if its percentage of failed calls is at least this many points above the median of the \
     service's endpoints.",
);
/// No ejection is longer than 5 min.
static PAUSE: ManifestKey<DurationKind> = ManifestKey::new(
    "pause",
    DurationKind { min: 1, max: 5 * MINUTE },
    r#""10s""#,
    "How long an endpoint is ejected, times the number of its ejections in a row. It is never longer than 5 minutes.",
);

const BACKOFF: DurationKind = DurationKind { min: 1, max: MINUTE };
static TRIES: ManifestKey<CountKind<u32>> = ManifestKey::new(
    "tries",
    CountKind { min: 0, max: 10 },
    "1",
    "The number of further tries after the first one. 0: none.",
);
static BACKOFF_LEAST: ManifestKey<DurationKind> = ManifestKey::new(
    "backoff",
    BACKOFF,
    r#""25ms""#,
    "The longest wait before the first further try. It doubles before each try after that. The wait itself is random, \
     from 0 up to the longest.",
);
static BACKOFF_MOST: ManifestKey<DurationKind> = ManifestKey::new(
    "backoff_most",
    BACKOFF,
    r#""250ms""#,
    "The longest wait before any further try. It is not shorter than `backoff`.",
);
static BUDGET: ManifestKey<CountKind<u8>> = ManifestKey::new(
    "budget",
    CountKind { min: 0, max: 100 },
    "20",
    "Percent: the number of further tries for every 100 calls of the service, over the last 10 s. So a service that is \
     down is not flooded with tries as well.",
);
static BUDGET_FLOOR: ManifestKey<CountKind<u32>> = ManifestKey::new(
    "budget_floor",
    CountKind { min: 0, max: 10_000 },
    "10",
    "The number of further tries a second that are allowed in addition to `budget`, over the last 10 s, for a service \
     with few calls.",
);
/// This much of every call's body stays in memory until the call has its answer.
static KEPT_BODY: ManifestKey<SizeKind> = ManifestKey::new(
    "body",
    SizeKind { min: 0, max: 16 * MIB },
    r#""64KiB""#,
    "How much of a request's body is kept, to send it again. After more of the body was read, there is no further try.",
);

static LATENCY: ManifestKey<DurationKind> = ManifestKey::new(
    "latency",
    DurationKind { min: 0, max: HOUR },
    r#""0ms""#,
    "How much longer tries take, the failing ones too.",
);
static LATENCY_SHARE: ManifestKey<ShareKind> = ManifestKey::new(
    "latency_share",
    ShareKind,
    r#""100%""#,
    "The share of tries that take longer by `latency`, drawn apart from those that fail.",
);
static ERROR: ManifestKey<ShareKind> =
    ManifestKey::new("error", ShareKind, r#""0%""#, "The share of tries that fail as if the connection had broken.");
static TRAP: ManifestKey<ShareKind> =
    ManifestKey::new("trap", ShareKind, r#""0%""#, "The share of tries that fail as if the component had trapped.");

/// A share of calls, in percent.
pub(super) struct ShareKind;

impl ValueKind for ShareKind {
    type Value = Share;

    fn accepts(&self) -> String {
        "a share of 0% to 100%".into()
    }

    fn help(&self) -> String {
        "write a number with % in quotes: \"10%\" or \"0.1%\"".into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<Share, Vec<KindError>> {
        let text = value.get_ref().as_str().ok_or_else(|| refused(self, value))?;
        Share::parse(text).map_err(|error| {
            let mut errors = refused(self, value);
            errors.iter_mut().for_each(|refused| refused.help = error.help());
            errors
        })
    }
}

/// How an endpoint is chosen, and which endpoints are ejected.
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

/// Whether and when a failed call is tried again.
pub(super) fn retry(service: &mut Section<'_>) -> retry::Settings {
    let mut section = service.section("retry");
    let (backoff, most) = (section.get_sourced(&BACKOFF_LEAST), section.get_sourced(&BACKOFF_MOST));
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

/// The fault on purpose; `None` if nothing is to go wrong.
pub(super) fn fault(service: &mut Section<'_>) -> Option<Fault> {
    let mut section = service.section("fault");
    let (latency, slow) = (section.get(&LATENCY), section.get(&LATENCY_SHARE));
    let (error, trap) = (section.get_sourced(&ERROR), section.get_sourced(&TRAP));
    section.close();
    let fault = Fault::new(latency, error.value, trap.value);
    let fault = fault.map_err(|error| service.report.push(trap.origin, error.to_string(), error.help()));
    fault.ok().map(|fault| fault.with_latency_share(slow)).filter(|fault| !fault.is_nothing())
}
