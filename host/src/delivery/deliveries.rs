//! All topics and subscriptions of the host: what starts and stops their tasks, and what operators ask of them.

use super::bridge::{Bridge, BridgeDirection, BridgeReport, Bridged};
use super::broker_health::BrokerHealth;
use super::dead_letter::DeadLetter;
use super::dispatcher::Dispatcher;
use super::error::DeliveryError;
use super::event_log::{EventLog, EventPage, LogError};
use super::handler::Handle;
use super::hold::SubscriptionOrder;
use super::log_change::change_log;
use super::log_watch::LogWatch;
use super::notes::Notes;
use super::outbox::Outbox;
use super::relay::Relay;
use super::reset::ServiceReset;
use super::retention::{self, RetentionTurn};
use super::status::{Settled, Status};
use super::subscription::Subscription;
use super::topic_reader::TopicReader;
use crate::base::ServiceName;
use crate::broker::Broker;
use crate::events::{NewEvent, Topic, TopicName};
use crate::state::{Change, Store, Transaction};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

/// Orders to send dead letters again that may wait for a subscription's task.
const WAITING_ORDERS: usize = 16;
/// How long a start waits for the ends of all logs at a broker together. What is not known then is asked for later: a
/// start does not need the broker.
const LOOK: Duration = Duration::from_secs(15);
/// Who has published what an operator publishes.
const OPERATOR: &str = "operator";

/// A subscription as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionReport {
    /// The service.
    pub service: ServiceName,
    /// The function, as the manifest names it.
    pub function: String,
    /// How many events of the topic it has not settled.
    pub lag: u64,
    /// How long ago the oldest of them was published that it has read.
    pub oldest: Option<Duration>,
    /// The oldest event that has failed: its number and its key. Events of that key wait behind it.
    pub stuck: Option<(u64, Option<String>)>,
    /// Events under way.
    pub under_way: usize,
    /// Dead letters.
    pub dead: usize,
    /// Events that were handled since the start.
    pub handled: u64,
    /// Tries that failed since the start.
    pub failures: u64,
    /// The processor time of its handlers since the start.
    pub cpu: Duration,
}

/// A topic as operators see it.
#[derive(Debug, Clone)]
pub struct TopicReport {
    /// The topic.
    pub topic: Arc<Topic>,
    /// Its subscriptions.
    pub subscriptions: Vec<SubscriptionReport>,
    /// Its bridges.
    pub bridges: Vec<BridgeReport>,
}

/// One subscription, and the way to its task.
pub(super) struct Delivered {
    pub(super) subscription: Arc<Subscription>,
    notes: Notes,
    news: Arc<Notify>,
    pub(super) orders: mpsc::Sender<SubscriptionOrder>,
    settled: Settled,
    status: Arc<Mutex<Status>>,
}

/// The topics and subscriptions of the host.
pub struct Deliveries {
    pub(super) store: Store,
    pub(super) topics: Vec<(Arc<Topic>, EventLog)>,
    pub(super) delivered: Vec<Delivered>,
    bridges: Vec<Bridged>,
    /// One service is taken back after the other.
    pub(super) resetting: tokio::sync::Mutex<()>,
    /// Held while no event of the topic may go.
    pub(super) turns: BTreeMap<TopicName, RetentionTurn>,
    /// What wakes the readers of topics beside subscriptions.
    readers: BTreeMap<TopicName, Arc<Notify>>,
    stop: watch::Sender<bool>,
    tasks: Mutex<JoinSet<()>>,
    keepers: Mutex<JoinSet<()>>,
}

impl Deliveries {
    /// Counts the events of each topic, and begins to deliver. Topics in `absent` have a subscription that cannot be
    /// served now: they keep all of their events. With a broker the topics have outboxes, and their logs are there.
    ///
    /// # Errors
    /// A topic cannot be read, or its log cannot move.
    pub async fn start<H: Handle>(
        store: &Store,
        topics: Vec<Arc<Topic>>,
        subscriptions: Vec<Subscription>,
        absent: &[TopicName],
        (handler, broker): (Arc<H>, Option<&dyn Broker>),
    ) -> Result<Self, DeliveryError> {
        Self::start_bridged(store, (topics, Vec::new()), subscriptions, absent, (handler, broker)).await
    }

    /// As [`Deliveries::start`], with bridges between topics and brokers, where the topics have no broker themselves.
    ///
    /// # Errors
    /// As there.
    pub async fn start_bridged<H: Handle>(
        store: &Store,
        (topics, bridges): (Vec<Arc<Topic>>, Vec<Bridge>),
        subscriptions: Vec<Subscription>,
        absent: &[TopicName],
        (handler, broker): (Arc<H>, Option<&dyn Broker>),
    ) -> Result<Self, DeliveryError> {
        for service in subscriptions.iter().map(|one| &one.service).collect::<BTreeSet<_>>() {
            // One that a crash has cut off.
            if let Some(reset) = ServiceReset::left(store, service).await? {
                reset.finish(store).await?;
            }
        }
        let (mut logs, looked) = (Vec::new(), Instant::now() + LOOK);
        for topic in topics {
            let ours: Vec<_> = subscriptions.iter().filter(|one| one.topic.name == topic.name).collect();
            change_log(store, &topic, &ours, absent.contains(&topic.name)).await?;
            let log = match broker {
                Some(broker) => {
                    let outbox = Outbox::new(store, &topic);
                    let (events, bytes) = outbox.extent().await?;
                    topic.count_outbox(events, bytes);
                    let writer = outbox.text(Outbox::ORIGIN).await?.unwrap_or_default();
                    EventLog::Brokered(broker.log(&topic.name, &writer))
                }
                None => EventLog::embedded(store, &topic),
            };
            let counted = match broker {
                Some(_) => timeout_at(looked, log.count()).await,
                None => Ok(log.count().await),
            };
            match counted {
                Ok(Ok((last, bytes))) => topic.count(last, bytes),
                // Until the broker is there, nobody knows more.
                Ok(Err(LogError::Broker(error))) if !error.is_lasting() => {}
                Err(_) => {}
                Ok(Err(error)) => return Err(error.into()),
            }
            logs.push((topic, log));
        }
        let (stop, stopped) = watch::channel(false);
        let (mut tasks, mut delivered) = (JoinSet::new(), Vec::new());
        for subscription in subscriptions {
            let log = logs.iter().find(|(topic, _)| topic.name == subscription.topic.name).map(|(_, log)| log.clone());
            let log = log.unwrap_or_else(|| EventLog::embedded(store, &subscription.topic));
            let (one, dispatcher) = Delivered::new(store, subscription, log, (&handler, &stopped));
            tasks.spawn(dispatcher.run());
            delivered.push(one);
        }
        let (mut keepers, mut turns, mut readers) = (JoinSet::new(), BTreeMap::new(), BTreeMap::new());
        let health = Arc::new(BrokerHealth::of(broker.map(Broker::place).unwrap_or_default()));
        let (mut bridged, mut crossings) = (Vec::new(), Vec::new());
        for bridge in bridges {
            let Some((topic, _)) = logs.iter().find(|(topic, _)| topic.name == bridge.topic) else { continue };
            let (one, task) = Bridged::new(store, bridge, topic).await.map_err(LogError::from)?;
            crossings.push(one.run(task));
            bridged.push(one);
        }
        for (topic, log) in &logs {
            let turn = RetentionTurn::default();
            // Somebody beside subscriptions reads it.
            if topic.needed() < u64::MAX {
                readers.insert(topic.name.clone(), Arc::<Notify>::default());
            }
            let reader = readers.get(&topic.name);
            keep((store, &health), (topic, log), (&delivered, reader, &bridged), (absent, &turn), &mut keepers);
            turns.insert(topic.name.clone(), turn);
        }
        // After the topics: what comes in is told.
        crossings.into_iter().for_each(|crossing| drop(keepers.spawn(crossing)));
        let (tasks, keepers) = (Mutex::new(tasks), Mutex::new(keepers));
        let (store, resetting) = (store.clone(), Default::default());
        Ok(Self { store, topics: logs, delivered, bridges: bridged, resetting, turns, readers, stop, tasks, keepers })
    }

    /// Hands out no further events, and waits until those under way have ended and their ends are on disk, for `within`
    /// at most. What is cut off is delivered again at the next start.
    pub async fn stop(&self, within: Duration) {
        let _ = self.stop.send(true);
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let ended = timeout(within, async { while tasks.join_next().await.is_some() {} }).await;
        if ended.is_err() {
            let what = "events under way were cut off: they are delivered again at the next start";
            tracing::warn!(target: "delivery", "{what}");
        }
        self.keepers.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }

    /// Every topic, in the order of the manifest.
    pub fn report(&self) -> Vec<TopicReport> {
        let now = now();
        let topics = self.topics.iter().map(|(topic, _)| TopicReport {
            topic: Arc::clone(topic),
            subscriptions: self.of(topic).map(|one| one.report(now)).collect(),
            bridges: self.bridges.iter().filter(|one| one.is_of(topic)).map(Bridged::report).collect(),
        });
        topics.collect()
    }

    fn of<'a>(&'a self, topic: &'a Topic) -> impl Iterator<Item = &'a Delivered> {
        self.delivered.iter().filter(|one| one.subscription.topic.name == topic.name)
    }

    pub(super) fn topic(&self, name: &str) -> Result<&(Arc<Topic>, EventLog), DeliveryError> {
        let found = self.topics.iter().find(|(topic, _)| topic.name.as_str() == name);
        found.ok_or_else(|| DeliveryError::Unknown(format!("the manifest has no topic `{name}`")))
    }

    /// What holds the events of the bridges back.
    #[cfg(test)]
    pub(super) fn bridges_settled(&self) -> Vec<Settled> {
        self.bridges.iter().map(|one| one.settled.clone()).collect()
    }

    fn subscription(&self, topic: &str, service: &str) -> Result<&Delivered, DeliveryError> {
        let (topic, _) = self.topic(topic)?;
        let found = self.of(topic).find(|one| one.subscription.service.as_str() == service);
        found.ok_or_else(|| DeliveryError::Unknown(format!("`{service}` does not subscribe to `{}`", topic.name)))
    }

    /// At most `most` events of a topic whose numbers are above `after`.
    ///
    /// # Errors
    /// There is no such topic, or the store fails.
    pub async fn events(&self, topic: &str, after: u64, most: usize) -> Result<EventPage, DeliveryError> {
        Ok(self.topic(topic)?.1.after(after, most).await?)
    }

    /// The number before the first event that was published at `time` or later, in milliseconds since 1970; events
    /// nearly in the order of their times, since their numbers are given a moment later.
    ///
    /// # Errors
    /// As [`Deliveries::events`].
    pub async fn before(&self, topic: &str, time: u64) -> Result<u64, DeliveryError> {
        let (topic, log) = self.topic(topic)?;
        Ok(log.before(topic.last(), time).await?)
    }

    /// The log of a topic, for others than subscriptions; `None`: there is no such topic. It may be asked for once.
    pub fn reader(&self, topic: &str) -> Option<TopicReader> {
        let (topic, log) = self.topics.iter().find(|(own, _)| own.name.as_str() == topic)?;
        let news = Arc::clone(self.readers.get(&topic.name)?);
        Some(TopicReader { topic: Arc::clone(topic), log: log.clone(), news })
    }

    /// Publishes an event in the name of the operator. Returns its number, when it is on disk; with a broker, its
    /// number in the outbox.
    ///
    /// # Errors
    /// The event is refused, there is no such topic, or the store refuses or fails.
    pub async fn publish(&self, topic: &str, event: NewEvent) -> Result<u64, DeliveryError> {
        let (topic, _) = self.topic(topic)?;
        let record = topic.admit(event, OPERATOR, now())?.encode();
        let bytes = record.len() as u64;
        let writes =
            vec![(Topic::COUNTER.to_vec(), Change::Append(record)), (Topic::WRITTEN.to_vec(), Change::Add(bytes))];
        let bucket = self.store.bucket(&topic.bucket());
        let committed = bucket.commit(Transaction { writes, ..Transaction::default() }).await;
        let committed = committed.inspect_err(|_| topic.may_have_more())?;
        let number = committed.sums.first().copied().expect("an appended event has a number");
        topic.published(number, 1, bytes);
        Ok(number)
    }

    /// At most `most` dead letters of a subscription whose numbers are above `after`.
    ///
    /// # Errors
    /// There is no such subscription, or the store fails.
    pub async fn dead_letters(
        &self,
        topic: &str,
        service: &str,
        after: u64,
        most: usize,
    ) -> Result<Vec<DeadLetter>, DeliveryError> {
        Ok(self.subscription(topic, service)?.notes.dead_letters(after, most).await?)
    }

    /// Sends one dead letter, or all of a subscription, again. Returns how many are sent: not those that are on their
    /// way already, or damaged.
    ///
    /// # Errors
    /// There is no such subscription or letter, the store fails, or the host is stopping.
    pub async fn resend(&self, topic: &str, service: &str, number: Option<u64>) -> Result<usize, DeliveryError> {
        let one = self.subscription(topic, service)?;
        if let Some(number) = number {
            let found = one.notes.dead_letters(number.saturating_sub(1), 1).await?;
            if found.first().is_none_or(|letter| letter.number != number) {
                let text = format!("`{service}` has no dead letter {number} of `{topic}`");
                return Err(DeliveryError::NoLetter(text));
            }
        }
        let (answer, answered) = oneshot::channel();
        let order = SubscriptionOrder::Resend { number, answer };
        one.orders.send(order).await.map_err(|_| DeliveryError::Stopping)?;
        Ok(answered.await.map_err(|_| DeliveryError::Stopping)??)
    }
}

/// Begins the tasks that a topic needs beside its subscriptions.
fn keep(
    (store, health): (&Store, &Arc<BrokerHealth>),
    (topic, log): (&Arc<Topic>, &EventLog),
    (delivered, reader, bridged): (&[Delivered], Option<&Arc<Notify>>, &[Bridged]),
    (absent, turn): (&[TopicName], &RetentionTurn),
    keepers: &mut JoinSet<()>,
) {
    let ours = || delivered.iter().filter(|one| one.subscription.topic.name == topic.name);
    let leaving = || bridged.iter().filter(|one| one.is_of(topic) && one.bridge.direction == BridgeDirection::Out);
    let told = ours().map(|one| &one.news).chain(reader).chain(leaving().map(|one| &one.news));
    let news: Vec<_> = told.map(Arc::clone).collect();
    topic.on_publish(move || news.iter().for_each(|news| news.notify_one()));
    // What nobody advances holds all events back.
    let held = absent.iter().filter(|name| **name == topic.name).map(|_| Settled::default());
    let crossed = leaving().map(|one| one.settled.clone());
    let settled = ours().map(|one| one.settled.clone()).chain(held).chain(crossed).collect();
    if !log.keeps_all() {
        keepers.spawn(retention::keep(Arc::clone(topic), log.clone(), settled, turn.clone()));
    }
    let EventLog::Brokered(log) = log else { return };
    let (topic, log, news) = (Arc::clone(topic), Arc::clone(log), Arc::new(Notify::new()));
    let waiting = Arc::clone(&news);
    topic.on_waiting(move || waiting.notify_one());
    let subscriptions = ours().map(|one| (one.notes.clone(), one.orders.clone())).collect();
    let watch =
        LogWatch { topic: Arc::clone(&topic), log: Arc::clone(&log), subscriptions, health: Arc::clone(health) };
    keepers.spawn(watch.run());
    let (outbox, health) = (Outbox::new(store, &topic), Arc::clone(health));
    keepers.spawn(Relay { topic, outbox, log, news, health }.run());
}

impl Delivered {
    /// A subscription, and the task that delivers to it from `log`.
    fn new<H: Handle>(
        store: &Store,
        subscription: Subscription,
        log: EventLog,
        (handler, stop): (&Arc<H>, &watch::Receiver<bool>),
    ) -> (Self, Dispatcher<H>) {
        let subscription = Arc::new(subscription);
        let (sender, orders) = mpsc::channel(WAITING_ORDERS);
        let one = Self {
            notes: Notes::new(store, &subscription),
            news: Arc::default(),
            orders: sender,
            settled: Settled::default(),
            status: Arc::default(),
            subscription,
        };
        let dispatcher = Dispatcher {
            log,
            subscription: Arc::clone(&one.subscription),
            notes: one.notes.clone(),
            handler: Arc::clone(handler),
            news: Arc::clone(&one.news),
            orders,
            stop: stop.clone(),
            settled: one.settled.clone(),
            status: Arc::clone(&one.status),
        };
        (one, dispatcher)
    }

    fn report(&self, now: u64) -> SubscriptionReport {
        let Subscription { service, topic, function, .. } = &*self.subscription;
        let status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        // Before its notes are read, nothing is known to be settled.
        let lag = status.progress.as_ref().map_or(topic.last(), |progress| progress.open_up_to(topic.last()));
        SubscriptionReport {
            service: service.clone(),
            function: function.clone(),
            lag,
            oldest: status.oldest.map(|time| Duration::from_millis(now.saturating_sub(time))),
            stuck: status.stuck.clone(),
            under_way: status.under_way,
            dead: status.dead,
            handled: status.handled,
            failures: status.failures,
            cpu: self.subscription.work.cpu(),
        }
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
