//! What a database server is read by.

use crate::base::ServiceName;
use crate::state::error::StateError;
use crate::state::transaction::{Entry, Key, Page, Versioned};
use std::sync::Arc;

/// Reads the data on a database server. Each method takes a bounded time, also while the server is away or does not
/// answer. A future of any of them may be dropped: it leaves no transaction and no connection in use.
pub(in crate::state) trait RemoteReader: Send + Sync + 'static {
    /// The data as of one moment.
    type Snapshot: RemoteSnapshot;

    /// As [`Backend::get`](crate::state::Backend::get).
    fn get(
        &self,
        bucket: &ServiceName,
        keys: &[Key],
    ) -> impl Future<Output = Result<Vec<Option<Versioned>>, StateError>> + Send;

    /// As [`Backend::scan`](crate::state::Backend::scan).
    fn scan(
        &self,
        bucket: &ServiceName,
        range: ListedRange<'_>,
    ) -> impl Future<Output = Result<Page<Entry>, StateError>> + Send;

    /// As [`Backend::keys`](crate::state::Backend::keys).
    fn keys(
        &self,
        bucket: &ServiceName,
        range: ListedRange<'_>,
    ) -> impl Future<Output = Result<Page<Key>, StateError>> + Send;

    /// The data as they are now.
    fn snapshot(self: &Arc<Self>) -> impl Future<Output = Result<Self::Snapshot, StateError>> + Send;

    /// Whether the server can be read.
    fn probe(&self) -> impl Future<Output = Result<(), StateError>> + Send;

    /// Closes the connections. Blocks for a moment at most.
    fn close(&self);
}

/// The data as of one moment, on the server until this is dropped.
pub(in crate::state) trait RemoteSnapshot: Send + Sync + 'static {
    /// As [`FrozenBucket::version`](crate::state::FrozenBucket::version).
    fn version(&self) -> u64;

    /// As [`RemoteReader::get`].
    fn get(
        &self,
        bucket: &ServiceName,
        keys: &[Key],
    ) -> impl Future<Output = Result<Vec<Option<Versioned>>, StateError>> + Send;

    /// As [`RemoteReader::scan`].
    fn scan(
        &self,
        bucket: &ServiceName,
        range: ListedRange<'_>,
    ) -> impl Future<Output = Result<Page<Entry>, StateError>> + Send;
}

/// The keys of one page: those that begin with `prefix` and come after `after`, at most `limit`.
#[derive(Debug, Clone, Copy)]
pub(in crate::state) struct ListedRange<'a> {
    pub(in crate::state) prefix: &'a [u8],
    pub(in crate::state) after: Option<&'a [u8]>,
    pub(in crate::state) limit: usize,
}
