//! What a database must do to hold the services' data.

use super::backend_future::BackendFuture;
use super::error::StateError;
use super::frozen_bucket::FrozenBucket;
use super::key_watches::KeyWatches;
use super::state_key::Encryption;
use super::transaction::{Committed, Entry, Key, Page, Transaction, Versioned};
use crate::base::ServiceName;
use crate::telemetry::StoreMetrics;
use std::sync::Arc;
use tokio::sync::SetOnce;

/// A database of versioned keys, with one bucket for each service.
///
/// [`Bucket`](super::Bucket) checks every argument against [`limit`](super::limit) before a backend sees it. No method
/// may block the thread that polls its future. A bucket that was never written is empty.
pub trait Backend: Send + Sync + 'static {
    /// The values of `keys` in their order, all as of one moment. At most [`limit::BYTES`](super::limit::BYTES) of
    /// values.
    fn get<'a>(&'a self, bucket: &'a ServiceName, keys: Vec<Key>) -> BackendFuture<'a, Vec<Option<Versioned>>>;

    /// Like [`Backend::get`], but only from memory and at once; `None` if that is not possible.
    fn get_cached(&self, bucket: &ServiceName, keys: &[Key]) -> Option<Vec<Option<Versioned>>>;

    /// The entries whose key starts with `prefix` and comes after `after`. A page is as of one moment; two pages need
    /// not be.
    fn scan<'a>(
        &'a self,
        bucket: &'a ServiceName,
        prefix: Key,
        after: Option<Key>,
        limit: usize,
    ) -> BackendFuture<'a, Page<Entry>>;

    /// Like [`Backend::scan`], without the values.
    fn keys<'a>(
        &'a self,
        bucket: &'a ServiceName,
        prefix: Key,
        after: Option<Key>,
        limit: usize,
    ) -> BackendFuture<'a, Page<Key>>;

    /// Applies `transaction` whole, or refuses it. Answers when the commit is on disk. If the future is dropped
    /// before, the commit is on disk whole or not at all.
    fn commit<'a>(&'a self, bucket: &'a ServiceName, transaction: Transaction) -> BackendFuture<'a, Committed>;

    /// As [`Backend::commit`], also where so much waits already that another commit would be refused.
    fn commit_over_bound<'a>(
        &'a self,
        bucket: &'a ServiceName,
        transaction: Transaction,
    ) -> BackendFuture<'a, Committed> {
        self.commit(bucket, transaction)
    }

    /// The bucket as it is now, to be read page by page.
    fn freeze<'a>(&'a self, bucket: &'a ServiceName) -> BackendFuture<'a, Arc<dyn FrozenBucket>>;

    /// The values of entries of `bucket` that a [`FrozenBucket`] has handed out as they are on disk.
    fn unseal<'a>(&'a self, bucket: &'a ServiceName, entries: Vec<Entry>) -> BackendFuture<'a, Vec<Entry>>;

    /// Deletes all values of `bucket`, and what it takes to read them. Answers when that is on disk, with whether there
    /// was anything. Commits that wait may be written before or after it.
    fn erase<'a>(&'a self, bucket: &'a ServiceName) -> BackendFuture<'a, bool>;

    /// Encrypts by the key of `next` from now on what was encrypted by the operator's key before, which is its
    /// `previous`. Answers when that is on disk; false if it was the key already.
    fn replace_key(&self, next: Encryption) -> BackendFuture<'_, bool>;

    /// Whether the last commit that was tried reached the disk; true if there was none yet.
    fn takes_writes(&self) -> bool;

    /// Whether it takes writes, and the commits that did not reach the disk.
    fn metrics(&self) -> &Arc<StoreMetrics>;

    /// Who watches keys. The backend ends a watch before the first change of what it watches can be read.
    fn watches(&self) -> &Arc<KeyWatches>;

    /// Begins to look at watches with each change. Blocks for as long as a change is under way.
    fn switch_watches_on(&self);

    /// Where it stands once this host has lost its data to another one, for good; `None` where that cannot be.
    fn superseded(&self) -> Option<&SetOnce<StateError>> {
        None
    }

    /// An error if other hosts may write the same data at the same time.
    fn check_alone(&self) -> Result<(), StateError> {
        Ok(())
    }

    /// Finishes the commits that wait, refuses later ones, and closes the database. Blocks until then. A second call
    /// does nothing.
    fn close(&self);
}
