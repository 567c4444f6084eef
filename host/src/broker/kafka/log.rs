//! Reads the partition of a topic from the server that leads it, by offsets: without a group of consumers, since how
//! far a subscription is stands in this host's own database.

use super::cluster::KafkaCluster;
use super::error::{OFFSET_OUT_OF_RANGE, TOPIC_EXISTS, UNKNOWN_TOPIC, check, told};
use super::records::{DamagedBatch, FetchedRecords, LogRecord, ReadBudget, decode, is_heavy};
use super::request::{self, EARLIEST, Fetched, KafkaRequest, LATEST, ReadIsolation};
use super::{message, topic_settings};
use crate::broker::broker_log::{StoredEvent, StoredPage};
use crate::broker::error::BrokerError;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// About how many bytes are read together.
const PAGE_BYTES: i32 = 1 << 20;
/// How much is asked for to learn that somebody has published: what comes is not looked at.
const GLANCE: i32 = 1 << 10;
/// How long a server may wait for more. One that may not wait at all answers nothing at all, if it is Tansu 0.6.
const WAIT: Duration = Duration::from_millis(10);
/// How often a part of the log is asked for that a server does not answer, although the log goes on.
const TRIES: usize = 3;
/// How many damaged batches of a topic are remembered, so that each is told once.
const TOLD: usize = 1024;
/// How many pages are read at once, over all topics, that may take tens of MiB until their records are chosen.
static HEAVY: Semaphore = Semaphore::const_new(2);
/// How much further back each next look for the latest event begins, and how far at most.
const BACK: (u64, u64) = (8, 4096);

/// The log of one topic there.
pub(super) struct KafkaLog {
    pub(super) cluster: Arc<KafkaCluster>,
    /// The topic's name there.
    pub(super) name: String,
    /// `None`: the topic was not looked at since the last error.
    prepared: tokio::sync::Mutex<Option<PreparedTopic>>,
    /// What the last look has found.
    end: Mutex<LogEnd>,
    /// The offsets of the damaged batches that were told.
    told: Mutex<BTreeSet<u64>>,
}

/// A topic that was looked at.
#[derive(Debug, Clone)]
pub(super) struct PreparedTopic {
    /// The server that leads its partition.
    pub(super) leader: String,
    /// The most bytes of a batch.
    pub(super) batch: usize,
}

/// Where a log ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct LogEnd {
    /// The offset behind the last record that may be read: before those of a transaction of others which has not ended.
    pub(super) stable: u64,
    /// The offset behind the last record that is there.
    end: u64,
    /// The number of the latest event that is read now, or will be whatever becomes of transactions.
    pub(super) last: u64,
}

/// What one fetch has brought.
pub(super) struct LogPage {
    /// With their offsets.
    pub(super) records: Vec<(u64, LogRecord)>,
    /// The numbers of what cannot be read.
    pub(super) damaged: Vec<u64>,
    /// Where the next fetch begins.
    pub(super) next: u64,
    /// Where the log ends now.
    pub(super) end: u64,
}

impl KafkaLog {
    pub(super) fn new(cluster: &Arc<KafkaCluster>, name: String) -> Self {
        let (cluster, prepared) = (Arc::clone(cluster), Default::default());
        Self { cluster, name, prepared, end: Mutex::default(), told: Mutex::default() }
    }

    /// Looks whether the topic is there and as it should be, and creates it if it is not there.
    pub(super) async fn prepare(&self) -> Result<PreparedTopic, BrokerError> {
        let mut prepared = self.prepared.lock().await;
        if let Some(prepared) = prepared.as_ref() {
            return Ok(prepared.clone());
        }
        let (what, mut place) = (self.what(), self.cluster.place_of(&self.name).await?);
        if place.error == UNKNOWN_TOPIC {
            self.create(place.controller.as_deref()).await?;
            place = self.cluster.place_of(&self.name).await?;
        }
        check(place.error, &what)?;
        let asked = self.cluster.ask_any(&KafkaRequest::describe(&self.name)).await?;
        let settings = request::described(&asked, &what)?;
        let batch = topic_settings::check(&self.name, place.partitions, &settings)?;
        let leader = place.leader.ok_or_else(|| BrokerError::Away(format!("{what}: it has no leader")))?;
        Ok(prepared.insert(PreparedTopic { leader, batch }).clone())
    }

    async fn create(&self, controller: Option<&str>) -> Result<(), BrokerError> {
        let replicas = self.cluster.settings().replicas;
        let wanted = topic_settings::wanted(replicas);
        let request = KafkaRequest::create_topic(&self.name, replicas.into(), &wanted);
        let answer = match controller {
            Some(controller) => self.cluster.ask(controller, &request).await?,
            None => self.cluster.ask_any(&request).await?,
        };
        match request::created(&answer)? {
            // Another host was faster.
            (0 | TOPIC_EXISTS, _) => Ok(()),
            (error, text) => Err(told(error, &format!("creating the topic `{}`", self.name), text)),
        }
    }

    /// After an error the topic is looked at again: another server may lead it.
    pub(super) async fn watched<T>(&self, outcome: Result<T, BrokerError>) -> Result<T, BrokerError> {
        if outcome.is_err() {
            *self.prepared.lock().await = None;
        }
        outcome
    }

    /// What an error is about.
    pub(super) fn what(&self) -> String {
        format!("the topic `{}`", self.name)
    }

    /// Where the log begins, or ends.
    async fn bound(&self, which: i64, isolation: ReadIsolation) -> Result<u64, BrokerError> {
        let leader = self.prepare().await?.leader;
        let answer = self.cluster.ask(&leader, &KafkaRequest::list_offsets(&self.name, which, isolation)).await?;
        request::listed(&answer, &self.what())
    }

    /// The offset of the first record that is there.
    pub(super) async fn beginning(&self) -> Result<u64, BrokerError> {
        self.bound(EARLIEST, ReadIsolation::Uncommitted).await
    }

    /// The offset behind the last record that may be read.
    pub(super) async fn end(&self) -> Result<u64, BrokerError> {
        self.bound(LATEST, ReadIsolation::Committed).await
    }

    /// The records that the budget names, or those from the first one on that is there. A batch that cannot be read is
    /// stepped over, when it could not be read again either.
    pub(super) async fn fetch(&self, budget: ReadBudget, isolation: ReadIsolation) -> Result<LogPage, BrokerError> {
        for tried in 1..=TRIES {
            let (from, fetched) = self.fetch_bytes((budget.from, PAGE_BYTES), WAIT, isolation).await?;
            let end = fetched.end;
            let found = read(fetched, ReadBudget { from, ..budget }).await?;
            if tried < TRIES && found.damaged.iter().any(|batch| batch.may_pass && !self.has_told(batch)) {
                continue;
            }
            let next = found.next.unwrap_or(from).max(from);
            // A server may look for the end after it has looked for records.
            if next > budget.from || end <= budget.from {
                let damaged = found.damaged.iter().map(|batch| self.tell(batch)).collect();
                return Ok(LogPage { records: found.records, damaged, next, end });
            }
        }
        Err(BrokerError::Away(format!("{}: nothing is answered for offset {}", self.what(), budget.from)))
    }

    /// Asks for about so many bytes from an offset on, or from the first one that is there; waits for `wait` if there
    /// is nothing. Returns from where they are.
    async fn fetch_bytes(
        &self,
        (offset, bytes): (u64, i32),
        wait: Duration,
        isolation: ReadIsolation,
    ) -> Result<(u64, Fetched), BrokerError> {
        let leader = self.prepare().await?.leader;
        let asked = async |offset| {
            let request = KafkaRequest::fetch(&self.name, offset, bytes, wait, isolation);
            request::fetched(&self.cluster.ask(&leader, &request).await?, isolation)
        };
        let (mut from, mut fetched) = (offset, asked(offset).await?);
        if fetched.error == OFFSET_OUT_OF_RANGE {
            let first = self.beginning().await?;
            if offset >= first {
                // It is behind the end.
                return Ok((offset, Fetched { error: 0, end: offset, aborted: Vec::new(), batches: Vec::new() }));
            }
            (from, fetched) = (first, asked(first).await?);
        }
        check(fetched.error, &self.what())?;
        Ok((from, fetched))
    }

    fn has_told(&self, batch: &DamagedBatch) -> bool {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).contains(&batch.next)
    }

    /// Tells of a batch that cannot be read, once. Returns its number as an event.
    fn tell(&self, batch: &DamagedBatch) -> u64 {
        let DamagedBatch { first, next, codec, what, .. } = batch;
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.insert(*next) {
            tracing::error!(
                target: "delivery", topic = self.name, offset = first, number = next, codec, what,
                "a batch of the broker cannot be read: it is stepped over, as one damaged event"
            );
        }
        if told.len() > TOLD {
            told.pop_first();
        }
        *next
    }

    /// Where what may be read ends, as soon as that is not `known`, or after `wait`.
    pub(super) async fn end_after(&self, known: u64, wait: Duration) -> Result<u64, BrokerError> {
        Ok(self.fetch_bytes((known, GLANCE), wait, ReadIsolation::Committed).await?.1.end)
    }

    /// At most `most` events whose numbers are above `after`.
    pub(super) async fn page(&self, after: u64, most: usize) -> Result<StoredPage, BrokerError> {
        // The number of an event is one more than its offset.
        let mut offset = after;
        loop {
            let page = self.fetch(ReadBudget::page(offset, most), ReadIsolation::Committed).await?;
            let events: Vec<_> = events(page.records).collect();
            if !events.is_empty() || !page.damaged.is_empty() || page.next >= page.end {
                return Ok(StoredPage { events, damaged: page.damaged, more: page.next < page.end });
            }
            offset = page.next;
        }
    }

    /// Where the log ends, and the number of the latest event before. Events of this host count as soon as they are
    /// there: transactions of others, behind whose beginning nothing is read until they end, are none of its business.
    pub(super) async fn latest(&self) -> Result<LogEnd, BrokerError> {
        // In this order: what becomes readable in between is behind both.
        let stable = self.end().await?;
        let end = self.bound(LATEST, ReadIsolation::Uncommitted).await?.max(stable);
        let known = *self.end.lock().unwrap_or_else(PoisonError::into_inner);
        if (known.stable, known.end) == (stable, end) {
            return Ok(known);
        }
        let last = match self.latest_waiting(stable, end).await? {
            Some(number) => number,
            None => self.latest_event(stable).await?,
        };
        let found = LogEnd { stable, end, last };
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = found;
        Ok(found)
    }

    /// The number of the latest event; if all have been removed, that of the last one removed; 0 if there never was
    /// one. The log ends at `end`, or behind it: Tansu 0.6 in memory tells an end inside of the last batch.
    async fn latest_event(&self, end: u64) -> Result<u64, BrokerError> {
        let (mut to, mut step, mut beginning) = (end, 1, None);
        loop {
            let from = to.saturating_sub(step).max(beginning.unwrap_or(0));
            if let Some(number) = self.latest_between((from, to), step == 1, ReadIsolation::Committed).await? {
                return Ok(number);
            }
            let first = match beginning {
                Some(first) => first,
                None => *beginning.insert(self.beginning().await?),
            };
            if from <= first {
                return Ok(first);
            }
            (to, step) = (from, (step * BACK.0).min(BACK.1));
        }
    }

    /// The number of the latest event that waits for the end of a transaction of others and is none of a transaction:
    /// it will be read, whatever becomes of them.
    async fn latest_waiting(&self, stable: u64, end: u64) -> Result<Option<u64>, BrokerError> {
        let (mut to, mut step) = (end, 1);
        while to > stable {
            let from = to.saturating_sub(step).max(stable);
            let found = self.latest_between((from, to), false, ReadIsolation::Uncommitted).await?;
            if found.is_some() {
                return Ok(found);
            }
            (to, step) = (from, (step * BACK.0).min(BACK.1));
        }
        Ok(None)
    }

    /// The number of the latest event of those that stand from one offset to before another one, or to the end of the
    /// log. With what is not committed, nothing of a transaction counts.
    async fn latest_between(
        &self,
        (from, mut to): (u64, u64),
        to_end: bool,
        isolation: ReadIsolation,
    ) -> Result<Option<u64>, BrokerError> {
        let (mut offset, mut latest) = (from, None);
        while offset < to {
            let transactions = isolation == ReadIsolation::Committed;
            let budget = ReadBudget { transactions, ..ReadBudget::page(offset, usize::MAX) };
            let page = self.fetch(budget, isolation).await?;
            if to_end && offset == from {
                to = to.max(page.end);
            }
            let numbers = events(page.records).map(|event| event.number).chain(page.damaged);
            latest = numbers.filter(|number| *number <= to).max().max(latest);
            if page.next <= offset {
                break;
            }
            offset = page.next;
        }
        Ok(latest)
    }
}

/// Reads what a fetch has brought. What takes long is read beside the threads that serve.
async fn read(fetched: Fetched, budget: ReadBudget) -> Result<FetchedRecords, BrokerError> {
    let Fetched { batches, aborted, .. } = fetched;
    if !is_heavy(&batches) {
        return Ok(decode(&batches, aborted, budget));
    }
    let turn = HEAVY.acquire().await;
    let reading = spawn_blocking(move || {
        // Until it is done, also if nobody waits for it any more.
        let _turn = turn;
        decode(&batches, aborted, budget)
    });
    reading.await.map_err(|error| BrokerError::Unread(error.to_string()))
}

/// The events among records.
pub(super) fn events(records: Vec<(u64, LogRecord)>) -> impl Iterator<Item = StoredEvent> {
    records.into_iter().filter_map(|(offset, record)| message::stored(offset, record))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::kafka::fake::{FakeKafka, batch};

    const LZ4: i16 = 3;

    async fn log() -> (FakeKafka, KafkaLog) {
        let fake = FakeKafka::start().await;
        let log = KafkaLog::new(&fake.cluster().await, "orders".into());
        (fake, log)
    }

    fn numbers(page: &StoredPage) -> (Vec<u64>, &[u64], bool) {
        (page.events.iter().map(|event| event.number).collect(), &page.damaged, page.more)
    }

    /// Whoever may publish could keep the host from starting otherwise, and its relay from sending.
    #[tokio::test]
    async fn a_batch_that_cannot_be_read_is_stepped_over_wherever_it_stands() {
        let (fake, log) = log().await;
        fake.state().publish(batch(&["a"], 0));
        fake.state().publish(batch(&["b", "c"], LZ4));
        assert_eq!(log.latest().await.unwrap().last, 3, "it is the last one");
        fake.state().publish(batch(&["d"], 0));
        assert_eq!(log.latest().await.unwrap().last, 4);
        assert_eq!(numbers(&log.page(0, 9).await.unwrap()), (vec![1, 4], &[3][..], false));
        // One by one.
        assert_eq!(numbers(&log.page(0, 1).await.unwrap()), (vec![1], &[][..], true));
        assert_eq!(numbers(&log.page(1, 1).await.unwrap()), (vec![], &[3][..], true));
        assert_eq!(numbers(&log.page(3, 1).await.unwrap()), (vec![4], &[][..], false));
        assert_eq!(numbers(&log.page(4, 1).await.unwrap()), (vec![], &[][..], false));
    }

    #[tokio::test]
    async fn what_was_damaged_on_its_way_is_asked_for_again_and_what_is_damaged_there_is_given_up() {
        let (fake, log) = log().await;
        fake.state().publish(batch(&["a"], 0));
        fake.state().publish(batch(&["b"], 0));
        fake.state().flips = TRIES - 1;
        assert_eq!(numbers(&log.page(0, 9).await.unwrap()), (vec![1, 2], &[][..], false));
        fake.state().flips = TRIES;
        assert_eq!(numbers(&log.page(0, 9).await.unwrap()), (vec![1], &[2][..], false));
    }

    #[tokio::test]
    async fn a_long_batch_is_read_in_pages_of_as_many_events_as_are_wanted() {
        let (fake, log) = log().await;
        fake.state().publish(batch(&["{}"; 700], 0));
        fake.state().publish(batch(&["x"; 3], 0));
        let (mut after, mut sizes) = (0, Vec::new());
        loop {
            let page = log.page(after, 256).await.unwrap();
            assert_eq!(page.events.first().map(|event| event.number), Some(after + 1));
            after = page.last().unwrap();
            sizes.push(page.events.len());
            if !page.more {
                break;
            }
        }
        assert_eq!((after, sizes), (703, vec![256, 256, 191]));
    }
}
