//! All sagas of the host: what starts and stops their tasks, and what callers and operators ask of them.

use super::driver::Driver;
use super::error::SagaError;
use super::journal::SagaJournal;
use super::live_saga::{LiveSaga, SagaCounters, SagaOrder, SharedSagas, WaitingOrder, unix_ms};
use super::performer::Perform;
use super::plan::{SagaPlan, SagaSettings};
use super::recovery::{self, RecoveredSaga};
use super::start_key::{SagaIds, SagaStarter};
use super::status::{SagaCounts, SagaStatus, digest, next_begun};
use crate::contract::Names;
use crate::saga::{JournalEntry, SagaRun};
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

/// The answer to a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartedSaga {
    /// The id of the saga.
    pub id: String,
    /// Whether it was started before, with the same id and the same input.
    pub existed: bool,
}

/// The sagas of the host.
pub struct Coordinator<P> {
    shared: Arc<SharedSagas<P>>,
    plans: Vec<(Arc<SagaPlan>, Arc<SagaCounters>)>,
    ids: SagaIds,
    /// Held for reading from before a start is on disk until it has its task.
    pub(super) starting: RwLock<()>,
    places: Arc<Semaphore>,
    stop: watch::Sender<bool>,
    keeper: Mutex<JoinSet<()>>,
}

impl<P: Perform> Coordinator<P> {
    /// Goes on with the sagas that an earlier run has left, and is ready for new ones.
    ///
    /// # Errors
    /// The journal cannot be read, or a definition cannot be written.
    pub async fn start(
        store: &Store,
        plans: Vec<SagaPlan>,
        settings: SagaSettings,
        performer: Arc<P>,
    ) -> Result<Self, SagaError> {
        let journal = SagaJournal::new(store);
        let plans: Vec<_> = plans.into_iter().map(Arc::new).collect();
        for plan in plans.iter().filter(|plan| plan.is_current) {
            journal.keep(&plan.definition).await?;
        }
        let ids = SagaIds::new(&journal.secret().await?);
        let recovered = recovery::recover(&journal, &plans).await?;
        let (permits, most) = (Semaphore::new(settings.concurrency), settings.most);
        let (live, tasks) = (Mutex::default(), Mutex::default());
        let shared = Arc::new(SharedSagas { journal, performer, settings, permits, live, tasks });
        let (stop, _) = watch::channel(false);
        let mut keeper = JoinSet::new();
        keeper.spawn(forget(shared.journal.clone()));
        let plans = plans.into_iter().map(|plan| (plan, Arc::default())).collect();
        let (places, keeper) = (Arc::new(Semaphore::new(most)), Mutex::new(keeper));
        let coordinator = Self { shared, plans, ids, starting: RwLock::default(), places, stop, keeper };
        if !recovered.is_empty() {
            tracing::info!(target: "saga", sagas = recovered.len(), "sagas of an earlier run go on");
        }
        for one in recovered {
            // There may be more than a smaller bound of today allows.
            let place = Arc::clone(&coordinator.places).try_acquire_owned().ok();
            coordinator.drive(one, place);
        }
        Ok(coordinator)
    }

    fn counters(&self, saga: &str) -> Arc<SagaCounters> {
        let found = self.plans.iter().find(|(plan, _)| *plan.definition.name == *saga);
        found.map_or_else(Arc::default, |(_, counts)| Arc::clone(counts))
    }

    /// Begins the task of a saga.
    fn drive(&self, saga: RecoveredSaga, place: Option<OwnedSemaphorePermit>) {
        let counts = self.counters(&saga.plan.definition.name);
        let (live, waiting) = LiveSaga::of(saga, counts, place);
        self.shared.live().insert(live.id.clone(), Arc::clone(&live));
        let driver = Driver { shared: Arc::clone(&self.shared), live, orders: waiting, stop: self.stop.subscribe() };
        let mut tasks = self.shared.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that have ended are let go, so that their number stays that of the sagas.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(driver.run());
    }

    /// The id of the saga `saga` that `starter` starts with `key`: the same for the same three, and known to nobody who
    /// has not been told it.
    ///
    /// # Errors
    /// The key is not 1 to 200 visible ASCII characters.
    pub fn id_of(&self, saga: &str, starter: SagaStarter<'_>, key: &str) -> Result<String, SagaError> {
        self.ids.of(saga, starter, key)
    }

    /// Starts the saga `name`. `names` is the style of the names in `input`, which is JSON. With `id` a start can be
    /// repeated: the same id and the same input is the same saga. It is on disk when this returns.
    ///
    /// # Errors
    /// There is no such saga, the input does not fit, the id was used with another input, there are too many sagas, or
    /// the store fails.
    pub async fn begin(
        &self,
        name: &str,
        id: Option<String>,
        input: &[u8],
        names: Names,
    ) -> Result<StartedSaga, SagaError> {
        let found = self.plans.iter().find(|(plan, _)| plan.is_current && *plan.definition.name == *name);
        let unknown = || SagaError::Unknown(format!("the manifest has no saga `{name}`"));
        let plan = Arc::clone(&found.ok_or_else(unknown)?.0);
        let input = plan.accept(input, names, self.shared.settings.journal)?;
        if *self.stop.borrow() {
            return Err(SagaError::Stopping);
        }
        let id = id.unwrap_or_else(|| format!("{:032x}", rand::random::<u128>()));
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            // The same start again is no new saga.
            return match self.existing(&id, &input).await? {
                Some(existing) => Ok(existing),
                None => Err(SagaError::Full(self.shared.settings.most)),
            };
        };
        let definition = plan.definition.digest();
        let mut entries = vec![JournalEntry::Started { at: unix_ms(), definition, input: input.clone() }];
        let mut run = SagaRun::begin(Arc::clone(&plan.definition), &id, &entries[0]).expect("it begins with a start");
        entries.extend(next_begun(&run, unix_ms()));
        let starting = self.starting.read().await;
        if !self.shared.journal.begin(&id, &entries).await? {
            drop(starting);
            let lost = || SagaError::Unknown("the saga of this key is being forgotten".to_owned());
            return self.existing(&id, &input).await?.ok_or_else(lost);
        }
        for entry in &entries[1..] {
            run.apply(entry);
        }
        let (length, bytes) = (u32::try_from(entries.len()).unwrap_or(u32::MAX), input.len());
        self.drive(RecoveredSaga { id: id.clone(), plan, run, length, bytes }, Some(place));
        Ok(StartedSaga { id, existed: false })
    }

    /// The saga that was started with this id, if there is one.
    async fn existing(&self, id: &str, input: &str) -> Result<Option<StartedSaga>, SagaError> {
        let (same, has_ended) = match self.shared.journal.ended(id).await? {
            Some(ended) => (ended.input == digest(input), true),
            None => match self.shared.journal.input(id).await? {
                Some(before) => (before == input, false),
                // It may have ended between the two reads.
                None => match self.shared.journal.ended(id).await? {
                    Some(ended) => (ended.input == digest(input), true),
                    None => return Ok(None),
                },
            },
        };
        if !same {
            return Err(SagaError::OtherInput);
        }
        if !has_ended {
            self.adopt(id).await?;
        }
        Ok(Some(StartedSaga { id: id.to_owned(), existed: true }))
    }

    /// Gives a saga that is on disk its task, if it has none: the commit of its start has failed with an error of the
    /// disk, and is there all the same.
    async fn adopt(&self, id: &str) -> Result<(), SagaError> {
        if self.shared.live().contains_key(id) {
            return Ok(());
        }
        let plans: Vec<_> = self.plans.iter().map(|(plan, _)| Arc::clone(plan)).collect();
        // A damaged one never gets a task: no start waits for each repetition of its key.
        if recovery::recover_one(&self.shared.journal, &plans, id).await?.is_none() {
            return Ok(());
        }
        // Every start that is on disk has its task by then, or never gets one.
        let _alone = self.starting.write().await;
        if self.shared.live().contains_key(id) {
            return Ok(());
        }
        // It may have ended since.
        if let Some(saga) = recovery::recover_one(&self.shared.journal, &plans, id).await? {
            self.drive(saga, Arc::clone(&self.places).try_acquire_owned().ok());
        }
        Ok(())
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
        for (plan, counters) in &self.plans {
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
        let mut tasks = std::mem::take(&mut *self.shared.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        if timeout(within, async { while tasks.join_next().await.is_some() {} }).await.is_err() {
            tracing::warn!(target: "saga", "steps under way were cut off: their sagas go on at the next start");
        }
    }
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
