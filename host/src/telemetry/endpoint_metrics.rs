//! The metric handles of one endpoint, or of one outside host.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use std::time::Duration;

/// The bounds of the latency histogram in seconds: a fresh instance answers in tens of microseconds, and a deadline is
/// seconds away.
const LATENCY: [f64; 16] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The counters and the latency histogram of one endpoint, or of one outside host.
pub struct EndpointMetrics {
    pub(super) requests: Counter,
    pub(super) failures: Counter,
    pub(super) latency: Histogram,
}

/// The requests of one endpoint, and the failures among them, since the endpoint was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestCounts {
    /// Requests that were sent to the endpoint.
    pub requests: u64,
    /// Requests that failed through a fault of the service.
    pub failures: u64,
}

impl Default for EndpointMetrics {
    fn default() -> Self {
        Self { requests: Counter::default(), failures: Counter::default(), latency: Histogram::new(LATENCY) }
    }
}

impl EndpointMetrics {
    /// Counts a request that was sent to the endpoint.
    pub fn request(&self) {
        self.requests.inc();
    }

    /// Records the latency of a request: the time until the head of its answer, or until its failure.
    pub fn answered(&self, latency: Duration) {
        self.latency.observe(latency.as_secs_f64());
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
