//! The commit of a start, and what becomes of a start whose commit is in doubt.

use super::error::SagaError;
use super::event_inbox::EventInbox;
use super::journal::JournalStart;
use super::live_saga::SharedSagas;
use super::lock_table::{LockGrant, SagaLockKey};
use super::performer::Perform;
use super::recovery::{self, RecoveredSaga};
use super::unix_time::unix_ms;
use crate::events::Backoff;
use crate::saga::JournalEntry;
use crate::state::StateError;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::sleep;

/// The pauses between the looks for a saga whose start is in doubt.
const IN_DOUBT: Backoff = Backoff { first: Duration::from_millis(100), most: Duration::from_secs(5) };
/// So often the store must say that there is no such saga: a commit that is in doubt may be under way.
const LOOKS: u32 = 2;

/// A start that is to be written.
pub(super) struct PendingStart<P> {
    pub(super) saga: RecoveredSaga,
    pub(super) entries: Vec<JournalEntry>,
    pub(super) inbox: Option<EventInbox>,
    /// The lock that this start has taken. A repetition of a start that has it takes none.
    pub(super) taken: Option<(SagaLockKey, LockGrant)>,
    pub(super) place: OwnedSemaphorePermit,
    pub(super) held: Option<HeldEvents<P>>,
    /// The way for what the journal has said.
    pub(super) answer: oneshot::Sender<Result<JournalStart, StateError>>,
}

/// Events that must stay in their topics, since a saga that is being started may ask for them. Dropped, they may go.
pub(super) struct HeldEvents<P> {
    shared: Arc<SharedSagas<P>>,
    topics: Arc<BTreeMap<String, u64>>,
}

impl<P> Drop for HeldEvents<P> {
    fn drop(&mut self) {
        let mut held = self.shared.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|topics| !Arc::ptr_eq(topics, &self.topics));
    }
}

impl<P> SharedSagas<P> {
    /// Has the events of these topics stay that are above these numbers.
    pub(super) fn hold(self: &Arc<Self>, topics: BTreeMap<String, u64>) -> Option<HeldEvents<P>> {
        if topics.is_empty() {
            return None;
        }
        let topics = Arc::new(topics);
        self.held.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&topics));
        Some(HeldEvents { shared: Arc::clone(self), topics })
    }
}

impl<P: Perform> SharedSagas<P> {
    /// Writes a start and gives the saga its task. A start that is in doubt is answered, and then looked for until the
    /// store says whether it is there.
    pub(super) async fn write_start(self: Arc<Self>, start: PendingStart<P>) {
        let PendingStart { saga, entries, inbox, taken, place, held, answer } = start;
        let starting = self.starting.read().await;
        let begun = self.journal.begin(&saga.id, &entries, inbox.as_ref()).await;
        if let Ok(JournalStart::Begun) = begun {
            self.drive(saga, Some(place));
            // Whoever asked may have gone away.
            let _ = answer.send(begun);
            return;
        }
        drop(starting);
        let is_in_doubt = matches!(begun, Err(StateError::Io { .. }));
        if !is_in_doubt {
            self.give_back(taken.as_ref());
        }
        let _ = answer.send(begun);
        if is_in_doubt {
            self.settle_doubt(&saga, taken, (place, held)).await;
        }
    }

    fn give_back(&self, taken: Option<&(SagaLockKey, LockGrant)>) {
        if let Some((thing, grant)) = taken {
            self.locks.give_back(thing, *grant);
        }
    }

    /// Looks for a saga whose start is in doubt until the store says that it is there, and then gives it its task, or
    /// that it is not, and then gives its lock back. Ends with the host.
    async fn settle_doubt(
        self: &Arc<Self>,
        saga: &RecoveredSaga,
        taken: Option<(SagaLockKey, LockGrant)>,
        (place, mut held): (OwnedSemaphorePermit, Option<HeldEvents<P>>),
    ) {
        let (mut place, mut stop) = (Some(place), self.stopping.clone());
        let (mut looks, mut absent) = (0, 0);
        while absent < LOOKS {
            looks += 1;
            tokio::select! {
                _ = stop.wait_for(|stopping| *stopping) => return,
                () = sleep(IN_DOUBT.pause(looks, rand::random())) => {}
            }
            match self.adopt(&saga.id, &mut place).await {
                Ok(true) => return,
                Ok(false) => absent += 1,
                Err(error) => {
                    tracing::warn!(target: "saga", id = saga.id, %error, "whether a saga has begun is not known yet");
                }
            }
            // A saga that is late holds no events.
            held = held.filter(|_| unix_ms() <= saga.run.deadline());
        }
        self.give_back(taken.as_ref());
    }

    /// Gives a saga that is on disk its task, if it has none: the commit of its start has failed with an error of the
    /// disk, and is there all the same. `place` is used for it if there is one. Returns whether it goes on.
    pub(super) async fn adopt(
        self: &Arc<Self>,
        id: &str,
        place: &mut Option<OwnedSemaphorePermit>,
    ) -> Result<bool, SagaError> {
        if self.live().contains_key(id) {
            return Ok(true);
        }
        let plans: Vec<_> = self.plans.iter().map(|(plan, _)| Arc::clone(plan)).collect();
        // A damaged one never gets a task: no start waits for each repetition of its key.
        if recovery::recover_one(&self.journal, &plans, id).await?.is_none() {
            return Ok(false);
        }
        // Every start that is on disk has its task by then, or is in doubt.
        let _alone = self.starting.write().await;
        if self.live().contains_key(id) {
            return Ok(true);
        }
        // It may have ended since.
        let Some(saga) = recovery::recover_one(&self.journal, &plans, id).await? else { return Ok(false) };
        self.restore_lock(&saga);
        self.drive(saga, place.take().or_else(|| Arc::clone(&self.places).try_acquire_owned().ok()));
        Ok(true)
    }
}
