//! The metric handles of one service, whichever endpoints its calls go to.

use crate::base::DeadlineOwner;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The bounds of the histogram of waiting times in seconds: the manifest's `wait` is 100 ms by default and an hour at
/// most.
pub(super) const WAIT: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// The kinds of injected faults. Each kind has its series from the start, so that the first fault of a kind shows as a
/// rise.
pub(super) const INJECTED: [&str; 3] = ["latency", "error", "trap"];

/// The counters and histograms of one service, whichever revision it runs.
pub struct ServiceMetrics {
    /// Refused calls by kind. Refusals are rare compared with calls, so a lock is cheap enough.
    refused: Mutex<BTreeMap<&'static str, Counter>>,
    pub(super) swaps: Counter,
    pub(super) retries: Counter,
    pub(super) retries_denied: Counter,
    pub(super) waits: Histogram,
    /// Tries without an answer before their deadline, by whose deadline it was, in the order of [`DeadlineOwner::ALL`].
    pub(super) timeouts: [Counter; DeadlineOwner::ALL.len()],
    /// Injected faults by kind, in the order of [`INJECTED`].
    pub(super) injected: [Counter; INJECTED.len()],
}

impl Default for ServiceMetrics {
    fn default() -> Self {
        Self {
            refused: Mutex::default(),
            swaps: Counter::default(),
            retries: Counter::default(),
            retries_denied: Counter::default(),
            waits: Histogram::new(WAIT),
            timeouts: Default::default(),
            injected: Default::default(),
        }
    }
}

impl ServiceMetrics {
    /// Counts a call that was refused before the service worked on it. `kind` is one of a handful of constants.
    pub fn refused(&self, kind: &'static str) {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).entry(kind).or_default().inc();
    }

    /// Counts a further try of a failed call.
    pub fn retried(&self) {
        self.retries.inc();
    }

    /// Counts a failed call that could have been tried again, if the retry budget or the time had been enough.
    pub fn retry_denied(&self) {
        self.retries_denied.inc();
    }

    /// Records how long a call waited at the bulkhead, whether it was let in or refused in the end. Calls that did not
    /// have to wait are not counted.
    pub fn waited(&self, wait: Duration) {
        self.waits.observe(wait.as_secs_f64());
    }

    /// Counts a try without an answer before its deadline, which was a bound of `owner`.
    pub fn timed_out(&self, owner: DeadlineOwner) {
        self.timeouts[owner as usize].inc();
    }

    /// Counts a call that suffered an injected fault: `kind` is `latency`, `error` or `trap`. A call that suffers two
    /// kinds counts for both.
    pub fn injected(&self, kind: &'static str) {
        let known = INJECTED.iter().position(|known| *known == kind);
        debug_assert!(known.is_some(), "`{kind}` is no kind of injected fault");
        if let Some(known) = known {
            self.injected[known].inc();
        }
    }

    /// Counts a swap: the service's revision was replaced.
    pub fn swapped(&self) {
        self.swaps.inc();
    }

    /// The refusals so far, by kind.
    pub(super) fn refusals(&self) -> BTreeMap<&'static str, Counter> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
