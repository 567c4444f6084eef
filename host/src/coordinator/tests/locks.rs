//! Sagas that lock a part of their input.

use super::super::live_saga::{lock_holder, locked_thing};
use super::*;
use crate::saga::{JournalEntry, SagaLock, SagaRun, WhenTaken};

pub(super) fn locking(taken: WhenTaken, expires: Duration) -> SagaPlan {
    let mut plan = plan(Duration::from_secs(600));
    let value = BindingPath::parse("$input.order").unwrap();
    let lock = Some(SagaLock { name: "order".into(), value, taken, expires });
    plan.definition = Arc::new(SagaDefinition { lock, ..SagaDefinition::clone(&plan.definition) });
    plan
}

pub(super) async fn start_locking(store: &Store, plan: SagaPlan, script: &Arc<Script>) -> Coordinator<Script> {
    Coordinator::start(store, (vec![plan], Vec::new()), settings(), Arc::clone(script)).await.unwrap()
}

pub(super) async fn lock(sagas: &Coordinator<Script>, id: &str, order: u32) -> Result<bool, SagaError> {
    let input = format!("{{\"order\": {order}}}");
    Ok(sagas.begin("buy", Some(id.to_owned()), input.as_bytes(), Names::Snake).await?.existed)
}

pub(super) const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_second_saga_on_the_same_value_is_refused_until_the_first_has_ended() {
    let (folder, script) = (tempfile::tempdir().unwrap(), Arc::<Script>::default());
    *script.hangs.lock().unwrap() = Some("act-a".into());
    let store = store(folder.path());
    let sagas = start_locking(&store, locking(WhenTaken::Refuse, HOUR), &script).await;
    lock(&sagas, "1", 7).await.unwrap();
    let refused = lock(&sagas, "2", 7).await;
    assert!(matches!(&refused, Err(SagaError::Locked(holder)) if holder.id == "1"), "{refused:?}");
    assert!(sagas.show("2").await.is_err(), "nothing is left of it");
    assert!(lock(&sagas, "1", 7).await.unwrap(), "the same start is the same saga");
    lock(&sagas, "3", 8).await.unwrap();
    let told = sagas.show("1").await.unwrap().lock.unwrap();
    assert!(told.name == "order" && told.value == "7" && told.until.is_some(), "{told:?}");
    // It holds it while it is undone, too; a restart changes nothing.
    sagas.stop(Duration::from_millis(10)).await;
    drop(sagas);
    let sagas = start_locking(&store, locking(WhenTaken::Refuse, HOUR), &script).await;
    assert!(matches!(lock(&sagas, "2", 7).await, Err(SagaError::Locked(_))));
    sagas.order("1", SagaOrder::Compensate).await.unwrap();
    assert_eq!(state_of(&sagas, "1").await, "compensated");
    lock(&sagas, "2", 7).await.unwrap();
}

#[tokio::test]
async fn sagas_that_wait_for_a_lock_go_one_after_the_other_also_over_a_restart() {
    let (folder, script) = (tempfile::tempdir().unwrap(), Arc::<Script>::default());
    *script.hangs.lock().unwrap() = Some("act-a".into());
    let store = store(folder.path());
    let sagas = start_locking(&store, locking(WhenTaken::Wait, HOUR), &script).await;
    for id in ["1", "2", "3"] {
        lock(&sagas, id, 7).await.unwrap();
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let waiting = sagas.show("2").await.unwrap();
    assert!(waiting.state == "running" && waiting.lock.unwrap().until.is_none());
    while script.functions().is_empty() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(script.functions(), ["act-a"], "one goes on at a time");
    sagas.stop(Duration::from_millis(10)).await;
    drop(sagas);
    *script.hangs.lock().unwrap() = None;
    let sagas = start_locking(&store, locking(WhenTaken::Wait, HOUR), &script).await;
    for id in ["3", "2", "1"] {
        assert_eq!(state_of(&sagas, id).await, "completed", "{id}");
    }
    let keys: Vec<_> = script.calls.lock().unwrap().iter().skip(1).map(|(_, key)| key.clone()).collect();
    let expected: Vec<_> = ["1", "2", "3"].iter().flat_map(|id| vec![format!("\"buy/{id}\""); 4]).collect();
    assert_eq!(keys, expected, "in the order of their starts, and never two at a time");
}

#[tokio::test]
async fn a_saga_that_waits_for_its_lock_can_be_given_up_and_an_expired_lock_is_free() {
    let (folder, script) = (tempfile::tempdir().unwrap(), Arc::<Script>::default());
    *script.hangs.lock().unwrap() = Some("act-a".into());
    let sagas = start_locking(&store(folder.path()), locking(WhenTaken::Wait, HOUR), &script).await;
    lock(&sagas, "1", 7).await.unwrap();
    lock(&sagas, "2", 7).await.unwrap();
    sagas.order("2", SagaOrder::Compensate).await.unwrap();
    assert_eq!(state_of(&sagas, "2").await, "compensated");
    let folder = tempfile::tempdir().unwrap();
    let sagas =
        start_locking(&store(folder.path()), locking(WhenTaken::Refuse, Duration::from_millis(1)), &script).await;
    lock(&sagas, "1", 7).await.unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    lock(&sagas, "2", 7).await.unwrap();
}

/// The first start is on disk and has not got its task yet, as between the answer of its commit and that. Whoever waits
/// for its lock must not have it because the start is repeated.
#[tokio::test]
async fn a_repeated_start_does_not_give_back_the_lock_of_the_first() {
    let (folder, script) = (tempfile::tempdir().unwrap(), Arc::<Script>::default());
    *script.hangs.lock().unwrap() = Some("act-a".into());
    let plan = locking(WhenTaken::Wait, HOUR);
    let sagas = start_locking(&store(folder.path()), plan.clone(), &script).await;
    let at = super::super::unix_time::unix_ms();
    let (definition, input) = (plan.definition.digest(), r#"{"order": 7}"#.to_owned());
    let start = JournalEntry::Started { at, definition, input };
    let run = SagaRun::begin(Arc::clone(&plan.definition), "1", &start).unwrap();
    let thing = locked_thing(&run).unwrap();
    sagas.shared.locks.take(&thing, lock_holder("1", &run, at + 3_600_000).unwrap(), at).unwrap();
    sagas.shared.journal.begin("1", &[start, JournalEntry::Locked { at }], None).await.unwrap();
    lock(&sagas, "2", 7).await.unwrap();
    let start = std::time::Instant::now();
    while sagas.shared.locks.waiting(&thing) == 0 {
        assert!(start.elapsed() < TIMEOUT, "`2` does not wait for the lock");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(lock(&sagas, "1", 7).await.unwrap(), "it is the same saga");
    while script.functions().is_empty() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let keys: Vec<_> = script.calls.lock().unwrap().iter().map(|(_, key)| key.clone()).collect();
    assert_eq!(keys, ["\"buy/1\""]);
    assert!(sagas.show("2").await.unwrap().lock.unwrap().until.is_none());
    assert!(sagas.show("1").await.unwrap().lock.unwrap().until.is_some());
}
