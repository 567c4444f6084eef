//! The log of one topic, which is a bucket of the store.

use crate::events::{DamagedRecord, EventRecord, Topic};
use crate::state::{Bucket, Key, StateError, Store, sequence_key, sequence_prefix};

/// An event of a log, with its number.
#[derive(Debug, Clone)]
pub struct LoggedEvent {
    /// Its number.
    pub number: u64,
    /// The event, if its bytes are those that were written.
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

/// Reads one topic's events. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct EventLog(Bucket);

impl EventLog {
    pub(super) fn new(store: &Store, topic: &Topic) -> Self {
        Self(store.bucket(&topic.bucket()))
    }

    /// The bucket.
    pub(super) fn bucket(&self) -> &Bucket {
        &self.0
    }

    /// At most `most` events whose numbers are above `after`.
    pub(super) async fn after(&self, after: u64, most: usize) -> Result<EventPage, StateError> {
        let prefix = sequence_prefix(Topic::COUNTER);
        let page = self.0.scan(prefix, Some(sequence_key(Topic::COUNTER, after)), most).await?;
        let events = page.items.into_iter().filter_map(|entry| {
            let number = number_of(&entry.key)?;
            let (record, bytes) = (EventRecord::decode(&entry.value.value), entry.value.value.len() as u64);
            Some(LoggedEvent { number, record, bytes })
        });
        Ok(EventPage { events: events.collect(), more: page.next.is_some() })
    }

    /// One event; `None` if it has gone.
    pub(super) async fn get(&self, number: u64) -> Result<Option<Result<EventRecord, DamagedRecord>>, StateError> {
        let found = self.0.get(vec![sequence_key(Topic::COUNTER, number)]).await?;
        Ok(found.into_iter().flatten().next().map(|found| EventRecord::decode(&found.value)))
    }

    /// The number of the latest event, and the bytes of all events.
    pub(super) async fn count(&self) -> Result<(u64, u64), StateError> {
        let keys = [Topic::COUNTER, Topic::WRITTEN, Topic::GONE].map(<[u8]>::to_vec);
        let found = self.0.get(keys.to_vec()).await?;
        let number = |at: usize| {
            let value = &found.get(at)?.as_ref()?.value;
            std::str::from_utf8(value).ok()?.parse::<u64>().ok()
        };
        let [last, written, gone] = [0, 1, 2].map(|at| number(at).unwrap_or(0));
        Ok((last, written.saturating_sub(gone)))
    }
}

/// The number in the key of an event.
fn number_of(key: &Key) -> Option<u64> {
    Some(u64::from_be_bytes(*key.last_chunk::<8>()?))
}
