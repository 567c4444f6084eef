//! A saga that an event starts, with a lock and a wait, crashes at each of its commits: the commit is on disk or not,
//! and the event that it waits for comes before the crash, while the host is down, or after it is up again.

use super::waits::{MemoryLog, start_with, waiting};
use super::*;
use crate::base::HandledEvent;
use crate::events::EventRecord;
use crate::saga::{SagaLock, WhenTaken};
use crate::state::tests::doubtful::crashing_store;

/// When the event comes that the saga waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PaymentTime {
    AtOnce,
    WhileDown,
    AfterwardsOnly,
}

/// How the saga is to end: by its last step, or undone since that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WantedEnd {
    Completed,
    Compensated,
}

fn plan_of() -> SagaPlan {
    let mut plan = waiting(1, false, None);
    let value = BindingPath::parse("$input.order").unwrap();
    let lock = Some(SagaLock { name: "order".into(), value, taken: WhenTaken::Wait, expires: Duration::from_secs(60) });
    let mut definition = SagaDefinition { lock, ..SagaDefinition::clone(&plan.definition) };
    definition.steps[2].undo = definition.steps[0].undo.clone();
    plan.definition = Arc::new(definition);
    plan
}

/// Hands the event to the sagas as a subscription does: again and again until it is handled.
async fn deliver(sagas: &Coordinator<Script>, record: &EventRecord) -> String {
    let notes = ServiceName::of_host_part("subscription", "saga:buy/placed");
    let event = HandledEvent::new("placed".into(), 1, None, record.time, 1, notes);
    sagas.begin_by_event("buy", &event, record, Names::Snake).await.unwrap().id
}

/// Runs until the saga has ended, with a crash at the commit `at`. `false`: it has ended before.
async fn crash_at(at: usize, is_written: bool, paid: PaymentTime, end: WantedEnd) -> bool {
    let what = format!("commit {at}, written: {is_written}, {paid:?}, {end:?}");
    let (folder, script, log) = (tempfile::tempdir().unwrap(), Arc::<Script>::default(), Arc::<MemoryLog>::default());
    if end == WantedEnd::Compensated {
        script.answers("act-d", &vec![CallEnd::Refused("no carrier".into()); 4]);
    }
    let (store, crash) = crashing_store(folder.path());
    let sagas = start_with(&store, (plan_of(), &log), &script).await;
    let time = super::super::unix_time::unix_ms();
    let (source, payload) = ("orders".to_owned(), r#"{"order": 7}"#.to_owned());
    let record = EventRecord { time, source, key: None, payload, trace: None };
    let id = sagas.ids.of_event("buy", "placed", 1, &record);
    crash.set(at + 1, is_written);
    if paid == PaymentTime::AtOnce {
        log.publish(&format!("buy/{id}"), "{}");
    }
    let first_life = async {
        deliver(&sagas, &record).await;
        if paid == PaymentTime::AtOnce {
            sagas.wait(&id, TIMEOUT).await.unwrap().has_ended()
        } else {
            waits(&sagas, &id).await
        }
    };
    let crashed = tokio::select! {
        () = crash.reached.notified() => true,
        done = first_life => {
            assert!(done, "{what}");
            false
        }
    };
    sagas.stop(Duration::ZERO).await;
    drop(sagas);
    crash.lift();
    if paid == PaymentTime::WhileDown {
        log.publish(&format!("buy/{id}"), "{}");
    }
    let sagas = start_with(&store, (plan_of(), &log), &script).await;
    assert_eq!(deliver(&sagas, &record).await, id, "{what}");
    if paid == PaymentTime::AfterwardsOnly {
        log.publish(&format!("buy/{id}"), "{}");
    }
    let status = sagas.wait(&id, TIMEOUT).await.unwrap();
    let expected = if end == WantedEnd::Completed { "completed" } else { "compensated" };
    assert_eq!(status.state, expected, "{what}: {status:?}");
    let ended = sagas.list_ended(None, 10).await.unwrap();
    assert!(ended.len() == 1 && sagas.list(false, 10).is_empty(), "one event, one saga: {what}: {ended:?}");
    check_calls(&script.functions(), end, &what);
    // Its lock is free, and its journal is gone.
    let input = br#"{"order": 7}"#;
    sagas.begin("buy", Some("next".into()), input, Names::Snake).await.unwrap();
    assert!(sagas.show("next").await.unwrap().lock.unwrap().until.is_some(), "{what}");
    sagas.stop(Duration::ZERO).await;
    crashed
}

async fn waits(sagas: &Coordinator<Script>, id: &str) -> bool {
    while sagas.show(id).await.is_ok_and(|saga| saga.waits_for.is_none()) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    true
}

/// Each action before those behind it, and once one is undone no action follows.
fn check_calls(calls: &[String], end: WantedEnd, what: &str) {
    let first = |name: &str| calls.iter().position(|call| call == name);
    let last = |name: &str| calls.iter().rposition(|call| call == name);
    assert!(last("act-a") < first("act-d"), "{what}: {calls:?}");
    match end {
        WantedEnd::Completed => assert!(!calls.iter().any(|call| call.starts_with("undo")), "{what}: {calls:?}"),
        WantedEnd::Compensated => {
            let undone = calls.iter().position(|call| call.starts_with("undo"));
            assert!(last("act-d") < undone, "{what}: {calls:?}");
            assert!(last("undo-d") < first("undo-a") && first("undo-a").is_some(), "{what}: {calls:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_commit_loses_no_saga_starts_none_twice_and_keeps_no_lock() {
    for end in [WantedEnd::Completed, WantedEnd::Compensated] {
        for paid in [PaymentTime::AtOnce, PaymentTime::WhileDown, PaymentTime::AfterwardsOnly] {
            for is_written in [false, true] {
                let mut commits = 0;
                while crash_at(commits, is_written, paid, end).await {
                    commits += 1;
                }
                assert!(commits >= 2, "the start and the steps are commits: {commits}");
            }
        }
    }
}
