//! Values that were read or written lately, and keys that were absent, in memory: most reads want those, and then need no thread that may
//! wait for a disk.
//!
//! What is answered from here is what the database would answer at that moment. A batch takes the keys that it writes off the shelf before it
//! touches the database, and puts their new values there when they are on disk; so while it is under way, and nobody can say which side of it
//! a read sees, those keys are read from the database. All other keys have one value before and after it. And what a read of the database
//! has found goes on the shelf only if no batch can have changed it meanwhile.

use super::error::StateError;
use super::transaction::{Change, Committed, Key, Transaction, Versioned};
use crate::base::ServiceName;
use std::collections::{HashMap, HashSet};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Longest value that is kept, in bytes. They are copied under the lock, so that is kept short.
const LARGEST: usize = 4 << 10;

/// Most keys that are looked for, for the same reason.
const MOST_KEYS: usize = 128;

/// What an entry takes beside its key and its value, by the size of the structures that hold it.
const OVERHEAD: usize = 128;

/// The shelf of all buckets.
pub(super) struct Recent {
    shelf: RwLock<Generations>,
    /// Most bytes of each of the two generations.
    bound: usize,
}

#[derive(Default)]
struct Generations {
    young: Generation,
    /// What was not asked for since the young one was begun; the next change of generations drops it.
    old: Generation,
    /// Counts the batches that were begun.
    batch: u64,
    /// What the latest batch writes, or has written: a read of the same time may have found the value before.
    writing: HashMap<ServiceName, HashSet<Key>>,
}

#[derive(Default)]
struct Generation {
    /// `None`: the key is absent.
    buckets: HashMap<ServiceName, HashMap<Key, Option<Versioned>>>,
    bytes: usize,
}

/// The moment at which a read of the database begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment(u64);

impl Recent {
    /// An empty shelf for at most so many bytes of keys and values, what holds them included.
    pub(super) fn new(bytes: usize) -> Self {
        Self { shelf: RwLock::default(), bound: bytes / 2 }
    }

    /// The values of `keys` in their order, all of one moment; `None` if one of them is not here.
    pub(super) fn recall(&self, bucket: &ServiceName, keys: &[Key]) -> Option<Vec<Option<Versioned>>> {
        if keys.len() > MOST_KEYS {
            return None;
        }
        let mut aged = false;
        let found: Option<Vec<_>> = {
            let shelf = self.read();
            let (young, old) = (shelf.young.buckets.get(bucket), shelf.old.buckets.get(bucket));
            let mut find = |key: &Key| {
                let found = young.and_then(|values| values.get(key));
                aged |= found.is_none();
                found.or_else(|| old?.get(key)).cloned()
            };
            keys.iter().map(&mut find).collect()
        };
        if found.is_some() && aged {
            self.rejuvenate(bucket, keys);
        }
        found
    }

    /// Before a read of the database.
    pub(super) fn moment(&self) -> Moment {
        Moment(self.read().batch)
    }

    /// Keeps what a read of the database that began at `moment` has found.
    pub(super) fn keep(&self, moment: Moment, bucket: &ServiceName, keys: &[Key], found: &[Option<Versioned>]) {
        let mut shelf = self.write();
        if shelf.batch != moment.0 || keys.len() > MOST_KEYS {
            return;
        }
        for (key, found) in keys.iter().zip(found) {
            let small = found.as_ref().is_none_or(|found| found.value.len() <= LARGEST);
            // The batch of this moment may be on either side of the read.
            if small && !shelf.writing.get(bucket).is_some_and(|keys| keys.contains(key)) {
                shelf.young.put(bucket, key.clone(), found.clone());
            }
        }
        let dropped = self.age(&mut shelf);
        drop(shelf);
        drop(dropped);
    }

    /// A batch is about to be written.
    pub(super) fn begin(&self, batch: &[(ServiceName, Transaction)]) {
        let mut shelf = self.write();
        let shelf = &mut *shelf;
        shelf.batch += 1;
        shelf.writing.clear();
        for (bucket, transaction) in batch {
            let writing = shelf.writing.entry(bucket.clone()).or_default();
            for (key, _) in &transaction.writes {
                shelf.young.take(bucket, key);
                shelf.old.take(bucket, key);
                writing.insert(key.clone());
            }
        }
    }

    /// The batch that was begun is on disk, with these answers to its transactions.
    pub(super) fn end(&self, batch: Vec<(ServiceName, Transaction)>, answers: &[Result<Committed, StateError>]) {
        let mut shelf = self.write();
        for ((bucket, transaction), answer) in batch.into_iter().zip(answers) {
            let Ok(Committed { version, .. }) = answer else { continue };
            for (key, change) in transaction.writes {
                match change {
                    Change::Put(value) if value.len() <= LARGEST => {
                        shelf.young.put(&bucket, key, Some(Versioned { value, version: *version }));
                    }
                    Change::Delete => shelf.young.put(&bucket, key, None),
                    // The latest change of a key counts, also where its value is not known here.
                    Change::Put(_) | Change::Add(_) => shelf.young.take(&bucket, &key),
                }
            }
        }
        let dropped = self.age(&mut shelf);
        drop(shelf);
        drop(dropped);
    }

    /// Forgets everything, also what reads that are under way find: the database has failed, or is closed.
    pub(super) fn clear(&self) {
        let mut shelf = self.write();
        let batch = shelf.batch + 1;
        *shelf = Generations { batch, ..Generations::default() };
    }

    /// Brings what was asked for again into the young generation.
    fn rejuvenate(&self, bucket: &ServiceName, keys: &[Key]) {
        let mut shelf = self.write();
        for key in keys {
            // A batch may have taken it away since.
            let Some(value) = shelf.old.buckets.get_mut(bucket).and_then(|values| values.remove(key)) else { continue };
            shelf.old.bytes -= size(key, value.as_ref());
            shelf.young.put(bucket, key.clone(), value);
        }
        let dropped = self.age(&mut shelf);
        drop(shelf);
        drop(dropped);
    }

    /// Begins a new generation once the young one is full, and gives back the old one: to drop it takes long, which nobody should wait for.
    fn age(&self, shelf: &mut Generations) -> Option<Generation> {
        if shelf.young.bytes <= self.bound {
            return None;
        }
        let young = std::mem::take(&mut shelf.young);
        Some(std::mem::replace(&mut shelf.old, young))
    }

    fn read(&self) -> RwLockReadGuard<'_, Generations> {
        self.shelf.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Generations> {
        self.shelf.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generation {
    fn put(&mut self, bucket: &ServiceName, key: Key, value: Option<Versioned>) {
        self.take(bucket, &key);
        self.bytes += size(&key, value.as_ref());
        self.buckets.entry(bucket.clone()).or_default().insert(key, value);
    }

    fn take(&mut self, bucket: &ServiceName, key: &Key) {
        if let Some(value) = self.buckets.get_mut(bucket).and_then(|values| values.remove(key)) {
            self.bytes -= size(key, value.as_ref());
        }
    }
}

fn size(key: &Key, value: Option<&Versioned>) -> usize {
    OVERHEAD + key.len() + value.map_or(0, |value| value.value.len())
}
