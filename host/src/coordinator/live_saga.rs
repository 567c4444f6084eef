//! A saga that has not ended, as its task and the coordinator share it.

use super::error::SagaError;
use super::journal::SagaJournal;
use super::lock_table::{LockHolder, LockTable, SagaLockKey};
use super::plan::{SagaPlan, SagaSettings};
use super::recovery::RecoveredSaga;
use super::topic_tail::TopicTail;
use super::unix_time::unix_ms;
use crate::saga::{JournalEntry, SagaOutcome, SagaPhase, SagaRun, bound};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, RwLock, Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;

/// Orders that may wait for a saga's task.
const WAITING_ORDERS: usize = 4;

/// What an operator decides about a saga.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SagaOrder {
    /// A parked saga tries again.
    Retry,
    /// A parked saga goes on as if the step were done, or undone.
    Skip,
    /// A saga that has not passed its pivot goes back.
    Compensate,
}

/// An order, and the way for its answer.
pub(super) struct WaitingOrder {
    pub(super) order: SagaOrder,
    pub(super) answer: oneshot::Sender<Result<(), SagaError>>,
}

/// What is counted of the sagas of one name.
#[derive(Default)]
pub(super) struct SagaCounters {
    pub(super) completed: AtomicU64,
    pub(super) compensated: AtomicU64,
    pub(super) failures: AtomicU64,
}

/// A saga that has not ended.
pub(super) struct LiveSaga {
    pub(super) id: String,
    pub(super) plan: Arc<SagaPlan>,
    pub(super) counts: Arc<SagaCounters>,
    pub(super) orders: mpsc::Sender<WaitingOrder>,
    pub(super) ended: watch::Sender<bool>,
    run: Mutex<SagaRun>,
    length: AtomicUsize,
    bytes: AtomicUsize,
    /// One more than the position of the step whose event is waited for, since it was not there yet; 0: of none.
    watching: AtomicUsize,
    /// Its place among the sagas that may be there.
    _place: Option<OwnedSemaphorePermit>,
}

impl LiveSaga {
    /// The saga that `recovered` tells of, and the orders that its task gets.
    pub(super) fn of(
        recovered: RecoveredSaga,
        counts: Arc<SagaCounters>,
        place: Option<OwnedSemaphorePermit>,
    ) -> (Arc<Self>, mpsc::Receiver<WaitingOrder>) {
        let RecoveredSaga { id, plan, run, length, bytes } = recovered;
        let (orders, waiting) = mpsc::channel(WAITING_ORDERS);
        let live = Self {
            id,
            plan,
            counts,
            orders,
            ended: watch::channel(false).0,
            run: Mutex::new(run),
            length: AtomicUsize::new(length as usize),
            bytes: AtomicUsize::new(bytes),
            watching: AtomicUsize::new(0),
            _place: place,
        };
        (Arc::new(live), waiting)
    }

    /// Looks at what its journal tells.
    pub(super) fn run<T>(&self, look: impl FnOnce(&SagaRun) -> T) -> T {
        look(&self.run.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many entries its journal has.
    pub(super) fn length(&self) -> u32 {
        u32::try_from(self.length.load(Ordering::Relaxed)).unwrap_or(u32::MAX)
    }

    /// Whether a result of so many bytes fits into a journal of at most `most`.
    pub(super) fn has_room(&self, most: usize, bytes: usize) -> bool {
        bytes <= bound::RESULT && self.bytes.load(Ordering::Relaxed).saturating_add(bytes) <= most
    }

    /// The event of this step was not there yet: from now on whatever comes is looked at.
    pub(super) fn watches(&self, step: usize) {
        self.watching.store(step + 1, Ordering::Relaxed);
    }

    /// The number of the event of `topic` after which it may still ask for events of the log; `None`: it needs none
    /// that was there before.
    pub(super) fn needs_after(&self, topic: &str, now: u64) -> Option<u64> {
        let watching = self.watching.load(Ordering::Relaxed);
        self.run(|run| {
            let step = run.next_wait(topic)?;
            let is_watched = run.current() == Some(step) && watching == step + 1;
            // A saga that waits for a person, or is late and only goes forward, may stand for ever. It finds what the
            // topic has kept by itself.
            let may_stand = run.phase() == SagaPhase::Parked || now > run.deadline();
            run.follows(topic).filter(|_| !is_watched && !may_stand)
        })
    }

    /// What it locks; `None`: nothing.
    pub(super) fn locked_thing(&self) -> Option<SagaLockKey> {
        self.run(locked_thing)
    }

    /// Takes entries that are on disk.
    pub(super) fn take(&self, entries: &[JournalEntry]) {
        let mut run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in entries {
            run.apply(entry);
            if let JournalEntry::Done { result, .. } | JournalEntry::Received { result, .. } = entry {
                self.bytes.fetch_add(result.len(), Ordering::Relaxed);
            }
        }
        self.length.fetch_add(entries.len(), Ordering::Relaxed);
    }
}

/// What the tasks of all sagas share.
pub(super) struct SharedSagas<P> {
    pub(super) journal: SagaJournal,
    pub(super) performer: Arc<P>,
    pub(super) settings: SagaSettings,
    /// The calls of steps that may be under way.
    pub(super) permits: Semaphore,
    pub(super) locks: LockTable,
    /// The readers of the topics whose events sagas wait for.
    pub(super) tails: BTreeMap<Arc<str>, Arc<TopicTail>>,
    pub(super) live: Mutex<BTreeMap<String, Arc<LiveSaga>>>,
    pub(super) tasks: Mutex<JoinSet<()>>,
    pub(super) plans: Vec<(Arc<SagaPlan>, Arc<SagaCounters>)>,
    /// Held for reading from before a start is on disk until it has its task.
    pub(super) starting: RwLock<()>,
    /// What starts that are not settled hold: of each its topics, with the numbers after which their events must stay.
    pub(super) held: Mutex<Vec<Arc<BTreeMap<String, u64>>>>,
    pub(super) places: Arc<Semaphore>,
    pub(super) stopping: watch::Receiver<bool>,
}

impl<P> SharedSagas<P> {
    /// The sagas that have not ended, by their ids.
    pub(super) fn live(&self) -> MutexGuard<'_, BTreeMap<String, Arc<LiveSaga>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tasks of sagas and of their starts.
    pub(super) fn tasks(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The end of a saga is on disk.
    pub(super) fn ended(&self, saga: &LiveSaga, outcome: SagaOutcome) {
        let count = match outcome {
            SagaOutcome::Completed => &saga.counts.completed,
            SagaOutcome::Compensated => &saga.counts.compensated,
        };
        count.fetch_add(1, Ordering::Relaxed);
        self.live().remove(&saga.id);
        if let Some(thing) = saga.locked_thing() {
            self.locks.release(&thing, &saga.id);
        }
        saga.ended.send_replace(true);
    }

    /// The number of the event of `topic` after which some saga may still ask for events of the log.
    pub(super) fn needed_after(&self, topic: &str) -> Option<u64> {
        let now = unix_ms();
        // The starts first: one that is settled meanwhile is among the sagas.
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let held = held.iter().filter_map(|topics| topics.get(topic).copied()).min();
        let live: Vec<_> = self.live().values().cloned().collect();
        live.iter().filter_map(|saga| saga.needs_after(topic, now)).chain(held).min()
    }
}

/// What a saga locks; `None`: nothing.
pub(super) fn locked_thing(run: &SagaRun) -> Option<SagaLockKey> {
    Some((Arc::clone(&run.definition().lock.as_ref()?.name), run.locks()?))
}

/// The saga as the holder of its lock until this time.
pub(super) fn lock_holder(id: &str, run: &SagaRun, until: u64) -> Option<LockHolder> {
    let lock = Arc::clone(&run.definition().lock.as_ref()?.name);
    Some(LockHolder { lock, saga: Arc::clone(&run.definition().name), id: id.to_owned(), until })
}
