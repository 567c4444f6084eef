//! The default backend: redb in one file, one thread that writes, reads beside it.

use super::backend::{Backend, Pending};
use super::database::Database;
use super::disk;
use super::error::Error;
use super::queue::{Queue, Refused};
use super::transaction::{Committed, Entry, Key, Page, Transaction, Versioned, limit};
use crate::base::ServiceName;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// What a waiting commit costs in its queue on top of its bytes, so that small ones are bounded too.
const COMMIT_COST: usize = 1024;

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
    /// Bytes of memory that keep pages of the database.
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
    queue: Arc<Queue<Job>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// A commit that waits, and where its answer goes.
struct Job {
    transaction: Transaction,
    answer: oneshot::Sender<Result<Committed, Error>>,
}

impl Embedded {
    /// Opens the database at the path of `settings`, and creates it where there is none. Blocks.
    ///
    /// # Errors
    /// As [`Store::open`](super::Store::open).
    pub fn open(settings: &Settings) -> Result<Self, Error> {
        let path = settings.path.clone();
        let source = Box::new(move || Ok(Box::new(disk::open_file(&path)?) as Box<dyn redb::StorageBackend>));
        Self::start(Database::open(&settings.path, settings.cache, source)?, settings)
    }

    /// Starts the writer of `database`.
    pub(super) fn start(database: Database, settings: &Settings) -> Result<Self, Error> {
        let database = Arc::new(database);
        let queue = Arc::new(Queue::new(settings.queue));
        let max_batch = settings.max_batch;
        let writer = {
            let (database, queue) = (database.clone(), queue.clone());
            std::thread::Builder::new()
                .name("state-writer".into())
                .spawn(move || write_batches(&database, &queue, max_batch))
                .map_err(|e: io::Error| Error::Io { path: settings.path.clone(), detail: format!("no thread: {e}") })?
        };
        Ok(Self { database, queue, writer: Mutex::new(Some(writer)) })
    }

    /// Reads on a thread that may block. Most reads find their pages in memory and would be done sooner where they are; but one that
    /// waits for a disk there holds up every request of that worker, other services' included.
    fn read<T: Send + 'static>(
        &self,
        f: impl FnOnce(&Database) -> Result<T, Error> + Send + 'static,
    ) -> Pending<'static, T> {
        let database = self.database.clone();
        Box::pin(async move {
            // Cancelled means that the runtime is going down; `Database` lets no panic out.
            tokio::task::spawn_blocking(move || f(&database)).await.unwrap_or(Err(Error::Closed))
        })
    }
}

impl Backend for Embedded {
    fn get<'a>(&'a self, bucket: &'a ServiceName, keys: Vec<Key>) -> Pending<'a, Vec<Option<Versioned>>> {
        let bucket = bucket.clone();
        self.read(move |database| database.get(&bucket, &keys))
    }

    fn scan<'a>(
        &'a self,
        bucket: &'a ServiceName,
        prefix: Key,
        after: Option<Key>,
        limit: usize,
    ) -> Pending<'a, Page<Entry>> {
        let bucket = bucket.clone();
        self.read(move |database| database.scan(&bucket, &prefix, after.as_deref(), limit))
    }

    fn keys<'a>(
        &'a self,
        bucket: &'a ServiceName,
        prefix: Key,
        after: Option<Key>,
        limit: usize,
    ) -> Pending<'a, Page<Key>> {
        let bucket = bucket.clone();
        self.read(move |database| database.keys(&bucket, &prefix, after.as_deref(), limit))
    }

    fn commit<'a>(&'a self, bucket: &'a ServiceName, transaction: Transaction) -> Pending<'a, Committed> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            let cost = transaction.size() + COMMIT_COST;
            self.queue.push(bucket, Job { transaction, answer }, cost).map_err(|refused| match refused {
                Refused::Full => Error::Overloaded,
                Refused::Closed => Error::Closed,
            })?;
            answered.await.unwrap_or(Err(Error::Closed))
        })
    }

    fn close(&self) {
        self.queue.close();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            // The writer lets no panic out; if it did, the queue is closed all the same.
            let _ = writer.join();
            self.database.close();
        }
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.close();
    }
}

/// The writer: takes what waits, writes it, answers. While it waits for the disk, the next batch gathers.
fn write_batches(database: &Database, queue: &Queue<Job>, max_batch: usize) {
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
        let answers = database.write(&batch).unwrap_or_else(|e| vec![Err(e); batch.len()]);
        for (answer, waits) in answers.into_iter().zip(waiting) {
            // Whoever has gone in the meantime finds the commit whole when they read.
            let _ = waits.send(answer);
        }
    }
}
