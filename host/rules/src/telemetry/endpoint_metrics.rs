//! The metric handles of one endpoint, or of one outside host.

use super::histogram::Histogram;
use super::kind_counters::KindCounters;
use super::traffic_window::{LATENCY, TrafficCounts};
use crate::base::{Digest, log_safe, mask_secrets};
use prometheus_client::metrics::counter::Counter;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// The counters and the latency histogram of one endpoint, or of one outside host. Those of an endpoint live through
/// swaps: the endpoint that replaces it counts on with them.
pub struct EndpointMetrics {
    pub(super) requests: Counter,
    pub(super) failures: Counter,
    pub(super) latency: Histogram<{ LATENCY.len() }>,
    /// The failures by kind.
    pub(super) failed: KindCounters<{ FAILED.len() }>,
    /// The latest failure of each kind that has been, in the order in which they came.
    last: Mutex<Vec<LastFailure>>,
}

/// The kinds of failures that are the service's: those of a try without an answer, an answer of 5xx, and a function's
/// error that reports one.
pub const FAILED: [&str; 9] = [
    "trap",
    "memory-limit",
    "instantiation",
    "bad-answer",
    "connect",
    "reset",
    "timeout",
    "answered-5xx",
    "function-error",
];

/// The latest failure of one kind of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastFailure {
    /// When it was.
    pub time: SystemTime,
    /// Its kind.
    pub kind: &'static str,
    /// What happened, for operators: without secrets in their usual forms.
    pub detail: String,
    /// The component that failed: another one may serve by now. `None` for an address.
    pub revision: Option<Digest>,
}

/// The longest detail that is kept, in characters.
const LONGEST_DETAIL: usize = 300;

/// The requests of one endpoint, and the failures among them, since the first endpoint with its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestCounts {
    /// Requests that were sent to the endpoint.
    pub requests: u64,
    /// Requests that failed through a fault of the service.
    pub failures: u64,
}

impl Default for EndpointMetrics {
    fn default() -> Self {
        Self {
            requests: Counter::default(),
            failures: Counter::default(),
            latency: Histogram::new(&LATENCY),
            failed: KindCounters::new(&FAILED),
            last: Mutex::default(),
        }
    }
}

impl EndpointMetrics {
    /// Counts a request that was sent to the endpoint.
    pub fn request(&self) {
        self.requests.inc();
    }

    /// Records the latency of a request: the time until the head of its answer, or until its failure.
    pub fn answered(&self, latency: Duration) {
        self.latency.observe(latency);
    }

    /// Counts a request that failed through a fault of the service: at most once for each [`EndpointMetrics::request`].
    /// `kind`: that of an error which is the service's fault, `answered-5xx` or `function-error`.
    pub fn failure(&self, kind: &str) {
        self.failures.inc();
        self.failed.count(kind);
    }

    /// Remembers what the latest failure was, and of which component. In a flood of failures some are not remembered:
    /// nobody waits here.
    pub fn note_failure(&self, kind: &'static str, detail: &str, revision: Option<Digest>) {
        let Ok(mut last) = self.last.try_lock() else { return };
        let detail: String = detail.lines().next().unwrap_or_default().chars().take(LONGEST_DETAIL).collect();
        let detail = mask_secrets(&log_safe(&detail)).into_owned();
        last.retain(|one| one.kind != kind);
        last.push(LastFailure { time: SystemTime::now(), kind, detail, revision });
    }

    /// The latest failure.
    pub fn last_failure(&self) -> Option<LastFailure> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).last().cloned()
    }

    /// The latest failure of each kind, in the order in which they came.
    pub fn last_failures(&self) -> Vec<LastFailure> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Adds what was counted so far to `counts`.
    pub fn count_into(&self, counts: &mut TrafficCounts) {
        counts.requests += self.requests.get();
        counts.failures += self.failures.get();
        for (kind, count) in self.failed.iter() {
            *counts.failed.entry(kind).or_default() += count.get();
        }
        for (sum, count) in counts.latency.iter_mut().zip(self.latency.counts()) {
            *sum += count;
        }
    }

    /// The latencies of all requests, added up.
    pub(super) fn seconds(&self) -> f64 {
        self.latency.snapshot().sum()
    }

    /// The requests and failures so far.
    pub fn counts(&self) -> RequestCounts {
        RequestCounts { requests: self.requests.get(), failures: self.failures.get() }
    }
}
