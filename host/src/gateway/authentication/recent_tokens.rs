//! What is known of the tokens that came of late.

use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::{Mutex, PoisonError};

/// The SHA-256 of a token. The token itself is not kept.
pub(super) type TokenHash = [u8; 32];

/// How many parts a table has, so that threads seldom wait for one another.
const SHARDS: usize = 16;

/// A table of at most `capacity` values by the hash of a token. Each part has two halves: when the young one is full,
/// it becomes the old one, and the old one is dropped; what is used in the old one moves to the young one. So what is
/// used stays, and no list of uses is kept.
pub(super) struct RecentTokens<V> {
    shards: Box<[Mutex<Halves<V>>]>,
    half: usize,
    hasher: std::hash::RandomState,
}

struct Halves<V> {
    young: HashMap<TokenHash, V>,
    old: HashMap<TokenHash, V>,
}

pub(super) fn hash(token: &[u8]) -> TokenHash {
    Sha256::digest(token).into()
}

impl<V: Clone> RecentTokens<V> {
    /// A table of at most `capacity` values; with 0 it keeps nothing, and less than 32 is 32.
    pub(super) fn new(capacity: usize) -> Self {
        let halves = || Mutex::new(Halves { young: HashMap::new(), old: HashMap::new() });
        let half = if capacity == 0 { 0 } else { (capacity / SHARDS / 2).max(1) };
        Self { shards: (0..SHARDS).map(|_| halves()).collect(), half, hasher: std::hash::RandomState::new() }
    }

    /// The value of `hash`, if there is one that `is_good`.
    pub(super) fn get(&self, hash: &TokenHash, is_good: impl Fn(&V) -> bool) -> Option<V> {
        if self.half == 0 {
            return None;
        }
        self.with(hash, |halves, half| halves.get(half, hash, is_good))
    }

    /// Keeps `value` for `hash`.
    pub(super) fn insert(&self, hash: TokenHash, value: V) {
        if self.half > 0 {
            self.with(&hash, |halves, half| halves.insert(half, hash, value));
        }
    }

    /// The value of `hash`, if there is one that `is_good`; otherwise `new`, which all others then get.
    pub(super) fn get_or_insert(&self, hash: &TokenHash, is_good: impl Fn(&V) -> bool, new: V) -> V {
        if self.half == 0 {
            return new;
        }
        self.with(hash, |halves, half| match halves.get(half, hash, is_good) {
            Some(value) => value,
            None => {
                halves.insert(half, *hash, new.clone());
                new
            }
        })
    }

    fn with<R>(&self, hash: &TokenHash, with: impl FnOnce(&mut Halves<V>, usize) -> R) -> R {
        // The remainder is below 16. By a hash of its own: whoever chose tokens for one part could crowd out others.
        let shard = usize::try_from(self.hasher.hash_one(hash) % SHARDS as u64).unwrap_or(0);
        with(&mut self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner), self.half)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        let of = |shard: &Mutex<Halves<V>>| {
            let halves = shard.lock().unwrap();
            halves.young.len() + halves.old.len()
        };
        self.shards.iter().map(of).sum()
    }
}

impl<V: Clone> Halves<V> {
    fn get(&mut self, half: usize, hash: &TokenHash, is_good: impl Fn(&V) -> bool) -> Option<V> {
        if let Some(value) = self.young.get(hash) {
            return is_good(value).then(|| value.clone());
        }
        let value = self.old.remove(hash).filter(is_good)?;
        self.insert(half, *hash, value.clone());
        Some(value)
    }

    fn insert(&mut self, half: usize, hash: TokenHash, value: V) {
        if self.young.len() >= half && !self.young.contains_key(&hash) {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(&hash);
        self.young.insert(hash, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_keeps_what_is_used_and_forgets_what_is_not() {
        let table = RecentTokens::new(320);
        let used = hash(b"used");
        table.insert(used, 0);
        for number in 1..10_000_u32 {
            table.insert(hash(&number.to_be_bytes()), number);
            assert_eq!(table.get(&used, |_| true), Some(0));
            assert!(table.len() <= 320, "{}", table.len());
        }
        assert_eq!(table.get(&hash(&1_u32.to_be_bytes()), |_| true), None);
        assert_eq!(table.get(&used, |_| false), None);
        assert_eq!(table.get_or_insert(&used, |_| true, 7), 0);
        assert_eq!(table.get_or_insert(&used, |_| false, 7), 7);
        assert_eq!(table.get(&used, |_| true), Some(7));
    }

    #[test]
    fn without_capacity_it_keeps_nothing() {
        let table = RecentTokens::new(0);
        table.insert(hash(b"a"), 1);
        assert_eq!((table.get(&hash(b"a"), |_| true), table.get_or_insert(&hash(b"a"), |_| true, 2)), (None, 2));
    }
}
