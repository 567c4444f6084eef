//! One situation each.

use super::*;
use crate::delivery::event_log::EventLog;
use crate::delivery::retention;
use crate::delivery::status::Settled;
use crate::events::longest;
use crate::state::{Beside, Change, Transaction, sequence_key};

fn failed() -> TryEnd {
    TryEnd::Failed("no".into())
}

fn numbers(script: &Script) -> Vec<u64> {
    script.calls.lock().unwrap().iter().map(|(number, ..)| *number).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_published_before_and_after_the_start_are_delivered_once_and_not_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (store, topic, script) = (store(folder.path()), week(), Arc::new(Script::default()));
    let deliveries = start(&store, &topic, quick(), &script).await;
    for n in 0..10 {
        publish(&deliveries, Some(&format!("k{}", n % 3))).await;
    }
    settled(&deliveries).await;
    deliveries.stop(TIMEOUT).await;
    assert_eq!(publish(&deliveries, None).await, 11);
    drop(deliveries);
    let topic = week();
    let deliveries = start(&store, &topic, quick(), &script).await;
    assert_eq!((topic.last(), publish(&deliveries, None).await), (11, 12));
    settled(&deliveries).await;
    let mut seen = numbers(&script);
    seen.sort_unstable();
    assert_eq!(seen, (1..=12).collect::<Vec<_>>());
    deliveries.stop(TIMEOUT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_failures_of_the_function_are_tries_and_the_last_one_makes_a_dead_letter() {
    let folder = tempfile::tempdir().unwrap();
    let (store, topic, script) = (store(folder.path()), week(), Arc::new(Script::default()));
    let away = || TryEnd::NotNow("away".into());
    script
        .verdicts
        .lock()
        .unwrap()
        .extend([(1, vec![failed(), away(), failed(), away(), failed()]), (2, vec![failed()])]);
    let deliveries = start(&store, &topic, quick(), &script).await;
    for key in ["a", "b", "a"] {
        publish(&deliveries, Some(key)).await;
    }
    settled(&deliveries).await;
    let tries: Vec<_> = script.calls.lock().unwrap().iter().filter(|call| call.0 == 1).map(|call| call.2).collect();
    assert_eq!(tries, [1, 2, 2, 3, 3]);
    let letters = deliveries.dead_letters("orders.placed", "mailer", 0, 10).await.unwrap();
    assert_eq!((letters.len(), letters[0].number, letters[0].tries, letters[0].latest.len()), (1, 1, 3, 3));
    assert_eq!(letters[0].record.as_ref().unwrap().key.as_deref(), Some("a"));
    // Sent again it fails once more, and then it is handled.
    script.verdicts.lock().unwrap().insert(1, vec![failed()]);
    assert_eq!(deliveries.resend("orders.placed", "mailer", Some(1)).await.unwrap(), 1);
    eventually("the letter has failed again", async || {
        deliveries.dead_letters("orders.placed", "mailer", 0, 10).await.unwrap()[0].tries == 4
    })
    .await;
    eventually("the letter was handled", async || {
        deliveries.resend("orders.placed", "mailer", None).await.unwrap();
        deliveries.dead_letters("orders.placed", "mailer", 0, 10).await.unwrap().is_empty()
    })
    .await;
    assert!(deliveries.resend("orders.placed", "nobody", None).await.is_err());
    deliveries.stop(TIMEOUT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stuck_key_is_reported_and_the_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let (store, topic, script) = (store(folder.path()), week(), Arc::new(Script::default()));
    script.verdicts.lock().unwrap().insert(1, vec![failed(); 2]);
    let hour = Duration::from_secs(3600);
    let settings = SubscriptionSettings { backoff: Backoff { first: hour, most: hour }, ..quick() };
    let deliveries = start(&store, &topic, settings, &script).await;
    for key in ["bad", "good", "bad", "good"] {
        publish(&deliveries, Some(key)).await;
    }
    eventually("the others are settled", async || deliveries.report()[0].subscriptions[0].lag == 2).await;
    let report = &deliveries.report()[0].subscriptions[0];
    assert_eq!((report.stuck.clone(), report.under_way), (Some((1, Some("bad".into()))), 0));
    assert!(report.oldest.is_some());
    let mut seen = numbers(&script);
    seen.sort_unstable();
    assert_eq!(seen, [1, 2, 4]);
    // The failure is kept through a restart, and the event is tried at once.
    deliveries.stop(TIMEOUT).await;
    let deliveries = start(&store, &week(), quick(), &script).await;
    settled(&deliveries).await;
    assert_eq!(script.calls.lock().unwrap().iter().filter(|call| call.0 == 1).map(|call| call.2).max(), Some(3));
    deliveries.stop(TIMEOUT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_event_is_named_and_never_delivered() {
    let folder = tempfile::tempdir().unwrap();
    let (store, topic, script) = (store(folder.path()), week(), Arc::new(Script::default()));
    let bucket = store.bucket(&topic.bucket());
    let deliveries = start(&store, &topic, quick(), &script).await;
    deliveries.stop(TIMEOUT).await;
    for _ in 0..3 {
        publish(&deliveries, Some("k")).await;
    }
    let key = sequence_key(Topic::COUNTER, 2);
    let mut value = bucket.get(vec![key.clone()]).await.unwrap()[0].clone().unwrap().value;
    *value.last_mut().unwrap() ^= 1;
    bucket.commit(Transaction { writes: vec![(key, Change::Put(value))], ..Transaction::default() }).await.unwrap();
    let deliveries = start(&store, &week(), quick(), &script).await;
    settled(&deliveries).await;
    assert_eq!(numbers(&script), [1, 3]);
    let letters = deliveries.dead_letters("orders.placed", "mailer", 0, 10).await.unwrap();
    assert!(letters.len() == 1 && letters[0].number == 2 && letters[0].record.is_err(), "{letters:?}");
    let page = deliveries.events("orders.placed", 1, 1).await.unwrap();
    assert!(page.events[0].record.is_err() && page.more);
    deliveries.stop(TIMEOUT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retention_waits_for_subscribers_and_gives_room_back() {
    let folder = tempfile::tempdir().unwrap();
    let size = 4 * longest::PAYLOAD as u64;
    let (store, topic, script) =
        (store(folder.path()), topic(Duration::from_secs(3600), size), Arc::new(Script::default()));
    script.verdicts.lock().unwrap().insert(1, vec![TryEnd::NotNow("away".into()); 10_000]);
    let deliveries = start(&store, &topic, quick(), &script).await;
    let large = || NewEvent { key: Some("k".into()), payload: format!("\"{}\"", "x".repeat(longest::PAYLOAD - 2)) };
    let mut published = 0;
    let refused = loop {
        match deliveries.publish("orders.placed", large()).await {
            Ok(_) => published += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((published, refused.to_string().contains("is full")), (5, true), "{refused}");
    script.verdicts.lock().unwrap().clear();
    settled(&deliveries).await;
    eventually("old events have gone", async || topic.bytes() <= size).await;
    assert!(deliveries.publish("orders.placed", large()).await.is_ok());
    let first = deliveries.events("orders.placed", 0, 1).await.unwrap().events[0].number;
    assert!(first > 1, "{first}");
    deliveries.stop(TIMEOUT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_subscription_begins_where_it_is_told_and_events_are_found_by_time() {
    let folder = tempfile::tempdir().unwrap();
    let (store, topic, script) = (store(folder.path()), week(), Arc::new(Script::default()));
    let none = Deliveries::start(&store, vec![Arc::clone(&topic)], Vec::new(), &[], (Arc::clone(&script), None))
        .await
        .unwrap();
    for _ in 0..5 {
        publish(&none, None).await;
    }
    let time = none.events("orders.placed", 2, 1).await.unwrap().events[0].record.clone().unwrap().time;
    let before = none.before("orders.placed", time).await.unwrap();
    assert!(before <= 2 && none.before("orders.placed", time + 60_000).await.unwrap() == 5, "{before}");
    assert_eq!(none.before("orders.placed", 0).await.unwrap(), 0);
    none.stop(TIMEOUT).await;
    let settings = SubscriptionSettings { from_beginning: false, ..quick() };
    let deliveries = start(&store, &week(), settings, &script).await;
    eventually("it has begun", async || deliveries.report()[0].subscriptions[0].lag == 0).await;
    publish(&deliveries, None).await;
    eventually("the sixth is handled", async || numbers(&script) == [6]).await;
    deliveries.stop(TIMEOUT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_beside_is_one_with_the_commit_and_a_note_refuses_its_copy() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let service = store.bucket(&ServiceName::new("mailer").unwrap());
    let notes = ServiceName::of_host_part("subscription", "mailer/t");
    let commit = |value: &str| Transaction {
        writes: vec![("a".into(), Change::Put(value.into()))],
        beside: vec![Beside {
            bucket: notes.clone(),
            checks: vec![("note".into(), 0)],
            writes: vec![("note".into(), Change::Put(Vec::new())), ("event".into(), Change::Append(b"x".to_vec()))],
        }],
        ..Transaction::default()
    };
    let first = service.commit(commit("1")).await.unwrap();
    assert_eq!(first.sums, [1]);
    let again = service.commit(commit("2")).await.unwrap_err();
    assert_eq!(again, crate::state::StateError::ConflictBeside { key: "note".into(), version: first.version });
    assert_eq!(service.get(vec!["a".into()]).await.unwrap()[0].as_ref().unwrap().value, b"1");
    let noted = store.bucket(&notes).get(vec![sequence_key(b"event", 1), sequence_key(b"event", 2)]).await.unwrap();
    assert!(noted[0].is_some() && noted[1].is_none());
    assert!(crate::base::ServiceName::new(notes.as_str()).is_err(), "no service has the name of a bucket of the host");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_that_is_left_out_holds_all_events_back() {
    let folder = tempfile::tempdir().unwrap();
    let (store, topic, script) = (store(folder.path()), topic(Duration::ZERO, 1 << 30), Arc::new(Script::default()));
    let names = [topic.name.clone()];
    let deliveries =
        Deliveries::start(&store, vec![Arc::clone(&topic)], Vec::new(), &names, (script, None)).await.unwrap();
    for _ in 0..3 {
        publish(&deliveries, None).await;
    }
    let log = EventLog::embedded(&store, &topic);
    let nobody = [Settled::default()];
    assert_eq!(retention::drop_some(&topic, &log, &nobody).await.unwrap(), 0);
    nobody[0].set(2);
    // An event is old from the next millisecond on.
    eventually("the two that are settled have gone", async || {
        retention::drop_some(&topic, &log, &nobody).await.unwrap();
        log.after(0, 10).await.unwrap().events.len() == 1
    })
    .await;
    deliveries.stop(TIMEOUT).await;
}

/// Nobody counts an event whose commit was in doubt. Whoever has read it knows of it.
#[tokio::test]
async fn the_end_of_a_topic_is_not_before_an_event_that_was_read() {
    let (folder, script) = (tempfile::tempdir().unwrap(), Arc::<Script>::default());
    let (store, topic) = (store(folder.path()), week());
    topic.need_after(0);
    let deliveries =
        Deliveries::start(&store, vec![Arc::clone(&topic)], Vec::new(), &[], (script, None)).await.unwrap();
    publish(&deliveries, None).await;
    publish(&deliveries, None).await;
    topic.count(1, topic.bytes());
    let reader = deliveries.reader("orders.placed").unwrap();
    assert_eq!(reader.before(u64::MAX).await.unwrap(), 2);
    assert_eq!(reader.after(0, 10).await.unwrap().events.len(), 2);
    assert_eq!(reader.last().await.unwrap(), 2);
}
