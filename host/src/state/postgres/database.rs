//! The data in PostgreSQL, as the engine asks for them.

use super::frozen_rows::FrozenRows;
use super::read_pool::{ReadKind, ReadPool};
use super::rows;
use super::session::Sessions;
use super::writer::PostgresWriter;
use crate::base::ServiceName;
use crate::state::backend_future::BackendFuture;
use crate::state::error::StateError;
use crate::state::frozen_bucket::FrozenBucket;
use crate::state::remote::{RemoteDatabase, key_range};
use crate::state::remote_settings::RemoteSettings;
use crate::state::transaction::{Committed, Entry, Key, Page, Transaction, Versioned, limit};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{Mutex, Semaphore};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

/// The most buckets that are frozen at once: each has a session of its own.
const MOST_FROZEN: usize = 4;

/// The services' data in one schema of PostgreSQL.
pub(in crate::state) struct PostgresDatabase {
    sessions: Arc<Sessions>,
    reads: ReadPool,
    /// Held for one transaction.
    writer: Arc<Mutex<PostgresWriter>>,
    frozen: Arc<Semaphore>,
    shared: bool,
    closed: AtomicBool,
}

impl PostgresDatabase {
    /// Connects, and creates the tables where they are absent.
    ///
    /// # Errors
    /// [`StateError::Unavailable`] and [`StateError::Taken`], where another try may help; [`StateError::Unfit`].
    pub(in crate::state) async fn connect(settings: &RemoteSettings) -> Result<Self, StateError> {
        let sessions = Arc::new(Sessions::new(settings)?);
        let writer = PostgresWriter::open(Arc::clone(&sessions), &settings.namespace, settings.shared).await?;
        Ok(Self {
            reads: ReadPool::new(Arc::clone(&sessions)),
            sessions,
            writer: Arc::new(Mutex::new(writer)),
            frozen: Arc::new(Semaphore::new(MOST_FROZEN)),
            shared: settings.shared,
            closed: AtomicBool::new(false),
        })
    }

    async fn rows(&self, kind: ReadKind, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, StateError> {
        self.is_open()?;
        self.reads.rows(kind, params).await
    }

    /// Nobody writes any more, or whoever does is cut off with the host; a probe that has the writer closes it after.
    fn close_writer(&self) {
        if let Ok(mut writer) = self.writer.try_lock() {
            writer.close();
        }
    }

    fn is_open(&self) -> Result<(), StateError> {
        if self.closed.load(Ordering::Acquire) { Err(StateError::Closed) } else { Ok(()) }
    }
}

impl RemoteDatabase for PostgresDatabase {
    fn get<'a>(&'a self, bucket: &'a ServiceName, keys: &'a [Key]) -> BackendFuture<'a, Vec<Option<Versioned>>> {
        Box::pin(async move {
            let params: [&(dyn ToSql + Sync); 3] = [&bucket.as_str(), &keys, &(limit::BYTES as i64)];
            let found = self.rows(ReadKind::Get, &params).await?;
            rows::values(&found, keys.len()).map_err(|error| self.sessions.error(&error))?
        })
    }

    fn scan<'a>(
        &'a self,
        bucket: &'a ServiceName,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> BackendFuture<'a, Page<Entry>> {
        Box::pin(async move {
            let (from, end) = key_range(prefix, after);
            let (most, bytes) = (rows::one_more(limit), limit::PAGE_BYTES as i64);
            let params: [&(dyn ToSql + Sync); 5] = [&bucket.as_str(), &from, &end, &most, &bytes];
            let found = self.rows(ReadKind::Scan, &params).await?;
            rows::entries(&found).map_err(|error| self.sessions.error(&error))
        })
    }

    fn keys<'a>(
        &'a self,
        bucket: &'a ServiceName,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> BackendFuture<'a, Page<Key>> {
        Box::pin(async move {
            let ((from, end), most) = (key_range(prefix, after), rows::one_more(limit));
            let params: [&(dyn ToSql + Sync); 4] = [&bucket.as_str(), &from, &end, &most];
            let found = self.rows(ReadKind::Keys, &params).await?;
            rows::keys(&found, limit).map_err(|error| self.sessions.error(&error))
        })
    }

    fn write<'a>(
        &'a self,
        batch: &'a [(ServiceName, Transaction)],
    ) -> BackendFuture<'a, Vec<Result<Committed, StateError>>> {
        Box::pin(async move {
            self.is_open()?;
            self.writer.lock().await.write(batch).await
        })
    }

    fn freeze<'a>(&'a self, bucket: &'a ServiceName) -> BackendFuture<'a, Arc<dyn FrozenBucket>> {
        Box::pin(async move {
            self.is_open()?;
            let permit = Arc::clone(&self.frozen).try_acquire_owned().map_err(|_| StateError::Overloaded)?;
            Ok(Arc::new(FrozenRows::begin(&self.sessions, bucket, permit).await?) as Arc<dyn FrozenBucket>)
        })
    }

    fn erase<'a>(&'a self, bucket: &'a ServiceName) -> BackendFuture<'a, bool> {
        let (writer, bucket) = (Arc::clone(&self.writer), bucket.clone());
        Box::pin(async move {
            self.is_open()?;
            // A task of its own: an operator who goes away leaves no transaction in the middle.
            let erased = tokio::spawn(async move {
                let (mut until, mut had) = (None, false);
                loop {
                    // Between two parts commits have their turn.
                    let (erased, of) = writer.lock().await.erase_some(&bucket, until).await?;
                    (until, had) = (Some(of), had || erased > 0);
                    if erased == 0 {
                        return Ok(had);
                    }
                }
            });
            erased.await.unwrap_or(Err(StateError::Closed))
        })
    }

    fn probe_reads(&self) -> BackendFuture<'_, ()> {
        Box::pin(async move {
            let nothing: [Key; 0] = [];
            let params: [&(dyn ToSql + Sync); 3] = [&"", &nothing.as_slice(), &0_i64];
            self.rows(ReadKind::Get, &params).await.map(drop)
        })
    }

    fn probe_writes(&self) -> BackendFuture<'_, Option<()>> {
        Box::pin(async move {
            self.is_open()?;
            let Ok(mut writer) = self.writer.try_lock() else { return Ok(None) };
            let probed = writer.probe().await;
            drop(writer);
            if self.is_open().is_err() {
                self.close_writer();
            }
            probed.map(Some)
        })
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.reads.close();
        self.close_writer();
    }

    fn check_alone(&self) -> Result<(), StateError> {
        let what = "migrate data while other hosts write them (`shared = true`)";
        let error = StateError::Unsupported { place: self.sessions.place.clone(), what };
        if self.shared { Err(error) } else { Ok(()) }
    }

    fn plain_only(&self) -> StateError {
        StateError::Unsupported { place: self.sessions.place.clone(), what: "hold encrypted values" }
    }
}
