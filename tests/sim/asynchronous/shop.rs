//! The services of the simulation: a handler of events and the functions of a saga's steps. They are away, fail, lose
//! their answers, and act late.

use super::super::rng::SimRng;
use super::Mutant;
use host::base::{HandledEvent, ServiceName};
use host::contract::Names;
use host::coordinator::{CallEnd, Coordinator, Perform, PlannedCall, SagaError};
use host::delivery::{Handle, Subscription, TryEnd};
use host::events::EventRecord;
use host::state::{Beside, Bucket, Change, StateError, Store, Transaction};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;
use tokio::time::sleep;

/// The counter of the effects of events, in the order in which they were committed.
pub const EFFECTS: &[u8] = b"effect";
/// The payload of an event that its handler can never handle.
pub const POISON: &str = "\"poison\"";
/// The step behind the pivot: nothing refuses it for good.
pub const LAST_STEP: &str = "ship";

/// The name of a service.
pub fn service(name: &str) -> ServiceName {
    ServiceName::new(name).unwrap()
}

/// The services as one host runs them.
pub struct Shop {
    pub store: Store,
    pub rng: Arc<Mutex<SimRng>>,
    /// In how many of a hundred calls something goes wrong.
    pub trouble: AtomicU64,
    pub mutant: Option<Mutant>,
    pub sagas: OnceLock<Weak<Coordinator<Shop>>>,
    /// Commits of actions that were refused since their saga had turned.
    pub late: Arc<AtomicU64>,
}

impl Shop {
    fn trouble(&self) -> bool {
        let percent = self.trouble.load(Relaxed);
        self.rng.lock().unwrap().percent(percent)
    }

    fn draw(&self, bound: usize) -> usize {
        self.rng.lock().unwrap().below(bound)
    }

    async fn pause(&self, most: u64) {
        let pause = self.rng.lock().unwrap().millis(0..=most);
        sleep(pause).await;
    }
}

/// Writes the effect of an event, in the commit that has the note of it, as `atoll:state/transactions` does.
async fn count(bucket: Bucket, event: Arc<HandledEvent>, id: String, noted: bool) -> Result<(), StateError> {
    let text = format!("{} {id} {}", event.number, event.key.as_deref().unwrap_or_default());
    let writes = vec![(EFFECTS.to_vec(), Change::Append(text.into_bytes()))];
    let number = event.begin_commit();
    let note = event.note_of(number);
    let beside = Beside {
        bucket: event.notes.clone(),
        checks: vec![(note.clone(), 0)],
        writes: vec![(note.clone(), Change::Put(Vec::new()))],
    };
    let beside = if noted { vec![beside] } else { Vec::new() };
    match bucket.commit(Transaction { checks: Vec::new(), writes, beside }).await {
        Err(StateError::ConflictBeside { key, .. }) if key == note => Ok(()),
        outcome => outcome.map(drop),
    }
}

impl Handle for Shop {
    async fn handle(&self, subscription: &Subscription, event: Arc<HandledEvent>, record: &EventRecord) -> TryEnd {
        if let Some(saga) = subscription.saga() {
            let sagas = self.sagas.get().and_then(Weak::upgrade);
            let Some(sagas) = sagas else { return TryEnd::NotNow("they have not begun".into()) };
            return match sagas.begin_by_event(saga, &event, record, Names::Snake).await {
                Ok(_) => TryEnd::Handled,
                Err(error @ (SagaError::Input(_) | SagaError::OtherInput | SagaError::Unknown(_))) => {
                    TryEnd::Failed(error.to_string())
                }
                Err(error) => TryEnd::NotNow(error.to_string()),
            };
        }
        self.pause(8).await;
        if record.payload == POISON {
            return TryEnd::Failed("nobody can read this".into());
        }
        if self.trouble() {
            return [TryEnd::NotNow("away".into()), TryEnd::Failed("no".into())][self.draw(2)].clone();
        }
        let bucket = self.store.bucket(&subscription.service);
        let noted = self.mutant != Some(Mutant::NoNote);
        let counted = count(bucket, Arc::clone(&event), record.payload.clone(), noted);
        if self.mutant == Some(Mutant::AnswersFirst) {
            let pause = self.rng.lock().unwrap().millis(0..=40);
            tokio::spawn(async move {
                sleep(pause).await;
                counted.await
            });
            return TryEnd::Handled;
        }
        match counted.await {
            Err(error) => TryEnd::NotNow(error.to_string()),
            // The effect is there, and the answer is lost.
            Ok(()) if self.trouble() => TryEnd::Failed("the answer was lost".into()),
            Ok(()) => TryEnd::Handled,
        }
    }
}

/// The key under which a step's effect is.
pub fn effect_of(call: &PlannedCall) -> Vec<u8> {
    format!("{}/{}", call.step, call.key).into_bytes()
}

/// Does the action of a step once for its key, unless its saga has turned.
async fn act(bucket: Bucket, call: PlannedCall, guarded: bool, late: Arc<AtomicU64>) -> CallEnd {
    let key = effect_of(&call);
    let guard = call.guard.as_ref().filter(|_| guarded);
    let beside = guard.map(|guard| Beside {
        bucket: guard.bucket.clone(),
        checks: vec![(guard.key.clone(), 0)],
        writes: Vec::new(),
    });
    let writes = vec![(key.clone(), Change::Put(b"done".to_vec()))];
    let transaction = Transaction { checks: vec![(key, 0)], writes, beside: beside.into_iter().collect() };
    match bucket.commit(transaction).await {
        Ok(_) | Err(StateError::Conflict { .. }) => CallEnd::Done("null".into()),
        Err(StateError::ConflictBeside { .. }) => {
            late.fetch_add(1, Relaxed);
            CallEnd::Failed("the saga has turned".into())
        }
        Err(error) => CallEnd::Failed(error.to_string()),
    }
}

/// Undoes a step. Where nothing was done there is nothing to undo: what comes later is for the host to refuse.
async fn undo(bucket: Bucket, call: &PlannedCall) -> CallEnd {
    let writes = vec![(effect_of(call), Change::Delete)];
    match bucket.commit(Transaction { writes, ..Transaction::default() }).await {
        Ok(_) => CallEnd::Done("null".into()),
        Err(error) => CallEnd::Failed(error.to_string()),
    }
}

impl Perform for Shop {
    async fn perform(&self, call: &PlannedCall) -> CallEnd {
        let bucket = self.store.bucket(&call.service);
        self.pause(5).await;
        if call.guard.is_none() {
            if self.trouble() {
                return CallEnd::NotNow("away".into());
            }
            let undone = undo(bucket, call).await;
            return if self.trouble() { CallEnd::Failed("the answer was lost".into()) } else { undone };
        }
        let fate = if self.trouble() { self.draw(4) } else { usize::MAX };
        match fate {
            0 => return CallEnd::NotNow("away".into()),
            1 if &*call.step != LAST_STEP => return CallEnd::Refused("no".into()),
            _ => {}
        }
        let guarded = self.mutant != Some(Mutant::NoGuard);
        let action = act(bucket, call.clone(), guarded, Arc::clone(&self.late));
        if fate >= 4 {
            return action.await;
        }
        // The call ends, and its action goes on by itself: perhaps until long after the saga has turned.
        let pause = self.rng.lock().unwrap().millis(0..=400);
        tokio::spawn(async move {
            sleep(pause).await;
            action.await
        });
        self.pause(5).await;
        CallEnd::Failed("the answer was lost".into())
    }
}

/// The longest time in which an action of the past may still commit.
pub const LATEST: Duration = Duration::from_secs(5);
