//! A bucket as of one moment, with changes laid over it that reach no disk until somebody says so.

use super::backend::Backend;
use super::backend_future::BackendFuture;
use super::error::StateError;
use super::frozen_bucket::{FrozenBucket, ValueForm};
use super::key_watches::KeyWatches;
use super::state_key::Encryption;
use super::store::Bucket;
use super::transaction::{Change, Committed, Entry, Key, Page, Transaction, Versioned};
use crate::base::ServiceName;
use crate::telemetry::StoreMetrics;
use std::collections::BTreeMap;
use std::future::ready;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The most keys and the most bytes of keys and values that may be changed: they become one commit, which every other
/// service's commits wait for.
const MOST_KEYS: usize = 100_000;
const MOST_BYTES: usize = 32 << 20;

/// The data of one service as of one moment, and what was changed since in here.
pub struct Overlay {
    base: Arc<dyn FrozenBucket>,
    laid: Mutex<LaidChanges>,
    metrics: Arc<StoreMetrics>,
    watches: Arc<KeyWatches>,
}

#[derive(Default)]
struct LaidChanges {
    values: BTreeMap<Key, LaidValue>,
    /// The bytes of the keys and values in `values`.
    bytes: usize,
    commits: u64,
    /// The keys that were read one by one, with the versions that they had at the moment of the base.
    read: BTreeMap<Key, u64>,
}

/// What was changed at one key.
#[derive(Clone)]
struct LaidValue {
    /// `None`: it is gone.
    value: Option<Vec<u8>>,
    version: u64,
    /// The version that the key had at the moment of the base.
    before: u64,
}

impl Overlay {
    /// Over the data of `bucket` as they are now.
    ///
    /// # Errors
    /// The store is closed, or the disk's.
    pub async fn over(bucket: &Bucket) -> Result<Arc<Self>, StateError> {
        let (base, laid) = (bucket.freeze().await?, Mutex::default());
        Ok(Arc::new(Self { base, laid, metrics: Arc::default(), watches: Arc::default() }))
    }

    /// A handle on it in place of `bucket`.
    pub fn bucket(self: &Arc<Self>, bucket: &Bucket) -> Bucket {
        bucket.on(Arc::clone(self) as Arc<dyn Backend>)
    }

    /// Whether there is nothing at all.
    ///
    /// # Errors
    /// The disk's.
    pub async fn is_empty(&self) -> Result<bool, StateError> {
        Ok(self.scan_laid(Key::new(), None, 1).await?.items.is_empty())
    }

    /// All that was changed, as one transaction, which is refused if one of these keys has changed meanwhile, or one
    /// that was read by its name. What a scan or a listing has found, and a gap in it, is not checked.
    pub fn transaction(&self) -> Transaction {
        let laid = self.laid();
        let mut checks = laid.read.clone();
        checks.extend(laid.values.iter().map(|(key, laid)| (key.clone(), laid.before)));
        let checks = checks.into_iter().collect();
        let change = |value: &Option<Vec<u8>>| value.clone().map_or(Change::Delete, Change::Put);
        let writes = laid.values.iter().map(|(key, laid)| (key.clone(), change(&laid.value))).collect();
        Transaction { checks, writes, beside: Vec::new() }
    }

    fn laid(&self) -> MutexGuard<'_, LaidChanges> {
        self.laid.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The values of `keys`, which a commit depends on from now on.
    async fn get_laid(&self, keys: Vec<Key>) -> Result<Vec<Option<Versioned>>, StateError> {
        let mut found = self.base.get(keys.clone()).await?;
        let mut laid = self.laid();
        for (key, found) in keys.into_iter().zip(&mut found) {
            let version = found.as_ref().map_or(0, |found| found.version);
            if let Some(laid) = laid.values.get(&key) {
                *found = laid.value.clone().map(|value| Versioned { value, version: laid.version });
            }
            laid.read.insert(key, version);
        }
        if laid.read.len() > MOST_KEYS {
            return Err(StateError::TooLarge { what: "what a migration reads", limit: MOST_KEYS, unit: "keys" });
        }
        Ok(found)
    }

    /// A page of entries.
    async fn scan_laid(&self, prefix: Key, mut after: Option<Key>, limit: usize) -> Result<Page<Entry>, StateError> {
        loop {
            let page = self.base.scan(prefix.clone(), after.clone(), limit, ValueForm::Plain).await?;
            let mut merged: BTreeMap<Key, Versioned> =
                page.items.into_iter().map(|Entry { key, value }| (key, value)).collect();
            let start = after.as_ref().filter(|after| **after >= prefix);
            let start = start.map_or(Bound::Included(&prefix), Bound::Excluded);
            let end = page.next.as_ref().map_or(Bound::Unbounded, Bound::Included);
            {
                let laid = self.laid();
                let of_page = laid.values.range::<Key, _>((start, end)).take_while(|(key, _)| key.starts_with(&prefix));
                for (key, LaidValue { value, version, .. }) in of_page {
                    match value.clone() {
                        Some(value) => drop(merged.insert(key.clone(), Versioned { value, version: *version })),
                        None => drop(merged.remove(key)),
                    }
                }
            }
            let more = merged.len() > limit;
            let items: Vec<Entry> = merged.into_iter().take(limit).map(|(key, value)| Entry { key, value }).collect();
            let next = if more { items.last().map(|entry| entry.key.clone()) } else { page.next };
            // All of a page may have been removed.
            match (items.is_empty(), next) {
                (true, Some(next)) => after = Some(next),
                (_, next) => return Ok(Page { items, next }),
            }
        }
    }

    async fn commit_laid(&self, transaction: Transaction) -> Result<Committed, StateError> {
        let Transaction { checks, writes, beside } = transaction;
        if !beside.is_empty() {
            let text = "a migration publishes no events, and handles none".into();
            return Err(StateError::Replayed { text, too_large: false });
        }
        let keys = checks.iter().map(|(key, _)| (key, false));
        let keys = keys.chain(writes.iter().map(|(key, change)| (key, matches!(change, Change::Add(_)))));
        let mut base = BTreeMap::new();
        for (key, counts) in keys {
            // One by one: all values together may be more than a commit may have.
            let found = self.base.get(vec![key.clone()]).await?.pop().flatten();
            let slot: &mut Versioned = base.entry(key.clone()).or_insert(Versioned { value: Vec::new(), version: 0 });
            if let Some(Versioned { value, version }) = found {
                slot.version = version;
                if counts {
                    slot.value = value;
                }
            }
        }
        // From here to the end nobody else reads or writes: a commit is laid over whole or not at all.
        let mut laid = self.laid();
        for (key, version) in &checks {
            if laid.version(key, &base) != *version {
                return Err(StateError::Conflict { key: key.clone() });
            }
        }
        let version = self.base.version() + laid.commits + 1;
        let (mut aside, mut sums) = (BTreeMap::new(), Vec::new());
        for (key, change) in writes {
            let found = base.get(&key).filter(|found| found.version > 0);
            let before = found.map_or(0, |found| found.version);
            // An earlier write of the same commit counts.
            let now = match aside.get(&key).or_else(|| laid.values.get(&key)) {
                Some(LaidValue { value, .. }) => value.as_deref(),
                None => found.map(|found| found.value.as_slice()),
            };
            let value = match change {
                Change::Put(value) => Some(value),
                Change::Delete => None,
                Change::Add(delta) => {
                    let number = now.map_or(Some(0), |now| std::str::from_utf8(now).ok()?.parse::<u64>().ok());
                    let sum = number.and_then(|number| number.checked_add(delta));
                    let sum = sum.ok_or_else(|| StateError::NotANumber { key: key.clone() })?;
                    sums.push(sum);
                    Some(sum.to_string().into_bytes())
                }
                // The host's own logs alone have sequences.
                Change::Append(_) => return Err(StateError::Closed),
            };
            aside.insert(key, LaidValue { value, version, before });
        }
        laid.merge(aside)?;
        Ok(Committed { version, sums })
    }
}

impl LaidChanges {
    /// The version of a key; 0: it is not there.
    fn version(&self, key: &Key, base: &BTreeMap<Key, Versioned>) -> u64 {
        match self.values.get(key) {
            Some(LaidValue { value: None, .. }) => 0,
            Some(LaidValue { version, .. }) => *version,
            None => base.get(key).map_or(0, |found| found.version),
        }
    }

    /// Takes the changes of one commit over, if the bounds allow all of them.
    fn merge(&mut self, aside: BTreeMap<Key, LaidValue>) -> Result<(), StateError> {
        let (mut keys, mut bytes) = (self.values.len(), self.bytes);
        for (key, change) in &aside {
            let replaced = self.values.get(key);
            keys += usize::from(replaced.is_none());
            bytes += change.size(key);
            bytes -= replaced.map_or(0, |replaced| replaced.size(key));
        }
        if keys > MOST_KEYS {
            return Err(StateError::TooLarge { what: "a migration", limit: MOST_KEYS, unit: "keys" });
        }
        if bytes > MOST_BYTES {
            return Err(StateError::TooLarge { what: "a migration", limit: MOST_BYTES, unit: "bytes" });
        }
        self.values.extend(aside);
        self.bytes = bytes;
        self.commits += 1;
        Ok(())
    }
}

impl LaidValue {
    /// The bytes that it counts, at `key`.
    fn size(&self, key: &Key) -> usize {
        key.len() + self.value.as_ref().map_or(0, Vec::len)
    }
}

fn closed<'a, T: Send + 'a>() -> BackendFuture<'a, T> {
    Box::pin(ready(Err(StateError::Closed)))
}

/// It has one bucket, whatever name is asked for.
impl Backend for Overlay {
    fn get<'a>(&'a self, _: &'a ServiceName, keys: Vec<Key>) -> BackendFuture<'a, Vec<Option<Versioned>>> {
        Box::pin(self.get_laid(keys))
    }

    fn get_cached(&self, _: &ServiceName, _: &[Key]) -> Option<Vec<Option<Versioned>>> {
        None
    }

    fn scan<'a>(
        &'a self,
        _: &'a ServiceName,
        prefix: Key,
        after: Option<Key>,
        limit: usize,
    ) -> BackendFuture<'a, Page<Entry>> {
        Box::pin(self.scan_laid(prefix, after, limit))
    }

    fn keys<'a>(
        &'a self,
        _: &'a ServiceName,
        prefix: Key,
        after: Option<Key>,
        limit: usize,
    ) -> BackendFuture<'a, Page<Key>> {
        Box::pin(async move {
            let Page { items, next } = self.scan_laid(prefix, after, limit).await?;
            Ok(Page { items: items.into_iter().map(|entry| entry.key).collect(), next })
        })
    }

    fn commit<'a>(&'a self, _: &'a ServiceName, transaction: Transaction) -> BackendFuture<'a, Committed> {
        Box::pin(self.commit_laid(transaction))
    }

    fn freeze<'a>(&'a self, _: &'a ServiceName) -> BackendFuture<'a, Arc<dyn FrozenBucket>> {
        closed()
    }

    fn unseal<'a>(&'a self, _: &'a ServiceName, _: Vec<Entry>) -> BackendFuture<'a, Vec<Entry>> {
        closed()
    }

    fn erase<'a>(&'a self, _: &'a ServiceName) -> BackendFuture<'a, bool> {
        closed()
    }

    fn replace_key(&self, _: Encryption) -> BackendFuture<'_, bool> {
        closed()
    }

    fn takes_writes(&self) -> bool {
        true
    }

    fn metrics(&self) -> &Arc<StoreMetrics> {
        &self.metrics
    }

    fn watches(&self) -> &Arc<KeyWatches> {
        &self.watches
    }

    /// It is not watched: whoever reads it is alone.
    fn switch_watches_on(&self) {}

    fn close(&self) {}
}
