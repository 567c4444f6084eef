//! One database in one file or in a test's storage, and its reopening after a failure. Every call here blocks.

use super::batch::{self, BatchOutcome, BucketTable, FORMAT, META, table_name};
use super::disk::Disk;
use super::snapshot::{self, BucketSnapshot};
use crate::base::ServiceName;
use crate::state::error::{StateError, StorageCause};
use crate::state::transaction::{Committed, Entry, Key, Page, Transaction, Versioned, limit};
use redb::{DatabaseError, ReadableDatabase, StorageBackend, StorageError, TableError};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

/// The format that this program reads and writes.
const KNOWN_FORMAT: u64 = 1;

/// The time between two tries to open the database again. Each may read the whole file.
const REOPEN_EVERY: Duration = Duration::from_secs(1);

/// Opens the storage of the database, at the start and again after a failure.
pub(crate) type StorageSource = Box<dyn Fn() -> Result<Box<dyn StorageBackend>, StateError> + Send + Sync>;

/// The database of all buckets.
pub(crate) struct Database {
    source: StorageSource,
    /// The name of the database in messages.
    path: PathBuf,
    /// The size of redb's page cache, in bytes.
    cache: usize,
    state: RwLock<DatabaseState>,
    /// The highest version that was given. A batch that failed may be on disk or not; in either case its versions are
    /// not given again.
    latest: AtomicU64,
    /// Whether a sync has ever failed. The storage sets it.
    sync_failed: Arc<AtomicBool>,
}

enum DatabaseState {
    /// `retry_at` is the time from which the database may be opened again if it fails. It also tells one opening from
    /// the next.
    Open {
        database: redb::Database,
        retry_at: Instant,
    },
    /// After an error of its storage, redb refuses every call until the database is opened again (cberner/redb#836).
    Broken {
        retry_at: Instant,
    },
    Closed,
}

/// Whether a call reads or writes.
#[derive(Clone, Copy, PartialEq)]
enum Access {
    Read,
    Write,
}

impl Database {
    /// Opens the database in the storage that `source` opens. `path` is its name in messages. `cache` is in bytes.
    pub(crate) fn open(path: &Path, cache: usize, source: StorageSource) -> Result<Self, StateError> {
        let this = Self {
            source,
            path: path.into(),
            cache,
            state: RwLock::new(DatabaseState::Closed),
            latest: AtomicU64::new(0),
            sync_failed: Arc::default(),
        };
        let database = this.open_storage()?;
        *this.write_state() = DatabaseState::Open { database, retry_at: Instant::now() };
        Ok(this)
    }

    /// The values of `keys`, as of one moment.
    pub(crate) fn get(&self, bucket: &ServiceName, keys: &[Key]) -> Result<Vec<Option<Versioned>>, StateError> {
        let values = self.read(bucket, |table| snapshot::values(table, keys))?;
        values.ok_or(StateError::TooLarge { what: "the values of one read", limit: limit::BYTES, unit: "bytes" })
    }

    /// A page of entries.
    pub(crate) fn scan(
        &self,
        bucket: &ServiceName,
        prefix: &[u8],
        after: Option<&[u8]>,
        most: usize,
    ) -> Result<Page<Entry>, StateError> {
        self.read(bucket, |table| snapshot::entries(table, prefix, after, most))
    }

    /// A page of keys.
    pub(crate) fn keys(
        &self,
        bucket: &ServiceName,
        prefix: &[u8],
        after: Option<&[u8]>,
        most: usize,
    ) -> Result<Page<Key>, StateError> {
        self.read(bucket, |table| snapshot::keys(table, prefix, after, most))
    }

    /// Applies a batch. Each answer says that its transaction is on disk or was refused. An error is the answer to all
    /// transactions of the batch.
    pub(crate) fn write(
        &self,
        batch: &[(ServiceName, Transaction)],
    ) -> Result<Vec<Result<Committed, StateError>>, StateError> {
        let latest = self.latest.load(Ordering::Acquire);
        // Before the batch, in case it fails after it reached the disk: its versions must not be given again.
        self.latest.fetch_max(latest + batch.len() as u64, Ordering::AcqRel);
        let BatchOutcome { version, answers } =
            self.with(Access::Write, |database| batch::apply(database, latest, batch))?;
        debug_assert!(version >= latest, "versions only grow");
        self.latest.store(version, Ordering::Release);
        Ok(answers)
    }

    /// Closes the database. Every later call answers [`StateError::Closed`].
    pub(super) fn close(&self) {
        let before = std::mem::replace(&mut *self.write_state(), DatabaseState::Closed);
        if let DatabaseState::Open { database, .. } = before {
            self.close_database(database);
        }
    }

    /// Calls `f` with a snapshot of the bucket's table; `None` if nothing was ever written to the bucket.
    fn read<T>(
        &self,
        bucket: &ServiceName,
        f: impl FnOnce(Option<BucketSnapshot>) -> Result<T, StorageError>,
    ) -> Result<T, StateError> {
        self.with(Access::Read, |database| {
            let read = database.begin_read()?;
            match read.open_table(BucketTable::new(&table_name(bucket))) {
                Ok(table) => Ok(f(Some(table))?),
                Err(TableError::TableDoesNotExist(_)) => Ok(f(None)?),
                Err(e) => Err(e.into()),
            }
        })
    }

    /// Calls `f` with the open database. Opens the database first if a failure has closed it.
    fn with<T>(
        &self,
        access: Access,
        f: impl FnOnce(&redb::Database) -> Result<T, redb::Error>,
    ) -> Result<T, StateError> {
        let state = loop {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            match &*state {
                DatabaseState::Open { .. } => break state,
                DatabaseState::Closed => return Err(StateError::Closed),
                DatabaseState::Broken { .. } => {
                    drop(state);
                    self.reopen()?;
                }
            }
        };
        // redb trusts the pages of a file that was closed cleanly, and panics at some pages that were altered since.
        let result = catch_unwind(AssertUnwindSafe(|| match &*state {
            DatabaseState::Open { database, .. } => f(database),
            DatabaseState::Broken { .. } | DatabaseState::Closed => Err(redb::Error::DatabaseClosed),
        }));
        let error = match result {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(e)) => e,
            Err(panic) => redb::Error::Corrupted(panic_text(panic.as_ref())),
        };
        // A damaged page fails only the calls that read it, so the database stays open. After a failed write, redb's
        // state in memory must not be used any more.
        if access == Access::Write || !matches!(error, redb::Error::Corrupted(_)) {
            self.mark_broken(state);
        }
        let error = match error {
            redb::Error::Corrupted(detail) => StateError::Corrupt { path: self.path.clone(), detail },
            other => self.io("the database failed", other),
        };
        tracing::error!(error = error.with_causes(), "the database failed");
        Err(error)
    }

    /// Closes the database of `state`. A later call opens it again.
    fn mark_broken(&self, state: RwLockReadGuard<'_, DatabaseState>) {
        let DatabaseState::Open { retry_at: failed, .. } = *state else { return };
        drop(state);
        let mut state = self.write_state();
        // Races with `reopen`: another call may have seen the same failure and opened the database again since the
        // read lock was released. Without this comparison, that new database would be closed.
        if matches!(&*state, DatabaseState::Open { retry_at, .. } if *retry_at == failed) {
            let broken = std::mem::replace(&mut *state, DatabaseState::Broken { retry_at: failed });
            if let DatabaseState::Open { database, .. } = broken {
                self.close_database(database);
            }
        }
    }

    /// Closes `database`. Every acknowledged commit is on disk already. If closing fails, the next opening has more to
    /// check.
    fn close_database(&self, database: redb::Database) {
        let closed = catch_unwind(AssertUnwindSafe(|| database.close()));
        let error = match closed {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(panic) => panic_text(panic.as_ref()),
        };
        tracing::warn!(path = %self.path.display(), error, "the database was not closed cleanly");
    }

    /// Opens the database again after a failure, but not before `retry_at`, and never after a failed sync.
    fn reopen(&self) -> Result<(), StateError> {
        let failed = |problem| Err(StateError::Io { path: self.path.clone(), problem, source: None });
        let mut state = self.write_state();
        let DatabaseState::Broken { retry_at } = &*state else { return Ok(()) };
        if self.sync_failed.load(Ordering::Acquire) {
            return failed(
                "a sync to disk has failed, so no further commit can be acknowledged; \
                 check the disk, then restart the host",
            );
        }
        if Instant::now() < *retry_at {
            return failed("the database has just failed and will be opened again within a second; try again then");
        }
        match self.open_storage() {
            Ok(database) => {
                *state = DatabaseState::Open { database, retry_at: Instant::now() + REOPEN_EVERY };
                tracing::warn!(path = %self.path.display(), "the database is open again after a failure");
                Ok(())
            }
            Err(error) => {
                *state = DatabaseState::Broken { retry_at: Instant::now() + REOPEN_EVERY };
                tracing::error!(error = error.with_causes(), "the database could not be opened again");
                Err(error)
            }
        }
    }

    fn open_storage(&self) -> Result<redb::Database, StateError> {
        match catch_unwind(AssertUnwindSafe(|| self.try_open_storage())) {
            Ok(result) => result,
            Err(panic) => Err(StateError::Corrupt { path: self.path.clone(), detail: panic_text(panic.as_ref()) }),
        }
    }

    fn try_open_storage(&self) -> Result<redb::Database, StateError> {
        let disk = Disk::new((self.source)()?, self.sync_failed.clone());
        let checked = disk.clear_unfinished();
        checked.map_err(|error| self.io("the file could not be checked for an interrupted creation", error))?;
        let path = self.path.clone();
        let database = redb::Builder::new()
            .set_cache_size(self.cache)
            .set_repair_callback(move |session| {
                let done = format!("{:.0} %", session.progress() * 100.0);
                let path = path.display();
                tracing::warn!(%path, done, "the host was not shut down cleanly; checking the database");
            })
            .create_with_backend(disk)
            .map_err(|error| self.open_error(error))?;
        self.check_format(&database)?;
        Ok(database)
    }

    /// Writes the format into a new database, and refuses a database of another format.
    fn check_format(&self, database: &redb::Database) -> Result<(), StateError> {
        let read_or_write_format = || -> Result<u64, redb::Error> {
            let read = database.begin_read()?;
            match read.open_table(META) {
                Ok(meta) => return Ok(meta.get(FORMAT)?.map_or(0, |format| format.value())),
                Err(TableError::TableDoesNotExist(_)) if read.list_tables()?.next().is_none() => {}
                Err(TableError::TableDoesNotExist(_) | TableError::TableTypeMismatch { .. }) => return Ok(0),
                Err(e) => return Err(e.into()),
            }
            let write = database.begin_write()?;
            write.open_table(META)?.insert(FORMAT, KNOWN_FORMAT)?;
            write.commit()?;
            Ok(KNOWN_FORMAT)
        };
        match read_or_write_format() {
            Ok(KNOWN_FORMAT) => Ok(()),
            // A database of redb, but of another program.
            Ok(0) => Err(StateError::NotADatabase { path: self.path.clone() }),
            Ok(found) => Err(StateError::Format { path: self.path.clone(), found, known: KNOWN_FORMAT }),
            Err(redb::Error::Corrupted(detail)) => Err(StateError::Corrupt { path: self.path.clone(), detail }),
            Err(error) => Err(self.io("the format of the database could not be read", error)),
        }
    }

    fn open_error(&self, error: DatabaseError) -> StateError {
        let path = self.path.clone();
        match error {
            DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => StateError::InUse { path },
            // This is how redb says that there is no magic number.
            DatabaseError::Storage(StorageError::Io(error)) if error.kind() == std::io::ErrorKind::InvalidData => {
                StateError::NotADatabase { path }
            }
            DatabaseError::Storage(StorageError::Corrupted(detail)) => StateError::Corrupt { path, detail },
            DatabaseError::UpgradeRequired(_) => StateError::NotADatabase { path },
            other => self.io("the database could not be opened", other),
        }
    }

    fn io(&self, problem: &'static str, cause: impl std::error::Error + Send + Sync + 'static) -> StateError {
        StateError::Io { path: self.path.clone(), problem, source: Some(StorageCause::new(cause)) }
    }

    fn write_state(&self) -> RwLockWriteGuard<'_, DatabaseState> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
impl Database {
    /// The answer of a read in which redb panics.
    pub(crate) fn panic_in_a_read(&self) -> StateError {
        self.with(Access::Read, |_| -> Result<(), redb::Error> { panic!("a page makes no sense") }).unwrap_err()
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("unknown").to_string()
}
