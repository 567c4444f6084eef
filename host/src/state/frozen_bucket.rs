//! A bucket as of one moment, to be read page by page while others write.

use super::backend_future::BackendFuture;
use super::transaction::{Entry, Key, Page, Versioned};
use crate::base::ServiceName;
use std::sync::Arc;

/// How the values of a frozen bucket are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueForm {
    /// As they were written.
    Plain,
    /// As they are on disk: encrypted, if the database is.
    Stored,
}

/// One bucket, as it was at one moment. While it lives, the pages of that moment stay in the database's file, which
/// grows with what others write: whoever holds it drops it within a bounded time.
pub trait FrozenBucket: Send + Sync + 'static {
    /// The version of the latest commit of the whole database at that moment.
    fn version(&self) -> u64;

    /// Whether values are encrypted on disk.
    fn is_sealed(&self) -> bool;

    /// Another bucket of the same database, as it was at the same moment.
    fn beside(&self, bucket: &ServiceName) -> BackendFuture<'_, Arc<dyn FrozenBucket>>;

    /// As [`Backend::get`](super::Backend::get).
    fn get(&self, keys: Vec<Key>) -> BackendFuture<'_, Vec<Option<Versioned>>>;

    /// As [`Backend::scan`](super::Backend::scan), with values in this form.
    fn scan(&self, prefix: Key, after: Option<Key>, limit: usize, form: ValueForm) -> BackendFuture<'_, Page<Entry>>;
}
