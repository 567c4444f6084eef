//! What a broker must do in place of the embedded log.

use super::error::BrokerError;
use crate::events::{EventRecord, TopicName};
use std::pin::Pin;
use std::sync::Arc;

/// What a broker's operation gives, later.
pub type BrokerFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, BrokerError>> + Send + 'a>>;

/// An event that is to be appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingEvent {
    /// Names it for ever: no other event of the topic has it, and it is the same in each repetition.
    pub id: String,
    /// The event.
    pub record: EventRecord,
}

/// An event of a broker's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its number, which the broker gave: at least 1, in the order of the log, perhaps with gaps.
    pub number: u64,
    /// As [`OutgoingEvent::id`]; `None` if somebody else published it without one.
    pub id: Option<String>,
    /// The event.
    pub record: EventRecord,
    /// About how many bytes it has there.
    pub bytes: u64,
}

/// A page of a broker's log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredPage {
    /// In the order of their numbers.
    pub events: Vec<StoredEvent>,
    /// The numbers of what stands there, and cannot be read: each counts as one event, with its place among the others.
    pub damaged: Vec<u64>,
    /// Whether more follows.
    pub more: bool,
}

impl StoredPage {
    /// The number up to which it goes; `None` if it has nothing.
    pub fn last(&self) -> Option<u64> {
        self.events.last().map(|event| event.number).max(self.damaged.last().copied())
    }
}

/// What a broker's log has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogExtent {
    /// The number of the latest event; 0 if it has had none.
    pub last: u64,
    /// The bytes of its events.
    pub bytes: u64,
}

/// A broker.
pub trait Broker: Send + Sync {
    /// The log of a topic there. `writer` names this host among all that append to it, for ever.
    fn log(&self, topic: &TopicName, writer: &str) -> Arc<dyn BrokerLog>;

    /// Where it is, without who this host is there: `nats://a:4222,nats://b:4222`, `amqp://a:5672/shop`.
    fn place(&self) -> &str;
}

/// The log of one topic in a broker. Each operation ends within some seconds.
pub trait BrokerLog: Send + Sync {
    /// At most `most` events whose numbers are above `after`, the oldest first, with those that cannot be read. A page
    /// may be shorter although more follows.
    fn after(&self, after: u64, most: usize) -> BrokerFuture<'_, StoredPage>;

    /// Appends events in this order, and answers with the number of the last one when the broker has acknowledged all.
    /// After an error a beginning of them may be there, or all, and may even come later.
    fn append<'a>(&'a self, events: &'a [OutgoingEvent]) -> BrokerFuture<'a, u64>;

    /// What it has, as whoever orders the log says: after an append that failed, whatever of it will ever be there is
    /// counted, or the broker knows the ids of what comes later.
    fn extent(&self) -> BrokerFuture<'_, LogExtent>;

    /// Whether no event has ever stood before number `first`, that of its first event now.
    fn begins_with(&self, first: u64) -> BrokerFuture<'_, bool> {
        Box::pin(async move { Ok(first <= 1) })
    }

    /// Whether it keeps all events, and does not tell how many bytes they have: then nothing can be removed.
    fn keeps_all(&self) -> bool {
        false
    }

    /// Whether it tells how many bytes its events have.
    fn tells_bytes(&self) -> bool {
        !self.keeps_all()
    }

    /// Removes the events up to this number.
    fn drop_until(&self, number: u64) -> BrokerFuture<'_, ()>;

    /// Waits until somebody else has published an event. That is a hint, which may be lost.
    fn news(&self) -> BrokerFuture<'_, ()>;
}
