//! What is counted where calls go to.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use std::time::Duration;

/// Bounds of the latency histogram in seconds: a fresh instance answers in tens of microseconds, a deadline is seconds away.
const LATENCY: [f64; 16] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// What is counted at one endpoint, or at one outside host.
pub struct EndpointMetrics {
    pub(super) requests: Counter,
    pub(super) failures: Counter,
    pub(super) latency: Histogram,
}

impl Default for EndpointMetrics {
    fn default() -> Self {
        Self { requests: Counter::default(), failures: Counter::default(), latency: Histogram::new(LATENCY) }
    }
}

impl EndpointMetrics {
    /// One more request was sent to the endpoint.
    pub fn request(&self) {
        self.requests.inc();
    }

    /// A request's head came, or failed to come, after `latency`.
    pub fn answered(&self, latency: Duration) {
        self.latency.observe(latency.as_secs_f64());
    }

    /// A request failed by the service's fault: at most once for each [`EndpointMetrics::request`].
    pub fn failure(&self) {
        self.failures.inc();
    }

    /// Requests and failures so far.
    pub fn counts(&self) -> (u64, u64) {
        (self.requests.get(), self.failures.get())
    }
}
