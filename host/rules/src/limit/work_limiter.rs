//! A budget, and what is left of it for each key.

use super::budget::{self, Balance, WorkBudget};
use super::clock_origin::ClockOrigin;
use super::token_bucket_table::{TokenBucketPlace, TokenBucketTable};
use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// A limit on what requests use up, which nobody knows before they have. So a request is admitted while the balance of
/// its key is above zero, and charged afterwards: a balance may become a debt, and its key is refused until the time
/// has paid it.
pub struct WorkLimiter {
    budget: WorkBudget,
    origin: ClockOrigin,
    keys: usize,
    /// Made by the first request.
    table: OnceLock<TokenBucketTable>,
    shared: AtomicU64,
}

impl WorkLimiter {
    /// A limit with room for about `keys` keys that have used something up. Times before `origin` count as `origin`.
    pub fn new(budget: WorkBudget, keys: usize, origin: Instant) -> Self {
        let origin = ClockOrigin::new(origin);
        Self { budget, origin, keys, table: OnceLock::new(), shared: AtomicU64::new(0) }
    }

    /// Its budget.
    pub fn budget(&self) -> &WorkBudget {
        &self.budget
    }

    /// How often a key without room for a balance of its own was charged. Such keys share one.
    pub fn shared(&self) -> u64 {
        self.shared.load(Ordering::Relaxed)
    }

    /// What `key` has left at `now`.
    pub fn ask(&self, key: u64, now: Instant) -> Balance {
        let now = self.origin.nanos(now);
        budget::balance(&self.budget, self.table().tat(key, now), now)
    }

    /// Takes `units` from `key`, which has used them up until `now`.
    pub fn charge(&self, key: u64, units: u64, now: Instant) {
        if units == 0 {
            return;
        }
        let now = self.origin.nanos(now);
        let (place, ()) = self.table().update(key, now, |tat| (budget::charge(&self.budget, tat, now, units), ()));
        if place == TokenBucketPlace::Shared {
            self.shared.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many keys have a balance of their own that is not full.
    pub fn in_use(&self, now: Instant) -> usize {
        let now = self.origin.nanos(now);
        self.table.get().map_or(0, |table| table.in_use(now))
    }

    fn table(&self) -> &TokenBucketTable {
        self.table.get_or_init(|| TokenBucketTable::new(self.keys))
    }
}

impl fmt::Debug for WorkLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkLimiter").field("budget", &self.budget).finish_non_exhaustive()
    }
}
