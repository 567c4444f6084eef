//! A bucket as of one moment: a transaction that only reads, on a session of its own.

use super::read_pool::{ReadKind, ReadSession};
use super::rows;
use super::session::{LONGEST, Sessions};
use crate::base::ServiceName;
use crate::state::backend_future::BackendFuture;
use crate::state::error::StateError;
use crate::state::frozen_bucket::{FrozenBucket, ValueForm};
use crate::state::remote::key_range;
use crate::state::transaction::{Entry, Key, Page, Versioned, limit};
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

/// The database as of one moment. The server keeps what is deleted meanwhile until it is dropped.
struct FrozenMoment {
    sessions: Arc<Sessions>,
    session: ReadSession,
    version: u64,
    _permit: OwnedSemaphorePermit,
}

/// One bucket of it.
pub(super) struct FrozenRows {
    moment: Arc<FrozenMoment>,
    bucket: ServiceName,
}

impl FrozenRows {
    /// The bucket as it is now.
    pub(super) async fn begin(
        sessions: &Arc<Sessions>,
        bucket: &ServiceName,
        permit: OwnedSemaphorePermit,
    ) -> Result<Self, StateError> {
        let session = ReadSession::open(sessions).await?;
        let client = &session.session.client;
        let begin = async {
            client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
            // The moment is that of the first statement.
            client.query_one(&sessions.statements.version(), &[]).await?.try_get::<_, i64>(0)
        };
        let begun = timeout(LONGEST, begin).await.map_err(|_| sessions.silent())?;
        let version = rows::version(begun.map_err(|error| sessions.error(&error))?);
        let moment = FrozenMoment { sessions: Arc::clone(sessions), session, version, _permit: permit };
        Ok(Self { moment: Arc::new(moment), bucket: bucket.clone() })
    }

    async fn rows(&self, kind: ReadKind, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, StateError> {
        let FrozenMoment { sessions, session, .. } = &*self.moment;
        let found = timeout(LONGEST, session.rows(kind, params)).await.map_err(|_| sessions.silent())?;
        found.map_err(|error| sessions.error(&error))
    }
}

impl FrozenBucket for FrozenRows {
    fn version(&self) -> u64 {
        self.moment.version
    }

    fn is_sealed(&self) -> bool {
        false
    }

    fn beside(&self, bucket: &ServiceName) -> BackendFuture<'_, Arc<dyn FrozenBucket>> {
        let beside = Self { moment: Arc::clone(&self.moment), bucket: bucket.clone() };
        Box::pin(async move { Ok(Arc::new(beside) as Arc<dyn FrozenBucket>) })
    }

    fn get(&self, keys: Vec<Key>) -> BackendFuture<'_, Vec<Option<Versioned>>> {
        Box::pin(async move {
            let params: [&(dyn ToSql + Sync); 3] = [&self.bucket.as_str(), &keys, &(limit::BYTES as i64)];
            let found = self.rows(ReadKind::Get, &params).await?;
            rows::values(&found, keys.len()).map_err(|error| self.moment.sessions.error(&error))?
        })
    }

    /// Values are stored as they were written.
    fn scan(&self, prefix: Key, after: Option<Key>, limit: usize, _: ValueForm) -> BackendFuture<'_, Page<Entry>> {
        Box::pin(async move {
            let (from, end) = key_range(&prefix, after.as_deref());
            let (most, bytes) = (rows::one_more(limit), limit::PAGE_BYTES as i64);
            let params: [&(dyn ToSql + Sync); 5] = [&self.bucket.as_str(), &from, &end, &most, &bytes];
            let found = self.rows(ReadKind::Scan, &params).await?;
            rows::entries(&found).map_err(|error| self.moment.sessions.error(&error))
        })
    }
}
