//! What a database server is asked.

use crate::base::ServiceName;
use crate::state::backend_future::BackendFuture;
use crate::state::error::StateError;
use crate::state::frozen_bucket::FrozenBucket;
use crate::state::transaction::{Committed, Entry, Key, Page, Transaction, Versioned};
use std::sync::Arc;

/// A database server. Each method takes a bounded time, also while the server is away or does not answer. A future of
/// any of them may be dropped: it leaves no transaction and no connection in use.
pub(in crate::state) trait RemoteDatabase: Send + Sync + 'static {
    /// As [`Backend::get`](crate::state::Backend::get).
    fn get<'a>(&'a self, bucket: &'a ServiceName, keys: &'a [Key]) -> BackendFuture<'a, Vec<Option<Versioned>>>;

    /// As [`Backend::scan`](crate::state::Backend::scan).
    fn scan<'a>(
        &'a self,
        bucket: &'a ServiceName,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> BackendFuture<'a, Page<Entry>>;

    /// As [`Backend::keys`](crate::state::Backend::keys).
    fn keys<'a>(
        &'a self,
        bucket: &'a ServiceName,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> BackendFuture<'a, Page<Key>>;

    /// Applies the transactions one after the other, each on top of those before it, in one commit of the server. Each
    /// answer says that its transaction is on disk or was refused. An error is the answer to all of them:
    /// [`StateError::Io`] if nobody knows; after any other nothing was applied.
    fn write<'a>(
        &'a self,
        batch: &'a [(ServiceName, Transaction)],
    ) -> BackendFuture<'a, Vec<Result<Committed, StateError>>>;

    /// As [`Backend::freeze`](crate::state::Backend::freeze).
    fn freeze<'a>(&'a self, bucket: &'a ServiceName) -> BackendFuture<'a, Arc<dyn FrozenBucket>>;

    /// Deletes all values of `bucket`.
    fn erase<'a>(&'a self, bucket: &'a ServiceName) -> BackendFuture<'a, bool>;

    /// Whether the server can be read.
    fn probe_reads(&self) -> BackendFuture<'_, ()>;

    /// Whether the server takes writes of this host, in the session that writes. [`StateError::Taken`]: not while
    /// another host has the data; [`StateError::Superseded`]: never again, since another one had them. `None`: a batch
    /// is under way, which learns what there is to learn.
    fn probe_writes(&self) -> BackendFuture<'_, Option<()>>;

    /// Gives back what the server would otherwise keep for this host for a while. The last question, before
    /// [`Self::close`]; not asked where a store is dropped without being closed.
    fn release(&self) -> BackendFuture<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Closes the connections. Blocks for a moment at most.
    fn close(&self);

    /// As [`Backend::check_alone`](crate::state::Backend::check_alone).
    fn check_alone(&self) -> Result<(), StateError>;

    /// Why the values cannot be encrypted or read as they are stored.
    fn plain_only(&self) -> StateError;
}
