//! The default backend: redb in one file, one thread that writes, and reads beside it on other threads.

use super::database::Database;
use super::disk;
use super::value_cache::ValueCache;
use crate::base::ServiceName;
use crate::state::backend::Backend;
use crate::state::backend_future::BackendFuture;
use crate::state::commit_queue::CommitQueue;
use crate::state::error::{StateError, StorageCause};
use crate::state::fair_queue::LaneBound;
use crate::state::frozen_bucket::FrozenBucket;
use crate::state::key_watches::KeyWatches;
use crate::state::remote_settings::RemoteSettings;
use crate::state::state_key::Encryption;
use crate::state::transaction::{Committed, Entry, Key, Page, Transaction, Versioned};
use crate::telemetry::StoreMetrics;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// One part in so many of the cache is for values, the rest for pages.
const VALUE_CACHE_PART: usize = 4;

/// How the embedded database runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The database file. It and its folders are created where they are absent.
    pub path: PathBuf,
    /// The most commits that share a sync to disk.
    pub max_batch: usize,
    /// The most bytes of one service's commits that may wait for the writer. Each commit counts as its size plus 1
    /// KiB. Further commits are refused.
    pub queue: usize,
    /// The bytes of memory for caches: a quarter for values that were recently read or written, the rest for pages of
    /// the database.
    pub cache: usize,
    /// How values are encrypted; `None`: they are not.
    pub encryption: Option<Encryption>,
    /// The server that has the data in place of the file; `None`: the file has them.
    pub remote: Option<RemoteSettings>,
}

impl Default for Settings {
    /// `.atoll/state.redb`, 256 commits a batch, 16 MiB of commits waiting for each service, 64 MiB of cache, no
    /// encryption.
    fn default() -> Self {
        let path = ".atoll/state.redb".into();
        Self { path, max_batch: 256, queue: 16 << 20, cache: 64 << 20, encryption: None, remote: None }
    }
}

/// The services' data in one redb database.
pub struct Embedded {
    database: Arc<Database>,
    cache: Arc<ValueCache>,
    watches: Arc<KeyWatches>,
    queue: Arc<CommitQueue>,
    /// Held by whoever changes the database: the writer, for each batch, and an operator.
    changes: Arc<Mutex<()>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Embedded {
    /// Opens the database at the path of `settings`, and creates it if there is none. Blocks.
    ///
    /// # Errors
    /// As [`Store::open`](crate::state::Store::open).
    pub fn open(settings: &Settings) -> Result<Self, StateError> {
        let path = settings.path.clone();
        let source = Box::new(move || Ok(Box::new(disk::open_file(&path)?) as Box<dyn redb::StorageBackend>));
        let page_cache = settings.cache - settings.cache / VALUE_CACHE_PART;
        Self::start(Database::open(&settings.path, page_cache, settings.encryption.clone(), source)?, settings)
    }

    /// Starts the writer of `database`.
    pub(crate) fn start(database: Database, settings: &Settings) -> Result<Self, StateError> {
        let database = Arc::new(database);
        let cache = Arc::new(ValueCache::new(settings.cache / VALUE_CACHE_PART));
        let queue = Arc::new(CommitQueue::new(settings.queue, settings.max_batch));
        let changes = Arc::<Mutex<()>>::default();
        let watches = Arc::<KeyWatches>::default();
        let writer = {
            let writer = BatchWriter {
                database: Arc::clone(&database),
                cache: Arc::clone(&cache),
                watches: Arc::clone(&watches),
                changes: Arc::clone(&changes),
            };
            let queue = Arc::clone(&queue);
            std::thread::Builder::new()
                .name("state-writer".into())
                .spawn(move || writer.write_batches(&queue))
                .map_err(|error: io::Error| StateError::Io {
                    path: settings.path.clone(),
                    problem: "the thread that writes could not be started",
                    source: Some(StorageCause::new(error)),
                })?
        };
        Ok(Self { database, cache, watches, queue, changes, writer: Mutex::new(Some(writer)) })
    }

    /// Reads, or does what else blocks, on a thread of the blocking pool. A read that waited for the disk on a worker
    /// thread would hold up every request of that worker, also those of other services.
    fn read<T: Send + 'static>(
        &self,
        f: impl FnOnce(&Database) -> Result<T, StateError> + Send + 'static,
    ) -> BackendFuture<'static, T> {
        let database = self.database.clone();
        Box::pin(async move {
            // A cancelled task means that the runtime is shutting down. A panic cannot be the reason: `Database` lets
            // none out.
            tokio::task::spawn_blocking(move || f(&database)).await.unwrap_or(Err(StateError::Closed))
        })
    }
}

impl Backend for Embedded {
    fn get<'a>(&'a self, bucket: &'a ServiceName, keys: Vec<Key>) -> BackendFuture<'a, Vec<Option<Versioned>>> {
        let (bucket, cache) = (bucket.clone(), self.cache.clone());
        self.read(move |database| {
            let ticket = cache.begin_read();
            let found = database.get(&bucket, &keys)?;
            cache.fill(ticket, &bucket, &keys, &found);
            Ok(found)
        })
    }

    fn get_cached(&self, bucket: &ServiceName, keys: &[Key]) -> Option<Vec<Option<Versioned>>> {
        self.cache.get(bucket, keys)
    }

    fn scan<'a>(
        &'a self,
        bucket: &'a ServiceName,
        prefix: Key,
        after: Option<Key>,
        limit: usize,
    ) -> BackendFuture<'a, Page<Entry>> {
        let bucket = bucket.clone();
        self.read(move |database| database.scan(&bucket, &prefix, after.as_deref(), limit))
    }

    fn keys<'a>(
        &'a self,
        bucket: &'a ServiceName,
        prefix: Key,
        after: Option<Key>,
        limit: usize,
    ) -> BackendFuture<'a, Page<Key>> {
        let bucket = bucket.clone();
        self.read(move |database| database.keys(&bucket, &prefix, after.as_deref(), limit))
    }

    fn commit<'a>(&'a self, bucket: &'a ServiceName, transaction: Transaction) -> BackendFuture<'a, Committed> {
        self.queue.commit(bucket, transaction, LaneBound::Holds)
    }

    fn commit_over_bound<'a>(
        &'a self,
        bucket: &'a ServiceName,
        transaction: Transaction,
    ) -> BackendFuture<'a, Committed> {
        self.queue.commit(bucket, transaction, LaneBound::Yields)
    }

    fn freeze<'a>(&'a self, bucket: &'a ServiceName) -> BackendFuture<'a, Arc<dyn FrozenBucket>> {
        let bucket = bucket.clone();
        self.read(move |database| Ok(Arc::new(database.freeze(&bucket)?) as Arc<dyn FrozenBucket>))
    }

    fn unseal<'a>(&'a self, bucket: &'a ServiceName, entries: Vec<Entry>) -> BackendFuture<'a, Vec<Entry>> {
        let bucket = bucket.clone();
        self.read(move |database| database.unseal(&bucket, entries))
    }

    fn erase<'a>(&'a self, bucket: &'a ServiceName) -> BackendFuture<'a, bool> {
        let (bucket, cache, changes) = (bucket.clone(), Arc::clone(&self.cache), Arc::clone(&self.changes));
        let watches = Arc::clone(&self.watches);
        self.read(move |database| {
            let _alone = changes.lock().unwrap_or_else(PoisonError::into_inner);
            watches.begin_erasure(&bucket);
            let erased = database.erase(&bucket);
            watches.end_batch();
            // What a read has found before the commit does not come back: its ticket is older.
            cache.clear();
            erased
        })
    }

    fn replace_key(&self, next: Encryption) -> BackendFuture<'_, bool> {
        let changes = Arc::clone(&self.changes);
        self.read(move |database| {
            let _alone = changes.lock().unwrap_or_else(PoisonError::into_inner);
            database.replace_key(&next)
        })
    }

    fn takes_writes(&self) -> bool {
        self.database.takes_writes()
    }

    fn metrics(&self) -> &Arc<StoreMetrics> {
        &self.database.metrics
    }

    fn watches(&self) -> &Arc<KeyWatches> {
        &self.watches
    }

    fn switch_watches_on(&self) {
        // A batch that has begun before is not looked at: after this lock there is none.
        let _alone = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        self.watches.switch_on();
    }

    fn close(&self) {
        self.queue.close();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            // The writer does not panic. If it did, the queue is closed all the same.
            let _ = writer.join();
            self.database.close();
            // Last: this also forgets what reads before the close have found, and later reads find nothing.
            self.cache.clear();
        }
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.close();
    }
}

/// What the writer's thread has.
struct BatchWriter {
    database: Arc<Database>,
    cache: Arc<ValueCache>,
    watches: Arc<KeyWatches>,
    changes: Arc<Mutex<()>>,
}

impl BatchWriter {
    /// The writer's loop: takes the commits that wait, writes them, answers. While it waits for the disk, the next
    /// batch gathers.
    fn write_batches(&self, queue: &CommitQueue) {
        while let Some(commits) = queue.take() {
            let (batch, callers) = commits.split();
            callers.send(self.write(batch));
        }
    }

    /// Writes one batch. A conflict is answered together with the rest, not earlier: the commit that it lost against
    /// can only be read once it is on disk.
    fn write(&self, batch: Vec<(ServiceName, Transaction)>) -> Vec<Result<Committed, StateError>> {
        let _alone = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        self.watches.begin_batch(&batch);
        self.cache.begin_batch(&batch);
        match self.database.write(&batch) {
            Ok(answers) => {
                self.cache.end_batch(batch, &answers);
                self.watches.end_batch();
                answers
            }
            Err(error) => {
                self.cache.clear();
                // The batch is on disk whole or not at all, and nobody knows which.
                self.watches.end_all();
                vec![Err(error); batch.len()]
            }
        }
    }
}
