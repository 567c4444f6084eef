//! A bucket of a database server as of one moment.

use super::remote_reader::{ListedRange, RemoteSnapshot};
use crate::base::ServiceName;
use crate::state::backend_future::BackendFuture;
use crate::state::frozen_bucket::{FrozenBucket, ValueForm};
use crate::state::transaction::{Entry, Key, Page, Versioned};
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// One bucket of a snapshot, which has them all.
pub(super) struct RemoteFrozen<S> {
    snapshot: Arc<(S, OwnedSemaphorePermit)>,
    bucket: ServiceName,
}

impl<S: RemoteSnapshot> RemoteFrozen<S> {
    /// `permit` bounds the snapshots that there are at once.
    pub(super) fn new(snapshot: S, permit: OwnedSemaphorePermit, bucket: &ServiceName) -> Self {
        Self { snapshot: Arc::new((snapshot, permit)), bucket: bucket.clone() }
    }
}

impl<S: RemoteSnapshot> FrozenBucket for RemoteFrozen<S> {
    fn version(&self) -> u64 {
        self.snapshot.0.version()
    }

    fn is_sealed(&self) -> bool {
        false
    }

    fn beside(&self, bucket: &ServiceName) -> BackendFuture<'_, Arc<dyn FrozenBucket>> {
        let beside = Self { snapshot: Arc::clone(&self.snapshot), bucket: bucket.clone() };
        Box::pin(async move { Ok(Arc::new(beside) as Arc<dyn FrozenBucket>) })
    }

    fn get(&self, keys: Vec<Key>) -> BackendFuture<'_, Vec<Option<Versioned>>> {
        Box::pin(async move { self.snapshot.0.get(&self.bucket, &keys).await })
    }

    /// Values are stored as they were written.
    fn scan(&self, prefix: Key, after: Option<Key>, limit: usize, _: ValueForm) -> BackendFuture<'_, Page<Entry>> {
        Box::pin(async move {
            let range = ListedRange { prefix: &prefix, after: after.as_deref(), limit };
            self.snapshot.0.scan(&self.bucket, range).await
        })
    }
}
