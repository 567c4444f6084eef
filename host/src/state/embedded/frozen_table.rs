//! A bucket's table as of one moment, outside of the lock of the database: a slow reader holds nobody up.

use super::caught_panic::catch;
use super::database::{Access, Database};
use super::keyed_snapshot::KeyedSnapshot;
use super::layout::{META, VERSION};
use super::sealing::{ValueCodec, damaged_key};
use super::snapshot::{self, BucketSnapshot};
use crate::base::ServiceName;
use crate::state::backend_future::BackendFuture;
use crate::state::error::{StateError, StorageCause};
use crate::state::frozen_bucket::{FrozenBucket, ValueForm};
use crate::state::transaction::{Entry, Key, Page, Versioned, limit};
use redb::StorageError;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// The database as of one moment.
struct FrozenMoment {
    snapshot: KeyedSnapshot,
    version: u64,
    path: PathBuf,
}

/// A table with what it takes to read it.
struct FrozenTable {
    moment: Arc<FrozenMoment>,
    /// `None`: nothing was ever written to the bucket.
    table: Option<BucketSnapshot>,
    codec: ValueCodec,
}

/// A bucket of the embedded database, as of one moment. After the database was opened again, or closed, it answers
/// with errors.
pub(super) struct FrozenEmbedded(Arc<FrozenTable>);

impl Database {
    /// The bucket as it is now. Blocks.
    pub(super) fn freeze(&self, bucket: &ServiceName) -> Result<FrozenEmbedded, StateError> {
        let table = self.with(Access::Read, |database| {
            let snapshot = self.snapshot(database)?;
            let version = snapshot.read.open_table(META)?.get(VERSION)?.map_or(0, |version| version.value());
            FrozenMoment::table(&Arc::new(FrozenMoment { snapshot, version, path: self.path.clone() }), bucket)
        });
        table.map(Arc::new).map(FrozenEmbedded)
    }

    /// The values of entries that were read in the form [`ValueForm::Stored`]. Blocks.
    ///
    /// # Errors
    /// [`StateError::Corrupt`]: one is not what was stored there, or the service's key is another one.
    pub(super) fn unseal(&self, bucket: &ServiceName, entries: Vec<Entry>) -> Result<Vec<Entry>, StateError> {
        let FrozenEmbedded(table) = self.freeze(bucket)?;
        if matches!(table.codec, ValueCodec::Plain) {
            return Err(table.error(damaged_key(bucket)));
        }
        let plain = |Entry { key, value }: Entry| {
            let plain = table.codec.decode(&key, value.version, &value.value)?.into_owned();
            Ok(Entry { key, value: Versioned { value: plain, version: value.version } })
        };
        entries.into_iter().map(plain).collect::<Result<_, _>>().map_err(|error| table.error(error))
    }
}

impl FrozenMoment {
    /// A bucket as it was then.
    fn table(moment: &Arc<Self>, bucket: &ServiceName) -> Result<FrozenTable, redb::Error> {
        let (table, codec) = moment.snapshot.table(bucket)?;
        Ok(FrozenTable { moment: Arc::clone(moment), table, codec })
    }
}

impl FrozenTable {
    /// Reads, and turns a panic of redb at a damaged page into an error.
    fn read<T>(&self, read: impl FnOnce() -> Result<T, StorageError>) -> Result<T, StateError> {
        let read = catch(read).unwrap_or_else(|panic| Err(StorageError::Corrupted(panic)));
        read.map_err(|error| self.error(error))
    }

    fn error(&self, error: StorageError) -> StateError {
        let path = self.moment.path.clone();
        match error {
            StorageError::Corrupted(detail) => StateError::Corrupt { path, detail },
            other => {
                let source = Some(StorageCause::new(other));
                StateError::Io { path, problem: "the snapshot cannot be read any more", source }
            }
        }
    }
}

impl FrozenEmbedded {
    fn read<'a, T: Send + 'static>(
        &self,
        f: impl FnOnce(&FrozenTable) -> Result<T, StateError> + Send + 'static,
    ) -> BackendFuture<'a, T> {
        let table = Arc::clone(&self.0);
        // A cancelled task means that the runtime is shutting down.
        Box::pin(async move { spawn_blocking(move || f(&table)).await.unwrap_or(Err(StateError::Closed)) })
    }
}

impl FrozenBucket for FrozenEmbedded {
    fn version(&self) -> u64 {
        self.0.moment.version
    }

    fn is_sealed(&self) -> bool {
        matches!(self.0.codec, ValueCodec::Sealed(_))
    }

    fn beside(&self, bucket: &ServiceName) -> BackendFuture<'_, Arc<dyn FrozenBucket>> {
        let bucket = bucket.clone();
        self.read(move |frozen| {
            let table = frozen.read(|| Ok(FrozenMoment::table(&frozen.moment, &bucket)))?;
            let table = table.map_err(|error| match error {
                redb::Error::Corrupted(detail) => StorageError::Corrupted(detail),
                redb::Error::Io(error) => StorageError::Io(error),
                other => StorageError::Corrupted(other.to_string()),
            });
            let table = table.map_err(|error| frozen.error(error))?;
            Ok(Arc::new(FrozenEmbedded(Arc::new(table))) as Arc<dyn FrozenBucket>)
        })
    }

    fn get(&self, keys: Vec<Key>) -> BackendFuture<'_, Vec<Option<Versioned>>> {
        self.read(move |frozen| {
            let values = frozen.read(|| snapshot::values(frozen.table.as_ref(), &frozen.codec, &keys))?;
            let too_large = StateError::TooLarge { what: "the values of one read", limit: limit::BYTES, unit: "bytes" };
            values.ok_or(too_large)
        })
    }

    fn scan(&self, prefix: Key, after: Option<Key>, limit: usize, form: ValueForm) -> BackendFuture<'_, Page<Entry>> {
        self.read(move |frozen| {
            let codec = match form {
                ValueForm::Plain => &frozen.codec,
                ValueForm::Stored => &ValueCodec::Plain,
            };
            frozen.read(|| snapshot::entries(frozen.table.as_ref(), codec, &prefix, after.as_deref(), limit))
        })
    }
}
