//! What is counted for a service, wherever its calls go.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Bounds of the histogram of waiting times in seconds: the manifest's `wait` is 100 ms unless set, and an hour at most.
const WAIT: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// The kinds of faults on purpose; each has its series from the start, so that the first of its kind shows as a rise.
pub(super) const INJECTED: [&str; 3] = ["latency", "error", "trap"];

/// What is counted for a service, whichever revision it runs.
pub struct ServiceMetrics {
    /// By kind. Refusals are rare beside calls, so a lock will do.
    refused: Mutex<BTreeMap<&'static str, Counter>>,
    pub(super) swaps: Counter,
    pub(super) retries: Counter,
    pub(super) denied: Counter,
    pub(super) waits: Histogram,
    /// In the order of [`INJECTED`].
    pub(super) injected: [Counter; INJECTED.len()],
}

impl Default for ServiceMetrics {
    fn default() -> Self {
        Self {
            refused: Mutex::default(),
            swaps: Counter::default(),
            retries: Counter::default(),
            denied: Counter::default(),
            waits: Histogram::new(WAIT),
            injected: Default::default(),
        }
    }
}

impl ServiceMetrics {
    /// A call was refused before the service worked on it; `kind` is one of a handful of constants.
    pub fn refused(&self, kind: &'static str) {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).entry(kind).or_default().inc();
    }

    /// A failed call was made once more.
    pub fn retried(&self) {
        self.retries.inc();
    }

    /// A failed call could have been made once more, but there was no budget or no time left for it.
    pub fn retry_denied(&self) {
        self.denied.inc();
    }

    /// A call had to wait for its turn, and waited so long, whether its turn came or not. Calls that need not wait are not counted.
    pub fn waited(&self, wait: Duration) {
        self.waits.observe(wait.as_secs_f64());
    }

    /// A call suffered a fault on purpose: `kind` is `latency`, `error` or `trap`. One that suffers two of them counts for both.
    pub fn injected(&self, kind: &'static str) {
        let known = INJECTED.iter().position(|known| *known == kind);
        debug_assert!(known.is_some(), "`{kind}` is no kind of fault");
        if let Some(known) = known {
            self.injected[known].inc();
        }
    }

    /// The service's revision was replaced.
    pub fn swapped(&self) {
        self.swaps.inc();
    }

    /// The refusals so far, by kind.
    pub(super) fn refusals(&self) -> BTreeMap<&'static str, Counter> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
