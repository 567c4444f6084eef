//! Bridges, with a broker that fails as brokers do: what crosses them, how often, and what does not.

use super::relayed::{Append, FakeBroker, FakeLog};
use super::*;
use crate::delivery::{Bridge, BridgeDirection, BridgeReport};
use crate::state::tests::doubtful::{crashing_store, doubtful_store};
use std::sync::atomic::Ordering;

/// A host with bridges between `orders.placed` and these logs.
async fn host(
    store: &Store,
    topic: &Arc<Topic>,
    script: &Arc<Script>,
    bridges: &[(&str, BridgeDirection, &Arc<FakeLog>)],
) -> Deliveries {
    let bridge = |(name, direction, log): &(&str, BridgeDirection, &Arc<FakeLog>)| Bridge {
        name: (*name).to_owned(),
        topic: topic.name.clone(),
        direction: *direction,
        broker: Arc::new(FakeBroker(Arc::clone(log))),
        remote: topic.name.clone(),
        place: format!("nats://{:p}/t", Arc::as_ptr(log)),
    };
    let subscription = Subscription {
        service: ServiceName::new("mailer").unwrap(),
        topic: Arc::clone(topic),
        at: 0,
        function: "order-placed".into(),
        settings: quick(),
        slow: Arc::default(),
        work: Arc::default(),
    };
    let bridges = bridges.iter().map(bridge).collect();
    let topics = (vec![Arc::clone(topic)], bridges);
    Deliveries::start_bridged(store, topics, vec![subscription], &[], (Arc::clone(script), None)).await.unwrap()
}

fn report(deliveries: &Deliveries) -> BridgeReport {
    deliveries.report()[0].bridges[0].clone()
}

/// The keys of what was handled, in their order.
fn handled(script: &Script) -> Vec<String> {
    script.calls.lock().unwrap().iter().filter_map(|(_, key, _)| key.clone()).collect()
}

fn record(key: &str, source: &str) -> EventRecord {
    EventRecord { time: 5, source: source.into(), key: Some(key.into()), payload: "{}".into(), trace: None }
}

/// A topic that keeps also events of 1970, as [`record`] makes them.
fn century() -> Arc<Topic> {
    topic(Duration::from_secs(100 * 366 * 86_400), 1 << 30)
}

fn keys(numbers: std::ops::Range<u32>) -> Vec<String> {
    numbers.map(|number| format!("k{number}")).collect()
}

#[tokio::test]
async fn events_go_to_a_broker_once_and_in_order_whatever_its_answers_say() {
    let (folder, script, log) = (tempfile::tempdir().unwrap(), Arc::<Script>::default(), FakeLog::new());
    let (store, topic) = (store(folder.path()), week());
    // They are taken from the end.
    *log.appends.lock().unwrap() = vec![Append::Unanswered(2), Append::Works, Append::Lost, Append::Unanswered(1)];
    let deliveries = host(&store, &topic, &script, &[("out", BridgeDirection::Out, &log)]).await;
    for key in keys(0..10) {
        publish(&deliveries, Some(&key)).await;
    }
    eventually("all have crossed", async || report(&deliveries).lag == Some(0)).await;
    assert_eq!(log.keys(), keys(0..10));
    // It is away, the host stops, and both come back.
    *log.away.lock().unwrap() = true;
    for key in keys(10..13) {
        publish(&deliveries, Some(&key)).await;
    }
    eventually("it is told", async || report(&deliveries).failure.is_some_and(|text| text.contains("told to be")))
        .await;
    assert_eq!(report(&deliveries).lag, Some(3));
    settled(&deliveries).await;
    deliveries.stop(TIMEOUT).await;
    drop(deliveries);
    *log.away.lock().unwrap() = false;
    let topic = week();
    let deliveries = host(&store, &topic, &script, &[("out", BridgeDirection::Out, &log)]).await;
    eventually("all have crossed", async || report(&deliveries).lag == Some(0)).await;
    assert_eq!((log.keys(), handled(&script)), (keys(0..13), keys(0..13)));
}

#[tokio::test]
async fn the_retention_keeps_what_has_not_crossed_and_bounds_what_the_broker_has() {
    let (folder, script, log) = (tempfile::tempdir().unwrap(), Arc::<Script>::default(), FakeLog::new());
    let (store, topic) = (store(folder.path()), topic(Duration::ZERO, 1));
    *log.away.lock().unwrap() = true;
    let deliveries = host(&store, &topic, &script, &[("out", BridgeDirection::Out, &log)]).await;
    publish(&deliveries, Some("k0")).await;
    eventually("it is told", async || report(&deliveries).failure.is_some()).await;
    settled(&deliveries).await;
    // Everybody has settled it but for the bridge.
    let dropped =
        async |deliveries: &Deliveries| deliveries.events("orders.placed", 0, 9).await.unwrap().events.is_empty();
    let (_, own) = deliveries.topic("orders.placed").unwrap();
    let waiting = deliveries.bridges_settled();
    assert_eq!(crate::delivery::retention::drop_some(&topic, own, &waiting).await.unwrap(), 0);
    assert!(!dropped(&deliveries).await);
    *log.away.lock().unwrap() = false;
    eventually("it has gone from both", async || {
        dropped(&deliveries).await && report(&deliveries).copied == 1 && log.keys().is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_bridge_with_another_broker_begins_anew_under_its_old_name() {
    let (folder, script) = (tempfile::tempdir().unwrap(), Arc::<Script>::default());
    let (store, one, other) = (store(folder.path()), FakeLog::new(), FakeLog::new());
    // The other one has fewer events than the first one had; the last time nothing has changed.
    for (log, keys_there) in [(&one, keys(0..3)), (&other, keys(0..4)), (&other, keys(0..5))] {
        let topic = week();
        let deliveries = host(&store, &topic, &script, &[("out", BridgeDirection::Out, log)]).await;
        let new = keys_there.len() - handled(&script).len();
        for key in &keys_there[keys_there.len() - new..] {
            publish(&deliveries, Some(key)).await;
        }
        eventually("all have crossed", async || log.keys().len() >= keys_there.len()).await;
        settled(&deliveries).await;
        assert_eq!(log.keys(), keys_there);
        deliveries.stop(TIMEOUT).await;
    }
    one.events.lock().unwrap().clear();
    (0..5).for_each(|number| one.add(Some(format!("id{number}")), record(&format!("in{number}"), "bank")));
    other.events.lock().unwrap().clear();
    (0..2).for_each(|number| other.add(Some(format!("other{number}")), record(&format!("other{number}"), "bank")));
    for (log, count) in [(&one, 10), (&other, 12)] {
        let topic = week();
        let deliveries = host(&store, &topic, &script, &[("in", BridgeDirection::In, log)]).await;
        eventually("all have come", async || handled(&script).len() == count).await;
        deliveries.stop(TIMEOUT).await;
    }
    assert_eq!(handled(&script)[10..], ["other0".to_owned(), "other1".to_owned()]);
}

#[tokio::test]
async fn events_come_from_a_broker_once_though_they_are_there_twice_and_it_begins_anew() {
    let (folder, script, log) = (tempfile::tempdir().unwrap(), Arc::<Script>::default(), FakeLog::new());
    let (store, doubts) = doubtful_store(folder.path());
    for (number, key) in keys(0..5).iter().enumerate() {
        log.add(Some(format!("id{number}")), record(key, "bank"));
    }
    // The commit is there, and its answer is lost.
    let topic = week();
    let deliveries = host(&store, &topic, &script, &[("in", BridgeDirection::In, &log)]).await;
    settled(&deliveries).await;
    eventually("all have come", async || report(&deliveries).copied == 5).await;
    doubts.store(1, Ordering::Relaxed);
    log.add(Some("id5".into()), record("k5", "bank"));
    // Somebody sends an event again, and somebody without ids sends the same twice, which are two.
    log.add(Some("id2".into()), record("k2", "bank"));
    log.add(None, record("k6", "outside"));
    log.add(None, record("k6", "outside"));
    let wanted = [keys(0..6), vec!["k6".into(), "k6".into()]].concat();
    eventually("all have come", async || handled(&script).len() == wanted.len()).await;
    assert_eq!(handled(&script), wanted);
    // The broker has lost everything, and its publisher sends some of it again.
    log.events.lock().unwrap().clear();
    log.add(Some("id5".into()), record("k5", "bank"));
    log.add(Some("id7".into()), record("k7", "bank"));
    eventually("the new one has come", async || handled(&script).len() > wanted.len()).await;
    settled(&deliveries).await;
    assert_eq!(handled(&script), [wanted, vec!["k7".into()]].concat());
}

#[tokio::test]
async fn what_cannot_be_read_of_a_broker_does_not_cross_and_what_stands_behind_it_does() {
    let (folder, script, log) = (tempfile::tempdir().unwrap(), Arc::<Script>::default(), FakeLog::new());
    let (store, topic) = (store(folder.path()), week());
    *log.damaged.lock().unwrap() = [1, 2, 4].into();
    keys(0..4).iter().for_each(|key| log.add(None, record(key, "bank")));
    let deliveries = host(&store, &topic, &script, &[("in", BridgeDirection::In, &log)]).await;
    eventually("the third one has crossed", async || handled(&script) == ["k2"]).await;
    log.add(None, record("k4", "bank"));
    eventually("what is new has crossed", async || handled(&script) == ["k2", "k4"]).await;
    assert_eq!(report(&deliveries).copied, 2);
}

#[tokio::test]
async fn a_crash_at_any_commit_copies_no_event_twice_and_loses_none() {
    let mut commits = 0;
    loop {
        let (folder, script, log) = (tempfile::tempdir().unwrap(), Arc::<Script>::default(), FakeLog::new());
        let (store, crash) = crashing_store(folder.path());
        // At the first commit, then at the second, and so on.
        crash.set(commits + 1, commits % 2 == 0);
        keys(0..3).iter().for_each(|key| log.add(Some(format!("id-{key}")), record(key, "bank")));
        let other = FakeLog::new();
        let bridges = [("in", BridgeDirection::In, &log), ("out", BridgeDirection::Out, &other)];
        let crossed = async |topic: &Arc<Topic>| {
            let deliveries = host(&store, topic, &script, &bridges).await;
            eventually("all have crossed", async || other.keys().len() >= 3).await;
            deliveries
        };
        let topic = century();
        let crashed = tokio::select! {
            () = crash.reached.notified() => true,
            _ = crossed(&topic) => false,
        };
        crash.lift();
        let topic = century();
        let deliveries = crossed(&topic).await;
        eventually("all is settled", async || {
            deliveries.report()[0].bridges.iter().all(|one| one.lag == Some(0)) && topic.last() == 3
        })
        .await;
        assert_eq!(other.keys(), keys(0..3), "a crash at commit {commits}");
        if !crashed {
            break;
        }
        commits += 1;
    }
    assert!(commits > 3, "the names, the events and the position are commits: {commits}");
}

#[tokio::test]
async fn no_event_goes_in_a_circle() {
    // Two hosts with bridges in both directions to one broker, and from each to another broker and back.
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (near, far) = (FakeLog::new(), FakeLog::new());
    let (scripts, topics) = ([Arc::<Script>::default(), Arc::default()], [week(), week()]);
    let mut hosts = Vec::new();
    for at in 0..2 {
        let bridges = [
            ("near-in", BridgeDirection::In, &near),
            ("near-out", BridgeDirection::Out, &near),
            ("far-in", BridgeDirection::In, &far),
            ("far-out", BridgeDirection::Out, &far),
        ];
        hosts.push(host(&store(folders[at].path()), &topics[at], &scripts[at], &bridges).await);
    }
    publish(&hosts[0], Some("mine")).await;
    publish(&hosts[1], Some("yours")).await;
    near.add(Some("n".into()), record("theirs", "outside"));
    let everywhere = async || {
        let lags = hosts.iter().flat_map(|host| host.report()).flat_map(|topic| topic.bridges);
        let quiet = lags.into_iter().all(|one| one.lag == Some(0));
        quiet && scripts.iter().all(|script| handled(script).len() >= 3)
    };
    eventually("all are everywhere", everywhere).await;
    let counts = || (topics.each_ref().map(|topic| topic.last()), near.keys().len(), far.keys().len());
    let before = counts();
    // What goes in a circle goes on and on.
    for _ in 0..3 {
        publish(&hosts[0], None).await;
        let last = topics[0].last();
        eventually("it has crossed", async || hosts[0].report()[0].bridges.iter().all(|one| one.lag == Some(0))).await;
        assert!(topics[0].last() <= last + 2, "{:?}", counts());
    }
    let after = counts();
    assert!(after.1 - before.1 <= 6 && after.2 - before.2 <= 6, "{before:?}, {after:?}");
    for script in &scripts {
        for key in ["mine", "yours", "theirs"] {
            let times = handled(script).iter().filter(|own| *own == key).count();
            assert!((1..=2).contains(&times), "{key}: {times}");
        }
    }
}
