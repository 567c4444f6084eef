//! One database in one file or in a test's storage, and its reopening after a failure. Every call here blocks.

use super::batch::{self, BatchOutcome};
use super::caught_panic::catch;
use super::disk::Disk;
use super::format::{self, FormatError};
use super::keyed_snapshot::KeyedSnapshot;
use super::read_only_disk::ReadOnlyDisk;
use super::sealing::ValueCodec;
use super::snapshot::{self, BucketSnapshot};
use crate::base::ServiceName;
use crate::state::error::{StateError, StorageCause};
use crate::state::state_key::Encryption;
use crate::state::transaction::{Committed, Entry, Key, Page, Transaction, Versioned, limit};
use crate::telemetry::StoreMetrics;
use arc_swap::ArcSwapOption;
use redb::{DatabaseError, ReadableDatabase, StorageBackend, StorageError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

/// The time between two tries to open the database again. Each may read the whole file.
const REOPEN_EVERY: Duration = Duration::from_secs(1);

/// The time between two tries whether a full disk takes writes again. Each writes a little.
const PROBE_EVERY: Duration = Duration::from_millis(250);

/// Opens the storage of the database, at the start and again after a failure.
pub(crate) type StorageSource = Box<dyn Fn() -> Result<Box<dyn StorageBackend>, StateError> + Send + Sync>;

/// The database of all buckets.
pub(crate) struct Database {
    source: StorageSource,
    /// The name of the database in messages.
    pub(super) path: PathBuf,
    /// The size of redb's page cache, in bytes.
    cache: usize,
    /// `None`: values are not encrypted.
    pub(super) encryption: ArcSwapOption<Encryption>,
    state: RwLock<DatabaseState>,
    /// The highest version that was given. A batch that failed may be on disk or not; in either case its versions are
    /// not given again.
    latest: AtomicU64,
    /// Whether a sync has ever failed. The storage sets it.
    sync_failed: Arc<AtomicBool>,
    /// How often the database was opened.
    openings: AtomicU64,
    /// Whether the last batch was written, and the commits that were not.
    pub(super) metrics: Arc<StoreMetrics>,
    /// Why the last batch that failed was not written: for those that are refused until the next try.
    last_cause: Mutex<&'static str>,
}

enum DatabaseState {
    /// `retry_at` is the time from which the database may be opened again if it fails.
    Open {
        database: OpenDatabase,
        retry_at: Instant,
    },
    /// The storage has refused a write. Reads see what is there, on a [`ReadOnlyDisk`]. From `retry_at` on, a write
    /// tries the storage again.
    ReadOnly {
        database: OpenDatabase,
        storage: Arc<Disk>,
        retry_at: Instant,
    },
    /// After an error of its storage, redb refuses every call until the database is opened again
    /// (cberner/redb#836): for reading from `readable_at` on, for writing from `retry_at` on.
    Broken {
        readable_at: Instant,
        retry_at: Instant,
    },
    Closed,
}

struct OpenDatabase {
    database: redb::Database,
    /// Tells one opening from the next.
    opening: u64,
}

/// Whether a call reads or writes.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Access {
    Read,
    Write,
}

impl Database {
    /// Opens the database in the storage that `source` opens. `path` is its name in messages. `cache` is in bytes. With
    /// `encryption`, values are encrypted, also those that are there already.
    pub(crate) fn open(
        path: &Path,
        cache: usize,
        encryption: Option<Encryption>,
        source: StorageSource,
    ) -> Result<Self, StateError> {
        let this = Self {
            source,
            path: path.into(),
            cache,
            encryption: ArcSwapOption::from_pointee(encryption),
            state: RwLock::new(DatabaseState::Closed),
            latest: AtomicU64::new(0),
            sync_failed: Arc::default(),
            openings: AtomicU64::new(0),
            metrics: Arc::default(),
            last_cause: Mutex::new("io"),
        };
        let database = this.open_for_writing()?;
        *this.write_state() = DatabaseState::Open { database, retry_at: Instant::now() };
        Ok(this)
    }

    /// The values of `keys`, as of one moment.
    pub(crate) fn get(&self, bucket: &ServiceName, keys: &[Key]) -> Result<Vec<Option<Versioned>>, StateError> {
        let values = self.read(bucket, |table, codec| snapshot::values(table.as_ref(), codec, keys))?;
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
        self.read(bucket, |table, codec| snapshot::entries(table.as_ref(), codec, prefix, after, most))
    }

    /// A page of keys.
    pub(crate) fn keys(
        &self,
        bucket: &ServiceName,
        prefix: &[u8],
        after: Option<&[u8]>,
        most: usize,
    ) -> Result<Page<Key>, StateError> {
        self.read(bucket, |table, _| snapshot::keys(table.as_ref(), prefix, after, most))
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
        let encryption = self.encryption.load();
        let key = encryption.as_ref().map(|encryption| &encryption.key);
        let began = Instant::now();
        let outcome = self.with(Access::Write, |database| batch::apply(database, latest, batch, key, &self.path));
        match &outcome {
            // A database in memory has no file.
            Ok(_) => self.metrics.wrote(began.elapsed(), std::fs::metadata(&self.path).map_or(0, |file| file.len())),
            Err(StateError::Closed) => {}
            Err(error) => self.metrics.failed(self.write_cause(error), batch.len()),
        }
        let BatchOutcome { version, answers } = outcome?;
        debug_assert!(version >= latest, "versions only grow");
        self.latest.store(version, Ordering::Release);
        Ok(answers)
    }

    /// Whether the last batch was written; true if there was none yet.
    pub(crate) fn takes_writes(&self) -> bool {
        !self.metrics.is_degraded()
    }

    fn write_cause(&self, error: &StateError) -> &'static str {
        if self.sync_failed.load(Ordering::Acquire) {
            return "sync";
        }
        let mut last = self.last_cause.lock().unwrap_or_else(PoisonError::into_inner);
        // Between two tries of the storage, a commit is refused for what the last try has found.
        if !matches!(error, StateError::Io { source: None, .. }) {
            *last = error.write_cause();
        }
        *last
    }

    /// Closes the database. Every later call answers [`StateError::Closed`].
    pub(super) fn close(&self) {
        let before = std::mem::replace(&mut *self.write_state(), DatabaseState::Closed);
        self.close_database(before);
    }

    /// Calls `f` with a snapshot of the bucket's table, and with how its values are read; `None` if nothing was ever
    /// written to the bucket.
    fn read<T>(
        &self,
        bucket: &ServiceName,
        mut f: impl FnMut(Option<BucketSnapshot>, &ValueCodec) -> Result<T, StorageError>,
    ) -> Result<T, StateError> {
        self.with(Access::Read, |database| {
            let (table, codec) = self.snapshot(database)?.table(bucket)?;
            Ok(f(table, &codec)?)
        })
    }

    /// The open database as it is now, with the keys that fit it.
    pub(super) fn snapshot(&self, database: &redb::Database) -> Result<KeyedSnapshot, redb::Error> {
        Ok(KeyedSnapshot::take(&self.encryption, || database.begin_read())?)
    }

    /// Calls `f` with the open database. Opens the database first if a failure has closed it. A read that meets the
    /// failure of somebody's write is done again, once: what it reads is on the storage.
    pub(super) fn with<T>(
        &self,
        access: Access,
        mut f: impl FnMut(&redb::Database) -> Result<T, redb::Error>,
    ) -> Result<T, StateError> {
        let mut may_repeat = access == Access::Read;
        loop {
            let state = self.usable(access)?;
            // redb trusts the pages of a file that was closed cleanly, and panics at some that were altered since.
            let result = catch(|| match state.database() {
                Some(open) => f(&open.database),
                None => Err(redb::Error::DatabaseClosed),
            });
            let error = match result {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(e)) => e,
                Err(panic) => redb::Error::Corrupted(panic),
            };
            // A damaged page fails only the calls that read it, so the database stays open. After a failed write,
            // redb's state in memory must not be used any more.
            if access == Access::Write || !matches!(error, redb::Error::Corrupted(_)) {
                self.mark_broken(state);
            }
            if std::mem::take(&mut may_repeat) && matches!(error, redb::Error::PreviousIo) {
                continue;
            }
            let error = match error {
                redb::Error::Corrupted(detail) => StateError::Corrupt { path: self.path.clone(), detail },
                other => self.io("the database failed", other),
            };
            tracing::error!(target: "store", error = error.with_causes(), "the database failed");
            return Err(error);
        }
    }

    /// The database, open for this access.
    fn usable(&self, access: Access) -> Result<RwLockReadGuard<'_, DatabaseState>, StateError> {
        loop {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            match &*state {
                DatabaseState::Open { .. } => return Ok(state),
                DatabaseState::ReadOnly { .. } if access == Access::Read => return Ok(state),
                DatabaseState::Closed => return Err(StateError::Closed),
                DatabaseState::ReadOnly { .. } | DatabaseState::Broken { .. } => {
                    drop(state);
                    self.reopen(access)?;
                }
            }
        }
    }

    /// Closes the database of `state`. A later call opens it again.
    fn mark_broken(&self, state: RwLockReadGuard<'_, DatabaseState>) {
        let Some(failed) = state.database().map(|open| open.opening) else { return };
        drop(state);
        let mut state = self.write_state();
        // Races with `reopen`: another call may have seen the same failure and opened the database again since the
        // read lock was released. Without this comparison, that new database would be closed.
        if state.database().is_none_or(|open| open.opening != failed) {
            return;
        }
        let now = Instant::now();
        let (readable_at, retry_at) = match &*state {
            // What a read-only database cannot read, the next one hardly can.
            DatabaseState::ReadOnly { retry_at, .. } => (now + REOPEN_EVERY, *retry_at),
            DatabaseState::Open { retry_at, .. } => (now, *retry_at),
            DatabaseState::Broken { .. } | DatabaseState::Closed => return,
        };
        let broken = std::mem::replace(&mut *state, DatabaseState::Broken { readable_at, retry_at });
        self.close_database(broken);
    }

    /// Closes the database of `state`, if it has one. Every acknowledged commit is on disk already. If closing fails,
    /// the next opening has more to check.
    fn close_database(&self, state: DatabaseState) {
        let (DatabaseState::Open { database, .. } | DatabaseState::ReadOnly { database, .. }) = state else { return };
        let closed = catch(|| database.database.close());
        let error = match closed {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(panic) => panic,
        };
        tracing::warn!(path = %self.path.display(), error, "the database was not closed cleanly");
    }

    /// Opens the database again after a failure, but never after a failed sync.
    fn reopen(&self, access: Access) -> Result<(), StateError> {
        let mut state = self.write_state();
        // Another call may have been faster.
        let due = match (&*state, access) {
            (DatabaseState::Broken { readable_at, .. }, Access::Read) => *readable_at,
            (DatabaseState::Broken { retry_at, .. } | DatabaseState::ReadOnly { retry_at, .. }, Access::Write) => {
                *retry_at
            }
            _ => return Ok(()),
        };
        let failed = |problem| Err(StateError::Io { path: self.path.clone(), problem, source: None });
        if self.sync_failed.load(Ordering::Acquire) {
            return failed(
                "a sync to disk has failed, so no further commit can be acknowledged; \
                 check the disk, then restart the host",
            );
        }
        if Instant::now() < due {
            return failed("the database has just failed and will be opened again within a second; try again then");
        }
        let opened = match access {
            Access::Read => self.reopen_for_reading(&mut state),
            Access::Write => self.reopen_for_writing(&mut state),
        };
        match &opened {
            Ok(()) => {
                let for_writing = access == Access::Write;
                tracing::warn!(path = %self.path.display(), for_writing, "the database is open again after a failure");
            }
            Err(error) => {
                tracing::error!(target: "store", error = error.with_causes(), "the database could not be opened again");
            }
        }
        opened
    }

    /// Opens what is on the storage, without a change to it: this needs no room on the disk.
    fn reopen_for_reading(&self, state: &mut DatabaseState) -> Result<(), StateError> {
        let DatabaseState::Broken { readable_at, retry_at } = state else { return Ok(()) };
        let open = || {
            let storage = Arc::new(self.disk()?);
            let disk = ReadOnlyDisk::new(storage.clone());
            let disk = disk.map_err(|error| self.io("the file could not be read", error))?;
            let database = self.open_storage(Disk::new(Box::new(disk), Arc::default()))?;
            Ok((database, storage))
        };
        match open() {
            Ok((database, storage)) => {
                *state = DatabaseState::ReadOnly { database, storage, retry_at: *retry_at };
                Ok(())
            }
            Err(error) => {
                *readable_at = Instant::now() + REOPEN_EVERY;
                Err(error)
            }
        }
    }

    /// Opens the database for writing, if the storage takes writes. Trying that first is cheap, and spares a check of
    /// the whole file that would end at the first write.
    fn reopen_for_writing(&self, state: &mut DatabaseState) -> Result<(), StateError> {
        let probed = match &*state {
            DatabaseState::ReadOnly { storage, .. } => storage.probe(),
            _ => self.disk()?.probe_alone(),
        };
        if let Err(error) = probed {
            let later = Instant::now() + PROBE_EVERY;
            if let DatabaseState::ReadOnly { retry_at, .. } | DatabaseState::Broken { retry_at, .. } = state {
                *retry_at = later;
            }
            return Err(self.io("the disk takes no writes; reads go on, and writes are tried again soon", error));
        }
        let now = Instant::now();
        let broken = DatabaseState::Broken { readable_at: now, retry_at: now + REOPEN_EVERY };
        // The lock of the read-only database would keep the next opening out.
        self.close_database(std::mem::replace(state, broken));
        let database = self.open_for_writing()?;
        *state = DatabaseState::Open { database, retry_at: Instant::now() + REOPEN_EVERY };
        Ok(())
    }

    fn open_for_writing(&self) -> Result<OpenDatabase, StateError> {
        self.open_storage(self.disk()?)
    }

    fn disk(&self) -> Result<Disk, StateError> {
        Ok(Disk::new((self.source)()?, self.sync_failed.clone()))
    }

    fn open_storage(&self, disk: Disk) -> Result<OpenDatabase, StateError> {
        match catch(|| self.try_open_storage(disk)) {
            Ok(result) => result,
            Err(panic) => Err(StateError::Corrupt { path: self.path.clone(), detail: panic }),
        }
    }

    fn try_open_storage(&self, disk: Disk) -> Result<OpenDatabase, StateError> {
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
        self.prepare(&database)?;
        Ok(OpenDatabase { database, opening: self.openings.fetch_add(1, Ordering::Relaxed) })
    }

    /// Makes the database ready for its key, and refuses one of another format or with another key.
    fn prepare(&self, database: &redb::Database) -> Result<(), StateError> {
        let path = self.path.clone();
        format::prepare(database, self.encryption.load().as_deref()).map_err(|error| match error {
            FormatError::Foreign => StateError::NotADatabase { path },
            FormatError::Unknown(found) => StateError::Format { path, found, known: format::SEALED },
            FormatError::NoKey => StateError::NoKey { path },
            FormatError::WrongKey => StateError::WrongKey { path },
            FormatError::Storage(redb::Error::Corrupted(detail)) => StateError::Corrupt { path, detail },
            FormatError::Storage(error) => self.io("the format of the database could not be read or written", error),
        })
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

impl DatabaseState {
    /// The database that is open for reading at least.
    fn database(&self) -> Option<&OpenDatabase> {
        match self {
            Self::Open { database, .. } | Self::ReadOnly { database, .. } => Some(database),
            Self::Broken { .. } | Self::Closed => None,
        }
    }
}

#[cfg(test)]
impl Database {
    /// The answer of a read in which redb panics.
    pub(crate) fn panic_in_a_read(&self) -> StateError {
        self.with(Access::Read, |_| -> Result<(), redb::Error> { panic!("a page makes no sense") }).unwrap_err()
    }

    /// The values of `keys` as of a snapshot after whose first beginning `then` was called.
    pub(crate) fn get_after(
        &self,
        bucket: &ServiceName,
        keys: &[Key],
        then: impl FnOnce(),
    ) -> Result<Vec<Option<Versioned>>, StateError> {
        let mut then = Some(then);
        let values = self.with(Access::Read, |database| {
            let begin = || {
                let begun = database.begin_read();
                then.take().into_iter().for_each(|then| then());
                begun
            };
            let (table, codec) = KeyedSnapshot::take(&self.encryption, begin)?.table(bucket)?;
            Ok(snapshot::values(table.as_ref(), &codec, keys)?)
        })?;
        Ok(values.expect("a test reads little"))
    }

    /// A read of which so many tries find that a write has failed.
    pub(crate) fn read_beside_failures(&self, mut failures: usize) -> Result<(), StateError> {
        self.with(Access::Read, |_| match failures.checked_sub(1) {
            None => Ok(()),
            Some(left) => {
                failures = left;
                Err(redb::Error::PreviousIo)
            }
        })
    }
}
