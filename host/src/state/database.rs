//! One database file, or whatever stands for it, and its mending after a fault. Every call here blocks.

use super::batch::{self, BatchOutcome, BucketTable, FORMAT, META, table_name};
use super::disk::Disk;
use super::error::StateError;
use super::snapshot::{self, BucketSnapshot};
use super::transaction::{Committed, Entry, Key, Page, Transaction, Versioned, limit};
use crate::base::ServiceName;
use redb::{DatabaseError, ReadableDatabase, StorageBackend, StorageError, TableError};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

/// The format that this program writes.
const KNOWN_FORMAT: u64 = 1;

/// Between two attempts to open the database again, which may each read all of it.
const REOPEN_EVERY: Duration = Duration::from_secs(1);

/// Opens what the database is stored in, at the start and again after a fault.
pub(super) type StorageSource = Box<dyn Fn() -> Result<Box<dyn StorageBackend>, StateError> + Send + Sync>;

/// The database of all buckets.
pub(super) struct Database {
    source: StorageSource,
    /// For messages.
    path: PathBuf,
    cache: usize,
    slot: RwLock<DatabaseSlot>,
    /// The highest version given: a batch that failed may be on disk or not, and its versions are not given again either way.
    latest: AtomicU64,
    sync_failed: Arc<AtomicBool>,
}

enum DatabaseSlot {
    /// `retry_at` is when it may be opened again if it fails; it also tells one opening from the next.
    Open {
        database: redb::Database,
        retry_at: Instant,
    },
    /// redb refuses everything after an error of its storage until the database is opened anew.
    Broken {
        retry_at: Instant,
    },
    Closed,
}

/// What a call does with the database.
#[derive(Clone, Copy, PartialEq)]
enum Access {
    Read,
    Write,
}

impl Database {
    /// Opens the database in what `source` opens; `path` is what messages call it; `cache` is in bytes.
    pub(super) fn open(path: &Path, cache: usize, source: StorageSource) -> Result<Self, StateError> {
        let this = Self {
            source,
            path: path.into(),
            cache,
            slot: RwLock::new(DatabaseSlot::Closed),
            latest: AtomicU64::new(0),
            sync_failed: Arc::default(),
        };
        let database = this.open_storage()?;
        *this.write_slot() = DatabaseSlot::Open { database, retry_at: Instant::now() };
        Ok(this)
    }

    /// The values of `keys`, of one moment.
    pub(super) fn get(&self, bucket: &ServiceName, keys: &[Key]) -> Result<Vec<Option<Versioned>>, StateError> {
        let values = self.read(bucket, |table| snapshot::values(table, keys))?;
        values.ok_or(StateError::TooLarge { what: "the values of one read", limit: limit::BYTES, unit: "bytes" })
    }

    /// A page of entries.
    pub(super) fn scan(
        &self,
        bucket: &ServiceName,
        prefix: &[u8],
        after: Option<&[u8]>,
        most: usize,
    ) -> Result<Page<Entry>, StateError> {
        self.read(bucket, |table| snapshot::entries(table, prefix, after, most))
    }

    /// A page of keys.
    pub(super) fn keys(
        &self,
        bucket: &ServiceName,
        prefix: &[u8],
        after: Option<&[u8]>,
        most: usize,
    ) -> Result<Page<Key>, StateError> {
        self.read(bucket, |table| snapshot::keys(table, prefix, after, most))
    }

    /// Applies a batch. The answers are for transactions that are on disk or were refused; an error is the answer to all of them.
    pub(super) fn write(
        &self,
        batch: &[(ServiceName, Transaction)],
    ) -> Result<Vec<Result<Committed, StateError>>, StateError> {
        let latest = self.latest.load(Ordering::Acquire);
        // Ahead of the batch, in case that it fails after it reached the disk.
        self.latest.fetch_max(latest + batch.len() as u64, Ordering::AcqRel);
        let BatchOutcome { version, answers } =
            self.with(Access::Write, |database| batch::apply(database, latest, batch))?;
        self.latest.store(version, Ordering::Release);
        Ok(answers)
    }

    /// Lets go of the database; every later call answers [`StateError::Closed`].
    pub(super) fn close(&self) {
        let slot = std::mem::replace(&mut *self.write_slot(), DatabaseSlot::Closed);
        if let DatabaseSlot::Open { database, .. } = slot {
            self.let_go(database);
        }
    }

    /// Reads a bucket's table as it is now; `None` if nothing was ever written to it.
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

    /// Runs `f` on the open database, opening it first where a fault has closed it.
    fn with<T>(
        &self,
        access: Access,
        f: impl FnOnce(&redb::Database) -> Result<T, redb::Error>,
    ) -> Result<T, StateError> {
        let slot = loop {
            let slot = self.slot.read().unwrap_or_else(PoisonError::into_inner);
            match &*slot {
                DatabaseSlot::Open { .. } => break slot,
                DatabaseSlot::Closed => return Err(StateError::Closed),
                DatabaseSlot::Broken { .. } => {
                    drop(slot);
                    self.reopen()?;
                }
            }
        };
        // redb trusts the pages of a file that was closed cleanly, and panics at some that were altered since.
        let result = catch_unwind(AssertUnwindSafe(|| match &*slot {
            DatabaseSlot::Open { database, .. } => f(database),
            DatabaseSlot::Broken { .. } | DatabaseSlot::Closed => Err(redb::Error::DatabaseClosed),
        }));
        let error = match result {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(e)) => e,
            Err(panic) => redb::Error::Corrupted(panic_text(panic.as_ref())),
        };
        // A damaged page is trouble for those who read it alone; what a failed write leaves in memory is not to be built on.
        if access == Access::Write || !matches!(error, redb::Error::Corrupted(_)) {
            self.set_aside(slot);
        }
        let error = match error {
            redb::Error::Corrupted(detail) => StateError::Corrupt { path: self.path.clone(), detail },
            other => self.io(&other),
        };
        tracing::error!(%error, "the database failed");
        Err(error)
    }

    /// Closes the database that `slot` has open, to be opened again by a later call.
    fn set_aside(&self, slot: RwLockReadGuard<'_, DatabaseSlot>) {
        let DatabaseSlot::Open { retry_at: failed, .. } = *slot else { return };
        drop(slot);
        let mut slot = self.write_slot();
        // Another call may have met the same fault and opened the database again since the guard was dropped.
        if matches!(&*slot, DatabaseSlot::Open { retry_at, .. } if *retry_at == failed) {
            let broken = std::mem::replace(&mut *slot, DatabaseSlot::Broken { retry_at: failed });
            if let DatabaseSlot::Open { database, .. } = broken {
                self.let_go(database);
            }
        }
    }

    /// Closes `database`. All that was acknowledged is on disk already; where this fails, the next opening has more to check.
    fn let_go(&self, database: redb::Database) {
        let closed = catch_unwind(AssertUnwindSafe(|| database.close()));
        let error = match closed {
            Ok(Ok(())) => return,
            Ok(Err(e)) => e.to_string(),
            Err(panic) => panic_text(panic.as_ref()),
        };
        tracing::warn!(path = %self.path.display(), error, "the database was not closed cleanly");
    }

    fn reopen(&self) -> Result<(), StateError> {
        let mut slot = self.write_slot();
        let DatabaseSlot::Broken { retry_at } = &*slot else { return Ok(()) };
        if self.sync_failed.load(Ordering::Acquire) {
            return Err(self.io(
                &"a sync to disk has failed, so nothing more can be promised; check the disk, then restart the host",
            ));
        }
        if Instant::now() < *retry_at {
            return Err(self.io(&"the database has just failed and will be opened again within a second"));
        }
        match self.open_storage() {
            Ok(database) => {
                *slot = DatabaseSlot::Open { database, retry_at: Instant::now() + REOPEN_EVERY };
                tracing::warn!(path = %self.path.display(), "the database is open again after a fault");
                Ok(())
            }
            Err(e) => {
                *slot = DatabaseSlot::Broken { retry_at: Instant::now() + REOPEN_EVERY };
                tracing::error!(error = %e, "the database could not be opened again");
                Err(e)
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
        disk.clear_stillborn().map_err(|e| self.io(&e))?;
        let path = self.path.clone();
        let database = redb::Builder::new()
            .set_cache_size(self.cache)
            .set_repair_callback(move |session| {
                let done = format!("{:.0} %", session.progress() * 100.0);
                tracing::warn!(path = %path.display(), done, "the host was not shut down cleanly; checking the database");
            })
            .create_with_backend(disk)
            .map_err(|e| self.refused(e))?;
        self.check_format(&database)?;
        Ok(database)
    }

    /// Marks a new database with its format, and refuses one of another.
    fn check_format(&self, database: &redb::Database) -> Result<(), StateError> {
        let mark = || -> Result<u64, redb::Error> {
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
        match mark() {
            Ok(KNOWN_FORMAT) => Ok(()),
            // A database of redb, but another program's.
            Ok(0) => Err(StateError::NotADatabase { path: self.path.clone() }),
            Ok(found) => Err(StateError::Format { path: self.path.clone(), found, known: KNOWN_FORMAT }),
            Err(redb::Error::Corrupted(detail)) => Err(StateError::Corrupt { path: self.path.clone(), detail }),
            Err(e) => Err(self.io(&e)),
        }
    }

    fn refused(&self, e: DatabaseError) -> StateError {
        let path = self.path.clone();
        match e {
            DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => StateError::InUse { path },
            // redb's way to say that there is no magic number.
            DatabaseError::Storage(StorageError::Io(e)) if e.kind() == std::io::ErrorKind::InvalidData => {
                StateError::NotADatabase { path }
            }
            DatabaseError::Storage(StorageError::Corrupted(detail)) => StateError::Corrupt { path, detail },
            DatabaseError::UpgradeRequired(_) => StateError::NotADatabase { path },
            other => self.io(&other),
        }
    }

    fn io(&self, detail: &dyn std::fmt::Display) -> StateError {
        StateError::Io { path: self.path.clone(), detail: detail.to_string() }
    }

    fn write_slot(&self) -> RwLockWriteGuard<'_, DatabaseSlot> {
        self.slot.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
impl Database {
    /// What a call answers in which redb panics.
    pub(super) fn panic_in_a_read(&self) -> StateError {
        self.with(Access::Read, |_| -> Result<(), redb::Error> { panic!("a page makes no sense") }).unwrap_err()
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("unknown").to_string()
}
