//! The metric handles of one service, whichever endpoints its calls go to.

use super::caller_counters::CallerCounters;
use super::histogram::Histogram;
use super::kind_counters::KindCounters;
use super::traffic_window::TrafficCounts;
use crate::base::{DeadlineOwner, ServiceName};
use prometheus_client::metrics::counter::Counter;
use std::time::Duration;

/// The bounds of the histogram of waiting times in microseconds: the manifest's `wait` is 100 ms by default and an hour
/// at most.
pub(super) const WAIT: [u64; 12] =
    [1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000, 30_000_000];

/// The bounds of the histogram of calls in microseconds, each a line of the exposition for each service. A call may
/// stream its answer for long.
pub(super) const CALL: [u64; 8] = [100, 1_000, 5_000, 10_000, 50_000, 100_000, 1_000_000, 10_000_000];

/// The kinds of injected faults.
const INJECTED: [&str; 3] = ["latency", "error", "trap"];

/// The kinds of refused calls.
const REFUSED: [&str; 9] = [
    "circuit-open",
    "out-of-service",
    "starting",
    "overloaded",
    "draining",
    "no-endpoint",
    "denied",
    "too-deep",
    "forbidden",
];

/// The kinds of refused swaps and rollbacks.
const SWAPS_REFUSED: [&str; 19] = [
    "no-component",
    "no-previous",
    "invalid",
    "unwired",
    "undescribed",
    "breaks-callers",
    "rewired",
    "does-not-start",
    "busy",
    "host",
    "history",
    "no-rollout",
    "no-shadow",
    "no-way-back",
    "migration",
    "migrates",
    "newer-data",
    "replaced",
    "under-way",
];

/// The counters and histograms of one service, whichever revision it runs.
pub struct ServiceMetrics {
    pub(super) refused: KindCounters<{ REFUSED.len() }>,
    pub(super) swaps: Counter,
    pub(super) rollbacks: Counter,
    pub(super) swaps_refused: KindCounters<{ SWAPS_REFUSED.len() }>,
    pub(super) retries: Counter,
    pub(super) retries_denied: Counter,
    pub(super) waits: Histogram<{ WAIT.len() }>,
    pub(super) calls: Histogram<{ CALL.len() }>,
    pub(super) callers: CallerCounters,
    /// Tries without an answer before their deadline, by whose deadline it was, in the order of [`DeadlineOwner::ALL`].
    pub(super) timeouts: [Counter; DeadlineOwner::ALL.len()],
    pub(super) injected: KindCounters<{ INJECTED.len() }>,
}

impl Default for ServiceMetrics {
    fn default() -> Self {
        Self {
            refused: KindCounters::new(&REFUSED),
            swaps: Counter::default(),
            rollbacks: Counter::default(),
            swaps_refused: KindCounters::new(&SWAPS_REFUSED),
            retries: Counter::default(),
            retries_denied: Counter::default(),
            waits: Histogram::new(&WAIT),
            calls: Histogram::new(&CALL),
            callers: CallerCounters::default(),
            timeouts: Default::default(),
            injected: KindCounters::new(&INJECTED),
        }
    }
}

impl ServiceMetrics {
    /// Counts a call that was refused before the service worked on it. `kind` is that of an error whose blame is
    /// `Refusal`: `circuit-open`, `starting`, `overloaded`, `draining`, `no-endpoint`, `denied` or `too-deep`; or it is
    /// `forbidden`.
    pub fn refused(&self, kind: &str) {
        self.refused.count(kind);
    }

    /// Counts a further try of a failed call.
    pub fn retried(&self) {
        self.retries.inc();
    }

    /// Counts a failed call that could have been tried again, if the retry budget or the time had been enough.
    pub fn retry_denied(&self) {
        self.retries_denied.inc();
    }

    /// Records how long a call waited at the bulkhead, whether it was let in, was refused in the end, or was given up
    /// by its caller. Calls that did not have to wait are not counted.
    pub fn waited(&self, wait: Duration) {
        self.waits.observe(wait);
    }

    /// Records how long a call took: from its place at the bulkhead, with all of its tries, to the end of its answer.
    pub fn called(&self, took: Duration) {
        self.calls.observe(took);
    }

    /// Counts a call that another service has made.
    pub fn called_by(&self, caller: &ServiceName, failed: bool) {
        self.callers.count(caller, failed);
    }

    /// Counts a try without an answer before its deadline, which was a bound of `owner`.
    pub fn timed_out(&self, owner: DeadlineOwner) {
        self.timeouts[owner as usize].inc();
    }

    /// Counts a call that suffered an injected fault: `kind` is `latency`, `error` or `trap`. A call that suffers two
    /// kinds counts for both.
    pub fn injected(&self, kind: &str) {
        self.injected.count(kind);
    }

    /// Counts a swap: the service's revision was replaced by another component.
    pub fn swapped(&self) {
        self.swaps.inc();
    }

    /// Counts a rollback: the service has returned to the revision before.
    pub fn rolled_back(&self) {
        self.rollbacks.inc();
    }

    /// Counts a swap or a rollback that was refused. `kind` is `no-component`, `no-previous`, `invalid`, `unwired`,
    /// `breaks-callers`, `rewired`, `does-not-start`, `busy`, `host`, or another one of the list above.
    pub fn swap_refused(&self, kind: &str) {
        self.swaps_refused.count(kind);
    }

    /// Adds what was counted so far to `counts`.
    pub fn count_into(&self, counts: &mut TrafficCounts) {
        counts.retries += self.retries.get();
        for (kind, count) in self.refused.iter() {
            *counts.refused.entry(kind).or_default() += count.get();
        }
        for (owner, count) in DeadlineOwner::ALL.into_iter().zip(&self.timeouts) {
            *counts.timeouts.entry(owner.as_str()).or_default() += count.get();
        }
        for (caller, calls, failures) in self.callers.iter() {
            let traffic = counts.callers.entry(caller.to_owned()).or_default();
            (traffic.calls, traffic.failures) = (traffic.calls + calls, traffic.failures + failures);
        }
    }
}
