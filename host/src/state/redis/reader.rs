//! The session that reads. Each read is one question, so none leaves anything open, and all share the session: the
//! server does one after the other in any case.

use super::resp::{RespArguments, RespReply};
use super::script::RedisScript;
use super::session::{LONGEST, RedisServers, RedisSession, SessionError};
use crate::state::error::StateError;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::time::timeout;

/// The session, which is opened when it is asked for.
pub(in crate::state) struct RedisReader {
    pub(super) servers: Arc<RedisServers>,
    open: Mutex<Option<Arc<RedisSession>>>,
    /// Held by whoever opens it.
    opening: tokio::sync::Mutex<()>,
}

impl RedisReader {
    /// Not opened yet.
    pub(super) fn new(servers: Arc<RedisServers>) -> Self {
        Self { servers, open: Mutex::default(), opening: tokio::sync::Mutex::default() }
    }

    /// Asks the server whether it may still be read: it may have been told to follow another, which cuts nobody off.
    ///
    /// # Errors
    /// The server's.
    pub(super) async fn look(&self) -> Result<(), StateError> {
        let session = self.session().await?;
        let admitted = timeout(LONGEST, self.servers.admit(&session)).await;
        let Err(error) = admitted.map_err(|_| self.servers.silent()).flatten() else { return Ok(()) };
        self.remove(&session);
        // It may have ended since it was used last.
        if session.is_closed() { self.session().await.map(drop) } else { Err(error) }
    }

    /// Closes the session.
    pub(super) fn close_session(&self) {
        *self.lock() = None;
    }

    /// What a script answers. A session that has ended since it was used last is replaced: after the server was away,
    /// the first read succeeds.
    ///
    /// # Errors
    /// The server's.
    pub(super) async fn run(
        &self,
        script: &RedisScript,
        arguments: &RespArguments,
    ) -> Result<Vec<RespReply>, StateError> {
        let mut tried = false;
        loop {
            let session = self.session().await?;
            match timeout(LONGEST, session.run(script, arguments)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(SessionError::Ended(problem))) => {
                    self.remove(&session);
                    if std::mem::replace(&mut tried, true) {
                        return Err(self.servers.error(SessionError::Ended(problem)));
                    }
                }
                Ok(Err(error)) => return Err(self.servers.error(error)),
                Err(_) => {
                    self.remove(&session);
                    return Err(self.servers.silent());
                }
            }
        }
    }

    async fn session(&self) -> Result<Arc<RedisSession>, StateError> {
        if let Some(session) = self.usable() {
            return Ok(session);
        }
        let _opening = self.opening.lock().await;
        if let Some(session) = self.usable() {
            return Ok(session);
        }
        let session = Arc::new(self.servers.open_where_written().await?);
        *self.lock() = Some(Arc::clone(&session));
        Ok(session)
    }

    fn usable(&self) -> Option<Arc<RedisSession>> {
        let mut open = self.lock();
        *open = open.take().filter(|session| session.epoch == self.servers.epoch() && !session.is_closed());
        open.clone()
    }

    fn remove(&self, session: &Arc<RedisSession>) {
        let mut open = self.lock();
        *open = open.take().filter(|one| !Arc::ptr_eq(one, session));
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<RedisSession>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
