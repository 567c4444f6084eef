//! A bucket as of one moment, with changes laid over it that reach no disk until somebody says so.

use super::backend::Backend;
use super::backend_future::BackendFuture;
use super::error::StateError;
use super::frozen_bucket::{FrozenBucket, ValueForm};
use super::key_watches::KeyWatches;
use super::state_key::StateKey;
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
    bytes: usize,
    commits: u64,
}

/// What was changed at one key.
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

    /// All that was changed, as one transaction, which is refused if one of these keys has changed meanwhile.
    pub fn transaction(&self) -> Transaction {
        let laid = self.laid();
        let checks = laid.values.iter().map(|(key, laid)| (key.clone(), laid.before)).collect();
        let change = |value: &Option<Vec<u8>>| value.clone().map_or(Change::Delete, Change::Put);
        let writes = laid.values.iter().map(|(key, laid)| (key.clone(), change(&laid.value))).collect();
        Transaction { checks, writes, beside: Vec::new() }
    }

    fn laid(&self) -> MutexGuard<'_, LaidChanges> {
        self.laid.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The values of `keys`.
    async fn get_laid(&self, keys: Vec<Key>) -> Result<Vec<Option<Versioned>>, StateError> {
        let mut found = self.base.get(keys.clone()).await?;
        let laid = self.laid();
        for (key, found) in keys.iter().zip(&mut found) {
            if let Some(laid) = laid.values.get(key) {
                *found = laid.value.clone().map(|value| Versioned { value, version: laid.version });
            }
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
        // A guest has one thread of work here: nothing changes between these reads and the writes below.
        let checked = self.get_laid(checks.iter().map(|(key, _)| key.clone()).collect()).await?;
        for ((key, version), found) in checks.iter().zip(&checked) {
            if found.as_ref().map_or(0, |found| found.version) != *version {
                return Err(StateError::Conflict { key: key.clone() });
            }
        }
        let mut before = Vec::with_capacity(writes.len());
        for (key, _) in &writes {
            let (now, base) = (self.get_laid(vec![key.clone()]).await?, self.base.get(vec![key.clone()]).await?);
            before.push((now.into_iter().flatten().next(), base.into_iter().flatten().next()));
        }
        let mut laid = self.laid();
        laid.commits += 1;
        let version = self.base.version() + laid.commits;
        let mut sums = Vec::new();
        for ((key, change), (now, base)) in writes.into_iter().zip(before) {
            // An earlier write of the same commit counts.
            let now = laid.values.get(&key).map_or_else(|| now.map(|now| now.value), |laid| laid.value.clone());
            let value = match change {
                Change::Put(value) => Some(value),
                Change::Delete => None,
                Change::Add(delta) => {
                    let number = now.map_or(Some(0), |now| std::str::from_utf8(&now).ok()?.parse::<u64>().ok());
                    let sum = number.and_then(|number| number.checked_add(delta));
                    let sum = sum.ok_or_else(|| StateError::NotANumber { key: key.clone() })?;
                    sums.push(sum);
                    Some(sum.to_string().into_bytes())
                }
                // The host's own logs alone have sequences.
                Change::Append(_) => return Err(StateError::Closed),
            };
            laid.bytes += key.len() + value.as_ref().map_or(0, Vec::len);
            let before = base.map_or(0, |base| base.version);
            laid.values.insert(key, LaidValue { value, version, before });
        }
        if laid.values.len() > MOST_KEYS {
            return Err(StateError::TooLarge { what: "a migration", limit: MOST_KEYS, unit: "keys" });
        }
        if laid.bytes > MOST_BYTES {
            return Err(StateError::TooLarge { what: "a migration", limit: MOST_BYTES, unit: "bytes" });
        }
        Ok(Committed { version, sums })
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

    fn replace_key(&self, _: StateKey) -> BackendFuture<'_, bool> {
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
