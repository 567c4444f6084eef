//! The sessions that read. Each read is one statement, so none leaves a transaction open, and several share a session.

use super::session::{LONGEST, Session, Sessions};
use crate::state::error::StateError;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::time::timeout;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row, Statement};

/// The most sessions that read. A server has some hundred for all of its clients.
const MOST: usize = 8;

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
    era: u64,
    /// How many reads wait for it.
    under_way: AtomicUsize,
}

/// The sessions.
pub(super) struct ReadPool {
    sessions: Arc<Sessions>,
    open: Mutex<Vec<Arc<ReadSession>>>,
    /// Held by whoever opens a session.
    opening: tokio::sync::Mutex<()>,
}

/// Counts a read for as long as it lasts, also if it is dropped.
struct ReadUnderWay<'a>(&'a ReadSession);

impl ReadSession {
    /// Opens one.
    ///
    /// # Errors
    /// The server's.
    pub(super) async fn open(sessions: &Sessions) -> Result<Self, StateError> {
        let era = sessions.era();
        let session = sessions.open().await?;
        let (client, statements) = (&session.client, &sessions.statements);
        let (get, scan, keys) = (statements.get(), statements.scan(), statements.keys());
        let prepared = async { tokio::try_join!(client.prepare(&get), client.prepare(&scan), client.prepare(&keys)) };
        let prepared = timeout(LONGEST, prepared).await.map_err(|_| sessions.silent())?;
        let (get, scan, keys) = prepared.map_err(|error| sessions.error(&error))?;
        Ok(Self { session, get, scan, keys, era, under_way: AtomicUsize::new(0) })
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

impl ReadPool {
    /// An empty pool.
    pub(super) fn new(sessions: Arc<Sessions>) -> Self {
        Self { sessions, open: Mutex::default(), opening: tokio::sync::Mutex::default() }
    }

    /// The rows of one read. A session that has ended since it was used last is replaced: after the server was away,
    /// the first read succeeds.
    ///
    /// # Errors
    /// The server's.
    pub(super) async fn rows(&self, kind: ReadKind, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, StateError> {
        let mut tries = 0;
        loop {
            let session = self.session().await?;
            match timeout(LONGEST, session.rows(kind, params)).await {
                Ok(Ok(rows)) => return Ok(rows),
                Ok(Err(error)) if error.is_closed() || session.session.is_closed() => {
                    self.remove(&session);
                    tries += 1;
                    if tries > MOST {
                        return Err(self.sessions.error(&error));
                    }
                }
                Ok(Err(error)) => return Err(self.sessions.error(&error)),
                Err(_) => {
                    self.remove(&session);
                    return Err(self.sessions.silent());
                }
            }
        }
    }

    /// Closes all sessions.
    pub(super) fn close(&self) {
        self.lock().clear();
    }

    /// The session that has the least to do. A new one is opened while all have something to do.
    async fn session(&self) -> Result<Arc<ReadSession>, StateError> {
        if let Some(idle) = self.least(|pool, busy| busy == 0 || pool == MOST) {
            return Ok(idle);
        }
        // One at a time opens one. Whoever comes meanwhile takes what there is.
        let opening = match self.opening.try_lock() {
            Ok(opening) => opening,
            Err(_) => match self.least(|_, _| true) {
                Some(busy) => return Ok(busy),
                None => self.opening.lock().await,
            },
        };
        if let Some(idle) = self.least(|pool, busy| busy == 0 || pool == MOST) {
            return Ok(idle);
        }
        let session = Arc::new(ReadSession::open(&self.sessions).await?);
        self.lock().push(Arc::clone(&session));
        drop(opening);
        Ok(session)
    }

    /// The session with the fewest reads, if it will do by the number of sessions and of its reads.
    fn least(&self, will_do: impl FnOnce(usize, usize) -> bool) -> Option<Arc<ReadSession>> {
        let (mut open, era) = (self.lock(), self.sessions.era());
        open.retain(|session| session.era == era && !session.session.is_closed());
        let least = open.iter().min_by_key(|session| session.under_way.load(Relaxed))?;
        will_do(open.len(), least.under_way.load(Relaxed)).then(|| Arc::clone(least))
    }

    fn remove(&self, session: &Arc<ReadSession>) {
        self.lock().retain(|one| !Arc::ptr_eq(one, session));
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<ReadSession>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
