//! Delivery over the real store, with a handler that the tests drive.

mod behaviour;
mod bridged;
mod rebuilds;
mod relayed;
mod scheduled;
mod seeded;

use super::{Deliveries, Handle, Subscription, SubscriptionSettings, TryEnd};
use crate::base::{HandledEvent, ServiceName};
use crate::events::{Backoff, EventRecord, NewEvent, PayloadType, Retention, Topic, TopicName};
use crate::state::{Settings, Store};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long a test waits for what must happen.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What a handler has seen, and what it is to answer.
#[derive(Default)]
struct Script {
    /// Each call: the event's number, its key, and the try.
    calls: Mutex<Vec<(u64, Option<String>, u32)>>,
    /// The verdicts of an event's next calls; then it is handled.
    verdicts: Mutex<BTreeMap<u64, Vec<TryEnd>>>,
    /// The events whose next call panics.
    panics: Mutex<std::collections::BTreeSet<u64>>,
    /// The most calls at the same time, and those of one key.
    running: Mutex<BTreeMap<Option<String>, usize>>,
    overlap: Mutex<usize>,
}

/// A call that runs. One that is cut off ends too.
struct Running<'a>(&'a Script, Option<String>);

impl<'a> Running<'a> {
    fn begin(script: &'a Script, key: Option<String>) -> Self {
        let mut running = script.running.lock().unwrap();
        let of_key = running.entry(key.clone()).or_default();
        *of_key += 1;
        if key.is_some() {
            let mut overlap = script.overlap.lock().unwrap();
            *overlap = (*overlap).max(*of_key);
        }
        Self(script, key)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        *self.0.running.lock().unwrap().get_mut(&self.1).unwrap() -= 1;
    }
}

impl Handle for Script {
    async fn handle(&self, _: &Subscription, event: Arc<HandledEvent>, _: &EventRecord) -> TryEnd {
        self.calls.lock().unwrap().push((event.number, event.key.clone(), event.attempt));
        let running = Running::begin(self, event.key.clone());
        tokio::task::yield_now().await;
        drop(running);
        assert!(!self.panics.lock().unwrap().remove(&event.number), "told to panic");
        let mut verdicts = self.verdicts.lock().unwrap();
        verdicts.get_mut(&event.number).and_then(Vec::pop).unwrap_or(TryEnd::Handled)
    }
}

fn store(folder: &Path) -> Store {
    Store::open(&Settings { path: folder.join("state.redb"), ..Settings::default() }).unwrap()
}

fn topic(age: Duration, size: u64) -> Arc<Topic> {
    let name = TopicName::new("orders.placed").unwrap();
    Arc::new(Topic::new(name, PayloadType::Any, Retention { age, size }))
}

fn week() -> Arc<Topic> {
    topic(Duration::from_secs(604_800), 1 << 30)
}

fn quick() -> SubscriptionSettings {
    let backoff = Backoff { first: Duration::from_millis(1), most: Duration::from_millis(4) };
    SubscriptionSettings { tries: 3, backoff, ..SubscriptionSettings::default() }
}

async fn start(store: &Store, topic: &Arc<Topic>, settings: SubscriptionSettings, script: &Arc<Script>) -> Deliveries {
    let subscription = Subscription {
        service: ServiceName::new("mailer").unwrap(),
        topic: Arc::clone(topic),
        at: 0,
        function: "order-placed".into(),
        settings,
        slow: Arc::default(),
        work: Arc::default(),
    };
    Deliveries::start(store, vec![Arc::clone(topic)], vec![subscription], &[], (Arc::clone(script), None))
        .await
        .unwrap()
}

async fn publish(deliveries: &Deliveries, key: Option<&str>) -> u64 {
    let event = NewEvent { key: key.map(str::to_owned), payload: "{}".into() };
    deliveries.publish("orders.placed", event).await.unwrap()
}

async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < TIMEOUT, "this did not happen: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn settled(deliveries: &Deliveries) {
    eventually("everything is settled", async || deliveries.report()[0].subscriptions[0].lag == 0).await;
}
