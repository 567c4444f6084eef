//! Starts whose commit fails so that nobody knows whether it is on disk, and that nobody repeats.

use super::locks::{HOUR, lock, locking, start_locking};
use super::waits::{MemoryLog, start_with, waiting};
use super::*;
use crate::saga::WhenTaken;
use crate::state::tests::doubtful::{StoreFaults, faulty_store};

fn faulty() -> (tempfile::TempDir, Store, Arc<StoreFaults>) {
    let folder = tempfile::tempdir().unwrap();
    let (store, faults) = faulty_store(folder.path());
    (folder, store, faults)
}

/// Waits until there is a saga of this id.
async fn appears(sagas: &Coordinator<Script>, id: &str) {
    let start = std::time::Instant::now();
    while sagas.show(id).await.is_err() {
        assert!(start.elapsed() < TIMEOUT, "`{id}` has no task");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_start_in_doubt_that_is_on_disk_goes_on_by_itself_when_the_store_answers() {
    let ((_folder, store, faults), script) = (faulty(), Arc::<Script>::default());
    let sagas = start(&store, &script).await;
    faults.doubts.store(1, Ordering::Relaxed);
    faults.unread.store(2, Ordering::Relaxed);
    let failed = begin(&sagas, "1").await;
    assert!(matches!(failed, Err(SagaError::State(StateError::Io { .. }))), "{failed:?}");
    appears(&sagas, "1").await;
    assert_eq!(state_of(&sagas, "1").await, "completed");
    assert_eq!(script.functions(), ["act-a", "act-b", "act-c", "act-d"]);
    assert_eq!(faults.unread.load(Ordering::Relaxed), 0, "it was asked for again");
}

#[tokio::test]
async fn a_start_in_doubt_that_is_not_on_disk_gives_its_lock_and_its_place_back() {
    let ((_folder, store, faults), script) = (faulty(), Arc::<Script>::default());
    *script.hangs.lock().unwrap() = Some("act-a".into());
    let sagas = start_locking(&store, locking(WhenTaken::Refuse, HOUR), &script).await;
    faults.lost.store(1, Ordering::Relaxed);
    assert!(lock(&sagas, "1", 7).await.is_err());
    // While it is in doubt nobody else has the lock, and it is not told that it stands in its own way.
    let other = lock(&sagas, "2", 7).await;
    assert!(matches!(&other, Err(SagaError::Locked(holder)) if holder.id == "1"), "{other:?}");
    let same = lock(&sagas, "1", 7).await;
    assert!(matches!(same, Err(SagaError::Unread(_))), "{same:?}");
    assert_eq!(sagas.shared.places.available_permits(), 3);
    let start = std::time::Instant::now();
    while lock(&sagas, "2", 7).await.is_err() {
        assert!(start.elapsed() < TIMEOUT, "its lock is not free");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    while sagas.shared.places.available_permits() < 3 {
        assert!(start.elapsed() < TIMEOUT, "its place is not free");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_start_in_doubt_holds_its_events_and_ends_with_the_host() {
    let ((_folder, store, faults), script) = (faulty(), Arc::<Script>::default());
    let log = Arc::<MemoryLog>::default();
    log.publish("of another", "{}");
    let sagas = start_with(&store, (waiting(1, false, None), &log), &script).await;
    faults.doubts.store(1, Ordering::Relaxed);
    faults.unread.store(usize::MAX, Ordering::Relaxed);
    assert!(begin(&sagas, "1").await.is_err());
    log.publish("buy/1", "{}");
    assert_eq!(sagas.shared.needed_after("paid"), Some(1));
    assert!(sagas.list(false, 10).is_empty(), "nobody knows whether it is there");
    tokio::time::timeout(TIMEOUT, sagas.stop(TIMEOUT * 2)).await.expect("the host ends");
    assert_eq!(sagas.shared.needed_after("paid"), None);
    faults.unread.store(0, Ordering::Relaxed);
    let sagas = start_with(&store, (waiting(1, false, None), &log), &script).await;
    assert_eq!(state_of(&sagas, "1").await, "completed");
}
