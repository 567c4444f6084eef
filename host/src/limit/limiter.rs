//! A named limit: a rate, and the buckets of its keys.

use super::rate::Rate;
use super::token_bucket::{self, Allowance};
use super::token_bucket_table::{TokenBucketPlace, TokenBucketTable};
use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// One named limit. All routes that name it share its buckets.
pub struct Limiter {
    name: String,
    rate: Rate,
    /// The moment from which its times are counted.
    origin: Instant,
    /// For how many keys there is room.
    keys: usize,
    /// Made by the first request: a manifest that is only checked takes no memory for it.
    table: OnceLock<TokenBucketTable>,
    /// Requests whose key shared a bucket.
    shared: AtomicU64,
}

impl Limiter {
    /// A limit with room for about `keys` keys that are not at rest. Times before `origin` count as `origin`.
    pub fn new(name: impl Into<String>, rate: Rate, keys: usize, origin: Instant) -> Self {
        Self { name: name.into(), rate, origin, keys, table: OnceLock::new(), shared: AtomicU64::new(0) }
    }

    /// Its name in the manifest.
    pub fn name(&self) -> &str {
        &self.name
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
        let now = self.nanos(now);
        let (place, allowance) = self.table().update(key, now, |tat| token_bucket::ask(&self.rate, tat, now));
        if place == TokenBucketPlace::Shared {
            self.shared.fetch_add(1, Ordering::Relaxed);
        }
        allowance
    }

    /// Gives the request back that [`Self::admit`] has just admitted.
    pub(super) fn give_back(&self, key: u64, now: Instant) {
        let now = self.nanos(now);
        self.table().update(key, now, |tat| (token_bucket::give_back(&self.rate, tat), ()));
    }

    fn table(&self) -> &TokenBucketTable {
        self.table.get_or_init(|| TokenBucketTable::new(self.keys))
    }

    /// Nanoseconds since a moment before the origin, so that a bucket that was never used (0) is full.
    fn nanos(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.origin).as_nanos();
        u64::try_from(since).unwrap_or(u64::MAX / 2).saturating_add(1)
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter").field("name", &self.name).field("rate", &self.rate).finish_non_exhaustive()
    }
}

/// Takes one request out of all these buckets, or out of none of them.
///
/// # Errors
/// The position of the first limit that refuses, and how long it will refuse.
pub fn admit_all(limits: &[(&Limiter, u64)], now: Instant) -> Result<Vec<Allowance>, (usize, Allowance)> {
    let mut allowances = Vec::with_capacity(limits.len());
    for (at, (limiter, key)) in limits.iter().enumerate() {
        let allowance = limiter.admit(*key, now);
        if !allowance.admitted {
            for (limiter, key) in &limits[..at] {
                limiter.give_back(*key, now);
            }
            return Err((at, allowance));
        }
        allowances.push(allowance);
    }
    Ok(allowances)
}
