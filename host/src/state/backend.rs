//! What a database must do to hold the services' data.

use super::error::StateError;
use super::transaction::{Committed, Entry, Key, Page, Transaction, Versioned};
use crate::base::ServiceName;
use std::pin::Pin;

/// An answer that is on its way.
pub type BackendFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StateError>> + Send + 'a>>;

/// A database of versioned keys, one bucket a service.
///
/// [`Bucket`](super::Bucket) has checked every argument against [`limit`](super::limit) before a backend sees it. Nothing here may block
/// the thread that polls. A bucket that was never written is empty.
pub trait Backend: Send + Sync + 'static {
    /// The values of `keys` in their order, all of one moment. At most [`limit::BYTES`](super::limit::BYTES) of values.
    fn get<'a>(&'a self, bucket: &'a ServiceName, keys: Vec<Key>) -> BackendFuture<'a, Vec<Option<Versioned>>>;

    /// As [`Backend::get`], if that can be answered at once; `None` if not.
    fn recall(&self, bucket: &ServiceName, keys: &[Key]) -> Option<Vec<Option<Versioned>>>;

    /// The entries whose key starts with `prefix` and comes after `after`. A page is of one moment; two pages need not be.
    fn scan<'a>(
        &'a self,
        bucket: &'a ServiceName,
        prefix: Key,
        after: Option<Key>,
        limit: usize,
    ) -> BackendFuture<'a, Page<Entry>>;

    /// As [`Backend::scan`], without the values.
    fn keys<'a>(
        &'a self,
        bucket: &'a ServiceName,
        prefix: Key,
        after: Option<Key>,
        limit: usize,
    ) -> BackendFuture<'a, Page<Key>>;

    /// Applies `transaction` whole, or refuses it. Answers when it is on disk. If the answer is dropped before, the commit is whole or
    /// absent.
    fn commit<'a>(&'a self, bucket: &'a ServiceName, transaction: Transaction) -> BackendFuture<'a, Committed>;

    /// Finishes the commits that wait, refuses later ones, and lets go of the database. Blocks until then; a second call does nothing.
    fn close(&self);
}
