//! The outbox and the relay, with a broker that fails as brokers do.

use super::*;
use crate::broker::{Broker, BrokerError, BrokerFuture, BrokerLog, LogExtent, OutgoingEvent, StoredEvent, StoredPage};
use crate::delivery::DeliveryError;
use crate::delivery::broker_health::BrokerHealth;
use crate::delivery::event_log::EventLog;
use crate::delivery::outbox::Outbox;
use crate::delivery::relay::{Relay, RelayStep};
use crate::delivery::retention::drop_some;
use crate::events::OutboxReport;
use crate::state::{Change, Transaction, sequence_key};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeSet;
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use tokio::sync::{Notify, oneshot};

/// What the next append does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Append {
    Works,
    /// Nothing arrives.
    Lost,
    /// So many arrive, and the answer is lost.
    Unanswered(usize),
}

/// A log in memory.
#[derive(Default)]
pub(super) struct FakeLog {
    pub(super) events: Mutex<Vec<StoredEvent>>,
    pub(super) appends: Mutex<Vec<Append>>,
    /// The numbers of events that cannot be read.
    pub(super) damaged: Mutex<BTreeSet<u64>>,
    /// Whether it does not tell its bytes.
    silent: Mutex<bool>,
    /// Whether nothing is answered.
    pub(super) away: Mutex<bool>,
    /// Whether its end is never told.
    endless: Mutex<bool>,
    /// How many of the latest events a reader does not see yet.
    unseen: Mutex<usize>,
    /// How often it was read.
    reads: AtomicUsize,
}

impl FakeLog {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    fn answer<T>(&self, answer: impl FnOnce(&mut Vec<StoredEvent>) -> T) -> Result<T, BrokerError> {
        if *self.away.lock().unwrap() {
            return Err(BrokerError::Away("told to be".into()));
        }
        Ok(answer(&mut self.events.lock().unwrap()))
    }

    pub(super) fn keys(&self) -> Vec<String> {
        self.events.lock().unwrap().iter().filter_map(|event| event.record.key.clone()).collect()
    }

    /// Somebody else publishes.
    pub(super) fn add(&self, id: Option<String>, record: EventRecord) {
        let mut events = self.events.lock().unwrap();
        let number = events.last().map_or(1, |last| last.number + 1);
        events.push(StoredEvent { number, id, record, bytes: 10 });
    }
}

impl BrokerLog for FakeLog {
    fn after(&self, after: u64, most: usize) -> BrokerFuture<'_, StoredPage> {
        Box::pin(async move {
            self.reads.fetch_add(1, SeqCst);
            let unseen = *self.unseen.lock().unwrap();
            self.answer(|events| {
                let seen = &events[..events.len().saturating_sub(unseen)];
                let mut left = seen.iter().filter(|event| event.number > after).cloned();
                let damaged = self.damaged.lock().unwrap();
                let page: Vec<_> = left.by_ref().take(most).collect();
                let (lost, events): (Vec<_>, Vec<_>) = page.into_iter().partition(|one| damaged.contains(&one.number));
                let damaged = lost.into_iter().map(|event| event.number).collect();
                StoredPage { events, damaged, more: left.next().is_some() }
            })
        })
    }

    fn append<'a>(&'a self, events: &'a [OutgoingEvent]) -> BrokerFuture<'a, u64> {
        Box::pin(async move {
            self.answer(|_| ())?;
            let next = self.appends.lock().unwrap().pop().unwrap_or(Append::Works);
            let arrive = match next {
                Append::Works => events.len(),
                Append::Lost => 0,
                Append::Unanswered(count) => count,
            };
            for OutgoingEvent { id, record } in events.iter().take(arrive) {
                self.add(Some(id.clone()), record.clone());
            }
            match next {
                Append::Works => self.answer(|events| events.last().map_or(0, |last| last.number)),
                _ => Err(BrokerError::Away("no answer".into())),
            }
        })
    }

    fn extent(&self) -> BrokerFuture<'_, LogExtent> {
        Box::pin(async move {
            if *self.endless.lock().unwrap() {
                pending::<()>().await;
            }
            self.answer(|events| LogExtent {
                last: events.last().map_or(0, |last| last.number),
                bytes: if self.tells_bytes() { events.iter().map(|event| event.bytes).sum() } else { 0 },
            })
        })
    }

    fn tells_bytes(&self) -> bool {
        !*self.silent.lock().unwrap()
    }

    fn drop_until(&self, number: u64) -> BrokerFuture<'_, ()> {
        Box::pin(async move { self.answer(|events| events.retain(|event| event.number > number)) })
    }

    fn news(&self) -> BrokerFuture<'_, ()> {
        Box::pin(pending())
    }
}

pub(super) struct FakeBroker(pub(super) Arc<FakeLog>);

impl Broker for FakeBroker {
    fn log(&self, _: &TopicName, _: &str) -> Arc<dyn BrokerLog> {
        let log: Arc<FakeLog> = Arc::clone(&self.0);
        log
    }

    fn place(&self) -> &str {
        "nats://broker:4222"
    }
}

fn brokered(bound: u64) -> Arc<Topic> {
    let name = TopicName::new("orders.placed").unwrap();
    let retention = Retention { age: Duration::from_secs(604_800), size: 1 << 30 };
    Arc::new(Topic::new(name, PayloadType::Any, retention).with_outbox(bound))
}

async fn start_with(
    store: &Store,
    topic: &Arc<Topic>,
    script: &Arc<Script>,
    broker: Option<&Arc<FakeLog>>,
) -> Result<Deliveries, DeliveryError> {
    let subscription = Subscription {
        service: ServiceName::new("mailer").unwrap(),
        topic: Arc::clone(topic),
        at: 0,
        function: "order-placed".into(),
        settings: quick(),
        slow: Arc::default(),
        work: Arc::default(),
    };
    let broker = broker.map(|log| FakeBroker(Arc::clone(log)));
    let broker = broker.as_ref().map(|broker| broker as &dyn Broker);
    let (topics, handler) = (vec![Arc::clone(topic)], Arc::clone(script));
    Deliveries::start(store, topics, vec![subscription], &[], (handler, broker)).await
}

async fn refusal(store: &Store, topic: &Arc<Topic>, broker: Option<&Arc<FakeLog>>) -> String {
    start_with(store, topic, &Arc::default(), broker).await.map(drop).unwrap_err().to_string()
}

fn keys(script: &Script) -> Vec<String> {
    script.calls.lock().unwrap().iter().filter_map(|(_, key, _)| key.clone()).collect()
}

/// Each event is in the log once and in its order, whatever an append does and wherever the relay is cut off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_event_arrives_once_and_in_order_whatever_becomes_of_an_append() {
    for seed in 0..20 {
        let mut random = SmallRng::seed_from_u64(seed);
        let folder = tempfile::tempdir().unwrap();
        let (store, topic, log) = (store(folder.path()), brokered(1 << 20), FakeLog::new());
        let deliveries = start_with(&store, &topic, &Arc::default(), Some(&log)).await.unwrap();
        // The relay of the host is stopped: the test makes its steps.
        deliveries.stop(TIMEOUT).await;
        let relay = || Relay {
            topic: Arc::clone(&topic),
            outbox: Outbox::new(&store, &topic),
            log: log.clone(),
            news: Arc::new(Notify::new()),
            health: Arc::new(BrokerHealth::of("")),
        };
        let (mut expected, mut one, mut certain) = (Vec::new(), relay(), false);
        let foreign = EventRecord { time: 1, source: "b".into(), key: None, payload: "{}".into(), trace: None };
        for _ in 0..60 {
            match random.random_range(0..6) {
                0..=2 => {
                    let key = format!("{}", expected.len());
                    publish(&deliveries, Some(&key)).await;
                    expected.push(key);
                }
                3 => log.add(random.random_bool(0.5).then(|| "outside-1".to_owned()), foreign.clone()),
                // Another start of the host.
                4 => (one, certain) = (relay(), false),
                _ => {
                    let count = random.random_range(0..4);
                    let next = [Append::Works, Append::Lost, Append::Unanswered(count)][random.random_range(0..3)];
                    log.appends.lock().unwrap().push(next);
                    certain &= one.step(&mut certain).await.is_ok();
                }
            }
        }
        log.appends.lock().unwrap().clear();
        certain = false;
        while one.step(&mut certain).await.unwrap() == RelayStep::Moved {}
        assert_eq!(log.keys(), expected, "seed {seed}");
        assert_eq!(topic.outbox().map(|outbox| (outbox.events, outbox.bytes, outbox.oldest)), Some((0, 0, None)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_whose_end_is_never_told_holds_up_no_start() {
    let folder = tempfile::tempdir().unwrap();
    let (store, topic, log, script) = (store(folder.path()), brokered(200), FakeLog::new(), Arc::default());
    *log.endless.lock().unwrap() = true;
    // In real time: the clock here is ahead of it as soon as everybody waits.
    let ((late, is_late), (started, starts)) = (oneshot::channel(), mpsc::sync_channel::<()>(0));
    let watch = thread::spawn(move || {
        let _ = starts
            .recv_timeout(TIMEOUT)
            .is_err_and(|error| error == RecvTimeoutError::Timeout && late.send(()).is_ok());
    });
    tokio::select! {
        deliveries = start_with(&store, &topic, &script, Some(&log)) => drop(deliveries.unwrap()),
        Ok(()) = is_late => panic!("it does not start"),
    }
    drop(started);
    watch.join().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_away_holds_up_nobody_until_the_outbox_is_full() {
    let folder = tempfile::tempdir().unwrap();
    let (store, topic, log, script) = (store(folder.path()), brokered(200), FakeLog::new(), Arc::default());
    *log.away.lock().unwrap() = true;
    let deliveries = start_with(&store, &topic, &script, Some(&log)).await.unwrap();
    let event = |n: usize| NewEvent { key: Some(format!("k{n}")), payload: "{}".into() };
    let mut taken = 0;
    let refused = loop {
        match deliveries.publish("orders.placed", event(taken)).await {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
    };
    assert!(refused.to_string().contains("its broker is away") && taken > 2, "{taken}: {refused}");
    assert_eq!((topic.last(), keys(&script).len()), (0, 0));
    // A restart in between.
    deliveries.stop(TIMEOUT).await;
    drop(deliveries);
    let topic = brokered(200);
    let deliveries = start_with(&store, &topic, &script, Some(&log)).await.unwrap();
    let waiting = topic.outbox().unwrap();
    assert!(waiting.bytes >= 200 && waiting.events == taken as u64, "{waiting:?}");
    eventually("what is wrong is seen", async || {
        let OutboxReport { oldest, failure, .. } = topic.outbox().unwrap();
        oldest.is_some() && failure.is_some_and(|failure| failure.contains("told to be"))
    })
    .await;
    *log.away.lock().unwrap() = false;
    eventually("all is handled", async || keys(&script).len() == taken).await;
    assert_eq!(log.keys(), (0..taken).map(|n| format!("k{n}")).collect::<Vec<_>>());
    settled(&deliveries).await;
    // What others publish is delivered too, and what is settled is not delivered again.
    let record =
        EventRecord { time: 1, source: "b".into(), key: Some("other".into()), payload: "1".into(), trace: None };
    log.add(None, record);
    eventually("the event of others is handled", async || keys(&script).last().is_some_and(|key| key == "other")).await;
    assert_eq!(keys(&script).len(), taken + 1);
    eventually("nothing waits, and nothing is wrong", async || {
        topic.outbox() == Some(OutboxReport { events: 0, bytes: 0, oldest: None, failure: None })
    })
    .await;
    deliveries.stop(TIMEOUT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_was_acknowledged_before_it_could_be_read_is_delivered_without_a_further_one() {
    let folder = tempfile::tempdir().unwrap();
    let (store, topic, log, script) = (store(folder.path()), brokered(1 << 20), FakeLog::new(), Arc::default());
    *log.unseen.lock().unwrap() = 1;
    let deliveries = start_with(&store, &topic, &script, Some(&log)).await.unwrap();
    publish(&deliveries, Some("k")).await;
    eventually("it is acknowledged", async || topic.last() == 1).await;
    let reads = log.reads.load(SeqCst);
    // One read may have been under way before it was acknowledged.
    eventually("it was looked for", async || log.reads.load(SeqCst) > reads + 1).await;
    *log.unseen.lock().unwrap() = 0;
    eventually("it is handled", async || keys(&script) == ["k"]).await;
    deliveries.stop(TIMEOUT).await;
}

/// As a batch at a server of the Kafka protocol that is compressed in a way which this host does not read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_of_a_broker_is_one_dead_letter_and_holds_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let (store, topic, log, script) = (store(folder.path()), brokered(1 << 20), FakeLog::new(), Arc::default());
    *log.silent.lock().unwrap() = true;
    *log.damaged.lock().unwrap() = [2, 3].into();
    let foreign = EventRecord { time: 1, source: "b".into(), key: None, payload: "{}".into(), trace: None };
    let deliveries = start_with(&store, &topic, &script, Some(&log)).await.unwrap();
    publish(&deliveries, Some("first")).await;
    eventually("it is handled", async || keys(&script) == ["first"]).await;
    log.add(None, foreign.clone());
    log.add(None, foreign.clone());
    // The relay reads what is there before it sends again.
    log.appends.lock().unwrap().push(Append::Lost);
    publish(&deliveries, Some("mine")).await;
    eventually("what stands behind is handled", async || keys(&script) == ["first", "mine"]).await;
    settled(&deliveries).await;
    let [first, second] = &deliveries.dead_letters("orders.placed", "mailer", 0, 9).await.unwrap()[..] else {
        panic!("two dead letters")
    };
    assert_eq!((first.number, second.number, first.record.is_err()), (2, 3, true));
    assert!(first.latest[0].reason.contains("cannot be read"), "{first:?}");
    assert_eq!((topic.last(), topic.bytes()), (4, 0), "a log that does not tell its bytes has none that count");
    deliveries.stop(TIMEOUT).await;
    // They go with the first one behind them that is old, though nobody knows how old they are.
    let read = EventLog::Brokered(log.clone());
    let dropped = async || {
        let retention = Retention { age: Duration::from_secs(3600), size: 1 << 30 };
        let topic = Topic::new(topic.name.clone(), PayloadType::Any, retention);
        drop_some(&topic, &read, &[]).await.unwrap()
    };
    log.events.lock().unwrap().remove(0);
    log.add(None, foreign.clone());
    assert_eq!(dropped().await, 0, "the own event behind them is young");
    log.events.lock().unwrap().remove(2);
    assert_eq!(dropped().await, 3);
    // Also if whole pages of them stand before it.
    *log.damaged.lock().unwrap() = (1..=600).collect();
    (0..601).for_each(|_| log.add(None, foreign.clone()));
    assert_eq!(dropped().await, 601);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_has_lost_its_end_gives_numbers_anew_and_nothing_of_them_is_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let (store, topic, log, script) = (store(folder.path()), brokered(1 << 20), FakeLog::new(), Arc::default());
    let deliveries = start_with(&store, &topic, &script, Some(&log)).await.unwrap();
    for n in 0..9 {
        publish(&deliveries, Some(&format!("k{n}"))).await;
    }
    eventually("all is handled", async || keys(&script).len() == 9).await;
    settled(&deliveries).await;
    log.events.lock().unwrap().truncate(4);
    eventually("the loss is noticed", async || topic.last() == 4).await;
    for n in 10..13 {
        publish(&deliveries, Some(&format!("k{n}"))).await;
    }
    eventually("the new events are handled", async || keys(&script).len() == 12).await;
    // Of different keys, which have no order.
    let mut new = keys(&script).split_off(9);
    new.sort();
    assert_eq!(new, ["k10", "k11", "k12"]);
    deliveries.stop(TIMEOUT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_moves_to_a_broker_when_all_is_settled_and_back_when_all_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let (store, log, script) = (store(folder.path()), FakeLog::new(), Arc::<Script>::default());
    let deliveries = start_with(&store, &week(), &script, None).await.unwrap();
    for n in 0..5 {
        publish(&deliveries, Some(&format!("k{n}"))).await;
    }
    settled(&deliveries).await;
    deliveries.stop(TIMEOUT).await;
    publish(&deliveries, Some("late")).await;
    drop(deliveries);
    let refused = refusal(&store, &brokered(1 << 20), Some(&log)).await;
    assert!(refused.contains("`mailer` has not settled 1 events of `orders.placed`"), "{refused}");
    let deliveries = start_with(&store, &week(), &script, None).await.unwrap();
    eventually("the last event is handled", async || keys(&script).len() == 6).await;
    settled(&deliveries).await;
    deliveries.stop(TIMEOUT).await;
    drop(deliveries);
    *log.away.lock().unwrap() = true;
    let topic = brokered(1 << 20);
    let deliveries = start_with(&store, &topic, &script, Some(&log)).await.unwrap();
    publish(&deliveries, Some("first")).await;
    deliveries.stop(TIMEOUT).await;
    drop(deliveries);
    let refused = refusal(&store, &week(), None).await;
    assert!(refused.contains("events of `orders.placed` wait for the broker"), "{refused}");
    *log.away.lock().unwrap() = false;
    let deliveries = start_with(&store, &brokered(1 << 20), &script, Some(&log)).await.unwrap();
    eventually("it is handled", async || keys(&script).last().is_some_and(|key| key == "first")).await;
    settled(&deliveries).await;
    assert_eq!(log.keys(), ["first"], "what was settled in the embedded log is not sent");
    deliveries.stop(TIMEOUT).await;
    drop(deliveries);
    let deliveries = start_with(&store, &week(), &script, None).await.unwrap();
    publish(&deliveries, Some("home")).await;
    eventually("it is handled", async || keys(&script).last().is_some_and(|key| key == "home")).await;
    assert_eq!(keys(&script).len(), 8);
    deliveries.stop(TIMEOUT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_event_of_the_outbox_is_put_aside_and_holds_up_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let (store, topic, log, script) = (store(folder.path()), brokered(1 << 20), FakeLog::new(), Arc::default());
    *log.away.lock().unwrap() = true;
    let deliveries = start_with(&store, &topic, &script, Some(&log)).await.unwrap();
    for key in ["a", "b", "c"] {
        publish(&deliveries, Some(key)).await;
    }
    let bucket = store.bucket(&topic.bucket());
    let writes = vec![(sequence_key(Topic::COUNTER, 2), Change::Put(b"damaged".to_vec()))];
    bucket.commit(Transaction { writes, ..Transaction::default() }).await.unwrap();
    *log.away.lock().unwrap() = false;
    eventually("the others are handled", async || keys(&script).len() == 2).await;
    assert_eq!(log.keys(), ["a", "c"]);
    let aside = bucket.get(vec![[&b"damaged/"[..], &2_u64.to_be_bytes()].concat()]).await.unwrap();
    assert_eq!(aside[0].as_ref().unwrap().value, b"damaged");
    deliveries.stop(TIMEOUT).await;
}
