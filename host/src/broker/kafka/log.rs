//! Reads the partition of a topic from the server that leads it, by offsets: without a group of consumers, since how
//! far a subscription is stands in this host's own database.

use super::cluster::KafkaCluster;
use super::error::{OFFSET_OUT_OF_RANGE, TOPIC_EXISTS, UNKNOWN_TOPIC, check, told};
use super::records::{LogRecord, decode};
use super::request::{self, EARLIEST, KafkaRequest, LATEST, ReadIsolation};
use super::{message, topic_settings};
use crate::broker::broker_log::{StoredEvent, StoredPage};
use crate::broker::error::BrokerError;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// About how many bytes are read together.
const PAGE_BYTES: i32 = 1 << 20;
/// How long a server may wait for more. One that may not wait at all answers nothing at all, if it is Tansu 0.6.
const WAIT: Duration = Duration::from_millis(10);
/// How often a part of the log is asked for that a server does not answer, although the log goes on.
const TRIES: usize = 3;
/// How much further back each next look for the latest event begins, and how far at most.
const BACK: (u64, u64) = (8, 4096);

/// The log of one topic there.
pub(super) struct KafkaLog {
    pub(super) cluster: Arc<KafkaCluster>,
    /// The topic's name there.
    pub(super) name: String,
    /// `None`: the topic was not looked at since the last error.
    prepared: tokio::sync::Mutex<Option<PreparedTopic>>,
    /// Where the log ended at the last look, and the number of the latest event before.
    end: Mutex<(u64, u64)>,
}

/// A topic that was looked at.
#[derive(Debug, Clone)]
pub(super) struct PreparedTopic {
    /// The server that leads its partition.
    pub(super) leader: String,
    /// The most bytes of a batch.
    pub(super) batch: usize,
}

/// What one fetch has brought.
pub(super) struct LogPage {
    /// With their offsets.
    pub(super) records: Vec<(u64, LogRecord)>,
    /// Where the next fetch begins.
    pub(super) next: u64,
    /// Where the log ends now.
    pub(super) end: u64,
}

impl KafkaLog {
    pub(super) fn new(cluster: &Arc<KafkaCluster>, name: String) -> Self {
        Self { cluster: Arc::clone(cluster), name, prepared: Default::default(), end: Mutex::default() }
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

    /// The records from `offset` on, or from the first one that is there.
    pub(super) async fn fetch(&self, offset: u64, isolation: ReadIsolation) -> Result<LogPage, BrokerError> {
        for _ in 0..TRIES {
            let page = self.fetch_bytes((offset, PAGE_BYTES), WAIT, isolation).await?;
            // A server may look for the end after it has looked for records.
            if page.next > offset || page.end <= offset {
                return Ok(page);
            }
        }
        Err(BrokerError::Away(format!("{}: nothing is answered for offset {offset}", self.what())))
    }

    /// As [`KafkaLog::fetch`], about so many bytes; it waits for `wait` if there is nothing.
    pub(super) async fn fetch_bytes(
        &self,
        (mut offset, bytes): (u64, i32),
        wait: Duration,
        isolation: ReadIsolation,
    ) -> Result<LogPage, BrokerError> {
        let leader = self.prepare().await?.leader;
        let asked = async |offset| {
            let request = KafkaRequest::fetch(&self.name, offset, bytes, wait, isolation);
            request::fetched(&self.cluster.ask(&leader, &request).await?, isolation)
        };
        let mut fetched = asked(offset).await?;
        if fetched.error == OFFSET_OUT_OF_RANGE {
            let first = self.beginning().await?;
            if offset >= first {
                // It is behind the end.
                return Ok(LogPage { records: Vec::new(), next: offset, end: offset });
            }
            offset = first;
            fetched = asked(offset).await?;
        }
        check(fetched.error, &self.what())?;
        let mut found = decode(&fetched.batches, fetched.aborted)?;
        // A batch is answered from its beginning on.
        found.records.retain(|(own, _)| *own >= offset);
        Ok(LogPage { records: found.records, next: found.next.unwrap_or(offset).max(offset), end: fetched.end })
    }

    /// At most `most` events whose numbers are above `after`.
    pub(super) async fn page(&self, after: u64, most: usize) -> Result<StoredPage, BrokerError> {
        // The number of an event is one more than its offset.
        let mut offset = after;
        loop {
            let page = self.fetch(offset, ReadIsolation::Committed).await?;
            let mut events: Vec<_> = events(page.records).collect();
            if !events.is_empty() || page.next >= page.end {
                let more = events.len() > most || page.next < page.end;
                events.truncate(most);
                return Ok(StoredPage { events, more });
            }
            offset = page.next;
        }
    }

    /// Where the log ends, and the number of the latest event before.
    pub(super) async fn latest(&self) -> Result<(u64, u64), BrokerError> {
        let end = self.end().await?;
        let known = *self.end.lock().unwrap_or_else(PoisonError::into_inner);
        if known.0 == end {
            return Ok(known);
        }
        let found = (end, self.latest_event(end).await?);
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = found;
        Ok(found)
    }

    /// The number of the latest event; if all have been removed, that of the last one removed; 0 if there never was
    /// one. The log ends at `end`, or behind it: Tansu 0.6 in memory tells an end inside of the last batch.
    async fn latest_event(&self, end: u64) -> Result<u64, BrokerError> {
        let (mut to, mut step, mut beginning) = (end, 1, None);
        loop {
            let from = to.saturating_sub(step).max(beginning.unwrap_or(0));
            let (mut offset, mut found) = (from, None);
            while offset < to {
                let page = self.fetch(offset, ReadIsolation::Committed).await?;
                if offset + 1 == end {
                    to = to.max(page.end);
                }
                found = events(page.records).take_while(|event| event.number <= to).last().or(found);
                if page.next <= offset {
                    break;
                }
                offset = page.next;
            }
            if let Some(StoredEvent { number, .. }) = found {
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
}

/// The events among records.
pub(super) fn events(records: Vec<(u64, LogRecord)>) -> impl Iterator<Item = StoredEvent> {
    records.into_iter().filter_map(|(offset, record)| message::stored(offset, record))
}
