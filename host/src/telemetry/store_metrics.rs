//! The metric handles of the store with the services' data.

use super::kind_counters::KindCounters;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Why a commit did not reach the disk.
const CAUSES: [&str; 5] = ["full", "read-only", "sync", "damaged", "io"];

/// Whether the store takes writes, and the commits that it could not write.
pub struct StoreMetrics {
    failed: KindCounters<{ CAUSES.len() }>,
    degraded: AtomicBool,
}

impl Default for StoreMetrics {
    fn default() -> Self {
        Self { failed: KindCounters::new(&CAUSES), degraded: AtomicBool::new(false) }
    }
}

impl StoreMetrics {
    /// Commits have reached the disk.
    pub fn wrote(&self) {
        self.degraded.store(false, Relaxed);
    }

    /// So many commits have not reached the disk, by `cause`: `full`, `read-only`, `sync`, `damaged` or `io`.
    pub fn failed(&self, cause: &str, commits: usize) {
        self.degraded.store(true, Relaxed);
        (0..commits).for_each(|_| self.failed.count(cause));
    }

    /// Whether the last commit that was tried did not reach the disk.
    pub fn is_degraded(&self) -> bool {
        self.degraded.load(Relaxed)
    }
}

/// Writes the metrics of one store at each scrape.
pub(super) struct StoreCollector(pub(super) Arc<StoreMetrics>);

impl fmt::Debug for StoreCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreCollector")
    }
}

impl Collector for StoreCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let degraded = ConstGauge::new(i64::from(self.0.is_degraded()));
        let help = "1 while the last commit that was tried did not reach the disk, otherwise 0";
        degraded.encode(encoder.encode_descriptor("state_degraded", help, None, degraded.metric_type())?)?;
        let help = "Commits that did not reach the disk, by cause: full, read-only, sync, damaged or io";
        let mut family = encoder.encode_descriptor("state_failed_commits", help, None, MetricType::Counter)?;
        for (cause, count) in self.0.failed.iter() {
            count.encode(family.encode_family(&[("cause", cause)])?)?;
        }
        Ok(())
    }
}
