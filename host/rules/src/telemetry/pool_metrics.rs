//! The metric handles of one service at the engine's pool: how long its calls wait for instances, and are worked on,
//! and what the instances do with the service's data.

use super::histogram::Histogram;
use super::service_metrics::WAIT;
use super::state_counters::StateCounters;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// How long the calls of one service waited for slots of the engine's pool, and how long its instances worked on them.
pub struct PoolMetrics {
    pub(super) waits: Histogram<{ WAIT.len() }>,
    /// The nanoseconds that instances have worked on calls. It wraps after 584 years.
    worked: AtomicU64,
    /// The most bytes of memory that one instance has had.
    memory_peak: AtomicU64,
    /// Instances that were made.
    made: AtomicU64,
    /// Calls that got an instance which was there already.
    reused: AtomicU64,
    /// What its guests do with its data.
    state: StateCounters,
}

impl Default for PoolMetrics {
    fn default() -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            waits: Histogram::new(&WAIT),
            worked: zero(),
            memory_peak: zero(),
            made: zero(),
            reused: zero(),
            state: StateCounters::default(),
        }
    }
}

impl PoolMetrics {
    /// Records how long a call waited for slots, whether it got them or not. Calls that did not have to wait are not
    /// counted.
    pub fn waited(&self, wait: Duration) {
        self.waits.observe(wait);
    }

    /// An instance has worked on a call for so long, until the head of the answer.
    pub fn worked(&self, time: Duration) {
        self.worked.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    /// An instance is made.
    pub fn made(&self) {
        self.made.fetch_add(1, Relaxed);
    }

    /// A call gets an instance which is there already.
    pub fn reused(&self) {
        self.reused.fetch_add(1, Relaxed);
    }

    /// How many instances were made so far, and how many calls got one which was there already.
    pub(super) fn instances(&self) -> (u64, u64) {
        (self.made.load(Relaxed), self.reused.load(Relaxed))
    }

    /// An instance has so many bytes of memory now.
    pub fn uses_memory(&self, bytes: usize) {
        let bytes = bytes as u64;
        // Most instances have less than the largest, and need not write.
        if bytes > self.memory_peak.load(Relaxed) {
            self.memory_peak.fetch_max(bytes, Relaxed);
        }
    }

    /// The most bytes of memory that one instance has had so far.
    pub(super) fn memory_peak(&self) -> u64 {
        self.memory_peak.load(Relaxed)
    }

    /// What the instances do with the service's data.
    pub fn state(&self) -> &StateCounters {
        &self.state
    }

    /// How long instances have worked on calls so far.
    pub(super) fn work(&self) -> Duration {
        Duration::from_nanos(self.worked.load(Relaxed))
    }
}
