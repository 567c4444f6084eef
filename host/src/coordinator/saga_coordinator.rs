//! All sagas of the host: what starts and stops their tasks, and what callers and operators ask of them.

use super::driver::Driver;
use super::error::SagaError;
use super::journal::SagaJournal;
use super::live_saga::{LiveSaga, SagaCounters, SagaOrder, SharedSagas, WaitingOrder, lock_holder, locked_thing};
use super::lock_table::LockTable;
use super::performer::Perform;
use super::plan::{SagaPlan, SagaSettings};
use super::recovery::{self, RecoveredSaga};
use super::start_key::SagaIds;
use super::status::{SagaCounts, SagaStatus};
use super::topic_log::WaitedTopic;
use super::topic_tail::TopicTail;
use super::unix_time::unix_ms;
use crate::saga::{EventWait, SagaRun};
use crate::state::Store;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, RwLock, Semaphore, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// The time between two looks for ended sagas that are to be forgotten.
const FORGET_EVERY: Duration = Duration::from_secs(60);

/// The sagas of the host.
pub struct Coordinator<P> {
    pub(super) shared: Arc<SharedSagas<P>>,
    pub(super) ids: SagaIds,
    /// Dropped, it ends the tasks too.
    stop: watch::Sender<bool>,
    keeper: Mutex<JoinSet<()>>,
}

impl<P: Perform> Coordinator<P> {
    /// Goes on with the sagas that an earlier run has left, and is ready for new ones. `topics` has each topic whose
    /// events a step of `plans` waits for.
    ///
    /// # Errors
    /// The journal cannot be read, or a definition cannot be written.
    pub async fn start(
        store: &Store,
        (plans, topics): (Vec<SagaPlan>, Vec<WaitedTopic>),
        settings: SagaSettings,
        performer: Arc<P>,
    ) -> Result<Self, SagaError> {
        let journal = SagaJournal::new(store);
        let plans: Vec<_> = plans.into_iter().map(Arc::new).collect();
        for plan in plans.iter().filter(|plan| plan.is_current) {
            journal.keep(&plan.definition).await?;
        }
        let ids = SagaIds::new(&journal.secret().await?);
        let mut recovered = recovery::recover(&journal, &plans).await?;
        // Those that wait for one lock stand in the order of their starts.
        recovered.sort_by(|a, b| (a.run.started(), &a.id).cmp(&(b.run.started(), &b.id)));
        let (permits, most) = (Semaphore::new(settings.concurrency), settings.most);
        let (live, tasks, locks) = (Mutex::default(), Mutex::default(), LockTable::default());
        let tails = tails(topics, &plans, &recovered).await;
        let plans = plans.into_iter().map(|plan| (plan, Arc::default())).collect();
        let (stop, stopping) = watch::channel(false);
        let (starting, held, places) = (RwLock::default(), Mutex::default(), Arc::new(Semaphore::new(most)));
        let shared = Arc::new(SharedSagas {
            journal,
            performer,
            settings,
            permits,
            locks,
            tails,
            live,
            tasks,
            plans,
            starting,
            held,
            places,
            stopping,
        });
        let mut keeper = JoinSet::new();
        keeper.spawn(forget(shared.journal.clone()));
        let coordinator = Self { shared, ids, stop, keeper: Mutex::new(keeper) };
        if !recovered.is_empty() {
            tracing::info!(target: "saga", sagas = recovered.len(), "sagas of an earlier run go on");
        }
        // All holders first: whoever waits must not find a lock free that has one.
        recovered.iter().for_each(|one| coordinator.shared.restore_lock(one));
        for one in recovered {
            // There may be more than a smaller bound of today allows.
            let place = Arc::clone(&coordinator.shared.places).try_acquire_owned().ok();
            coordinator.shared.drive(one, place);
        }
        // After the sagas: what they may still ask for must stay.
        let mut keeper = coordinator.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        for (topic, tail) in &coordinator.shared.tails {
            let (shared, topic) = (Arc::clone(&coordinator.shared), Arc::clone(topic));
            keeper.spawn(Arc::clone(tail).run(move || shared.needed_after(&topic)));
        }
        drop(keeper);
        Ok(coordinator)
    }

    /// What a saga is at.
    ///
    /// # Errors
    /// There is none with this id, or the store fails.
    pub async fn show(&self, id: &str) -> Result<SagaStatus, SagaError> {
        // Bound before the match: the lock must not be held over the read below.
        let live = self.shared.live().get(id).cloned();
        if let Some(live) = live {
            return Ok(live.run(|run| SagaStatus::of(id, run)));
        }
        let unknown = || SagaError::Unknown(format!("there is no saga `{id}`, or it is forgotten"));
        self.shared.journal.ended(id).await?.ok_or_else(unknown)
    }

    /// Waits until a saga has ended, for `within` at most, and tells what it is at then.
    ///
    /// # Errors
    /// As [`Coordinator::show`].
    pub async fn wait(&self, id: &str, within: Duration) -> Result<SagaStatus, SagaError> {
        let live = self.shared.live().get(id).cloned();
        if let Some(live) = live {
            let mut ended = live.ended.subscribe();
            drop(live);
            // What has not ended by then is told as it is.
            let _ = timeout(within, ended.wait_for(|ended| *ended)).await;
        }
        self.show(id).await
    }

    /// At most `most` sagas that have not ended, the oldest first; with `parked` those alone that wait for a person.
    pub fn list(&self, parked: bool, most: usize) -> Vec<SagaStatus> {
        let live: Vec<_> = self.shared.live().values().cloned().collect();
        let mut found: Vec<_> = live.iter().map(|live| live.run(|run| SagaStatus::of(&live.id, run))).collect();
        found.retain(|status| !parked || status.state == "parked");
        found.sort_by(|a, b| (a.started, &a.id).cmp(&(b.started, &b.id)));
        found.truncate(most);
        found
    }

    /// At most `most` sagas that have ended and are not forgotten, in the order of their ids, those after `after`.
    ///
    /// # Errors
    /// The store fails.
    pub async fn list_ended(&self, after: Option<&str>, most: usize) -> Result<Vec<SagaStatus>, SagaError> {
        Ok(self.shared.journal.all_ended(after, most).await?)
    }

    /// Carries out what an operator decides. It is on disk when this returns.
    ///
    /// # Errors
    /// There is no such saga, it is at something else, or the host is stopping.
    pub async fn order(&self, id: &str, order: SagaOrder) -> Result<(), SagaError> {
        let live = self.shared.live().get(id).cloned();
        let unknown = || SagaError::Unknown(format!("there is no saga `{id}` that has not ended"));
        let orders = live.ok_or_else(unknown)?.orders.clone();
        let (answer, answered) = oneshot::channel();
        // The task of a saga that ends takes no further orders.
        orders.send(WaitingOrder { order, answer }).await.map_err(|_| unknown())?;
        answered.await.unwrap_or(Err(SagaError::Stopping))
    }

    /// How many sagas there are of each name of the manifest.
    pub fn counts(&self) -> Vec<SagaCounts> {
        let mut counts: BTreeMap<String, SagaCounts> = BTreeMap::new();
        for (plan, counters) in &self.shared.plans {
            let saga = plan.definition.name.to_string();
            let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
            let one = counts.entry(saga.clone()).or_insert_with(|| SagaCounts { saga, ..SagaCounts::default() });
            one.completed += count(&counters.completed);
            one.compensated += count(&counters.compensated);
            one.failures += count(&counters.failures);
        }
        for live in self.shared.live().values() {
            if let Some(count) = counts.get_mut(&*live.plan.definition.name) {
                count.add(live.run(SagaRun::phase));
            }
        }
        counts.into_values().collect()
    }

    /// Calls no further steps, and waits until those under way have ended and their ends are on disk, for `within` at
    /// most. What is cut off is in doubt, and goes on at the next start.
    pub async fn stop(&self, within: Duration) {
        let _ = self.stop.send_replace(true);
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
        let mut tasks = std::mem::take(&mut *self.shared.tasks());
        if timeout(within, async { while tasks.join_next().await.is_some() {} }).await.is_err() {
            tracing::warn!(target: "saga", "steps under way were cut off: their sagas go on at the next start");
        }
    }
}

impl<P: Perform> SharedSagas<P> {
    /// Gives a saga of an earlier run its lock again, if it had one.
    pub(super) fn restore_lock(&self, saga: &RecoveredSaga) {
        let holder = saga.run.locked_until().and_then(|until| lock_holder(&saga.id, &saga.run, until));
        if let (Some(holder), Some(thing)) = (holder, locked_thing(&saga.run)) {
            self.locks.restore(&thing, holder);
        }
    }

    fn counters(&self, saga: &str) -> Arc<SagaCounters> {
        let found = self.plans.iter().find(|(plan, _)| *plan.definition.name == *saga);
        found.map_or_else(Arc::default, |(_, counts)| Arc::clone(counts))
    }

    /// Begins the task of a saga.
    pub(super) fn drive(self: &Arc<Self>, saga: RecoveredSaga, place: Option<OwnedSemaphorePermit>) {
        let counts = self.counters(&saga.plan.definition.name);
        let (live, waiting) = LiveSaga::of(saga, counts, place);
        self.live().insert(live.id.clone(), Arc::clone(&live));
        let driver = Driver { shared: Arc::clone(self), live, orders: waiting, stop: self.stopping.clone() };
        let mut tasks = self.tasks();
        // Those that have ended are let go, so that their number stays that of the sagas.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(driver.run());
    }
}

/// The readers of the topics. Each begins where the oldest of the sagas looks, or at the end.
async fn tails(
    topics: Vec<WaitedTopic>,
    plans: &[Arc<SagaPlan>],
    sagas: &[RecoveredSaga],
) -> BTreeMap<Arc<str>, Arc<TopicTail>> {
    let mut tails = BTreeMap::new();
    for topic in topics {
        let name = Arc::clone(&topic.name);
        let steps = plans.iter().flat_map(|plan| {
            let definition = &plan.definition;
            (0..definition.steps.len()).filter_map(|step| definition.wait(step))
        });
        let forms = steps.filter(|wait| wait.topic == name).map(EventWait::form).collect();
        let looking = sagas.iter().filter(|one| one.run.next_wait(&name).is_some());
        let oldest = looking.filter_map(|one| one.run.follows(&name)).min();
        let after = match oldest {
            Some(oldest) => oldest,
            // A log that cannot be read now is read from its beginning, when it can.
            None => topic.log.last().await.unwrap_or(0),
        };
        tails.insert(name, Arc::new(TopicTail::new(topic, forms, after)));
    }
    tails
}

/// Forgets ended sagas whose time is up.
async fn forget(journal: SagaJournal) {
    loop {
        match journal.forget(unix_ms()).await {
            Ok(true) => {}
            Ok(false) => sleep(FORGET_EVERY).await,
            Err(error) => {
                tracing::warn!(target: "saga", %error, "ended sagas are not forgotten yet");
                sleep(FORGET_EVERY).await;
            }
        }
    }
}
