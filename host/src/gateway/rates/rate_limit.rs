//! A limit of the manifest.

use super::keep_quota::KeepQuota;
use super::limit_key::LimitKey;
use crate::limit::{Limiter, QuotaTable, WorkLimiter};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// What a limit counts; all of it must admit a request.
#[derive(Default)]
pub struct LimitMeasures {
    /// Requests in a time.
    pub rate: Option<Limiter>,
    /// The processor time of guests, in nanoseconds.
    pub cpu: Option<WorkLimiter>,
    /// The memory of guests, in KiB times microseconds.
    pub memory: Option<WorkLimiter>,
    /// Requests in a window of the calendar.
    pub quota: Option<QuotaTable>,
}

/// A limit, and what it counts by.
pub struct RateLimit {
    name: String,
    pub(super) by: LimitKey,
    pub(super) measures: LimitMeasures,
    /// Where the quota is kept, once that is known.
    pub(super) keeper: OnceLock<Arc<dyn KeepQuota>>,
    pub(super) admitted: AtomicU64,
    pub(super) refused: AtomicU64,
}

/// What a limit has counted since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitCounts {
    /// The requests that it has let pass.
    pub admitted: u64,
    /// The requests that it has refused.
    pub refused: u64,
    /// The keys that have something used up now, of the measure that has the most of them.
    pub keys: usize,
    /// How often a key without room of its own had to share.
    pub shared: u64,
}

impl RateLimit {
    /// A limit that counts `measures` for each key. Its name is 1 to 64 letters, digits, `_` and `-`.
    pub fn new(name: impl Into<String>, measures: LimitMeasures, by: LimitKey) -> Self {
        let (admitted, refused) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { name: name.into(), by, measures, keeper: OnceLock::new(), admitted, refused }
    }

    /// Its name in the manifest.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it counts nothing but the work of guests.
    pub fn counts_only_work(&self) -> bool {
        self.measures.rate.is_none() && self.measures.quota.is_none()
    }

    /// What it counts by.
    pub fn by(&self) -> &LimitKey {
        &self.by
    }

    /// What it counts.
    pub fn measures(&self) -> &LimitMeasures {
        &self.measures
    }

    /// What it has counted.
    pub fn counts(&self, now: Instant) -> LimitCounts {
        let LimitMeasures { rate, cpu, memory, quota } = &self.measures;
        let work = [cpu, memory].into_iter().flatten();
        let keys = work.clone().map(|limiter| limiter.in_use(now));
        let keys = keys.chain(rate.iter().map(|limiter| limiter.in_use(now)));
        let keys = keys.chain(quota.iter().map(QuotaTable::in_use)).max().unwrap_or(0);
        let shared = work.map(WorkLimiter::shared).chain(rate.iter().map(Limiter::shared)).sum();
        LimitCounts { admitted: self.admitted.load(Relaxed), refused: self.refused.load(Relaxed), keys, shared }
    }

    /// Keeps the counts of its quota in `keeper` from now on. Without this it counts no quota.
    pub fn keep_quota(&self, keeper: Arc<dyn KeepQuota>) {
        // It fails only if it was set already.
        let _ = self.keeper.set(keeper);
    }
}

impl fmt::Debug for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit").field("name", &self.name).field("by", &self.by).finish_non_exhaustive()
    }
}
