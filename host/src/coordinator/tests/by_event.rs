//! Sagas that events begin: one for each event, however often it is delivered.

use super::waits::{MemoryLog, start_with, waiting};
use super::*;
use crate::base::HandledEvent;
use crate::events::EventRecord;

fn event(number: u64) -> HandledEvent {
    let notes = ServiceName::of_host_part("subscription", "saga:buy/orders.placed");
    HandledEvent::new("orders.placed".into(), number, None, 5, 1, notes)
}

fn record(payload: &str) -> EventRecord {
    EventRecord { time: 5, source: "orders".into(), key: None, payload: payload.into(), trace: None }
}

#[tokio::test]
async fn an_event_begins_one_saga_and_the_note_of_it_is_in_the_same_commit() {
    let (folder, script) = (tempfile::tempdir().unwrap(), Arc::<Script>::default());
    let (store, doubts) = doubtful_store(folder.path());
    let sagas = start(&store, &script).await;
    // The commit is on disk, and its answer is lost.
    doubts.store(1, Ordering::Relaxed);
    let lost = sagas.begin_by_event("buy", &event(1), &record("{}"), Names::Snake).await;
    assert!(matches!(lost, Err(SagaError::State(StateError::Io { .. }))), "{lost:?}");
    let again = sagas.begin_by_event("buy", &event(1), &record("{}"), Names::Snake).await.unwrap();
    assert!(again.existed);
    let other = sagas.begin_by_event("buy", &event(2), &record("{}"), Names::Snake).await.unwrap();
    assert!(!other.existed && other.id != again.id);
    for id in [&again.id, &other.id] {
        assert_eq!(state_of(&sagas, id).await, "completed");
    }
    assert_eq!(script.functions().len(), 8, "each has its four steps");
    let notes = store.bucket(&event(1).notes).keys(b"applied/".to_vec(), None, 10).await.unwrap();
    assert_eq!(notes.items.len(), 2);
    // A broker that has lost its end gives the number to another event: that is another saga, once the notes are cut.
    let writes = notes.items.into_iter().map(|key| (key, Change::Delete)).collect();
    store.bucket(&event(1).notes).commit(Transaction { writes, ..Transaction::default() }).await.unwrap();
    let third = sagas.begin_by_event("buy", &event(1), &record("[]"), Names::Snake).await.unwrap();
    assert!(!third.existed && third.id != again.id);
    let replayed = sagas.begin_by_event("buy", &event(2), &record("{}"), Names::Snake).await.unwrap();
    assert!(replayed.existed, "while it is remembered it is the same saga, also without the note");
}

#[tokio::test]
async fn a_saga_that_an_event_begins_has_begun_when_that_event_was_published() {
    let (folder, script, log) = (tempfile::tempdir().unwrap(), Arc::<Script>::default(), Arc::<MemoryLog>::default());
    let sagas = start_with(&store(folder.path()), (waiting(1, false, None), &log), &script).await;
    let mut placed = record("{}");
    placed.time = super::super::unix_time::unix_ms();
    let id = sagas.ids.of_event("buy", "orders.placed", 1, &placed);
    // The subscription is behind: the payment comes before the saga is begun.
    log.publish(&format!("buy/{id}"), "{}");
    let begun = sagas.begin_by_event("buy", &event(1), &placed, Names::Snake).await.unwrap();
    assert_eq!(begun.id, id);
    assert_eq!(state_of(&sagas, &id).await, "completed");
}
