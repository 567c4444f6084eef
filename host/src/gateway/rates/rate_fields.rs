//! What an answer says of the limits of its route.
//!
//! The fields are those of the draft `draft-ietf-httpapi-ratelimit-headers`: `RateLimit-Policy` says what the limits
//! are, `RateLimit` what is left of them, and `Retry-After` is never earlier than the `t` of `RateLimit`. The units of
//! work (`qu`) are this host's: the draft has none for them.

use super::rate_limit::{LimitMeasures, RateLimit};
use crate::gateway::problem::Problem;
use crate::limit::{Rate, WorkBudget};
use http::header::RETRY_AFTER;
use http::{HeaderName, HeaderValue, StatusCode};
use std::time::Duration;

pub(super) const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
pub(super) const LEFT: HeaderName = HeaderName::from_static("ratelimit");

/// What one limit counts: each is a policy of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MeasureKind {
    Rate,
    Cpu,
    Memory,
    Quota,
}

impl MeasureKind {
    /// What follows the limit's name. A dot is in no limit's name.
    fn suffix(self) -> &'static str {
        match self {
            Self::Rate => "",
            Self::Cpu => ".cpu",
            Self::Memory => ".memory",
            Self::Quota => ".quota",
        }
    }

    /// An amount in the units of the fields: requests, milliseconds, or MiB times seconds.
    fn shown(self, amount: u64) -> u64 {
        match self {
            Self::Rate | Self::Quota => amount,
            Self::Cpu => amount / 1_000_000,
            // From KiB times microseconds.
            Self::Memory => (amount >> 10) / 1_000_000,
        }
    }
}

/// The items of `RateLimit-Policy` of this limit: `"name";q=100;w=10`.
pub(super) fn policies(limit: &RateLimit) -> Vec<String> {
    let LimitMeasures { rate, cpu, memory, quota } = &limit.measures;
    let item = |kind: MeasureKind, amount: u64, period: Duration, unit: &str| {
        let (quota, window) = scaled(kind.shown(amount), period);
        format!("\"{}{}\";q={quota};w={window}{unit}", limit.name(), kind.suffix())
    };
    let rate = rate.as_ref().map(|limiter| {
        let rate: &Rate = limiter.rate();
        item(MeasureKind::Rate, rate.count().into(), rate.period(), "")
    });
    let work = |kind: MeasureKind, budget: &WorkBudget, unit: &str| item(kind, budget.amount(), budget.period(), unit);
    let cpu = cpu.as_ref().map(|cpu| work(MeasureKind::Cpu, cpu.budget(), ";qu=\"cpu-milliseconds\""));
    let memory = memory.as_ref().map(|memory| work(MeasureKind::Memory, memory.budget(), ";qu=\"mebibyte-seconds\""));
    let quota = quota.as_ref().map(|table| {
        let quota = table.quota();
        item(MeasureKind::Quota, quota.most().into(), quota.window(), "")
    });
    [rate, cpu, memory, quota].into_iter().flatten().collect()
}

/// A window is a number of whole seconds; a period that is not is rounded up, with as much more.
fn scaled(amount: u64, period: Duration) -> (u64, u64) {
    let window = whole_seconds(period);
    let scaled = u128::from(amount) * u128::from(window) * 1000 / period.as_millis().max(1);
    (u64::try_from(scaled).unwrap_or(u64::MAX), window)
}

/// Adds what is left to the items of `RateLimit`: `"name";r=50;t=30`.
pub(super) fn push_left(left: &mut String, limit: &RateLimit, kind: MeasureKind, remaining: u64, reset: Duration) {
    if !left.is_empty() {
        left.push_str(", ");
    }
    let (name, suffix, remaining) = (limit.name(), kind.suffix(), kind.shown(remaining));
    left.push_str(&format!("\"{name}{suffix}\";r={remaining};t={}", whole_seconds(reset)));
}

/// The problem of a request that the limit refuses for so long.
pub(super) fn refusal(limit: &RateLimit, kind: MeasureKind, reset: Duration) -> Problem {
    let (name, seconds) = (limit.name(), whole_seconds(reset));
    let amount = match (kind, &limit.measures) {
        (MeasureKind::Rate, LimitMeasures { rate: Some(limiter), .. }) => {
            format!("{} in {:?}", limiter.rate().count(), limiter.rate().period())
        }
        (MeasureKind::Cpu, LimitMeasures { cpu: Some(cpu), .. }) => {
            let budget = cpu.budget();
            format!("{:?} of processor time in {:?}", Duration::from_nanos(budget.amount()), budget.period())
        }
        (MeasureKind::Memory, LimitMeasures { memory: Some(memory), .. }) => {
            let budget = memory.budget();
            format!("{} MiB times seconds in {:?}", kind.shown(budget.amount()), budget.period())
        }
        (_, LimitMeasures { quota: Some(table), .. }) => {
            format!("{} in each {:?}", table.quota().most(), table.quota().window())
        }
        _ => String::from("none"),
    };
    let detail = format!("limit `{name}` ({amount}) is used up; the next request may come in {seconds} s");
    let violated = serde_json::to_vec(&[format!("{name}{}", kind.suffix())]).expect("a text is always JSON");
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "quota-exceeded", "Too many requests", detail)
        .with_header(RETRY_AFTER, HeaderValue::from(seconds))
        .with_member("violated-policies", &violated)
}

/// A time in whole seconds, rounded up: a client that comes back too early is refused again.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}
