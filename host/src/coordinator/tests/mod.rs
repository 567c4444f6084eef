//! Sagas over the real store, with services that the tests drive.

mod by_event;
mod crashes;
mod in_doubt;
mod locks;
mod tails;
mod waits;

use super::{
    CallEnd, Coordinator, Perform, PlannedCall, SagaError, SagaOrder, SagaPlan, SagaSettings, SagaStarter, StepTargets,
};
use crate::base::ServiceName;
use crate::contract::Names;
use crate::events::Backoff;
use crate::saga::{Binding, BindingPath, SagaDefinition, SagaStep, StepAction, StepCall};
use crate::state::tests::doubtful::doubtful_store;
use crate::state::{Change, Settings, StateError, Store, Transaction};
use std::collections::BTreeMap;
use std::path::Path as FilePath;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

/// How long a test waits for what must happen.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What the services have seen, and what they are to answer.
#[derive(Default)]
struct Script {
    /// Each call: the function and the argument `key`.
    calls: Mutex<Vec<(String, String)>>,
    /// The ends of the next calls of a function, the last one first; then it is done.
    ends: Mutex<BTreeMap<String, Vec<CallEnd>>>,
    /// A function that does not answer before it is released.
    hangs: Mutex<Option<String>>,
    release: Notify,
}

impl Script {
    fn answers(&self, function: &str, ends: &[CallEnd]) {
        self.ends.lock().unwrap().insert(function.to_owned(), ends.iter().rev().cloned().collect());
    }

    fn functions(&self) -> Vec<String> {
        self.calls.lock().unwrap().iter().map(|(function, _)| function.clone()).collect()
    }
}

impl Perform for Script {
    async fn perform(&self, call: &PlannedCall) -> CallEnd {
        let function = format!("{}-{}", if call.guard.is_some() { "act" } else { "undo" }, call.step);
        self.calls.lock().unwrap().push((function.clone(), call.arguments[0].1.clone()));
        let hangs = self.hangs.lock().unwrap().as_deref() == Some(&function);
        if hangs {
            self.release.notified().await;
        }
        let end = self.ends.lock().unwrap().get_mut(&function).and_then(Vec::pop);
        end.unwrap_or_else(|| CallEnd::Done(format!("\"{function}\"")))
    }
}

fn store(folder: &FilePath) -> Store {
    Store::open(&Settings { path: folder.join("state.redb"), ..Settings::default() }).unwrap()
}

fn plan(deadline: Duration) -> SagaPlan {
    let call = || StepCall {
        service: ServiceName::new("shop").unwrap(),
        function: "f".into(),
        with: vec![("key".into(), Binding::Path(BindingPath::parse("$saga.key").unwrap()))],
    };
    let step = |name: &str, undo: bool, pivot: bool| SagaStep {
        name: name.into(),
        action: StepAction::Call(call()),
        undo: undo.then(call),
        pivot,
        timeout: None,
        tries: 2,
    };
    let steps = vec![step("a", true, false), step("b", true, false), step("c", true, true), step("d", false, false)];
    let targets = vec![StepTargets { action: Some(0), undo: Some(0) }; steps.len()];
    let definition = Arc::new(SagaDefinition { name: "buy".into(), input: None, deadline, lock: None, steps });
    SagaPlan { definition, input: None, targets, waits: BTreeMap::new(), is_current: true }
}

fn settings() -> SagaSettings {
    let backoff = Backoff { first: Duration::from_millis(1), most: Duration::from_millis(4) };
    SagaSettings { backoff, most: 4, ..SagaSettings::default() }
}

async fn start(store: &Store, script: &Arc<Script>) -> Coordinator<Script> {
    let plans = vec![plan(Duration::from_secs(600))];
    Coordinator::start(store, (plans, Vec::new()), settings(), Arc::clone(script)).await.unwrap()
}

async fn begin(sagas: &Coordinator<Script>, id: &str) -> Result<bool, SagaError> {
    Ok(sagas.begin("buy", Some(id.to_owned()), b"{}", Names::Snake).await?.existed)
}

async fn state_of(sagas: &Coordinator<Script>, id: &str) -> String {
    sagas.wait(id, TIMEOUT).await.unwrap().state
}

async fn until(sagas: &Coordinator<Script>, id: &str, state: &str) {
    let start = std::time::Instant::now();
    while sagas.show(id).await.unwrap().state != state {
        assert!(start.elapsed() < TIMEOUT, "{:?} is not {state}", sagas.show(id).await);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_saga_does_its_steps_and_a_repeated_start_is_the_same_saga() {
    let (folder, script) = (tempfile::tempdir().unwrap(), Arc::default());
    let sagas = start(&store(folder.path()), &script).await;
    assert!(!begin(&sagas, "1").await.unwrap());
    assert_eq!(state_of(&sagas, "1").await, "completed");
    assert_eq!(script.functions(), ["act-a", "act-b", "act-c", "act-d"]);
    assert!(script.calls.lock().unwrap().iter().all(|(_, key)| key == "\"buy/1\""));
    assert!(begin(&sagas, "1").await.unwrap());
    let other = sagas.begin("buy", Some("1".into()), b"{\"x\":1}", Names::Snake).await;
    assert!(matches!(other, Err(SagaError::OtherInput)), "{other:?}");
    assert_eq!(script.functions().len(), 4);
    assert_eq!(sagas.show("1").await.unwrap().result.unwrap().get(), "\"act-d\"");
}

#[tokio::test]
async fn a_refusal_undoes_the_refused_step_first_and_then_backwards() {
    let (folder, script) = (tempfile::tempdir().unwrap(), Arc::<Script>::default());
    script.answers("act-c", &[CallEnd::NotNow("starting".into()), CallEnd::Refused("no money".into())]);
    script.answers("undo-b", &[CallEnd::Failed("lost".into())]);
    let sagas = start(&store(folder.path()), &script).await;
    begin(&sagas, "1").await.unwrap();
    assert_eq!(state_of(&sagas, "1").await, "compensated");
    let expected = ["act-a", "act-b", "act-c", "act-c", "undo-c", "undo-b", "undo-b", "undo-a"];
    assert_eq!(script.functions(), expected);
    assert_eq!(sagas.show("1").await.unwrap().turned.as_deref(), Some("no money"));
}

#[tokio::test]
async fn behind_the_pivot_a_failing_step_waits_for_a_person() {
    let (folder, script) = (tempfile::tempdir().unwrap(), Arc::<Script>::default());
    script.answers("act-d", &[CallEnd::Failed("x".into()), CallEnd::Refused("y".into()), CallEnd::Failed("z".into())]);
    let sagas = start(&store(folder.path()), &script).await;
    begin(&sagas, "1").await.unwrap();
    until(&sagas, "1", "parked").await;
    assert_eq!(sagas.list(true, 10).len(), 1);
    assert!(matches!(sagas.order("1", SagaOrder::Compensate).await, Err(SagaError::Refused(_))));
    sagas.order("1", SagaOrder::Retry).await.unwrap();
    assert_eq!(state_of(&sagas, "1").await, "completed");
    assert!(matches!(sagas.order("1", SagaOrder::Skip).await, Err(SagaError::Unknown(_))));
    assert_eq!(sagas.counts()[0].failures, 3);
}

#[tokio::test]
async fn an_operator_and_the_deadline_cut_an_action_off_and_undo_it() {
    let (folder, script) = (tempfile::tempdir().unwrap(), Arc::<Script>::default());
    *script.hangs.lock().unwrap() = Some("act-b".into());
    let store = store(folder.path());
    let plans = vec![plan(Duration::from_millis(300))];
    let sagas = Coordinator::start(&store, (plans, Vec::new()), settings(), Arc::clone(&script)).await.unwrap();
    begin(&sagas, "late").await.unwrap();
    assert_eq!(state_of(&sagas, "late").await, "compensated");
    assert_eq!(script.functions(), ["act-a", "act-b", "undo-b", "undo-a"]);
    begin(&sagas, "ordered").await.unwrap();
    sagas.order("ordered", SagaOrder::Compensate).await.unwrap();
    assert_eq!(state_of(&sagas, "ordered").await, "compensated");
}

#[tokio::test]
async fn the_number_of_sagas_is_bounded_and_a_place_comes_free_at_an_end() {
    let (folder, script) = (tempfile::tempdir().unwrap(), Arc::<Script>::default());
    *script.hangs.lock().unwrap() = Some("act-a".into());
    let sagas = start(&store(folder.path()), &script).await;
    for id in ["1", "2", "3", "4"] {
        begin(&sagas, id).await.unwrap();
    }
    assert!(matches!(begin(&sagas, "5").await, Err(SagaError::Full(4))));
    assert!(begin(&sagas, "4").await.unwrap(), "it is there already");
    sagas.order("1", SagaOrder::Compensate).await.unwrap();
    assert_eq!(state_of(&sagas, "1").await, "compensated");
    begin(&sagas, "5").await.unwrap();
}

#[tokio::test]
async fn a_saga_goes_on_where_its_journal_ends() {
    let (folder, script) = (tempfile::tempdir().unwrap(), Arc::<Script>::default());
    *script.hangs.lock().unwrap() = Some("act-b".into());
    let store = store(folder.path());
    let sagas = start(&store, &script).await;
    begin(&sagas, "1").await.unwrap();
    while script.functions() != ["act-a", "act-b"] {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    sagas.stop(Duration::from_millis(10)).await;
    drop(sagas);
    *script.hangs.lock().unwrap() = None;
    let sagas = start(&store, &script).await;
    assert_eq!(state_of(&sagas, "1").await, "completed");
    assert_eq!(script.functions(), ["act-a", "act-b", "act-b", "act-c", "act-d"]);
    sagas.stop(TIMEOUT).await;
    let sagas = start(&store, &script).await;
    assert_eq!(sagas.show("1").await.unwrap().state, "completed", "what has ended is remembered");
    assert_eq!(sagas.list_ended(None, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_saga_that_waits_for_its_turn_hears_an_operator_and_the_end_of_the_host() {
    let (folder, script) = (tempfile::tempdir().unwrap(), Arc::<Script>::default());
    *script.hangs.lock().unwrap() = Some("act-a".into());
    let (store, settings) = (store(folder.path()), SagaSettings { concurrency: 1, ..settings() });
    let plans = vec![plan(Duration::from_secs(600))];
    let sagas = Arc::new(Coordinator::start(&store, (plans, Vec::new()), settings, Arc::clone(&script)).await.unwrap());
    for id in ["calls", "waits", "waits too"] {
        begin(&sagas, id).await.unwrap();
        while script.functions().is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    // One call at a time, and it hangs: the others wait for their turn.
    let ordered = tokio::time::timeout(TIMEOUT, sagas.order("waits", SagaOrder::Compensate)).await;
    ordered.expect("it hears the order").unwrap();
    assert_eq!(sagas.show("waits").await.unwrap().state, "compensating");
    // The host ends, and then the call: nobody takes the turn that it leaves.
    let ending = Arc::clone(&sagas);
    let ended = tokio::spawn(async move { ending.stop(TIMEOUT).await });
    while !matches!(sagas.begin("buy", None, b"{}", Names::Snake).await, Err(SagaError::Stopping)) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    script.release.notify_waiters();
    ended.await.unwrap();
    assert_eq!(script.functions(), ["act-a"]);
}

#[tokio::test]
async fn a_compensation_succeeds_whatever_it_returns() {
    let (folder, script) = (tempfile::tempdir().unwrap(), Arc::<Script>::default());
    script.answers("act-b", &[CallEnd::Refused("no".into())]);
    let long = CallEnd::Done(format!("\"{}\"", "x".repeat(8192)));
    script.answers("undo-b", std::slice::from_ref(&long));
    script.answers("undo-a", &[long]);
    let (store, settings) = (store(folder.path()), SagaSettings { journal: 4096, ..settings() });
    let plans = vec![plan(Duration::from_secs(600))];
    let sagas = Coordinator::start(&store, (plans, Vec::new()), settings, Arc::clone(&script)).await.unwrap();
    begin(&sagas, "1").await.unwrap();
    assert_eq!(state_of(&sagas, "1").await, "compensated");
    assert_eq!(script.functions(), ["act-a", "act-b", "undo-b", "undo-a"]);
    assert_eq!(sagas.counts()[0].failures, 1, "the refusal of `b`");
}

#[tokio::test]
async fn the_ids_of_keys_last_as_long_as_the_database_and_are_those_of_no_other() {
    let (folder, other, script) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), Arc::default());
    let id = |sagas: &Coordinator<Script>| sagas.id_of("buy", SagaStarter::Anybody, "k").unwrap();
    let first = store(folder.path());
    let before = id(&start(&first, &script).await);
    assert_eq!(id(&start(&first, &script).await), before);
    assert_ne!(id(&start(&store(other.path()), &script).await), before);
}

#[tokio::test]
async fn a_saga_whose_start_failed_and_is_on_disk_goes_on_when_it_is_started_again() {
    let (folder, script) = (tempfile::tempdir().unwrap(), Arc::<Script>::default());
    let (store, doubts) = doubtful_store(folder.path());
    let sagas = start(&store, &script).await;
    doubts.store(1, Ordering::Relaxed);
    let failed = begin(&sagas, "1").await;
    assert!(matches!(failed, Err(SagaError::State(StateError::Io { .. }))), "{failed:?}");
    assert!(begin(&sagas, "1").await.unwrap(), "it is there");
    assert_eq!(state_of(&sagas, "1").await, "completed");
    assert_eq!(script.functions(), ["act-a", "act-b", "act-c", "act-d"]);
    assert!(begin(&sagas, "1").await.unwrap());
    assert_eq!(script.functions().len(), 4, "what has ended is not begun again");
}

/// Whoever repeats the key of a saga that has ended, or is damaged, holds up no other start.
#[tokio::test]
async fn a_repeated_key_of_what_never_goes_on_waits_for_no_start() {
    let (folder, script) = (tempfile::tempdir().unwrap(), Arc::<Script>::default());
    let store = store(folder.path());
    script.answers("act-d", &vec![CallEnd::Refused("no".into()); 9]);
    let sagas = start(&store, &script).await;
    begin(&sagas, "damaged").await.unwrap();
    until(&sagas, "damaged", "parked").await;
    sagas.stop(TIMEOUT).await;
    let journal = store.bucket(&ServiceName::of_host_part("saga", "journal"));
    let entry = [&b"journal/damaged/"[..], &1_u32.to_be_bytes()].concat();
    let writes = vec![(entry, Change::Put(b"no entry".to_vec()))];
    journal.commit(Transaction { writes, ..Transaction::default() }).await.unwrap();
    script.answers("act-d", &[]);
    let sagas = start(&store, &script).await;
    begin(&sagas, "ended").await.unwrap();
    assert_eq!(state_of(&sagas, "ended").await, "completed");
    // A start that is being written.
    let _starting = sagas.shared.starting.read().await;
    for id in ["ended", "damaged"] {
        let existed = tokio::time::timeout(TIMEOUT, begin(&sagas, id)).await.expect("it waits for nobody");
        assert!(existed.unwrap(), "{id}");
    }
    assert!(sagas.show("damaged").await.is_err(), "it has no task");
}
