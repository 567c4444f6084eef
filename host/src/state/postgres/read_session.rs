//! A session that reads: each read is one statement, so none leaves a transaction open, and several share a session.

use super::session::{LONGEST, Session, Sessions};
use crate::state::error::StateError;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tokio::time::timeout;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row, Statement};

/// A read.
#[derive(Debug, Clone, Copy)]
pub(super) enum ReadKind {
    Get,
    Scan,
    Keys,
}

/// A session with the statements that read.
pub(super) struct ReadSession {
    pub(super) session: Session,
    get: Statement,
    scan: Statement,
    keys: Statement,
    /// That of its opening.
    pub(super) epoch: u64,
    /// How many reads wait for it.
    under_way: AtomicUsize,
}

/// Counts a read for as long as it lasts, also if it is dropped.
struct ReadUnderWay<'a>(&'a ReadSession);

impl ReadSession {
    /// Opens one.
    ///
    /// # Errors
    /// The server's.
    pub(super) async fn open(sessions: &Sessions) -> Result<Self, StateError> {
        let epoch = sessions.epoch();
        let session = sessions.open().await?;
        let (client, statements) = (&session.client, &sessions.statements);
        let (get, scan, keys) = (statements.get(), statements.scan(), statements.keys());
        let prepared = async { tokio::try_join!(client.prepare(&get), client.prepare(&scan), client.prepare(&keys)) };
        let prepared = timeout(LONGEST, prepared).await.map_err(|_| sessions.silent())?;
        let (get, scan, keys) = prepared.map_err(|error| sessions.error(&error))?;
        Ok(Self { session, get, scan, keys, epoch, under_way: AtomicUsize::new(0) })
    }

    /// How many reads wait for it.
    pub(super) fn under_way(&self) -> usize {
        self.under_way.load(Relaxed)
    }

    /// The rows of one read.
    pub(super) async fn rows(&self, kind: ReadKind, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Error> {
        let statement = match kind {
            ReadKind::Get => &self.get,
            ReadKind::Scan => &self.scan,
            ReadKind::Keys => &self.keys,
        };
        self.under_way.fetch_add(1, Relaxed);
        let _under_way = ReadUnderWay(self);
        self.session.client.query(statement, params).await
    }
}

impl Drop for ReadUnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Relaxed);
    }
}
