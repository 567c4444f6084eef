//! The log of one topic: a bucket of the store, or what a broker has.

use crate::broker::{BrokerError, BrokerLog, StoredEvent};
use crate::events::{DamagedRecord, EventRecord, Topic};
use crate::state::{Bucket, Change, Key, StateError, Store, Transaction, sequence_key, sequence_prefix};
use std::fmt;
use std::sync::Arc;

/// An event of a log, with its number.
#[derive(Debug, Clone)]
pub struct LoggedEvent {
    /// Its number.
    pub number: u64,
    /// The event, if it can be read.
    pub record: Result<EventRecord, DamagedRecord>,
    /// How many bytes it has on disk.
    pub bytes: u64,
}

/// A page of a log.
#[derive(Debug, Clone)]
pub struct EventPage {
    /// In the order of their numbers.
    pub events: Vec<LoggedEvent>,
    /// Whether more follows.
    pub more: bool,
}

/// Why a log does not answer.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The store refused or failed.
    #[error("the store: {0}")]
    State(#[from] StateError),
    /// The broker refused, or is away.
    #[error(transparent)]
    Broker(#[from] BrokerError),
}

impl LogError {
    /// The error, with what has caused it.
    pub(super) fn with_causes(&self) -> String {
        match self {
            Self::State(error) => error.with_causes(),
            Self::Broker(error) => error.to_string(),
        }
    }

    /// Whether the broker is away, which the relay says once.
    pub(super) fn is_away(&self) -> bool {
        matches!(self, Self::Broker(BrokerError::Away(_)))
    }
}

/// Reads one topic's events. Cheap to clone.
#[derive(Clone)]
pub(super) enum EventLog {
    /// In the store of this host.
    Embedded(Bucket),
    /// In a broker.
    Brokered(Arc<dyn BrokerLog>),
}

impl EventLog {
    pub(super) fn embedded(store: &Store, topic: &Topic) -> Self {
        Self::Embedded(store.bucket(&topic.bucket()))
    }

    /// As [`BrokerLog::begins_with`].
    pub(super) async fn begins_with(&self, first: u64) -> Result<bool, LogError> {
        match self {
            Self::Embedded(_) => Ok(first <= 1),
            Self::Brokered(log) => Ok(log.begins_with(first).await?),
        }
    }

    /// As [`BrokerLog::keeps_all`].
    pub(super) fn keeps_all(&self) -> bool {
        matches!(self, Self::Brokered(log) if log.keeps_all())
    }

    /// At most `most` events whose numbers are above `after`.
    pub(super) async fn after(&self, after: u64, most: usize) -> Result<EventPage, LogError> {
        match self {
            Self::Embedded(bucket) => Ok(page(bucket, after, most).await?),
            Self::Brokered(log) => {
                let page = log.after(after, most).await?;
                let event =
                    |StoredEvent { number, record, bytes, .. }| LoggedEvent { number, record: Ok(record), bytes };
                let damaged = |number| LoggedEvent { number, record: Err(DamagedRecord), bytes: 0 };
                let mut events: Vec<_> = page.events.into_iter().map(event).collect();
                events.extend(page.damaged.into_iter().map(damaged));
                events.sort_by_key(|event| event.number);
                Ok(EventPage { events, more: page.more })
            }
        }
    }

    /// One event; `None` if it has gone.
    pub(super) async fn get(&self, number: u64) -> Result<Option<Result<EventRecord, DamagedRecord>>, LogError> {
        match self {
            Self::Embedded(bucket) => {
                let found = bucket.get(vec![sequence_key(Topic::COUNTER, number)]).await?;
                Ok(found.into_iter().flatten().next().map(|found| EventRecord::decode(&found.value)))
            }
            Self::Brokered(_) => {
                let found = self.after(number.saturating_sub(1), 1).await?.events.into_iter().next();
                Ok(found.filter(|found| found.number == number).map(|found| found.record))
            }
        }
    }

    /// The number of the latest event, and the bytes of all events.
    pub(super) async fn count(&self) -> Result<(u64, u64), LogError> {
        match self {
            Self::Embedded(bucket) => Ok(counted(bucket).await?),
            Self::Brokered(log) => {
                let extent = log.extent().await?;
                Ok((extent.last, extent.bytes))
            }
        }
    }

    /// The number before the first event that was published at `time` or later, in milliseconds since 1970, of those up
    /// to `last`; events nearly in the order of their times, since their numbers are given a moment later.
    pub(super) async fn before(&self, last: u64, time: u64) -> Result<u64, LogError> {
        let (mut low, mut high) = (0, last);
        while low < high {
            let middle = low + (high - low) / 2;
            let next = self.after(middle, 1).await?.events.into_iter().next();
            match next {
                Some(event) if event.record.as_ref().is_ok_and(|record| record.time < time) => low = event.number,
                _ => high = middle,
            }
        }
        Ok(low)
    }

    /// Removes the events of these numbers, the oldest ones, which have so many bytes. A broker's number may be one of
    /// several that go.
    pub(super) async fn remove(&self, numbers: &[u64], bytes: u64) -> Result<(), LogError> {
        let Some(last) = numbers.last() else { return Ok(()) };
        match self {
            Self::Embedded(bucket) => {
                let gone = |number: &u64| (sequence_key(Topic::COUNTER, *number), Change::Delete);
                let mut writes: Vec<_> = numbers.iter().map(gone).collect();
                writes.push((Topic::GONE.to_vec(), Change::Add(bytes)));
                bucket.commit(Transaction { writes, ..Transaction::default() }).await?;
            }
            Self::Brokered(log) => log.drop_until(*last).await?,
        }
        Ok(())
    }
}

impl fmt::Debug for EventLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded(bucket) => bucket.fmt(f),
            Self::Brokered(_) => f.write_str("a broker's log"),
        }
    }
}

/// A page of the events in a bucket.
pub(super) async fn page(bucket: &Bucket, after: u64, most: usize) -> Result<EventPage, StateError> {
    let prefix = sequence_prefix(Topic::COUNTER);
    let page = bucket.scan(prefix, Some(sequence_key(Topic::COUNTER, after)), most).await?;
    let events = page.items.into_iter().filter_map(|entry| {
        let number = number_of(&entry.key)?;
        let (record, bytes) = (EventRecord::decode(&entry.value.value), entry.value.value.len() as u64);
        Some(LoggedEvent { number, record, bytes })
    });
    Ok(EventPage { events: events.collect(), more: page.next.is_some() })
}

/// The number of the latest event that came into a bucket, and the bytes of those that are there.
pub(super) async fn counted(bucket: &Bucket) -> Result<(u64, u64), StateError> {
    let keys = [Topic::COUNTER, Topic::WRITTEN, Topic::GONE].map(<[u8]>::to_vec);
    let found = bucket.get(keys.to_vec()).await?;
    let number = |at: usize| {
        let value = &found.get(at)?.as_ref()?.value;
        std::str::from_utf8(value).ok()?.parse::<u64>().ok()
    };
    let [last, written, gone] = [0, 1, 2].map(|at| number(at).unwrap_or(0));
    Ok((last, written.saturating_sub(gone)))
}

/// The number in the key of an event.
fn number_of(key: &Key) -> Option<u64> {
    Some(u64::from_be_bytes(*key.last_chunk::<8>()?))
}
