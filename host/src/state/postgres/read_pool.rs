//! The sessions that read. Each read is one statement, so none leaves a transaction open, and several share a session.

use super::read_session::{ReadKind, ReadSession};
use super::session::{LONGEST, Sessions};
use crate::state::error::StateError;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::time::timeout;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

/// The most sessions that read. A server has some hundred for all of its clients.
const MOST: usize = 8;

/// The sessions.
pub(in crate::state) struct ReadPool {
    pub(super) sessions: Arc<Sessions>,
    open: Mutex<Vec<Arc<ReadSession>>>,
    /// Held by whoever opens a session.
    opening: tokio::sync::Mutex<()>,
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
    pub(super) fn close_all(&self) {
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
        let (mut open, epoch) = (self.lock(), self.sessions.epoch());
        open.retain(|session| session.epoch == epoch && !session.session.is_closed());
        let least = open.iter().min_by_key(|session| session.under_way())?;
        will_do(open.len(), least.under_way()).then(|| Arc::clone(least))
    }

    fn remove(&self, session: &Arc<ReadSession>) {
        self.lock().retain(|one| !Arc::ptr_eq(one, session));
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<ReadSession>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
