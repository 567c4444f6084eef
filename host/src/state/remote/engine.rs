//! The backend over a database server: one thread that writes, and reads beside it.

use super::remote_database::RemoteDatabase;
use crate::base::ServiceName;
use crate::state::backend::Backend;
use crate::state::backend_future::BackendFuture;
use crate::state::commit_queue::CommitQueue;
use crate::state::error::{StateError, StorageCause};
use crate::state::fair_queue::LaneBound;
use crate::state::frozen_bucket::FrozenBucket;
use crate::state::key_watches::KeyWatches;
use crate::state::state_key::StateKey;
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
pub(in crate::state) struct RemoteBackend<D: RemoteDatabase> {
    database: Arc<D>,
    queue: Arc<CommitQueue>,
    metrics: Arc<StoreMetrics>,
    /// Nobody watches: what another host writes there cannot be seen before it can be read.
    watches: Arc<KeyWatches>,
    superseded: Arc<SetOnce<StateError>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    prober: AbortHandle,
    /// Set by whoever closes the store, who keeps the runtime until the writer has ended.
    closing: Arc<AtomicBool>,
}

impl<D: RemoteDatabase> RemoteBackend<D> {
    /// Starts the writer of `database`. Must be called within a runtime, which has to run until the store is closed.
    /// `place` is the database's name in messages; `queue` and `max_batch` are as in
    /// [`Settings`](crate::state::Settings).
    ///
    /// # Errors
    /// There is no thread to be had.
    pub(in crate::state) fn start(
        database: D,
        place: &str,
        (queue, max_batch): (usize, usize),
    ) -> Result<Self, StateError> {
        let (database, metrics) = (Arc::new(database), Arc::<StoreMetrics>::default());
        let superseded = Arc::<SetOnce<StateError>>::default();
        let queue = Arc::new(CommitQueue::new(queue, max_batch));
        let closing = Arc::<AtomicBool>::default();
        let writer = {
            let (database, queue, metrics) = (Arc::clone(&database), Arc::clone(&queue), Arc::clone(&metrics));
            let (superseded, closing) = (Arc::clone(&superseded), Arc::clone(&closing));
            let runtime = Handle::current();
            // A thread, and no task: nothing can cancel a batch in the middle.
            let thread = std::thread::Builder::new().name("state-writer".into());
            let spawned = thread.spawn(move || {
                write_batches(&runtime, &*database, &queue, (&metrics, &superseded));
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
        let told = (Arc::clone(&metrics), Arc::clone(&superseded));
        let prober = tokio::spawn(probe(Arc::clone(&database), told, place.to_owned())).abort_handle();
        let writer = Mutex::new(Some(writer));
        Ok(Self { database, queue, metrics, watches: Arc::default(), superseded, writer, prober, closing })
    }
}

/// The writer's loop: takes the commits that wait, writes them, answers. While it waits for the server, the next batch
/// gathers.
fn write_batches<D: RemoteDatabase>(
    runtime: &Handle,
    database: &D,
    queue: &CommitQueue,
    (metrics, superseded): (&StoreMetrics, &SetOnce<StateError>),
) {
    while let Some(commits) = queue.take() {
        let (batch, callers) = commits.split();
        let began = Instant::now();
        let answers = match runtime.block_on(database.write(&batch)) {
            Ok(answers) => {
                metrics.wrote(began.elapsed(), 0);
                answers
            }
            Err(error) => {
                // Of the errors of a server, this one alone says that nobody knows.
                let in_doubt = matches!(error, StateError::Io { .. });
                let cause = if in_doubt { "in-doubt" } else { error.write_cause() };
                metrics.failed(cause, batch.len());
                metrics.set_away(in_doubt || cause == "away");
                note_end(&error, superseded);
                vec![Err(error); batch.len()]
            }
        };
        debug_assert_eq!(answers.len(), batch.len(), "each transaction has an answer");
        callers.send(answers);
    }
}

/// Looks at the server, time and again: whether it is there, and takes writes of this host.
async fn probe<D: RemoteDatabase>(
    database: Arc<D>,
    (metrics, superseded): (Arc<StoreMetrics>, Arc<SetOnce<StateError>>),
    place: String,
) {
    let mut was_well = true;
    loop {
        tokio::time::sleep(PROBE_EVERY).await;
        let error = database.probe().await.err();
        match &error {
            // Who has lost the data can read them all the same.
            Some(error @ (StateError::Taken { .. } | StateError::Superseded { .. })) => {
                metrics.set_read_only(true);
                if was_well {
                    tracing::error!(target: "store", place, error = error.with_causes(), "the store takes no writes");
                }
                note_end(error, &superseded);
            }
            Some(error) => {
                metrics.set_away(true);
                if was_well {
                    tracing::error!(target: "store", place, error = error.with_causes(), "the store is away");
                }
            }
            None if !was_well => {
                metrics.set_read_only(false);
                tracing::warn!(target: "store", place, "the store is there again");
            }
            None => metrics.set_away(false),
        }
        was_well = error.is_none();
    }
}

/// Keeps the error after which this host writes nothing more.
fn note_end(error: &StateError, superseded: &SetOnce<StateError>) {
    if matches!(error, StateError::Superseded { .. }) && superseded.set(error.clone()).is_ok() {
        tracing::error!(target: "store", error = error.with_causes(), "the data are this host's no longer");
    }
}

impl<D: RemoteDatabase> Backend for RemoteBackend<D> {
    fn get<'a>(&'a self, bucket: &'a ServiceName, keys: Vec<Key>) -> BackendFuture<'a, Vec<Option<Versioned>>> {
        self.database.get(bucket, keys)
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
        self.database.scan(bucket, prefix, after, limit)
    }

    fn keys<'a>(
        &'a self,
        bucket: &'a ServiceName,
        prefix: Key,
        after: Option<Key>,
        limit: usize,
    ) -> BackendFuture<'a, Page<Key>> {
        self.database.keys(bucket, prefix, after, limit)
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
        self.database.freeze(bucket)
    }

    fn unseal<'a>(&'a self, _: &'a ServiceName, _: Vec<Entry>) -> BackendFuture<'a, Vec<Entry>> {
        Box::pin(std::future::ready(Err(self.database.plain_only())))
    }

    fn erase<'a>(&'a self, bucket: &'a ServiceName) -> BackendFuture<'a, bool> {
        self.database.erase(bucket)
    }

    fn replace_key(&self, _: StateKey) -> BackendFuture<'_, bool> {
        Box::pin(std::future::ready(Err(self.database.plain_only())))
    }

    fn takes_writes(&self) -> bool {
        !self.metrics.is_degraded()
    }

    fn metrics(&self) -> &Arc<StoreMetrics> {
        &self.metrics
    }

    fn watches(&self) -> &Arc<KeyWatches> {
        &self.watches
    }

    fn superseded(&self) -> Option<&SetOnce<StateError>> {
        Some(&self.superseded)
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

impl<D: RemoteDatabase> Drop for RemoteBackend<D> {
    /// Without waiting for the writer: it may need the runtime of whoever drops this.
    fn drop(&mut self) {
        self.queue.close();
        self.prober.abort();
        self.database.close();
    }
}
