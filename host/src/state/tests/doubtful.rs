//! A database that does what it is told and says that the disk has failed, or stops in the middle as if the host had
//! crashed, for the tests of other rooms.

use super::super::backend::Backend;
use super::super::backend_future::BackendFuture;
use super::super::embedded::engine::{Embedded, Settings};
use super::super::frozen_bucket::FrozenBucket;
use super::super::key_watches::KeyWatches;
use super::super::state_key::Encryption;
use super::super::transaction::{Committed, Entry, Key, Page, Transaction, Versioned};
use super::super::{StateError, Store};
use crate::base::ServiceName;
use crate::telemetry::StoreMetrics;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use tokio::sync::Notify;

/// How many of the next commits are on disk though their answer is an error of the disk.
pub(crate) type Doubts = Arc<AtomicUsize>;

struct DoubtfulBackend {
    below: Embedded,
    crash: Arc<CrashPoint>,
    faults: Arc<StoreFaults>,
}

/// What a store answers with an error of the disk.
#[derive(Default)]
pub(crate) struct StoreFaults {
    /// How many of the next commits fail and are not on disk.
    pub(crate) lost: AtomicUsize,
    /// How many of the next commits fail and are on disk.
    pub(crate) doubts: Doubts,
    /// How many of the next scans fail.
    pub(crate) unread: AtomicUsize,
}

fn failed<T>() -> Result<T, StateError> {
    Err(StateError::Io { path: "state.redb".into(), problem: "the disk failed", source: None })
}

/// Counts one down, if it is not 0.
fn is_due(left: &AtomicUsize) -> bool {
    left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok()
}

/// Where the host crashes: from then on no commit is answered, until it is lifted.
pub(crate) struct CrashPoint {
    /// How many commits are answered before.
    left: AtomicUsize,
    /// Whether the commit at which it crashes is on disk.
    is_written: AtomicBool,
    /// Ends when the point was reached.
    pub(crate) reached: Notify,
}

impl Default for CrashPoint {
    fn default() -> Self {
        Self { left: AtomicUsize::new(usize::MAX), is_written: AtomicBool::new(false), reached: Notify::new() }
    }
}

impl CrashPoint {
    /// The host crashes at the commit after the next `commits`, which is on disk or not.
    pub(crate) fn set(&self, commits: usize, is_written: bool) {
        self.is_written.store(is_written, Relaxed);
        self.left.store(commits, Relaxed);
    }

    /// The host is up again.
    pub(crate) fn lift(&self) {
        self.left.store(usize::MAX, Relaxed);
    }

    /// Whether a commit goes through. The one at which the host crashes is written if it is to be.
    async fn pass(&self, write: impl Future<Output = Result<Committed, StateError>>) -> Result<Committed, StateError> {
        match self.left.load(Relaxed) {
            usize::MAX => write.await,
            0 => std::future::pending().await,
            left => {
                self.left.store(left - 1, Relaxed);
                if left > 1 {
                    return write.await;
                }
                if self.is_written.load(Relaxed) {
                    write.await?;
                }
                self.reached.notify_one();
                std::future::pending().await
            }
        }
    }
}

fn store(folder: &Path) -> (Store, Arc<CrashPoint>, Arc<StoreFaults>) {
    let settings = Settings { path: folder.join("state.redb"), ..Settings::default() };
    let (crash, faults) = (Arc::<CrashPoint>::default(), Arc::<StoreFaults>::default());
    let below = Embedded::open(&settings).unwrap();
    let backend = DoubtfulBackend { below, crash: Arc::clone(&crash), faults: Arc::clone(&faults) };
    (Store::new(Arc::new(backend)), crash, faults)
}

/// A store in `folder` that can crash.
pub(crate) fn crashing_store(folder: &Path) -> (Store, Arc<CrashPoint>) {
    let (store, crash, _) = store(folder);
    (store, crash)
}

/// A store in `folder` whose commits can be made doubtful.
pub(crate) fn doubtful_store(folder: &Path) -> (Store, Doubts) {
    let (store, _, faults) = store(folder);
    (store, Arc::clone(&faults.doubts))
}

/// A store in `folder` that can fail.
pub(crate) fn faulty_store(folder: &Path) -> (Store, Arc<StoreFaults>) {
    let (store, _, faults) = store(folder);
    (store, faults)
}

impl Backend for DoubtfulBackend {
    fn get<'a>(&'a self, bucket: &'a ServiceName, keys: Vec<Key>) -> BackendFuture<'a, Vec<Option<Versioned>>> {
        self.below.get(bucket, keys)
    }

    fn get_cached(&self, bucket: &ServiceName, keys: &[Key]) -> Option<Vec<Option<Versioned>>> {
        self.below.get_cached(bucket, keys)
    }

    fn scan<'a>(
        &'a self,
        bucket: &'a ServiceName,
        prefix: Key,
        after: Option<Key>,
        limit: usize,
    ) -> BackendFuture<'a, Page<Entry>> {
        if is_due(&self.faults.unread) {
            return Box::pin(std::future::ready(failed()));
        }
        self.below.scan(bucket, prefix, after, limit)
    }

    fn keys<'a>(
        &'a self,
        bucket: &'a ServiceName,
        prefix: Key,
        after: Option<Key>,
        limit: usize,
    ) -> BackendFuture<'a, Page<Key>> {
        self.below.keys(bucket, prefix, after, limit)
    }

    fn commit<'a>(&'a self, bucket: &'a ServiceName, transaction: Transaction) -> BackendFuture<'a, Committed> {
        Box::pin(async move {
            if is_due(&self.faults.lost) {
                return failed();
            }
            let committed = self.crash.pass(self.below.commit(bucket, transaction)).await?;
            if is_due(&self.faults.doubts) { failed() } else { Ok(committed) }
        })
    }

    fn freeze<'a>(&'a self, bucket: &'a ServiceName) -> BackendFuture<'a, Arc<dyn FrozenBucket>> {
        self.below.freeze(bucket)
    }

    fn unseal<'a>(&'a self, bucket: &'a ServiceName, entries: Vec<Entry>) -> BackendFuture<'a, Vec<Entry>> {
        self.below.unseal(bucket, entries)
    }

    fn erase<'a>(&'a self, bucket: &'a ServiceName) -> BackendFuture<'a, bool> {
        self.below.erase(bucket)
    }

    fn replace_key(&self, next: Encryption) -> BackendFuture<'_, bool> {
        self.below.replace_key(next)
    }

    fn takes_writes(&self) -> bool {
        self.below.takes_writes()
    }

    fn metrics(&self) -> &Arc<StoreMetrics> {
        self.below.metrics()
    }

    fn watches(&self) -> &Arc<KeyWatches> {
        self.below.watches()
    }

    fn switch_watches_on(&self) {
        self.below.switch_watches_on();
    }

    fn close(&self) {
        self.below.close();
    }
}
