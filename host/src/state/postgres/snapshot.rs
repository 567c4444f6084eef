//! The data as of one moment: a transaction that only reads, on a session of its own.

use super::read_session::{ReadKind, ReadSession};
use super::rows;
use super::session::{LONGEST, Sessions};
use crate::base::ServiceName;
use crate::state::error::StateError;
use crate::state::remote::{ListedRange, RemoteSnapshot};
use crate::state::transaction::{Entry, Key, Page, Versioned};
use std::sync::Arc;
use tokio::time::timeout;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

/// A snapshot of the server. It keeps what is deleted meanwhile until this is dropped.
pub(in crate::state) struct PostgresSnapshot {
    sessions: Arc<Sessions>,
    session: ReadSession,
    version: u64,
}

impl PostgresSnapshot {
    /// The data as they are now.
    ///
    /// # Errors
    /// The server's.
    pub(super) async fn begin(sessions: &Arc<Sessions>) -> Result<Self, StateError> {
        let session = ReadSession::open(sessions).await?;
        let client = &session.session.client;
        let begin = async {
            client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
            // The snapshot is that of the first statement.
            client.query_one(&sessions.statements.version(), &[]).await?.try_get::<_, i64>(0)
        };
        let begun = timeout(LONGEST, begin).await.map_err(|_| sessions.silent())?;
        let version = rows::version(begun.map_err(|error| sessions.error(&error))?);
        Ok(Self { sessions: Arc::clone(sessions), session, version })
    }

    async fn rows(&self, kind: ReadKind, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, StateError> {
        let found = timeout(LONGEST, self.session.rows(kind, params)).await.map_err(|_| self.sessions.silent())?;
        found.map_err(|error| self.sessions.error(&error))
    }
}

impl RemoteSnapshot for PostgresSnapshot {
    fn version(&self) -> u64 {
        self.version
    }

    async fn get(&self, bucket: &ServiceName, keys: &[Key]) -> Result<Vec<Option<Versioned>>, StateError> {
        let found = self.rows(ReadKind::Get, &rows::get_params(&bucket.as_str(), &keys)).await?;
        rows::values(&found, keys.len()).map_err(|error| self.sessions.error(&error))?
    }

    async fn scan(&self, bucket: &ServiceName, range: ListedRange<'_>) -> Result<Page<Entry>, StateError> {
        let (bounds, bucket) = (rows::RowRange::of(range), bucket.as_str());
        let found = self.rows(ReadKind::Scan, &bounds.scan_params(&bucket)).await?;
        rows::entries(&found).map_err(|error| self.sessions.error(&error))
    }
}
