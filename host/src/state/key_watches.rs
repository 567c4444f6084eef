//! Who wants to know of the first change of a key, or of any key of a listing.
//!
//! Why no answer that rests on what is watched is ever given too late. Four things happen:
//!
//! - *watch* ([`KeyWatches::watch`]) and then *read*, for a call; its answer is kept with the flag of the watch, and is
//!   given only while the flag is not ended;
//! - *begin* ([`KeyWatches::begin_batch`]), *write* and *end* ([`KeyWatches::end_batch`]), for a batch of commits. Only
//!   after the end is a commit acknowledged, and nobody reads a new value before the write.
//!
//! Watch, begin and end exclude one another by one lock. So for each watch and each batch that changes what it watches:
//!
//! 1. The watch comes before the begin: the begin ends the flag. From then on the answer is not given, and the new
//!    value is neither readable nor acknowledged yet. Whether the answer has been stored by then does not matter, since
//!    the flag travels with it: an invalidation that comes between a read and the storing of its answer wins.
//! 2. The watch comes between begin and end: the read may find the value before the batch or the one after it. The flag
//!    is ended at once, and the answer is never given to another request.
//! 3. The watch comes after the end: the read finds the new value.
//!
//! An absent key is watched like any other, and so is each key that a listing could have found and did not.

use super::transaction::{Change, Key, Transaction, sequence_prefix};
use crate::base::{ReadStanding, ServiceName};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What one entry of a table costs beside its key, about.
const OVERHEAD: usize = 160;

/// The watches of all buckets. As long as nobody has switched them on, batches pass them by.
#[derive(Debug, Default)]
pub struct KeyWatches {
    is_on: AtomicBool,
    tables: Mutex<Tables>,
}

/// What is watched of a bucket.
#[derive(Debug, Clone, Copy)]
pub(super) enum Watched<'a> {
    /// These keys.
    Keys(&'a [Key]),
    /// All keys that begin with `prefix`, come after `after` and not after `to`.
    Listing { prefix: &'a [u8], after: Option<&'a [u8]>, to: Option<&'a [u8]> },
}

/// Keeps something watched until it is dropped.
#[derive(Debug)]
pub struct KeyWatch {
    watches: Arc<KeyWatches>,
    bucket: ServiceName,
    id: u64,
    keys: Vec<Key>,
    listing: Option<Key>,
    weight: usize,
}

#[derive(Debug, Default)]
struct Tables {
    buckets: HashMap<ServiceName, BucketWatches>,
    /// What the batch under way writes.
    writing: HashMap<ServiceName, Writing>,
    next_id: u64,
}

#[derive(Debug, Default)]
struct BucketWatches {
    keys: HashMap<Key, Vec<Watcher>>,
    /// By their prefixes.
    listings: HashMap<Key, Vec<(Bounds, Watcher)>>,
    /// How many of these prefixes have this length: a written key is looked up by its beginnings of these lengths.
    lengths: BTreeMap<usize, usize>,
}

#[derive(Debug)]
struct Watcher {
    id: u64,
    ended: Arc<AtomicBool>,
}

/// Where a listing begins and ends within its prefix.
#[derive(Debug, PartialEq, Eq)]
struct Bounds {
    after: Option<Key>,
    to: Option<Key>,
}

impl Bounds {
    fn contain(&self, key: &[u8]) -> bool {
        self.after.as_deref().is_none_or(|after| key > after) && self.to.as_deref().is_none_or(|to| key <= to)
    }
}

#[derive(Debug, Default)]
struct Writing {
    keys: HashSet<Key>,
    /// Sequences: the writer gives the numbers, so their keys are not known before.
    prefixes: Vec<Key>,
    /// The whole bucket is erased.
    all: bool,
}

impl Writing {
    fn changes(&self, watched: Watched<'_>) -> bool {
        self.all
            || match watched {
                Watched::Keys(keys) => keys
                    .iter()
                    .any(|key| self.keys.contains(key) || self.prefixes.iter().any(|prefix| key.starts_with(prefix))),
                Watched::Listing { prefix, after, to } => {
                    let bounds = Bounds { after: after.map(Key::from), to: to.map(Key::from) };
                    self.keys.iter().any(|key| key.starts_with(prefix) && bounds.contain(key))
                        || self.prefixes.iter().any(|own| own.starts_with(prefix) || prefix.starts_with(own))
                }
            }
    }
}

impl KeyWatches {
    /// From now on batches are looked at. No batch may be under way.
    pub(super) fn switch_on(&self) {
        self.is_on.store(true, Ordering::Release);
    }

    /// Watches for `standing`, which ends before the first change becomes visible. If that cannot be, it ends at once.
    pub(super) fn watch(
        self: &Arc<Self>,
        bucket: &ServiceName,
        watched: Watched<'_>,
        standing: &ReadStanding,
    ) -> Option<KeyWatch> {
        let mut tables = self.lock();
        let changing = tables.writing.get(bucket).is_some_and(|writing| writing.changes(watched));
        if changing || !self.is_on.load(Ordering::Acquire) {
            // The flag alone: what the standing holds must not be dropped under this lock.
            standing.ended().store(true, Ordering::Release);
            return None;
        }
        let id = tables.next_id;
        tables.next_id += 1;
        let own = tables.buckets.entry(bucket.clone()).or_default();
        let mut watch = KeyWatch {
            watches: Arc::clone(self),
            bucket: bucket.clone(),
            id,
            keys: Vec::new(),
            listing: None,
            weight: 0,
        };
        let watcher = || Watcher { id, ended: Arc::clone(standing.ended()) };
        match watched {
            Watched::Keys(keys) => {
                for key in keys {
                    own.keys.entry(key.clone()).or_default().push(watcher());
                    watch.weight += OVERHEAD + 2 * key.len();
                }
                watch.keys = keys.to_vec();
            }
            Watched::Listing { prefix, after, to } => {
                let bounds = Bounds { after: after.map(Key::from), to: to.map(Key::from) };
                let listings = own.listings.entry(prefix.into()).or_default();
                if listings.is_empty() {
                    *own.lengths.entry(prefix.len()).or_default() += 1;
                }
                listings.push((bounds, watcher()));
                watch.weight = OVERHEAD + 2 * prefix.len() + after.map_or(0, <[u8]>::len) + to.map_or(0, <[u8]>::len);
                watch.listing = Some(prefix.into());
            }
        }
        Some(watch)
    }

    /// To be called before anything of the batch is written: ends what watches its keys.
    pub(super) fn begin_batch(&self, batch: &[(ServiceName, Transaction)]) {
        if !self.is_on.load(Ordering::Acquire) {
            return;
        }
        let mut tables = self.lock();
        for (bucket, transaction) in batch {
            let beside = transaction.beside.iter().map(|beside| (&beside.bucket, &beside.writes));
            for (bucket, writes) in std::iter::once((bucket, &transaction.writes)).chain(beside) {
                let writing = tables.writing.entry(bucket.clone()).or_default();
                for (key, change) in writes {
                    writing.keys.insert(key.clone());
                    if matches!(change, Change::Append(_)) {
                        writing.prefixes.push(sequence_prefix(key));
                    }
                }
            }
        }
        tables.end_changing();
    }

    /// To be called before all of `bucket` is erased.
    pub(super) fn begin_erasure(&self, bucket: &ServiceName) {
        if !self.is_on.load(Ordering::Acquire) {
            return;
        }
        let mut tables = self.lock();
        tables.writing.entry(bucket.clone()).or_default().all = true;
        tables.end_changing();
    }

    /// To be called when the batch or the erasure is on disk, or has failed, and before anybody is told.
    pub(super) fn end_batch(&self) {
        if self.is_on.load(Ordering::Acquire) {
            self.lock().writing.clear();
        }
    }

    /// Ends all that is watched: nobody knows what the database will say.
    pub(super) fn end_all(&self) {
        let tables = &mut *self.lock();
        tables.writing.clear();
        for (_, watches) in tables.buckets.drain() {
            let listings = watches.listings.into_values().flatten().map(|(_, watcher)| watcher);
            watches.keys.into_values().flatten().chain(listings).for_each(|watcher| watcher.end());
        }
    }

    /// How many watches there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let tables = self.lock();
        let of = |own: &BucketWatches| {
            own.keys.values().map(Vec::len).sum::<usize>() + own.listings.values().map(Vec::len).sum::<usize>()
        };
        tables.buckets.values().map(of).sum()
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watcher {
    fn end(&self) {
        // Release: whoever learns of the commit, in whatever way, and then looks at the flag finds it ended.
        self.ended.store(true, Ordering::Release);
    }
}

impl Tables {
    /// Ends what watches any key that is being written, and takes it out.
    fn end_changing(&mut self) {
        for (bucket, writing) in &self.writing {
            let Some(own) = self.buckets.get_mut(bucket) else { continue };
            if writing.all {
                let listings = own.listings.drain().flat_map(|(_, watchers)| watchers).map(|(_, watcher)| watcher);
                own.keys.drain().flat_map(|(_, watchers)| watchers).chain(listings).for_each(|watcher| watcher.end());
                own.lengths.clear();
                continue;
            }
            writing.keys.iter().for_each(|key| own.end_key(key));
            for prefix in &writing.prefixes {
                own.end_sequence(prefix);
            }
        }
    }
}

impl BucketWatches {
    fn end_key(&mut self, key: &Key) {
        self.keys.remove(key).iter().flatten().for_each(Watcher::end);
        let lengths: Vec<usize> = self.lengths.range(..=key.len()).map(|(length, _)| *length).collect();
        for length in lengths {
            self.end_listings(&key[..length], |bounds| bounds.contain(key));
        }
    }

    /// Ends what watches any key that begins with `prefix`.
    fn end_sequence(&mut self, prefix: &Key) {
        self.keys.retain(|key, watchers| {
            let stays = !key.starts_with(prefix);
            if !stays {
                watchers.iter().for_each(Watcher::end);
            }
            stays
        });
        let touched = self.listings.keys().filter(|own| own.starts_with(prefix) || prefix.starts_with(own.as_slice()));
        for listed in touched.cloned().collect::<Vec<_>>() {
            self.end_listings(&listed, |_| true);
        }
    }

    fn end_listings(&mut self, prefix: &[u8], which: impl Fn(&Bounds) -> bool) {
        self.remove_listings(prefix, |bounds, watcher| {
            let ends = which(bounds);
            if ends {
                watcher.end();
            }
            ends
        });
    }

    fn remove_listings(&mut self, prefix: &[u8], which: impl Fn(&Bounds, &Watcher) -> bool) {
        let Some(listings) = self.listings.get_mut(prefix) else { return };
        listings.retain(|(bounds, watcher)| !which(bounds, watcher));
        if listings.is_empty() {
            self.listings.remove(prefix);
            if let Some(count) = self.lengths.get_mut(&prefix.len()) {
                *count -= 1;
                if *count == 0 {
                    self.lengths.remove(&prefix.len());
                }
            }
        }
    }
}

impl KeyWatch {
    /// The bytes that it holds, about.
    pub fn weight(&self) -> usize {
        self.weight
    }

    /// How many keys and listings it watches.
    pub fn reads(&self) -> usize {
        self.keys.len() + usize::from(self.listing.is_some())
    }
}

impl Drop for KeyWatch {
    fn drop(&mut self) {
        let mut tables = self.watches.lock();
        let Some(own) = tables.buckets.get_mut(&self.bucket) else { return };
        for key in &self.keys {
            let Some(watchers) = own.keys.get_mut(key) else { continue };
            watchers.retain(|watcher| watcher.id != self.id);
            if watchers.is_empty() {
                own.keys.remove(key);
            }
        }
        if let Some(prefix) = &self.listing {
            own.remove_listings(prefix, |_, watcher| watcher.id == self.id);
        }
        if own.keys.is_empty() && own.listings.is_empty() {
            tables.buckets.remove(&self.bucket);
        }
    }
}
