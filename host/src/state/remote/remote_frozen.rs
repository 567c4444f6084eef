//! A bucket of a database server as of one moment.

use super::damaged_read::{DamagedRead, DamagedReadKind};
use super::remote_reader::{ListedRange, RemoteSnapshot};
use super::remote_standing::RemoteStanding;
use crate::base::ServiceName;
use crate::state::backend_future::BackendFuture;
use crate::state::error::StateError;
use crate::state::frozen_bucket::{FrozenBucket, ValueForm};
use crate::state::transaction::{Entry, Key, Page, Versioned};
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// One bucket of a snapshot, which has them all.
pub(super) struct RemoteFrozen<S> {
    snapshot: Arc<(S, OwnedSemaphorePermit)>,
    bucket: ServiceName,
    standing: Arc<RemoteStanding>,
}

impl<S: RemoteSnapshot> RemoteFrozen<S> {
    /// The permit bounds the snapshots that there are at once.
    pub(super) fn new(
        snapshot: (S, OwnedSemaphorePermit),
        bucket: &ServiceName,
        standing: &Arc<RemoteStanding>,
    ) -> Self {
        Self { snapshot: Arc::new(snapshot), bucket: bucket.clone(), standing: Arc::clone(standing) }
    }

    /// Of the damage that a read has found. It is looked for in the data as they are now: what was kept for a snapshot
    /// ends with it.
    fn note<T>(&self, found: Result<T, StateError>, kind: DamagedReadKind) -> Result<T, StateError> {
        self.standing.note_read(&found, || DamagedRead { bucket: self.bucket.clone(), kind });
        found
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
        let (snapshot, standing) = (Arc::clone(&self.snapshot), Arc::clone(&self.standing));
        let beside = Self { snapshot, bucket: bucket.clone(), standing };
        Box::pin(async move { Ok(Arc::new(beside) as Arc<dyn FrozenBucket>) })
    }

    fn get(&self, keys: Vec<Key>) -> BackendFuture<'_, Vec<Option<Versioned>>> {
        Box::pin(async move {
            let found = self.snapshot.0.get(&self.bucket, &keys).await;
            self.note(found, DamagedReadKind::Get(keys))
        })
    }

    /// Values are stored as they were written.
    fn scan(&self, prefix: Key, after: Option<Key>, limit: usize, _: ValueForm) -> BackendFuture<'_, Page<Entry>> {
        Box::pin(async move {
            let range = ListedRange { prefix: &prefix, after: after.as_deref(), limit };
            let found = self.snapshot.0.scan(&self.bucket, range).await;
            self.note(found, DamagedReadKind::Scan { prefix, after, limit })
        })
    }
}
