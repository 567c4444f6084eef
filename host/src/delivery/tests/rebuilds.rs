//! Services that are taken back, and what a panic of the host leaves.

use super::*;
use crate::delivery::reset::{ServiceReset, SubscriptionReset};
use crate::delivery::{DeliveryError, RebuildOrder, ReplayStart};
use crate::events::Progress;
use crate::state::{Change, Transaction, sequence_key};

fn order(from: ReplayStart, keep_data: bool) -> RebuildOrder {
    RebuildOrder { service: "mailer".into(), topic: None, from, keep_data }
}

fn mailer() -> ServiceName {
    ServiceName::new("mailer").unwrap()
}

async fn write(store: &Store, value: &str) {
    let writes = vec![(b"total".to_vec(), Change::Put(value.into()))];
    store.bucket(&mailer()).commit(Transaction { writes, ..Transaction::default() }).await.unwrap();
}

async fn has_data(store: &Store) -> bool {
    store.bucket(&mailer()).get(vec![b"total".to_vec()]).await.unwrap()[0].is_some()
}

fn counts(script: &Script) -> Vec<usize> {
    let calls = script.calls.lock().unwrap();
    (1..=4).map(|number| calls.iter().filter(|call| call.0 == number).count()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_try_that_panics_is_a_failed_try_and_its_key_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (store, topic, script) = (store(folder.path()), week(), Arc::new(Script::default()));
    script.panics.lock().unwrap().insert(1);
    let deliveries = start(&store, &topic, quick(), &script).await;
    publish(&deliveries, Some("k")).await;
    publish(&deliveries, Some("k")).await;
    settled(&deliveries).await;
    let seen: Vec<_> = script.calls.lock().unwrap().iter().map(|call| (call.0, call.2)).collect();
    assert_eq!(seen, [(1, 1), (1, 2), (2, 1)]);
    let report = &deliveries.report()[0].subscriptions[0];
    assert_eq!((report.failures, report.handled, report.dead), (1, 2, 0));
    deliveries.stop(TIMEOUT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_erases_the_data_and_delivers_from_where_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (store, topic, script) = (store(folder.path()), week(), Arc::new(Script::default()));
    script.verdicts.lock().unwrap().insert(2, vec![TryEnd::Failed("no".into()); 3]);
    let deliveries = start(&store, &topic, quick(), &script).await;
    for key in ["a", "b", "a", "b"] {
        publish(&deliveries, Some(key)).await;
    }
    settled(&deliveries).await;
    assert_eq!((counts(&script), deliveries.report()[0].subscriptions[0].dead), (vec![1, 3, 1, 1], 1));
    write(&store, "4").await;
    // After 2: the letter of 2 is not delivered again, and so it stays.
    let rebuilt = deliveries.rebuild(order(ReplayStart::After(2), true)).await.unwrap();
    assert_eq!(rebuilt.iter().map(|one| one.events).collect::<Vec<_>>(), [2]);
    settled(&deliveries).await;
    assert_eq!((counts(&script), deliveries.report()[0].subscriptions[0].dead), (vec![1, 3, 2, 2], 1));
    assert!(has_data(&store).await);
    // From the beginning: it is an event like the others.
    deliveries.rebuild(order(ReplayStart::Beginning, false)).await.unwrap();
    assert!(!has_data(&store).await);
    settled(&deliveries).await;
    assert_eq!((counts(&script), deliveries.report()[0].subscriptions[0].dead), (vec![2, 4, 3, 3], 0));
    assert_eq!(publish(&deliveries, None).await, 5);
    settled(&deliveries).await;
    let unknown = RebuildOrder { service: "nobody".into(), ..order(ReplayStart::Beginning, false) };
    assert!(matches!(deliveries.rebuild(unknown).await, Err(DeliveryError::Unknown(_))));
    deliveries.stop(TIMEOUT).await;
    drop(deliveries);
    // A restart delivers nothing again.
    let before = counts(&script);
    let deliveries = start(&store, &week(), quick(), &script).await;
    settled(&deliveries).await;
    assert_eq!(counts(&script), before);
    deliveries.stop(TIMEOUT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_that_would_lack_events_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (store, topic, script) = (store(folder.path()), week(), Arc::new(Script::default()));
    let deliveries = start(&store, &topic, quick(), &script).await;
    for _ in 0..3 {
        publish(&deliveries, None).await;
    }
    settled(&deliveries).await;
    write(&store, "3").await;
    let writes = vec![(sequence_key(Topic::COUNTER, 1), Change::Delete)];
    store.bucket(&topic.bucket()).commit(Transaction { writes, ..Transaction::default() }).await.unwrap();
    let refused = deliveries.rebuild(order(ReplayStart::Beginning, false)).await.unwrap_err();
    assert!(refused.to_string().contains("the events 1 to 1 of `orders.placed` have gone"), "{refused}");
    assert!(has_data(&store).await);
    assert_eq!(publish(&deliveries, None).await, 4);
    settled(&deliveries).await;
    assert_eq!(counts(&script), [1, 1, 1, 1]);
    let rebuilt = deliveries.rebuild(order(ReplayStart::Since(0), false)).await.unwrap();
    assert_eq!(rebuilt[0].events, 3);
    settled(&deliveries).await;
    assert_eq!(counts(&script), [1, 2, 2, 2]);
    deliveries.stop(TIMEOUT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erased_data_take_the_letters_along_and_nothing_comes_again() {
    let folder = tempfile::tempdir().unwrap();
    let (store, topic, script) = (store(folder.path()), week(), Arc::new(Script::default()));
    script.verdicts.lock().unwrap().insert(1, vec![TryEnd::Failed("no".into()); 3]);
    let deliveries = start(&store, &topic, quick(), &script).await;
    publish(&deliveries, None).await;
    publish(&deliveries, None).await;
    settled(&deliveries).await;
    write(&store, "1").await;
    assert!(deliveries.erase(&mailer()).await.unwrap());
    assert!(!has_data(&store).await && !deliveries.erase(&mailer()).await.unwrap());
    assert!(deliveries.dead_letters("orders.placed", "mailer", 0, 10).await.unwrap().is_empty());
    settled(&deliveries).await;
    assert_eq!((counts(&script)[..2].to_vec(), deliveries.report()[0].subscriptions[0].dead), (vec![3, 1], 0));
    deliveries.stop(TIMEOUT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_that_a_crash_cut_off_is_finished_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let (store, topic, script) = (store(folder.path()), week(), Arc::new(Script::default()));
    let deliveries = start(&store, &topic, quick(), &script).await;
    for _ in 0..4 {
        publish(&deliveries, None).await;
    }
    settled(&deliveries).await;
    deliveries.stop(TIMEOUT).await;
    drop(deliveries);
    write(&store, "4").await;
    let reset = SubscriptionReset { progress: Progress::up_to(1), keep_dead: Some(1) };
    let plan = [("orders.placed".to_owned(), reset)].into();
    drop(ServiceReset::begin(&store, &mailer(), true, plan).await.unwrap());
    let deliveries = start(&store, &week(), quick(), &script).await;
    settled(&deliveries).await;
    assert_eq!((counts(&script), has_data(&store).await), (vec![1, 2, 2, 2], false));
    assert!(ServiceReset::left(&store, &mailer()).await.unwrap().is_none());
    deliveries.stop(TIMEOUT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_waits_for_the_retention_and_sees_what_it_has_taken() {
    let folder = tempfile::tempdir().unwrap();
    let (store, topic, script) = (store(folder.path()), week(), Arc::new(Script::default()));
    let deliveries = Arc::new(start(&store, &topic, quick(), &script).await);
    for _ in 0..3 {
        publish(&deliveries, None).await;
    }
    settled(&deliveries).await;
    // The retention is between its look at what is settled and its commit.
    let turn = Arc::clone(&deliveries.turns[&topic.name]).lock_owned().await;
    let rebuilding = Arc::clone(&deliveries);
    let mut rebuilt =
        tokio::spawn(async move { rebuilding.rebuild(order(ReplayStart::Beginning, true)).await.map(drop) });
    let early = tokio::time::timeout(Duration::from_millis(100), &mut rebuilt).await;
    assert!(early.is_err(), "it began anew with an event that goes: {early:?}");
    let writes = vec![(sequence_key(Topic::COUNTER, 1), Change::Delete)];
    store.bucket(&topic.bucket()).commit(Transaction { writes, ..Transaction::default() }).await.unwrap();
    drop(turn);
    let refused = rebuilt.await.unwrap().unwrap_err();
    assert!(refused.to_string().contains("the events 1 to 1 of `orders.placed` have gone"), "{refused}");
    deliveries.stop(TIMEOUT).await;
}
