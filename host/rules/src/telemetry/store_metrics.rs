//! The metric handles of the store with the services' data.

use super::histogram::Histogram;
use super::kind_counters::KindCounters;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Why a commit did not reach the disk.
const CAUSES: [&str; 7] = ["full", "read-only", "sync", "damaged", "io", "away", "in-doubt"];

/// Whether the store takes writes, and the commits that it could not write.
pub struct StoreMetrics {
    failed: KindCounters<{ CAUSES.len() }>,
    /// Whether it takes no writes.
    degraded: AtomicBool,
    /// Whether a database server was away when it was asked last.
    away: AtomicBool,
    /// Whether data on a database server were damaged when they were read last.
    damaged: AtomicBool,
    /// How long batches of commits took, with their sync to the disk.
    batches: Histogram<{ BATCH.len() }>,
    /// The size of the database's file.
    bytes: AtomicU64,
}

/// The bounds of the histogram of batches in microseconds: a sync takes from a tenth of a millisecond, in memory, to
/// seconds, on a disk that is busy.
const BATCH: [u64; 12] = [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 500_000, 1_000_000, 5_000_000];

impl Default for StoreMetrics {
    fn default() -> Self {
        Self {
            failed: KindCounters::new(&CAUSES),
            degraded: AtomicBool::new(false),
            away: AtomicBool::new(false),
            damaged: AtomicBool::new(false),
            batches: Histogram::new(&BATCH),
            bytes: AtomicU64::new(0),
        }
    }
}

impl StoreMetrics {
    /// A batch of commits has reached the disk after so long. The file has so many bytes then.
    pub fn wrote(&self, took: Duration, bytes: u64) {
        self.degraded.store(false, Relaxed);
        self.away.store(false, Relaxed);
        self.batches.observe(took);
        self.bytes.store(bytes, Relaxed);
    }

    /// So many commits have not reached the disk, by `cause`: `full`, `read-only`, `sync`, `damaged`, `io`, `away`, or
    /// `in-doubt` where nobody knows. Nothing else could be written either.
    pub fn failed(&self, cause: &str, commits: usize) {
        self.degraded.store(true, Relaxed);
        self.refused(cause, commits);
    }

    /// As [`Self::failed`], where others could be written.
    pub fn refused(&self, cause: &str, commits: usize) {
        (0..commits).for_each(|_| self.failed.count(cause));
    }

    /// Whether the store is not as it should be: it takes no writes, is away, or has damaged data.
    pub fn is_degraded(&self) -> bool {
        !self.takes_writes() || self.is_damaged()
    }

    /// Whether the last commit that was tried reached the disk, and the database server is there.
    pub fn takes_writes(&self) -> bool {
        !self.degraded.load(Relaxed) && !self.is_away()
    }

    /// A database server was asked whether it can be read.
    pub fn set_away(&self, is_away: bool) {
        self.away.store(is_away, Relaxed);
    }

    /// A database server was asked whether it takes writes of this host.
    pub fn set_read_only(&self, is_read_only: bool) {
        self.degraded.store(is_read_only, Relaxed);
    }

    /// Data on a database server were read.
    pub fn set_damaged(&self, are_damaged: bool) {
        self.damaged.store(are_damaged, Relaxed);
    }

    /// Whether data were damaged when they were read last.
    pub fn is_damaged(&self) -> bool {
        self.damaged.load(Relaxed)
    }

    /// Whether the database server was away when it was asked last.
    pub fn is_away(&self) -> bool {
        self.away.load(Relaxed)
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
        let help = "1 while the last commit that was tried did not reach the disk, a database server is away or takes \
                    no writes, or its data are damaged; otherwise 0";
        degraded.encode(encoder.encode_descriptor("state_degraded", help, None, degraded.metric_type())?)?;
        let batches = self.0.batches.snapshot();
        let help = "Seconds that a batch of commits took, with its sync to the disk";
        batches.encode(encoder.encode_descriptor("state_batch_seconds", help, None, batches.metric_type())?)?;
        let bytes = ConstGauge::new(i64::try_from(self.0.bytes.load(Relaxed)).unwrap_or(i64::MAX));
        let help = "Bytes of the database's file, after the last batch of commits";
        bytes.encode(encoder.encode_descriptor("state_file_bytes", help, None, bytes.metric_type())?)?;
        let help =
            "Commits that did not reach the disk, by cause: full, read-only, sync, damaged, io, away or in-doubt";
        let mut family = encoder.encode_descriptor("state_failed_commits", help, None, MetricType::Counter)?;
        for (cause, count) in self.0.failed.iter() {
            count.encode(family.encode_family(&[("cause", cause)])?)?;
        }
        Ok(())
    }
}
