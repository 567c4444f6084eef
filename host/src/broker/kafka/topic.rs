//! The log of a topic at a server of the Kafka protocol.
//!
//! An append that was not answered may still arrive. So that it is not repeated when it has, a host writes with a
//! producer's id and epoch, which its transactional id names for ever: after an error it takes the next epoch and
//! writes a *mark* in it. From then on the server refuses whatever comes of an earlier epoch, of this process or of
//! another one with the same database, and what has arrived stands before the mark: it is looked for there before
//! anything is sent again. No transaction is ever begun.
//!
//! Servers forget a transactional id that took no epoch for some days (Apache Kafka after 7), though it writes all the
//! time, and name another producer's id then, as after the last epoch. So an epoch is renewed each day, and the mark of
//! a new id is preceded by one of the earlier id, with the epoch behind its last one.

use super::cluster::KafkaCluster;
use super::log::{KafkaLog, LogEnd, PreparedTopic, events};
use super::message;
use super::records::{LogRecord, ProducerTurn, ReadBudget, encode};
use super::request::{self, KafkaRequest, ReadIsolation};
use crate::broker::broker_log::{Broker, BrokerFuture, BrokerLog, LogExtent, OutgoingEvent, StoredPage};
use crate::broker::error::BrokerError;
use crate::broker::request_time::{LONGEST, pause};
use crate::events::TopicName;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// For how long a server waits until others publish.
const WATCH: Duration = Duration::from_secs(1);
/// The least time between two looks: whoever publishes all the time is told of as often as that.
const PACE: Duration = Duration::from_millis(20);
/// The time between two looks at a server that does not wait.
const LOOK: Duration = Duration::from_millis(250);

/// For how long an epoch is written with: less than any server remembers the transactional id without another one.
const RENEWAL: Duration = Duration::from_secs(24 * 60 * 60);

/// The log of one topic, to which this host writes.
pub(super) struct KafkaTopic {
    topic: TopicName,
    log: Arc<KafkaLog>,
    /// The transactional id.
    writer: String,
    /// Who writes next, and since when; `None`: whether the last batch has arrived is not known.
    turn: tokio::sync::Mutex<Option<(ProducerTurn, Instant)>>,
    /// The producer's id with which this process has written, and its latest epoch.
    producer: Mutex<Option<(i64, i16)>>,
    /// The ids of the latest append that was acknowledged, and the number of its last event. Whoever could not note
    /// that repeats it, and looks in vain where a transaction of others is open: nothing is read behind its beginning.
    written: Mutex<(BTreeSet<String>, u64)>,
    /// The offset before which all that this host has sent is known to those who have looked; `None`: nobody has.
    certain: Mutex<Option<u64>>,
    watch: Mutex<Option<TopicWatch>>,
}

/// What waits until others publish. It stops when it is dropped.
struct TopicWatch {
    news: Arc<Notify>,
    task: JoinHandle<()>,
}

impl KafkaTopic {
    /// `writer` names this host among those that have the topic.
    pub(super) fn new(cluster: &Arc<KafkaCluster>, topic: &TopicName, writer: &str) -> Self {
        let name = cluster.settings().remote_name(topic);
        let writer = format!("atoll.{writer}.{name}");
        let log = Arc::new(KafkaLog::new(cluster, name));
        Self {
            topic: topic.clone(),
            log,
            writer,
            turn: tokio::sync::Mutex::default(),
            producer: Mutex::default(),
            written: Mutex::default(),
            certain: Mutex::default(),
            watch: Mutex::default(),
        }
    }

    async fn append_all(&self, outgoing: &[OutgoingEvent]) -> Result<u64, BrokerError> {
        let prepared = self.log.prepare().await?;
        // Whatever happens until all is acknowledged, the next append takes a new epoch. This future may be dropped.
        let mut current = self.turn.lock().await;
        let ((mut turn, begun), arrived) = match current.take() {
            Some((turn, begun)) if begun.elapsed() < RENEWAL => ((turn, begun), BTreeMap::new()),
            // Nothing is under way, so that nothing is looked for.
            Some(_) => ((self.new_epoch(&prepared).await?, Instant::now()), BTreeMap::new()),
            None => {
                let begun = Instant::now();
                let (turn, arrived) = self.new_turn(&prepared, outgoing).await?;
                ((turn, begun), arrived)
            }
        };
        let (known, number) = self.written.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (known, left): (Vec<_>, Vec<_>) = outgoing.iter().partition(|event| known.contains(&event.id));
        let left = left.into_iter().filter(|event| !arrived.contains_key(event.id.as_str()));
        let records: Vec<_> = left.map(|event| message::record(&self.topic, event)).collect();
        let mut last = arrived.values().copied().chain(known.first().map(|_| number)).max().unwrap_or(0);
        for batch in batches(&records, prepared.batch) {
            last = self.send(&prepared, batch, &mut turn).await?;
        }
        *self.certain.lock().unwrap_or_else(PoisonError::into_inner) = Some(last);
        let ids = outgoing.iter().map(|event| event.id.clone()).collect();
        *self.written.lock().unwrap_or_else(PoisonError::into_inner) = (ids, last);
        // A sequence that would not fit any more begins anew with an epoch.
        *current = Some((turn, begun)).filter(|(turn, _)| turn.sequence < i32::MAX / 2);
        Ok(last)
    }

    /// Sends one batch, and returns the number of its last record.
    async fn send(
        &self,
        prepared: &PreparedTopic,
        batch: &[LogRecord],
        turn: &mut ProducerTurn,
    ) -> Result<u64, BrokerError> {
        let request = KafkaRequest::produce(&self.log.name, &encode(batch, *turn));
        let answer = self.log.cluster.ask(&prepared.leader, &request).await?;
        let first = request::produced(&answer, &self.log.what())?;
        turn.sequence += i32::try_from(batch.len()).unwrap_or(i32::MAX / 2);
        Ok(first + batch.len() as u64)
    }

    /// Takes a new epoch, and finds which of `outgoing` have arrived in an earlier one: with their numbers.
    async fn new_turn<'a>(
        &self,
        prepared: &PreparedTopic,
        outgoing: &'a [OutgoingEvent],
    ) -> Result<(ProducerTurn, BTreeMap<&'a str, u64>), BrokerError> {
        let certain = *self.certain.lock().unwrap_or_else(PoisonError::into_inner);
        let mut offset = certain.ok_or_else(|| BrokerError::Away("nobody has looked at the log yet".to_owned()))?;
        let mut turn = self.new_epoch(prepared).await?;
        let mark = message::mark(&self.writer, now());
        let mark = self.send(prepared, &[mark], &mut turn).await?;
        let ids: BTreeSet<_> = outgoing.iter().map(|event| event.id.as_str()).collect();
        let mut arrived = BTreeMap::new();
        while offset < mark {
            // With what others have not committed: behind it this host's own events could not be seen.
            let budget = ReadBudget::page(offset, usize::MAX);
            let page = self.log.fetch(budget, ReadIsolation::Uncommitted).await?;
            for event in events(page.records) {
                if let Some(id) = event.id.as_deref().and_then(|id| ids.get(id)) {
                    arrived.insert(*id, event.number);
                }
            }
            if page.next <= offset {
                // The server says that the log ends before the mark that it has acknowledged.
                return Err(BrokerError::Away(format!("{}: it has lost its end", self.log.what())));
            }
            offset = page.next;
        }
        Ok((turn, arrived))
    }

    /// Takes a new epoch. If it is one of another producer's id, what comes of the earlier one is refused from now on.
    async fn new_epoch(&self, prepared: &PreparedTopic) -> Result<ProducerTurn, BrokerError> {
        let (cluster, what) = (&self.log.cluster, format!("the transactional id `{}`", self.writer));
        let answer = cluster.ask_any(&KafkaRequest::find_coordinator(&self.writer)).await?;
        let coordinator = request::coordinator(&answer, &what)?;
        let answer = cluster.ask(&coordinator, &KafkaRequest::new_epoch(&self.writer)).await?;
        let (id, epoch) = request::epoch(&answer, &what)?;
        let earlier = *self.producer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((earlier, latest)) = earlier.filter(|(earlier, _)| *earlier != id) {
            let turn = ProducerTurn { id: earlier, epoch: latest.saturating_add(1), sequence: 0 };
            let mark = encode(&[message::mark(&self.writer, now())], turn);
            let answer = cluster.ask(&prepared.leader, &KafkaRequest::produce(&self.log.name, &mark)).await?;
            if !request::is_fenced(&answer, &self.log.what())? {
                tracing::warn!(
                    target: "delivery", topic = self.log.name, producer = earlier, epoch = latest,
                    "the broker has given this host another producer's id, and takes no mark of the earlier one: a \
                     batch of it that is still on its way may be there twice"
                );
            }
        }
        *self.producer.lock().unwrap_or_else(PoisonError::into_inner) = Some((id, epoch));
        Ok(ProducerTurn { id, epoch, sequence: 0 })
    }

    async fn look(&self) -> Result<LogExtent, BrokerError> {
        let LogEnd { stable, last, .. } = self.log.latest().await?;
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if last < written.1 {
            // The server has lost it.
            *written = (BTreeSet::new(), 0);
        }
        // Whoever has looked reads no further than that.
        self.certain.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(stable);
        Ok(LogExtent { last, bytes: 0 })
    }

    /// Waits until somebody has published.
    async fn listen(&self) {
        let news = {
            let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
            let watch = watch.get_or_insert_with(|| TopicWatch::begin(&self.log));
            Arc::clone(&watch.news)
        };
        news.notified().await;
    }
}

/// In milliseconds since 1970.
fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(0)
}

/// Parts of at most `most` bytes, each of at least one record.
fn batches(records: &[LogRecord], most: usize) -> Vec<&[LogRecord]> {
    /// What a batch has before its records.
    const HEAD: usize = 61;
    let (mut parts, mut begin, mut bytes) = (Vec::new(), 0, HEAD);
    for (n, record) in records.iter().enumerate() {
        let size = message::size(record);
        if n > begin && bytes + size > most {
            parts.push(&records[begin..n]);
            (begin, bytes) = (n, HEAD);
        }
        bytes += size;
    }
    if begin < records.len() {
        parts.push(&records[begin..]);
    }
    parts
}

impl TopicWatch {
    fn begin(log: &Arc<KafkaLog>) -> Self {
        let (log, news) = (Arc::clone(log), Arc::new(Notify::new()));
        let told = Arc::clone(&news);
        let task = tokio::spawn(async move {
            let (mut end, mut failures) = (None, 0);
            loop {
                let (begun, seen) = (Instant::now(), glance(&log, end).await);
                match log.watched(seen).await {
                    Ok(now) => {
                        let is_longer = end.is_some_and(|end| end != now);
                        (end, failures) = (Some(now), 0);
                        if is_longer {
                            told.notify_one();
                            sleep(PACE).await;
                        } else if begun.elapsed() < LOOK {
                            // Not every server waits, and the first look is none.
                            sleep(LOOK).await;
                        }
                    }
                    Err(_) => {
                        (end, failures) = (None, failures + 1);
                        sleep(pause(failures, LONGEST)).await;
                    }
                }
            }
        });
        Self { news, task }
    }
}

/// Where the log ends, as soon as that is behind `known`, or after a while.
async fn glance(log: &KafkaLog, known: Option<u64>) -> Result<u64, BrokerError> {
    match known {
        None => log.end().await,
        Some(end) => log.end_after(end, WATCH).await,
    }
}

impl Drop for TopicWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl BrokerLog for KafkaTopic {
    fn after(&self, after: u64, most: usize) -> BrokerFuture<'_, StoredPage> {
        Box::pin(async move { self.log.watched(self.log.page(after, most).await).await })
    }

    fn append<'a>(&'a self, events: &'a [OutgoingEvent]) -> BrokerFuture<'a, u64> {
        Box::pin(async move { self.log.watched(self.append_all(events).await).await })
    }

    fn extent(&self) -> BrokerFuture<'_, LogExtent> {
        Box::pin(async move { self.log.watched(self.look().await).await })
    }

    fn begins_with(&self, first: u64) -> BrokerFuture<'_, bool> {
        Box::pin(async move { Ok(first <= 1 || self.log.watched(self.log.beginning().await).await? == 0) })
    }

    fn tells_bytes(&self) -> bool {
        false
    }

    fn drop_until(&self, number: u64) -> BrokerFuture<'_, ()> {
        Box::pin(async move {
            let dropped = async {
                let leader = self.log.prepare().await?.leader;
                let request = KafkaRequest::delete_records(&self.log.name, number);
                request::deleted(&self.log.cluster.ask(&leader, &request).await?, &self.log.what())
            };
            self.log.watched(dropped.await).await
        })
    }

    fn news(&self) -> BrokerFuture<'_, ()> {
        Box::pin(async move {
            self.listen().await;
            Ok(())
        })
    }
}

impl Broker for Arc<KafkaCluster> {
    fn log(&self, topic: &TopicName, writer: &str) -> Arc<dyn BrokerLog> {
        Arc::new(KafkaTopic::new(self, topic, writer))
    }

    fn place(&self) -> &str {
        self.address()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::kafka::batch::{CONTROL, TRANSACTIONAL};
    use crate::broker::kafka::error::{OLD_EPOCH, UNKNOWN_PRODUCER};
    use crate::broker::kafka::fake::{FakeKafka, batch};
    use crate::broker::kafka::request::FETCH;
    use crate::events::EventRecord;

    async fn topic() -> (FakeKafka, KafkaTopic) {
        let fake = FakeKafka::start().await;
        let topic = KafkaTopic::new(&fake.cluster().await, &TopicName::new("orders").unwrap(), "origin");
        topic.look().await.unwrap();
        (fake, topic)
    }

    fn event(id: &str) -> [OutgoingEvent; 1] {
        let record = EventRecord { time: 1, source: "a".into(), key: None, payload: "{}".into(), trace: None };
        [OutgoingEvent { id: id.into(), record }]
    }

    async fn ids(topic: &KafkaTopic) -> Vec<String> {
        let page = topic.after(0, 99).await.unwrap();
        page.events.into_iter().filter_map(|event| event.id).collect()
    }

    /// As Apache Kafka does with a transactional id that took no epoch for a week, and after the last epoch of an id.
    #[tokio::test]
    async fn what_was_under_way_with_an_earlier_producers_id_is_kept_out() {
        for forgotten in [false, true] {
            let (fake, topic) = topic().await;
            topic.append_all(&event("a")).await.unwrap();
            fake.state().holds = true;
            topic.append_all(&event("b")).await.unwrap_err();
            fake.state().producer = (8, -1);
            if forgotten {
                // Then what is under way is refused as well.
                fake.state().refused.insert(1, UNKNOWN_PRODUCER);
            }
            topic.append_all(&event("b")).await.unwrap();
            let expected = if forgotten { UNKNOWN_PRODUCER } else { OLD_EPOCH };
            assert_eq!(fake.state().arrive(), expected);
            assert_eq!(ids(&topic).await, ["a", "b"]);
            assert_eq!(fake.state().epochs[&8].0, 0);
        }
    }

    /// A leader that has changed says nothing of the earlier id: it is asked again, before anything is sent.
    #[tokio::test]
    async fn an_earlier_producers_id_is_not_forgotten_before_its_mark_was_answered() {
        let (fake, topic) = topic().await;
        topic.append_all(&event("a")).await.unwrap();
        fake.state().holds = true;
        topic.append_all(&event("b")).await.unwrap_err();
        fake.state().producer = (8, -1);
        fake.state().refused.insert(1, 6);
        topic.append_all(&event("b")).await.unwrap_err();
        fake.state().refused.clear();
        topic.append_all(&event("b")).await.unwrap();
        assert_eq!(fake.state().arrive(), OLD_EPOCH);
        assert_eq!(ids(&topic).await, ["a", "b"]);
    }

    #[tokio::test]
    async fn an_epoch_is_renewed_each_day_without_a_look_and_without_a_mark() {
        let (fake, topic) = topic().await;
        topic.append_all(&event("a")).await.unwrap();
        topic.append_all(&event("b")).await.unwrap();
        let written = || {
            let state = fake.state();
            (state.epochs[&1], state.end())
        };
        assert_eq!(written(), ((0, 3), 3), "a mark and two events");
        topic.turn.lock().await.as_mut().unwrap().1 -= RENEWAL;
        topic.append_all(&event("c")).await.unwrap();
        topic.append_all(&event("d")).await.unwrap();
        assert_eq!(written(), ((1, 2), 5));
    }

    /// What nobody may read yet of others must not look as if the broker had lost what it has acknowledged.
    #[tokio::test]
    async fn own_events_count_behind_a_transaction_of_others_that_has_not_ended() {
        let (fake, topic) = topic().await;
        let last = async || topic.extent().await.unwrap().last;
        assert_eq!(topic.append_all(&event("a")).await, Ok(2));
        let begun = fake.state().publish(batch(&["x"], TRANSACTIONAL));
        fake.state().open = Some(begun);
        assert_eq!(last().await, 2, "nobody knows what becomes of it");
        assert_eq!(topic.append_all(&event("b")).await, Ok(4));
        assert_eq!((last().await, ids(&topic).await), (4, vec!["a".to_owned()]));
        // As by a relay whose own database has not taken that it has arrived, and that does not find it.
        assert_eq!((topic.append_all(&event("b")).await, fake.state().end()), (Ok(4), 4));
        fake.state().publish(batch(&["end"], TRANSACTIONAL | CONTROL));
        fake.state().open = None;
        let page = topic.after(0, 9).await.unwrap();
        assert_eq!((last().await, page.last(), page.events.len(), page.more), (4, Some(4), 3, false));
        // Another one, at the end of the log, of which nothing but the end of what may be read changes.
        let begun = fake.state().publish(batch(&["y"], TRANSACTIONAL));
        fake.state().open = Some(begun);
        assert_eq!(last().await, 4);
        fake.state().open = None;
        assert_eq!(last().await, begun + 1);
    }

    #[tokio::test]
    async fn an_append_that_failed_is_found_behind_a_transaction_of_others_that_has_not_ended() {
        let (fake, topic) = topic().await;
        topic.append_all(&event("a")).await.unwrap();
        let begun = fake.state().publish(batch(&["x"], TRANSACTIONAL));
        fake.state().open = Some(begun);
        fake.state().holds = true;
        topic.append_all(&event("b")).await.unwrap_err();
        assert_eq!(fake.state().arrive(), 0);
        // Also by another process, which looks first.
        let other = KafkaTopic::new(&fake.cluster().await, &topic.topic, "origin");
        other.look().await.unwrap();
        assert_eq!(other.append_all(&event("b")).await, Ok(4));
        fake.state().open = None;
        assert_eq!(ids(&other).await, ["a", "b"]);
    }

    #[tokio::test]
    async fn a_topic_on_which_somebody_publishes_all_the_time_is_looked_at_in_a_measured_pace() {
        let (fake, topic) = topic().await;
        fake.state().grows = true;
        let begun = Instant::now();
        for _ in 0..5 {
            topic.listen().await;
        }
        let looks = fake.state().asked.iter().filter(|key| **key == FETCH.key).count();
        let most = begun.elapsed().as_millis() / PACE.as_millis() + 2;
        assert!(looks as u128 <= most, "{looks} looks, and {most} at most");
    }

    #[test]
    fn a_batch_has_at_most_so_many_bytes_and_keeps_the_order() {
        let records: Vec<_> =
            [10, 500, 600, 2000, 1].map(|size| LogRecord { value: vec![0; size], ..LogRecord::default() }).into();
        let parts: Vec<_> = batches(&records, 1000).iter().map(|part| part.len()).collect();
        assert_eq!(parts, [2, 1, 1, 1]);
        assert!(batches(&[], 1000).is_empty());
    }
}
