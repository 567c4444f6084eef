//! The backend over a database server: one thread that writes, and reads beside it.

use super::batch_parts::BatchParts;
use super::damaged_read::{DamagedRead, DamagedReadKind};
use super::remote_database::RemoteDatabase;
use super::remote_reader::{ListedRange, RemoteReader};
use super::remote_standing::{RemoteStanding, ServerLooks, is_outage};
use super::remote_writer::RemoteWriter;
use crate::base::ServiceName;
use crate::state::backend::Backend;
use crate::state::backend_future::BackendFuture;
use crate::state::commit_queue::CommitQueue;
use crate::state::error::{StateError, StorageCause};
use crate::state::fair_queue::LaneBound;
use crate::state::frozen_bucket::FrozenBucket;
use crate::state::key_watches::KeyWatches;
use crate::state::state_key::Encryption;
use crate::state::transaction::{Committed, Entry, Key, Page, Transaction, Versioned};
use crate::telemetry::StoreMetrics;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::SetOnce;
use tokio::task::AbortHandle;

/// The time between two looks at the server, for `/readyz`: a host without traffic would not notice otherwise.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// The services' data on a database server.
pub(in crate::state) struct RemoteBackend<R: RemoteReader, W: RemoteWriter> {
    database: Arc<RemoteDatabase<R, W>>,
    queue: Arc<CommitQueue>,
    standing: Arc<RemoteStanding>,
    /// Nobody watches: what another host writes there cannot be seen before it can be read.
    watches: Arc<KeyWatches>,
    writer: Mutex<Option<JoinHandle<()>>>,
    prober: AbortHandle,
    /// Set by whoever closes the store, who keeps the runtime until the writer has ended.
    closing: Arc<AtomicBool>,
}

impl<R: RemoteReader, W: RemoteWriter> RemoteBackend<R, W> {
    /// Starts the writer of `database`. Must be called within a runtime, which has to run until the store is closed.
    /// `queue` and `max_batch` are as in [`Settings`](crate::state::Settings).
    ///
    /// # Errors
    /// There is no thread to be had.
    pub(in crate::state) fn start(
        database: RemoteDatabase<R, W>,
        (queue, max_batch): (usize, usize),
    ) -> Result<Self, StateError> {
        let place = database.place().to_owned();
        let (database, standing) = (Arc::new(database), Arc::new(RemoteStanding::new(&place)));
        let queue = Arc::new(CommitQueue::new(queue, max_batch));
        let closing = Arc::<AtomicBool>::default();
        let writer = {
            let (database, queue) = (Arc::clone(&database), Arc::clone(&queue));
            let (standing, closing) = (Arc::clone(&standing), Arc::clone(&closing));
            let runtime = Handle::current();
            // A thread, and no task: nothing can cancel a batch in the middle.
            let thread = std::thread::Builder::new().name("state-writer".into());
            let spawned = thread.spawn(move || {
                write_batches(&runtime, &*database, &queue, &standing);
                if closing.load(Ordering::Acquire) {
                    // Whatever it holds ends by itself as well.
                    let _ = runtime.block_on(database.release());
                }
            });
            spawned.map_err(|error| {
                let problem = "the thread that writes could not be started";
                StateError::Io { path: place.into(), problem, source: Some(StorageCause::new(error)) }
            })?
        };
        let prober = tokio::spawn(probe(Arc::clone(&database), Arc::clone(&standing))).abort_handle();
        let writer = Mutex::new(Some(writer));
        Ok(Self { database, queue, standing, watches: Arc::default(), writer, prober, closing })
    }
}

/// The writer's loop: takes the commits that wait, writes them, answers. While it waits for the server, the next batch
/// gathers.
fn write_batches<R: RemoteReader, W: RemoteWriter>(
    runtime: &Handle,
    database: &RemoteDatabase<R, W>,
    queue: &CommitQueue,
    standing: &RemoteStanding,
) {
    while let Some(commits) = queue.take() {
        let (batch, callers) = commits.split();
        let count = batch.len();
        let answers = write_batch(runtime, database, batch, standing);
        debug_assert_eq!(answers.len(), count, "each transaction has an answer");
        callers.send(answers);
    }
}

fn write_batch<R: RemoteReader, W: RemoteWriter>(
    runtime: &Handle,
    database: &RemoteDatabase<R, W>,
    batch: Vec<(ServiceName, Transaction)>,
    standing: &RemoteStanding,
) -> Vec<Result<Committed, StateError>> {
    let began = Instant::now();
    match runtime.block_on(database.write(&batch)) {
        Ok(answers) => {
            standing.wrote(began.elapsed());
            answers
        }
        Err(error) => {
            let parts = BatchParts::of(batch, &error);
            if !parts.refused.is_empty() {
                standing.not_written(&error, &parts.refused);
            }
            // Each part lacks a bucket that this one had, so it ends.
            parts.answers(&error, |part| write_batch(runtime, database, part, standing))
        }
    }
}

/// Looks at the server, time and again: whether it is there, takes writes of this host, and is whole where it was not.
async fn probe<R: RemoteReader, W: RemoteWriter>(database: Arc<RemoteDatabase<R, W>>, standing: Arc<RemoteStanding>) {
    loop {
        tokio::time::sleep(PROBE_EVERY).await;
        // At the same time: a server that is silent is known as away after one question, not after two.
        let reads = async {
            let reads = database.probe_reads().await;
            standing.note_reads(&reads);
            reads
        };
        let writes = async {
            let writes = database.probe_writes().await.transpose()?;
            standing.note_writes(&writes);
            Some(writes)
        };
        let (reads, writes) = tokio::join!(reads, writes);
        let mut damage = Vec::<(Arc<DamagedRead>, Result<(), StateError>)>::new();
        for read in standing.damaged_reads() {
            // A server that is silent now would be asked for each bucket, and each time in vain.
            if is_outage(damage.last().map_or(&reads, |(_, found)| found)) {
                break;
            }
            let found = read_again(&*database, &read).await;
            damage.push((read, found));
        }
        standing.note_looks(&ServerLooks { reads, writes, damage });
    }
}

/// Whether a read that has found damage finds it still.
async fn read_again<R: RemoteReader, W: RemoteWriter>(
    database: &RemoteDatabase<R, W>,
    read: &DamagedRead,
) -> Result<(), StateError> {
    let bucket = &read.bucket;
    match &read.kind {
        DamagedReadKind::Get(keys) => {
            // Those of several commits may have more bytes than one read may.
            let mut parts = vec![keys.as_slice()];
            while let Some(part) = parts.pop() {
                match database.get(bucket, part).await {
                    Err(StateError::TooLarge { .. }) if part.len() > 1 => {
                        let (first, second) = part.split_at(part.len() / 2);
                        parts.extend([second, first]);
                    }
                    found => drop(found?),
                }
            }
            Ok(())
        }
        DamagedReadKind::Scan { prefix, after, limit } => {
            let range = ListedRange { prefix, after: after.as_deref(), limit: *limit };
            database.scan(bucket, range).await.map(drop)
        }
        DamagedReadKind::Keys { prefix, after, limit } => {
            let range = ListedRange { prefix, after: after.as_deref(), limit: *limit };
            database.keys(bucket, range).await.map(drop)
        }
    }
}

impl<R: RemoteReader, W: RemoteWriter> Backend for RemoteBackend<R, W> {
    fn get<'a>(&'a self, bucket: &'a ServiceName, keys: Vec<Key>) -> BackendFuture<'a, Vec<Option<Versioned>>> {
        Box::pin(async move {
            let found = self.database.get(bucket, &keys).await;
            let read = || DamagedRead { bucket: bucket.clone(), kind: DamagedReadKind::Get(keys) };
            self.standing.note_read(&found, read);
            found
        })
    }

    /// Another host may have written since.
    fn get_cached(&self, _: &ServiceName, _: &[Key]) -> Option<Vec<Option<Versioned>>> {
        None
    }

    fn scan<'a>(
        &'a self,
        bucket: &'a ServiceName,
        prefix: Key,
        after: Option<Key>,
        limit: usize,
    ) -> BackendFuture<'a, Page<Entry>> {
        Box::pin(async move {
            let found =
                self.database.scan(bucket, ListedRange { prefix: &prefix, after: after.as_deref(), limit }).await;
            let kind = DamagedReadKind::Scan { prefix, after, limit };
            self.standing.note_read(&found, || DamagedRead { bucket: bucket.clone(), kind });
            found
        })
    }

    fn keys<'a>(
        &'a self,
        bucket: &'a ServiceName,
        prefix: Key,
        after: Option<Key>,
        limit: usize,
    ) -> BackendFuture<'a, Page<Key>> {
        Box::pin(async move {
            let found =
                self.database.keys(bucket, ListedRange { prefix: &prefix, after: after.as_deref(), limit }).await;
            let kind = DamagedReadKind::Keys { prefix, after, limit };
            self.standing.note_read(&found, || DamagedRead { bucket: bucket.clone(), kind });
            found
        })
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
        Box::pin(self.database.freeze(bucket, &self.standing))
    }

    fn unseal<'a>(&'a self, _: &'a ServiceName, _: Vec<Entry>) -> BackendFuture<'a, Vec<Entry>> {
        Box::pin(std::future::ready(Err(self.database.plain_only())))
    }

    fn erase<'a>(&'a self, bucket: &'a ServiceName) -> BackendFuture<'a, bool> {
        Box::pin(self.database.erase(bucket))
    }

    fn replace_key(&self, _: Encryption) -> BackendFuture<'_, bool> {
        Box::pin(std::future::ready(Err(self.database.plain_only())))
    }

    fn takes_writes(&self) -> bool {
        self.standing.metrics.takes_writes()
    }

    fn metrics(&self) -> &Arc<StoreMetrics> {
        &self.standing.metrics
    }

    fn watches(&self) -> &Arc<KeyWatches> {
        &self.watches
    }

    fn superseded(&self) -> Option<&SetOnce<StateError>> {
        Some(&self.standing.superseded)
    }

    fn check_alone(&self) -> Result<(), StateError> {
        self.database.check_alone()
    }

    /// A manifest that needs it is refused with such a backend.
    fn switch_watches_on(&self) {}

    fn close(&self) {
        self.closing.store(true, Ordering::Release);
        // First: a probe would have the session that gives the data back.
        self.prober.abort();
        self.queue.close();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            // The writer does not panic. If it did, the queue is closed all the same.
            let _ = writer.join();
            self.database.close();
        }
    }
}

impl<R: RemoteReader, W: RemoteWriter> Drop for RemoteBackend<R, W> {
    /// Without waiting for the writer: it may need the runtime of whoever drops this.
    fn drop(&mut self) {
        self.queue.close();
        self.prober.abort();
        self.database.close();
    }
}
