//! The default backend: redb in one file, one thread that writes, reads beside it.

use super::backend::{Backend, BackendFuture};
use super::database::Database;
use super::disk;
use super::error::StateError;
use super::queue::{PushError, Queue};
use super::recent::Recent;
use super::transaction::{Committed, Entry, Key, Page, Transaction, Versioned, limit};
use crate::base::ServiceName;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// What a waiting commit costs in its queue on top of its bytes, so that small ones are bounded too.
const COMMIT_COST: usize = 1024;

/// Which part of the cache is for values, and not for pages.
const RECENT: usize = 4;

/// Most bytes of one batch: the sync of more would hold up the batch behind it for longer than it saves.
const BATCH_BYTES: usize = 4 * limit::BYTES;

/// How the embedded database runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The file; it and its folders are created where they are absent.
    pub path: PathBuf,
    /// Most commits that share a sync to disk.
    pub max_batch: usize,
    /// Bytes of one service's commits that may wait for the writer, each counted as its size and 1 KiB. Further ones are refused.
    pub queue: usize,
    /// Bytes of memory that keep pages of the database and, in a quarter of them, values that were read or written lately.
    pub cache: usize,
}

impl Default for Settings {
    /// `.atoll/state.redb`, 256 commits a batch, 16 MiB of commits waiting for each service, 64 MiB of cache.
    fn default() -> Self {
        Self { path: ".atoll/state.redb".into(), max_batch: 256, queue: 16 << 20, cache: 64 << 20 }
    }
}

/// The services' data in one redb database.
pub struct Embedded {
    database: Arc<Database>,
    recent: Arc<Recent>,
    queue: Arc<Queue<CommitJob>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// A commit that waits, and where its answer goes.
struct CommitJob {
    transaction: Transaction,
    answer: oneshot::Sender<Result<Committed, StateError>>,
}

impl Embedded {
    /// Opens the database at the path of `settings`, and creates it where there is none. Blocks.
    ///
    /// # Errors
    /// As [`Store::open`](super::Store::open).
    pub fn open(settings: &Settings) -> Result<Self, StateError> {
        let path = settings.path.clone();
        let source = Box::new(move || Ok(Box::new(disk::open_file(&path)?) as Box<dyn redb::StorageBackend>));
        Self::start(Database::open(&settings.path, settings.cache - settings.cache / RECENT, source)?, settings)
    }

    /// Starts the writer of `database`.
    pub(super) fn start(database: Database, settings: &Settings) -> Result<Self, StateError> {
        let database = Arc::new(database);
        let recent = Arc::new(Recent::new(settings.cache / RECENT));
        let queue = Arc::new(Queue::new(settings.queue));
        let max_batch = settings.max_batch;
        let writer = {
            let (database, recent, queue) = (database.clone(), recent.clone(), queue.clone());
            std::thread::Builder::new()
                .name("state-writer".into())
                .spawn(move || write_batches(&database, &recent, &queue, max_batch))
                .map_err(|e: io::Error| StateError::Io {
                    path: settings.path.clone(),
                    detail: format!("no thread: {e}"),
                })?
        };
        Ok(Self { database, recent, queue, writer: Mutex::new(Some(writer)) })
    }

    /// Reads on a thread that may block: one that waits for a disk elsewhere holds up every request of that worker, other services'
    /// included.
    fn read<T: Send + 'static>(
        &self,
        f: impl FnOnce(&Database) -> Result<T, StateError> + Send + 'static,
    ) -> BackendFuture<'static, T> {
        let database = self.database.clone();
        Box::pin(async move {
            // Cancelled means that the runtime is going down; `Database` lets no panic out.
            tokio::task::spawn_blocking(move || f(&database)).await.unwrap_or(Err(StateError::Closed))
        })
    }
}

impl Backend for Embedded {
    fn get<'a>(&'a self, bucket: &'a ServiceName, keys: Vec<Key>) -> BackendFuture<'a, Vec<Option<Versioned>>> {
        let (bucket, recent) = (bucket.clone(), self.recent.clone());
        self.read(move |database| {
            let moment = recent.moment();
            let found = database.get(&bucket, &keys)?;
            recent.keep(moment, &bucket, &keys, &found);
            Ok(found)
        })
    }

    fn recall(&self, bucket: &ServiceName, keys: &[Key]) -> Option<Vec<Option<Versioned>>> {
        self.recent.recall(bucket, keys)
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
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            let cost = transaction.size() + COMMIT_COST;
            self.queue.push(bucket, CommitJob { transaction, answer }, cost).map_err(|refused| match refused {
                PushError::Full => StateError::Overloaded,
                PushError::Closed => StateError::Closed,
            })?;
            answered.await.unwrap_or(Err(StateError::Closed))
        })
    }

    fn close(&self) {
        self.queue.close();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            // The writer lets no panic out; if it did, the queue is closed all the same.
            let _ = writer.join();
            self.database.close();
            // Last: what a read has found before is forgotten with the rest, and there will be no further one.
            self.recent.clear();
        }
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.close();
    }
}

/// The writer: takes what waits, writes it, answers. While it waits for the disk, the next batch gathers.
fn write_batches(database: &Database, recent: &Recent, queue: &Queue<CommitJob>, max_batch: usize) {
    while let Some(jobs) = queue.take(max_batch, BATCH_BYTES) {
        let mut batch = Vec::with_capacity(jobs.len());
        let mut waiting = Vec::with_capacity(jobs.len());
        // Where nobody waits for the answer any more, the deadline passed or the client went: spare the disk the work.
        for (bucket, job) in jobs.into_iter().filter(|(_, job)| !job.answer.is_closed()) {
            batch.push((bucket, job.transaction));
            waiting.push(job.answer);
        }
        if batch.is_empty() {
            continue;
        }
        // A conflict is answered with the rest and not before: what it lost against can only be read once it is on disk.
        recent.begin(&batch);
        let answers = match database.write(&batch) {
            Ok(answers) => {
                recent.end(batch, &answers);
                answers
            }
            Err(error) => {
                recent.clear();
                vec![Err(error); batch.len()]
            }
        };
        for (answer, waits) in answers.into_iter().zip(waiting) {
            // Whoever has gone in the meantime finds the commit whole when they read.
            let _ = waits.send(answer);
        }
    }
}
