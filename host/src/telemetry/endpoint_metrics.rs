//! The metric handles of one endpoint, or of one outside host.

use super::histogram::Histogram;
use prometheus_client::metrics::counter::Counter;
use std::time::Duration;

/// The bounds of the latency histogram in microseconds: a fresh instance answers in tens of them, and a deadline is
/// seconds away.
const LATENCY: [u64; 16] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000,
];

/// The counters and the latency histogram of one endpoint, or of one outside host. Those of an endpoint live through
/// swaps: the endpoint that replaces it counts on with them.
pub struct EndpointMetrics {
    pub(super) requests: Counter,
    pub(super) failures: Counter,
    pub(super) latency: Histogram<{ LATENCY.len() }>,
}

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
        Self { requests: Counter::default(), failures: Counter::default(), latency: Histogram::new(&LATENCY) }
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
    pub fn failure(&self) {
        self.failures.inc();
    }

    /// The requests and failures so far.
    pub fn counts(&self) -> RequestCounts {
        RequestCounts { requests: self.requests.get(), failures: self.failures.get() }
    }
}
