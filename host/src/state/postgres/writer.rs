//! The session that writes: a batch is one transaction of the server.

use super::rows;
use super::session::{LONGEST, Session, Sessions};
use crate::base::ServiceName;
use crate::state::batch_plan::{BatchPlan, Before, BucketKey, PlannedBatch};
use crate::state::error::StateError;
use crate::state::remote::{DataTenure, ErasedPart, RemoteWriter, Settling};
use crate::state::transaction::{Committed, Transaction};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::time::timeout;
use tokio_postgres::{Error, Row, Statement};

/// How many entries are deleted in one transaction: a large bucket must not hold up the commits of all services.
const ERASED_AT_ONCE: i64 = 1000;

/// What a session that writes begins with beside what all begin with. Whoever stops in the middle of a transaction
/// holds up all other hosts.
const BEGINNING: &str = "SET idle_in_transaction_session_timeout = '10s'";

/// Writes batches, one after the other.
pub(in crate::state) struct PostgresWriter {
    sessions: Arc<Sessions>,
    /// Whether other hosts write too.
    shared: bool,
    namespace: String,
    tenure: DataTenure,
    /// The number of the last batch that was begun.
    batch: i64,
    /// `None`: there is none, or the one before did not end its transaction.
    session: Option<WriteSession>,
    /// Whether the last batch was refused: then no look tells whether another one is taken.
    is_refused: bool,
}

/// A session with the statements that write. It holds the lock on the data: the server takes it back when the
/// connection ends, so whoever writes on this session has it.
struct WriteSession {
    session: Session,
    lock: Statement,
    tenure: Statement,
    may_write: Statement,
    before: Statement,
    put: Statement,
    delete: Statement,
    erase: Statement,
    note: Statement,
    noted: Statement,
}

impl PostgresWriter {
    /// Opens the session, with the tables and the lock.
    ///
    /// # Errors
    /// The server's; [`StateError::Taken`] where another host has the lock.
    pub(super) async fn open(sessions: Arc<Sessions>, namespace: &str, shared: bool) -> Result<Self, StateError> {
        let (tenure, namespace) = (DataTenure::new(&sessions.place, shared), namespace.to_owned());
        let mut writer = Self { sessions, shared, namespace, tenure, batch: 0, session: None, is_refused: false };
        writer.session = Some(writer.open_session().await?);
        Ok(writer)
    }

    async fn write_now(
        &mut self,
        batch: &[(ServiceName, Transaction)],
    ) -> Result<Vec<Result<Committed, StateError>>, StateError> {
        let plan = BatchPlan(batch);
        let session = self.take_session().await?;
        let number = self.batch;
        // From here to the end the session is not in `self`: whatever fails, and whoever drops this future, closes it.
        let preparing = async {
            let latest = rows::version(self.begin(&session).await?);
            let prepared = session.prepare(plan, latest, (self.tenure.id(), number)).await;
            prepared.map_err(|error| self.sessions.error(&error))
        };
        let prepared = timeout(LONGEST, preparing).await.map_err(|_| self.sessions.silent())?;
        let planned = match prepared {
            Err(error @ StateError::Damaged { .. }) => {
                // What is whole is written next, and should not have to wait for another session.
                if let Ok(Ok(())) = timeout(LONGEST, session.session.client.batch_execute("ROLLBACK")).await {
                    self.session = Some(session);
                }
                return Err(error);
            }
            planned => planned?,
        };
        self.commit(session, number).await?;
        self.tenure.written(planned.version);
        Ok(planned.answers)
    }

    /// Commits a transaction that changes nothing.
    async fn write_nothing(&mut self) -> Result<(), StateError> {
        let session = self.take_session().await?;
        let number = self.batch;
        let noting = async {
            let latest = self.begin(&session).await?;
            let noted = session.session.client.execute(&session.note, &[&latest, &self.tenure.id(), &number]).await;
            noted.map_err(|error| self.sessions.error(&error))
        };
        timeout(LONGEST, noting).await.map_err(|_| self.sessions.silent())??;
        self.commit(session, number).await
    }

    /// Begins a transaction that keeps all others out, and looks whether this host may write. Returns the version of
    /// the latest commit.
    async fn begin(&self, session: &WriteSession) -> Result<i64, StateError> {
        let client = &session.session.client;
        // Both are sent at once.
        let (begun, locked) = tokio::join!(client.batch_execute("BEGIN"), client.query_one(&session.lock, &[]));
        let locked = begun.and(locked).map_err(|error| self.sessions.error(&error))?;
        self.check(&locked)
    }

    /// Holds a row of version and holder against what this host knows. Returns the version.
    fn check(&self, row: &Row) -> Result<i64, StateError> {
        let read = || Ok((row.try_get(0)?, row.try_get(1)?));
        let (version, holder) = read().map_err(|error: Error| self.sessions.error(&error))?;
        self.tenure.check(rows::version(version), holder)?;
        Ok(version)
    }

    /// Ends the transaction of the session. If the answer is lost, the next session tells whether it was written.
    async fn commit(&mut self, session: WriteSession, number: i64) -> Result<(), StateError> {
        let error = match timeout(LONGEST, session.session.client.batch_execute("COMMIT")).await {
            Ok(Ok(())) => {
                self.session = Some(session);
                return Ok(());
            }
            Ok(Err(error)) => self.sessions.error(&error),
            Err(_) => self.sessions.silent(),
        };
        drop(session);
        let settling = Settling::begin(&self.sessions.place);
        loop {
            match settling.ask(self.noted()).await? {
                Some(noted) if noted == Some(number) => return Ok(()),
                Some(_) => return Err(error),
                None => {}
            }
        }
    }

    /// The number of the last batch that the server has of this writer. The lock of the row waits for the end of a
    /// transaction that the server may still be ending.
    async fn noted(&mut self) -> Result<Option<i64>, StateError> {
        let session = self.open_session().await?;
        let asked = async {
            session.session.client.batch_execute("BEGIN").await?;
            session.session.client.query_one(&session.lock, &[]).await?;
            let noted = session.session.client.query_opt(&session.noted, &[&self.tenure.id()]).await?;
            session.session.client.batch_execute("ROLLBACK").await?;
            noted.map(|row| row.try_get(0)).transpose()
        };
        let noted = timeout(LONGEST, asked).await.map_err(|_| self.sessions.silent())?;
        let noted = noted.map_err(|error| self.sessions.error(&error))?;
        self.session = Some(session);
        Ok(noted)
    }

    /// The session, for one transaction with the next number.
    async fn take_session(&mut self) -> Result<WriteSession, StateError> {
        self.batch += 1;
        self.usable_session().await
    }

    async fn usable_session(&mut self) -> Result<WriteSession, StateError> {
        self.tenure.is_on()?;
        match self.session.take().filter(|open| !open.session.is_closed()) {
            Some(open) => Ok(open),
            None => self.open_session().await,
        }
    }

    /// Opens a session that has the lock, if nobody has written since the one before it.
    async fn open_session(&mut self) -> Result<WriteSession, StateError> {
        self.tenure.is_on()?;
        let opening = async {
            let session = self.sessions.open().await?;
            self.sessions.prepare_tables(&session).await?;
            self.take_lock(&session).await?;
            let session = WriteSession::prepare_all(&self.sessions, session).await?;
            // It is the last step: whoever fails before it has not taken the data from anybody.
            let (client, sessions) = (&session.session.client, &self.sessions);
            if self.tenure.must_claim() {
                let claimed = client.query_one(&sessions.statements.claim(), &[&self.tenure.id()]).await;
                let version = claimed.and_then(|row| row.try_get(0)).map_err(|error| sessions.error(&error))?;
                self.tenure.claimed(rows::version(version));
            } else {
                let row = client.query_one(&session.tenure, &[]).await.map_err(|error| sessions.error(&error))?;
                self.check(&row)?;
            }
            Ok(session)
        };
        let opened = timeout(2 * LONGEST, opening).await;
        let session = opened.map_err(|_| self.sessions.silent())??;
        // The server may be another one now, of several: reads must not stay with the one before.
        self.sessions.begin_epoch();
        Ok(session)
    }

    /// One host alone has the lock, or all that share the data have it together.
    async fn take_lock(&self, session: &Session) -> Result<(), StateError> {
        let function = if self.shared { "pg_try_advisory_lock_shared" } else { "pg_try_advisory_lock" };
        let ask = format!("SELECT {function}(hashtextextended($1, 0))");
        let name = format!("atoll data {}", self.namespace);
        let row = session.client.query_one(&ask, &[&name]).await.map_err(|error| self.sessions.error(&error))?;
        match row.try_get(0) {
            Ok(true) => Ok(()),
            Ok(false) => {
                Err(StateError::Taken { place: self.sessions.place.clone(), namespace: self.namespace.clone() })
            }
            Err(error) => Err(self.sessions.error(&error)),
        }
    }
}

impl RemoteWriter for PostgresWriter {
    /// No later version is deleted.
    type ErasePart = i64;

    async fn write(
        &mut self,
        batch: &[(ServiceName, Transaction)],
    ) -> Result<Vec<Result<Committed, StateError>>, StateError> {
        self.is_refused = true;
        let written = self.write_now(batch).await;
        self.is_refused = written.is_err();
        written
    }

    async fn erase_part(&mut self, bucket: &ServiceName, part: Option<i64>) -> Result<ErasedPart<i64>, StateError> {
        let session = self.take_session().await?;
        let number = self.batch;
        let erasing = async {
            let latest = self.begin(&session).await?;
            let until = part.unwrap_or(latest);
            let erased = session.erase_some(bucket, until, (latest, self.tenure.id(), number)).await;
            Ok((erased.map_err(|error| self.sessions.error(&error))?, until))
        };
        let (count, until) = timeout(LONGEST, erasing).await.map_err(|_| self.sessions.silent())??;
        self.commit(session, number).await?;
        Ok(ErasedPart { count, next: (count > 0).then_some(until) })
    }

    /// Opens the session if there is none, and asks in it. After a batch that was refused it commits one that changes
    /// nothing.
    async fn probe(&mut self) -> Result<(), StateError> {
        let session = self.usable_session().await?;
        let asked = timeout(LONGEST, session.session.client.query_one(&session.may_write, &[])).await;
        let row = asked.map_err(|_| self.sessions.silent())?.map_err(|error| self.sessions.error(&error))?;
        self.check(&row)?;
        let read = || Ok((row.try_get(2)?, row.try_get(3)?));
        let (may_write, lacks): (bool, Option<&str>) = read().map_err(|error: Error| self.sessions.error(&error))?;
        // It has answered, so it is as good as before.
        self.session = Some(session);
        let place = self.sessions.place.clone();
        if let Some(right) = lacks {
            return Err(StateError::Unfit { place, problem: format!("the user lacks the right {right}") });
        }
        if !may_write {
            let problem = "the server takes no writes now (transaction_read_only)".into();
            return Err(StateError::Unavailable { place, problem, cause: "read-only" });
        }
        if self.is_refused {
            self.write_nothing().await?;
            self.is_refused = false;
        }
        Ok(())
    }

    /// The lock ends with the session.
    async fn release(&mut self) -> Result<(), StateError> {
        Ok(())
    }

    fn close(&mut self) {
        self.session = None;
    }
}

impl WriteSession {
    async fn prepare_all(sessions: &Sessions, session: Session) -> Result<Self, StateError> {
        let (client, statements) = (&session.client, &sessions.statements);
        let prepare = async |text: String| client.prepare(&text).await;
        let prepared = async {
            client.batch_execute(BEGINNING).await?;
            Ok::<_, Error>((
                prepare(statements.lock()).await?,
                (prepare(statements.tenure()).await?, prepare(statements.may_write()).await?),
                prepare(statements.before()).await?,
                (prepare(statements.put()).await?, prepare(statements.delete()).await?),
                (prepare(statements.erase()).await?, prepare(statements.note()).await?),
                prepare(statements.noted()).await?,
            ))
        };
        let (lock, (tenure, may_write), before, (put, delete), (erase, note), noted) =
            prepared.await.map_err(|error| sessions.error(&error))?;
        Ok(Self { session, lock, tenure, may_write, before, put, delete, erase, note, noted })
    }

    /// Does all of a batch between its beginning and its commit.
    async fn prepare<'a>(
        &self,
        plan: BatchPlan<'a>,
        latest: u64,
        (id, number): (&str, i64),
    ) -> Result<PlannedBatch<'a>, Error> {
        let client = &self.session.client;
        let planned = plan.outcome(latest, &self.before(plan).await?);
        let (mut puts, mut deletes) = (PutColumns::default(), (Vec::new(), Vec::new()));
        for ((bucket, key), write) in &planned.writes {
            match &write.value {
                Some(value) => {
                    puts.buckets.push(bucket.as_str());
                    puts.keys.push(key);
                    puts.versions.push(rows::stored(write.version));
                    puts.values.push(value);
                }
                None => {
                    deletes.0.push(bucket.as_str());
                    deletes.1.push(&**key);
                }
            }
        }
        if !puts.keys.is_empty() {
            client.execute(&self.put, &[&puts.buckets, &puts.keys, &puts.versions, &puts.values]).await?;
        }
        if !deletes.0.is_empty() {
            client.execute(&self.delete, &[&deletes.0, &deletes.1]).await?;
        }
        if planned.version > latest {
            client.execute(&self.note, &[&rows::stored(planned.version), &id, &number]).await?;
        }
        Ok(planned)
    }

    /// Deletes some entries of a bucket, up to the version `until`, and notes the batch. Returns how many these were.
    async fn erase_some(
        &self,
        bucket: &ServiceName,
        until: i64,
        (latest, id, number): (i64, &str, i64),
    ) -> Result<u64, Error> {
        let client = &self.session.client;
        let erased = client.execute(&self.erase, &[&bucket.as_str(), &until, &ERASED_AT_ONCE]).await?;
        client.execute(&self.note, &[&latest, &id, &number]).await?;
        Ok(erased)
    }

    /// What is there of what the batch depends on.
    async fn before<'a>(&self, plan: BatchPlan<'a>) -> Result<BTreeMap<BucketKey<'a>, Before>, Error> {
        let needs = plan.needs();
        if needs.is_empty() {
            return Ok(BTreeMap::new());
        }
        let buckets: Vec<_> = needs.keys().map(|(bucket, _)| bucket.as_str()).collect();
        let keys: Vec<_> = needs.keys().map(|(_, key)| *key).collect();
        let wanted: Vec<_> = needs.values().copied().collect();
        let found = self.session.client.query(&self.before, &[&buckets, &keys, &wanted]).await?;
        let places: Vec<_> = needs.into_keys().collect();
        let mut before = BTreeMap::new();
        for row in found {
            let at = usize::try_from(row.try_get::<_, i64>(0)? - 1).unwrap_or(usize::MAX);
            let Some((bucket, key)) = places.get(at).copied() else { continue };
            let known = Before { version: rows::version(row.try_get(1)?), value: row.try_get(2)? };
            before.insert((bucket, Cow::Borrowed(key)), known);
        }
        Ok(before)
    }
}

/// What is put, by columns.
#[derive(Default)]
struct PutColumns<'a> {
    buckets: Vec<&'a str>,
    keys: Vec<&'a [u8]>,
    versions: Vec<i64>,
    values: Vec<&'a [u8]>,
}
