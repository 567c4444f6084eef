//! A database that does what it is told and says that the disk has failed, for the tests of other rooms.

use super::super::backend::Backend;
use super::super::backend_future::BackendFuture;
use super::super::embedded::engine::{Embedded, Settings};
use super::super::frozen_bucket::FrozenBucket;
use super::super::key_watches::KeyWatches;
use super::super::state_key::StateKey;
use super::super::transaction::{Committed, Entry, Key, Page, Transaction, Versioned};
use super::super::{StateError, Store};
use crate::base::ServiceName;
use crate::telemetry::StoreMetrics;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// How many of the next commits are on disk though their answer is an error of the disk.
pub(crate) type Doubts = Arc<AtomicUsize>;

struct DoubtfulBackend {
    below: Embedded,
    doubts: Doubts,
}

/// A store in `folder` whose commits can be made doubtful.
pub(crate) fn doubtful_store(folder: &Path) -> (Store, Doubts) {
    let settings = Settings { path: folder.join("state.redb"), ..Settings::default() };
    let doubts = Doubts::default();
    let backend = DoubtfulBackend { below: Embedded::open(&settings).unwrap(), doubts: Arc::clone(&doubts) };
    (Store::new(Arc::new(backend)), doubts)
}

impl Backend for DoubtfulBackend {
    fn get<'a>(&'a self, bucket: &'a ServiceName, keys: Vec<Key>) -> BackendFuture<'a, Vec<Option<Versioned>>> {
        self.below.get(bucket, keys)
    }

    fn get_cached(&self, bucket: &ServiceName, keys: &[Key]) -> Option<Vec<Option<Versioned>>> {
        self.below.get_cached(bucket, keys)
    }

    fn scan<'a>(
        &'a self,
        bucket: &'a ServiceName,
        prefix: Key,
        after: Option<Key>,
        limit: usize,
    ) -> BackendFuture<'a, Page<Entry>> {
        self.below.scan(bucket, prefix, after, limit)
    }

    fn keys<'a>(
        &'a self,
        bucket: &'a ServiceName,
        prefix: Key,
        after: Option<Key>,
        limit: usize,
    ) -> BackendFuture<'a, Page<Key>> {
        self.below.keys(bucket, prefix, after, limit)
    }

    fn commit<'a>(&'a self, bucket: &'a ServiceName, transaction: Transaction) -> BackendFuture<'a, Committed> {
        Box::pin(async move {
            let committed = self.below.commit(bucket, transaction).await?;
            let is_doubtful = self.doubts.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok();
            let failed = || StateError::Io { path: "state.redb".into(), problem: "the disk failed", source: None };
            if is_doubtful { Err(failed()) } else { Ok(committed) }
        })
    }

    fn freeze<'a>(&'a self, bucket: &'a ServiceName) -> BackendFuture<'a, Arc<dyn FrozenBucket>> {
        self.below.freeze(bucket)
    }

    fn unseal<'a>(&'a self, bucket: &'a ServiceName, entries: Vec<Entry>) -> BackendFuture<'a, Vec<Entry>> {
        self.below.unseal(bucket, entries)
    }

    fn erase<'a>(&'a self, bucket: &'a ServiceName) -> BackendFuture<'a, bool> {
        self.below.erase(bucket)
    }

    fn replace_key(&self, key: StateKey) -> BackendFuture<'_, bool> {
        self.below.replace_key(key)
    }

    fn takes_writes(&self) -> bool {
        self.below.takes_writes()
    }

    fn metrics(&self) -> &Arc<StoreMetrics> {
        self.below.metrics()
    }

    fn watches(&self) -> &Arc<KeyWatches> {
        self.below.watches()
    }

    fn switch_watches_on(&self) {
        self.below.switch_watches_on();
    }

    fn close(&self) {
        self.below.close();
    }
}
