//! Steps that wait for events, over a log in memory.

use super::super::{SagaOrder, TopicEvent, TopicFuture, TopicLog, WaitedTopic};
use super::*;
use crate::contract::Type;
use crate::events::{EventRecord, PayloadType};
use crate::saga::EventWait;
use std::future::ready;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64};

/// A log that the tests write.
#[derive(Default)]
pub(super) struct MemoryLog {
    events: Mutex<Vec<EventRecord>>,
    news: Notify,
    /// The number above which events must stay.
    kept: AtomicU64,
    pub(super) is_away: AtomicBool,
    /// The next answers about its end, each with so many events left out; the last one first.
    pub(super) left_out: Mutex<Vec<u64>>,
}

impl MemoryLog {
    pub(super) fn publish(&self, key: &str, payload: &str) {
        let time = super::super::unix_time::unix_ms();
        let (source, key, payload) = ("test".to_owned(), Some(key.to_owned()), payload.to_owned());
        self.events.lock().unwrap().push(EventRecord { time, source, key, payload, trace: None });
        self.news.notify_one();
    }
}

impl TopicLog for MemoryLog {
    fn after(&self, after: u64, most: usize) -> TopicFuture<'_, Vec<TopicEvent>> {
        if self.is_away.load(Ordering::Relaxed) {
            return Box::pin(ready(Err("it is away".to_owned())));
        }
        let events = self.events.lock().unwrap();
        let numbered = (1..).zip(events.iter()).skip(usize::try_from(after).unwrap()).take(most);
        let page = numbered.map(|(number, record)| TopicEvent { number, record: Some(record.clone()) }).collect();
        Box::pin(ready(Ok(page)))
    }

    fn last(&self) -> TopicFuture<'_, u64> {
        let left_out = self.left_out.lock().unwrap().pop().unwrap_or(0);
        Box::pin(ready(Ok(self.events.lock().unwrap().len() as u64 - left_out)))
    }

    fn before(&self, time: u64) -> TopicFuture<'_, u64> {
        let before = self.events.lock().unwrap().iter().filter(|event| event.time < time).count();
        Box::pin(ready(Ok(before as u64)))
    }

    fn news(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.news.notified())
    }

    fn keep_after(&self, number: u64) {
        self.kept.store(number, Ordering::Relaxed);
    }
}

/// `a`, then waits for as many events with the key `$saga.key`, then `d`.
pub(super) fn waiting(waits: usize, pivot: bool, timeout: Option<Duration>) -> SagaPlan {
    let mut plan = plan(Duration::from_secs(600));
    let mut definition = SagaDefinition::clone(&plan.definition);
    let [first, .., last] = &definition.steps[..] else { panic!("it has steps") };
    let (first, last) = (SagaStep { pivot, ..first.clone() }, last.clone());
    let key = Binding::Path(BindingPath::parse("$saga.key").unwrap());
    let wait = EventWait { topic: "paid".into(), key: Some(key), fields: Vec::new(), timeout };
    let steps = (0..waits).map(|at| SagaStep {
        name: format!("paid-{at}").into(),
        action: StepAction::Wait(wait.clone()),
        undo: None,
        pivot: false,
        timeout: None,
        tries: 1,
    });
    definition.steps = [first].into_iter().chain(steps).chain([last]).collect();
    plan.targets = vec![StepTargets { action: Some(0), undo: Some(0) }; waits + 2];
    plan.waits = (1..=waits).map(|step| (step, vec![Type::String])).collect();
    plan.definition = Arc::new(definition);
    plan
}

pub(super) async fn start_with(
    store: &Store,
    (plan, log): (SagaPlan, &Arc<MemoryLog>),
    script: &Arc<Script>,
) -> Coordinator<Script> {
    let topic = WaitedTopic { name: "paid".into(), payload: PayloadType::Any, log: Arc::clone(log) as _ };
    Coordinator::start(store, (vec![plan], vec![topic]), settings(), Arc::clone(script)).await.unwrap()
}

async fn waits_for(sagas: &Coordinator<Script>, id: &str, topic: Option<&str>) {
    let start = std::time::Instant::now();
    while sagas.show(id).await.unwrap().waits_for.as_deref() != topic {
        assert!(start.elapsed() < TIMEOUT, "{:?} does not wait for {topic:?}", sagas.show(id).await);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn an_event_counts_before_the_wait_and_after_it_but_not_before_the_saga() {
    let (folder, script, log) = (tempfile::tempdir().unwrap(), Arc::<Script>::default(), Arc::default());
    let store = store(folder.path());
    MemoryLog::publish(&log, "buy/1", "\"too early\"");
    *script.hangs.lock().unwrap() = Some("act-a".into());
    let sagas = start_with(&store, (waiting(2, false, None), &log), &script).await;
    begin(&sagas, "1").await.unwrap();
    while script.functions().is_empty() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // The saga is at its first step.
    log.publish("buy/2", "\"of another\"");
    log.publish("buy/1", "\"early\"");
    *script.hangs.lock().unwrap() = None;
    script.release.notify_one();
    // One event ends one wait: the second one still waits.
    until(&sagas, "1", "running").await;
    waits_for(&sagas, "1", Some("paid")).await;
    let start = std::time::Instant::now();
    while sagas.show("1").await.unwrap().done != 2 {
        assert!(start.elapsed() < TIMEOUT, "{:?}", sagas.show("1").await);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    log.publish("buy/1", "\"late\"");
    assert_eq!(state_of(&sagas, "1").await, "completed");
    assert_eq!(script.functions(), ["act-a", "act-d"]);
}

#[tokio::test]
async fn a_wait_goes_on_after_a_restart_and_finds_what_has_come_meanwhile() {
    let (folder, script, log) = (tempfile::tempdir().unwrap(), Arc::<Script>::default(), Arc::default());
    let store = store(folder.path());
    let plan = || waiting(1, true, Some(Duration::from_millis(1)));
    let late = || waiting(1, true, Some(Duration::from_secs(3600)));
    let sagas = start_with(&store, (late(), &log), &script).await;
    begin(&sagas, "1").await.unwrap();
    waits_for(&sagas, "1", Some("paid")).await;
    sagas.stop(TIMEOUT).await;
    drop(sagas);
    MemoryLog::publish(&log, "buy/1", "{}");
    let sagas = start_with(&store, (late(), &log), &script).await;
    assert_eq!(state_of(&sagas, "1").await, "completed");
    sagas.stop(TIMEOUT).await;
    drop(sagas);
    // What was there counts, even if the time is over: the host may have been down.
    let sagas = start_with(&store, (plan(), &log), &script).await;
    begin(&sagas, "2").await.unwrap();
    until(&sagas, "2", "parked").await;
    let told = sagas.show("2").await.unwrap();
    assert!(told.failure.as_deref().is_some_and(|why| why.contains("no event of `paid` has come")), "{told:?}");
    log.publish("buy/2", "{}");
    sagas.order("2", SagaOrder::Retry).await.unwrap();
    assert_eq!(state_of(&sagas, "2").await, "completed");
}

#[tokio::test]
async fn before_the_pivot_a_wait_without_an_event_undoes_the_saga() {
    let (folder, script, log) = (tempfile::tempdir().unwrap(), Arc::<Script>::default(), Arc::default());
    let sagas =
        start_with(&store(folder.path()), (waiting(1, false, Some(Duration::from_millis(5))), &log), &script).await;
    begin(&sagas, "1").await.unwrap();
    assert_eq!(state_of(&sagas, "1").await, "compensated");
    assert_eq!(script.functions(), ["act-a", "undo-a"]);
    // An operator cuts a wait off.
    let sagas = start_with(&store(tempfile::tempdir().unwrap().path()), (waiting(1, false, None), &log), &script).await;
    begin(&sagas, "2").await.unwrap();
    waits_for(&sagas, "2", Some("paid")).await;
    sagas.order("2", SagaOrder::Compensate).await.unwrap();
    assert_eq!(state_of(&sagas, "2").await, "compensated");
}

#[tokio::test]
async fn the_log_keeps_what_a_saga_may_still_ask_for_and_no_more() {
    let (folder, script, log) = (tempfile::tempdir().unwrap(), Arc::<Script>::default(), Arc::default());
    for _ in 0..3 {
        MemoryLog::publish(&log, "other", "{}");
    }
    *script.hangs.lock().unwrap() = Some("act-a".into());
    let sagas = start_with(&store(folder.path()), (waiting(1, false, None), &log), &script).await;
    let kept = async |number: u64| {
        let start = std::time::Instant::now();
        while log.kept.load(Ordering::Relaxed) != number {
            assert!(start.elapsed() < TIMEOUT, "{} is kept, and not {number}", log.kept.load(Ordering::Relaxed));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    kept(3).await;
    begin(&sagas, "1").await.unwrap();
    for _ in 0..4 {
        log.publish("other", "{}");
    }
    // The saga is not at its wait: what has come since its start stays.
    let start = std::time::Instant::now();
    while start.elapsed() < Duration::from_millis(1_500) {
        assert_eq!(log.kept.load(Ordering::Relaxed), 3);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    *script.hangs.lock().unwrap() = None;
    script.release.notify_one();
    waits_for(&sagas, "1", Some("paid")).await;
    kept(7).await;
}

#[tokio::test]
async fn a_saga_whose_events_cannot_be_read_is_not_begun() {
    let (folder, script, log) = (tempfile::tempdir().unwrap(), Arc::<Script>::default(), Arc::<MemoryLog>::default());
    log.is_away.store(true, Ordering::Relaxed);
    let sagas = start_with(&store(folder.path()), (waiting(1, false, None), &log), &script).await;
    let begun = {
        let mut begun = std::pin::pin!(begin(&sagas, "1"));
        let first = std::future::poll_fn(|context| std::task::Poll::Ready(begun.as_mut().poll(context).is_pending()));
        assert!(first.await, "it waits");
        log.is_away.store(false, Ordering::Relaxed);
        begun.await
    };
    assert!(!begun.unwrap(), "it waits until the log answers");
    log.publish("buy/1", "{}");
    assert_eq!(state_of(&sagas, "1").await, "completed");
}
