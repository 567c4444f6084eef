//! The buckets of many keys, in a table of a fixed size.
//!
//! The table is a row of sets, each with a lock of its own and room for eight buckets; a key belongs to one set. A
//! bucket that is full again makes room for another key, because a key without a bucket counts as one with a full
//! bucket. If all eight are in use, none is evicted: that would refill the bucket of a client that floods, which could
//! bring it about with a flood of other keys. Instead, the keys for which there is no room share one more bucket of
//! that set.

use std::sync::{Mutex, MutexGuard};

/// Buckets of a set: four cache lines with the lock.
const WAYS: usize = 8;

const UNPOISONED: &str = "nothing panics while it holds this lock";

/// A bucket. One whose `tat` has passed is free.
#[derive(Clone, Copy, Default)]
struct TokenBucket {
    key: u64,
    tat: u64,
}

/// The buckets of the keys of one set.
#[derive(Default)]
struct TokenBucketSet {
    buckets: [TokenBucket; WAYS],
    /// The bucket of all keys for which there was no room.
    shared: u64,
}

/// Buckets by key.
pub(super) struct TokenBucketTable {
    /// The length is a power of two.
    sets: Box<[Mutex<TokenBucketSet>]>,
}

/// Where the bucket of a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenBucketPlace {
    /// It has its own.
    Own,
    /// It shares one, since the table is full.
    Shared,
}

impl TokenBucketTable {
    /// A table for at least `keys` buckets, rounded up to a power of two.
    pub(super) fn new(keys: usize) -> Self {
        let sets = keys.div_ceil(WAYS).next_power_of_two();
        Self { sets: (0..sets).map(|_| Mutex::default()).collect() }
    }

    /// Replaces the TAT of `key`'s bucket by what `change` makes of it, and returns what `change` returns beside it.
    /// A key without a bucket has a TAT of 0.
    pub(super) fn update<T>(&self, key: u64, now: u64, change: impl FnOnce(u64) -> (u64, T)) -> (TokenBucketPlace, T) {
        let mut set = self.set(key);
        let own = set.buckets.iter().position(|bucket| bucket.key == key && bucket.tat > now);
        let free = || set.buckets.iter().position(|bucket| bucket.tat <= now);
        let Some(at) = own.or_else(free) else {
            let (tat, result) = change(set.shared);
            set.shared = tat;
            return (TokenBucketPlace::Shared, result);
        };
        let (tat, result) = change(if own.is_some() { set.buckets[at].tat } else { 0 });
        set.buckets[at] = TokenBucket { key, tat };
        (TokenBucketPlace::Own, result)
    }

    /// The TAT of `key`'s bucket: its own, or the shared one if it would find no room.
    pub(super) fn tat(&self, key: u64, now: u64) -> u64 {
        let set = self.set(key);
        if let Some(own) = set.buckets.iter().find(|bucket| bucket.key == key && bucket.tat > now) {
            return own.tat;
        }
        if set.buckets.iter().any(|bucket| bucket.tat <= now) { 0 } else { set.shared }
    }

    /// How many keys have a bucket of their own that is not full. Takes each lock of the table once.
    pub(super) fn in_use(&self, now: u64) -> usize {
        let used = |set: &Mutex<TokenBucketSet>| {
            let set = set.lock().expect(UNPOISONED);
            set.buckets.iter().filter(|bucket| bucket.tat > now).count()
        };
        self.sets.iter().map(used).sum()
    }

    /// The memory of its buckets.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.sets)
    }

    fn set(&self, key: u64) -> MutexGuard<'_, TokenBucketSet> {
        // The high bits choose the set. Keys are hashes, so all bits are equally good.
        let at = usize::try_from(key >> 32).expect("32 bits") & (self.sets.len() - 1);
        self.sets[at].lock().expect(UNPOISONED)
    }
}
