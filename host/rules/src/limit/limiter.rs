//! A rate, and the buckets of its keys.

use super::clock_origin::ClockOrigin;
use super::rate::Rate;
use super::token_bucket::{self, Allowance};
use super::token_bucket_table::{TokenBucketPlace, TokenBucketTable};
use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// A limit on requests.
pub struct Limiter {
    rate: Rate,
    origin: ClockOrigin,
    /// For how many keys there is room.
    keys: usize,
    /// Made by the first request: a manifest that is only checked takes no memory for it.
    table: OnceLock<TokenBucketTable>,
    /// Requests whose key shared a bucket.
    shared: AtomicU64,
}

impl Limiter {
    /// A limit with room for about `keys` keys that are not at rest. Times before `origin` count as `origin`.
    pub fn new(rate: Rate, keys: usize, origin: Instant) -> Self {
        let origin = ClockOrigin::new(origin);
        Self { rate, origin, keys, table: OnceLock::new(), shared: AtomicU64::new(0) }
    }

    /// Its rate.
    pub fn rate(&self) -> &Rate {
        &self.rate
    }

    /// How many requests came from keys that had to share a bucket since the table was full.
    pub fn shared(&self) -> u64 {
        self.shared.load(Ordering::Relaxed)
    }

    /// Takes one request of `key` out of its bucket at `now`, if there is one left. `key` is a hash that clients cannot
    /// foresee: two keys with one hash share a bucket.
    pub fn admit(&self, key: u64, now: Instant) -> Allowance {
        let now = self.origin.nanos(now);
        let (place, allowance) = self.table().update(key, now, |tat| token_bucket::ask(&self.rate, tat, now));
        if place == TokenBucketPlace::Shared {
            self.shared.fetch_add(1, Ordering::Relaxed);
        }
        allowance
    }

    /// Gives the request back that [`Self::admit`] has just admitted.
    pub fn give_back(&self, key: u64, now: Instant) {
        let now = self.origin.nanos(now);
        self.table().update(key, now, |tat| (token_bucket::give_back(&self.rate, tat), ()));
    }

    /// How many keys have a bucket of their own that is not full.
    pub fn in_use(&self, now: Instant) -> usize {
        let now = self.origin.nanos(now);
        self.table.get().map_or(0, |table| table.in_use(now))
    }

    fn table(&self) -> &TokenBucketTable {
        self.table.get_or_init(|| TokenBucketTable::new(self.keys))
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter").field("rate", &self.rate).finish_non_exhaustive()
    }
}
