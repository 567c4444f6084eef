//! The metric handles of one service at the engine's pool.

use super::histogram::Histogram;
use super::service_metrics::WAIT;
use std::time::Duration;

/// How long the calls of one service waited for slots of the engine's pool.
pub struct PoolMetrics {
    pub(super) waits: Histogram<{ WAIT.len() }>,
}

impl Default for PoolMetrics {
    fn default() -> Self {
        Self { waits: Histogram::new(&WAIT) }
    }
}

impl PoolMetrics {
    /// Records how long a call waited for slots, whether it got them or not. Calls that did not have to wait are not
    /// counted.
    pub fn waited(&self, wait: Duration) {
        self.waits.observe(wait);
    }
}
