//! The value cache: recently read or written values, and keys that were absent, in memory. Most reads want these, and
//! then need no thread that may wait for the disk.
//!
//! The cache answers what the database would answer at that moment. A batch removes the keys that it writes from the
//! cache before it touches the database, and inserts their new values when they are on disk. While the batch is under
//! way, a read of such a key may see the state before or after it, so these keys are read from the database. All other
//! keys have the same value before and after the batch. The result of a database read goes into the cache only if no
//! batch can have changed it meanwhile.

use crate::base::ServiceName;
use crate::state::error::StateError;
use crate::state::transaction::{Change, Committed, Key, Transaction, Versioned, sequence_key};
use std::collections::{HashMap, HashSet};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The longest value that is cached, in bytes. Values are copied under the lock, which must be short.
const LARGEST_VALUE: usize = 4 << 10;

/// The most keys of one read that the cache serves, for the same reason.
const MOST_KEYS: usize = 128;

/// The bytes of an entry beside its key and its value, from the sizes of the structures that hold it.
const OVERHEAD: usize = 128;

/// The cache of all buckets.
pub(crate) struct ValueCache {
    generations: RwLock<Generations>,
    /// The most bytes of each of the two generations.
    bound: usize,
}

#[derive(Default)]
struct Generations {
    young: Generation,
    /// Entries that no read has asked for since the young generation began. The next change of generations drops them.
    old: Generation,
    /// The number of batches that have begun.
    batch: u64,
    /// The keys that the latest batch writes or has written: a read that overlaps with the batch may have found the
    /// value before it.
    writing: HashMap<ServiceName, HashSet<Key>>,
}

#[derive(Default)]
struct Generation {
    /// `None`: the key is absent.
    buckets: HashMap<ServiceName, HashMap<Key, Option<Versioned>>>,
    bytes: usize,
}

/// Taken before a read of the database: the number of batches that had begun by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReadTicket(u64);

impl ValueCache {
    /// An empty cache of at most `bytes` for keys, values and the structures that hold them.
    pub(crate) fn new(bytes: usize) -> Self {
        Self { generations: RwLock::default(), bound: bytes / 2 }
    }

    /// The values of `keys` in their order, all as of one moment; `None` if one of them is not in the cache.
    pub(crate) fn get(&self, bucket: &ServiceName, keys: &[Key]) -> Option<Vec<Option<Versioned>>> {
        if keys.len() > MOST_KEYS {
            return None;
        }
        let mut any_old = false;
        let found: Option<Vec<_>> = {
            let generations = self.read();
            let (young, old) = (generations.young.buckets.get(bucket), generations.old.buckets.get(bucket));
            let mut find = |key: &Key| {
                let found = young.and_then(|values| values.get(key));
                any_old |= found.is_none();
                found.or_else(|| old?.get(key)).cloned()
            };
            keys.iter().map(&mut find).collect()
        };
        if found.is_some() && any_old {
            self.promote(bucket, keys);
        }
        found
    }

    /// To be called before a read of the database; [`ValueCache::fill`] takes the ticket.
    pub(crate) fn begin_read(&self) -> ReadTicket {
        ReadTicket(self.read().batch)
    }

    /// Caches what a read of the database has found, if no batch can have changed it since `ticket` was taken.
    pub(crate) fn fill(&self, ticket: ReadTicket, bucket: &ServiceName, keys: &[Key], found: &[Option<Versioned>]) {
        let mut generations = self.write();
        if generations.batch != ticket.0 || keys.len() > MOST_KEYS {
            return;
        }
        for (key, found) in keys.iter().zip(found) {
            let small = found.as_ref().is_none_or(|found| found.value.len() <= LARGEST_VALUE);
            // The read may have seen the state before or after the latest batch, so a key that the batch writes is not
            // cached.
            if small && !generations.writing.get(bucket).is_some_and(|keys| keys.contains(key)) {
                generations.young.insert(bucket, key.clone(), found.clone());
            }
        }
        let dropped = self.rotate(&mut generations);
        drop(generations);
        drop(dropped);
    }

    /// To be called before a batch is written: removes the keys that the batch writes.
    pub(crate) fn begin_batch(&self, batch: &[(ServiceName, Transaction)]) {
        let mut guard = self.write();
        let generations = &mut *guard;
        generations.batch += 1;
        generations.writing.clear();
        for (bucket, transaction) in batch {
            let beside = transaction.beside.iter().map(|beside| (&beside.bucket, &beside.writes));
            for (bucket, writes) in std::iter::once((bucket, &transaction.writes)).chain(beside) {
                let writing = generations.writing.entry(bucket.clone()).or_default();
                for (key, _) in writes {
                    generations.young.remove(bucket, key);
                    generations.old.remove(bucket, key);
                    writing.insert(key.clone());
                }
            }
        }
    }

    /// To be called when the batch is on disk, with the answers to its transactions: caches its values.
    pub(crate) fn end_batch(&self, batch: Vec<(ServiceName, Transaction)>, answers: &[Result<Committed, StateError>]) {
        debug_assert_eq!(batch.len(), answers.len(), "each transaction has an answer");
        let mut generations = self.write();
        for ((bucket, transaction), answer) in batch.into_iter().zip(answers) {
            let Ok(Committed { version, sums }) = answer else { continue };
            let mut sums = sums.iter();
            let beside = transaction.beside.into_iter().map(|beside| (beside.bucket, beside.writes));
            for (bucket, writes) in std::iter::once((bucket, transaction.writes)).chain(beside) {
                generations.keep_written(&bucket, writes, *version, &mut sums);
            }
        }
        let dropped = self.rotate(&mut generations);
        drop(generations);
        drop(dropped);
    }

    /// Forgets everything, also what reads under way will find: the database has failed, or is closed.
    pub(crate) fn clear(&self) {
        let mut generations = self.write();
        let batch = generations.batch + 1;
        *generations = Generations { batch, ..Generations::default() };
    }

    /// Moves entries that a read asked for from the old generation into the young one.
    fn promote(&self, bucket: &ServiceName, keys: &[Key]) {
        let mut generations = self.write();
        for key in keys {
            // Races with `begin_batch`, which may have removed the entry since the read.
            let found = generations.old.buckets.get_mut(bucket).and_then(|values| values.remove(key));
            let Some(value) = found else { continue };
            generations.old.bytes -= size(key, value.as_ref());
            generations.young.insert(bucket, key.clone(), value);
        }
        let dropped = self.rotate(&mut generations);
        drop(generations);
        drop(dropped);
    }

    /// Begins a new generation once the young one is full. Returns the old one, so that the caller drops it after it
    /// has released the lock: the drop takes long.
    fn rotate(&self, generations: &mut Generations) -> Option<Generation> {
        if generations.young.bytes <= self.bound {
            return None;
        }
        let young = std::mem::take(&mut generations.young);
        Some(std::mem::replace(&mut generations.old, young))
    }

    fn read(&self) -> RwLockReadGuard<'_, Generations> {
        self.generations.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Generations> {
        self.generations.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    /// Caches what one transaction of the batch has written to a bucket. `sums` has the numbers of its further
    /// additions and appends.
    fn keep_written<'a>(
        &mut self,
        bucket: &ServiceName,
        writes: Vec<(Key, Change)>,
        version: u64,
        sums: &mut impl Iterator<Item = &'a u64>,
    ) {
        for (key, change) in writes {
            match change {
                Change::Put(value) if value.len() <= LARGEST_VALUE => {
                    self.young.insert(bucket, key, Some(Versioned { value, version }));
                }
                Change::Delete => self.young.insert(bucket, key, None),
                // The latest change of a key counts, even if its value is too large or not known here: an earlier value
                // must not stay.
                Change::Put(_) => self.young.remove(bucket, &key),
                Change::Add(_) => {
                    sums.next();
                    self.young.remove(bucket, &key);
                }
                // A read may have found that the new entry is absent. Only now is its key known.
                Change::Append(_) => {
                    let entry = sums.next().map(|number| sequence_key(&key, *number)).unwrap_or_default();
                    self.young.remove(bucket, &key);
                    self.young.remove(bucket, &entry);
                    self.old.remove(bucket, &entry);
                    self.writing.entry(bucket.clone()).or_default().insert(entry);
                }
            }
        }
    }
}

impl Generation {
    fn insert(&mut self, bucket: &ServiceName, key: Key, value: Option<Versioned>) {
        self.remove(bucket, &key);
        self.bytes += size(&key, value.as_ref());
        self.buckets.entry(bucket.clone()).or_default().insert(key, value);
    }

    fn remove(&mut self, bucket: &ServiceName, key: &Key) {
        if let Some(value) = self.buckets.get_mut(bucket).and_then(|values| values.remove(key)) {
            self.bytes -= size(key, value.as_ref());
        }
    }
}

/// The bytes that an entry takes.
fn size(key: &Key, value: Option<&Versioned>) -> usize {
    OVERHEAD + key.len() + value.map_or(0, |value| value.value.len())
}
