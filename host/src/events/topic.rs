//! A topic: its settings, and what is decided when an event is published.

use super::event_record::EventRecord;
use super::payload_type::{PayloadMisfit, PayloadType};
use super::topic_name::TopicName;
use crate::base::ServiceName;
use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The bounds of one event.
pub mod longest {
    /// The longest payload, in bytes.
    pub const PAYLOAD: usize = 512 << 10;
    /// The longest key, in bytes.
    pub const KEY: usize = 1024;
    /// The most events of one commit.
    pub const EVENTS: usize = 100;
}

/// How long a topic keeps events. An event that a subscription has not settled is kept in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Older events go.
    pub age: Duration,
    /// If the topic has more bytes than this, its oldest events go. With a quarter more it takes no further event.
    pub size: u64,
}

/// One topic of the manifest.
pub struct Topic {
    /// Its name.
    pub name: TopicName,
    /// What its payloads are.
    pub payload: PayloadType,
    /// How long it keeps events.
    pub retention: Retention,
    bytes: AtomicU64,
    last: AtomicU64,
    on_publish: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

/// An event that is to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// What orders it; `None`: nothing.
    pub key: Option<String>,
    /// The payload: JSON.
    pub payload: String,
}

/// Why an event is not published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefusedEvent {
    /// The payload does not fit.
    #[error("{0}")]
    Payload(PayloadMisfit),
    /// A part is too long.
    #[error("{0}")]
    TooLong(String),
    /// The topic is full of events that a subscription has not settled.
    #[error("the topic `{0}` is full: its subscribers are behind; try again later")]
    Full(TopicName),
}

impl Topic {
    /// A topic that is empty as far as it knows.
    pub fn new(name: TopicName, payload: PayloadType, retention: Retention) -> Self {
        Self {
            name,
            payload,
            retention,
            bytes: AtomicU64::new(0),
            last: AtomicU64::new(0),
            on_publish: OnceLock::new(),
        }
    }

    /// In its bucket: the counter of its events.
    pub const COUNTER: &[u8] = b"event";
    /// In its bucket: how many bytes of events were written.
    pub const WRITTEN: &[u8] = b"written";
    /// In its bucket: how many bytes of events have gone.
    pub const GONE: &[u8] = b"gone";

    /// The bucket in which its events are.
    pub fn bucket(&self) -> ServiceName {
        ServiceName::of_host_part("topic", self.name.as_str())
    }

    /// The record of an event that `source` publishes at `time`, in milliseconds since 1970.
    ///
    /// # Errors
    /// It is too long, it does not fit, or the topic is full.
    pub fn admit(&self, event: NewEvent, source: &str, time: u64) -> Result<EventRecord, RefusedEvent> {
        let NewEvent { key, payload } = event;
        if payload.len() > longest::PAYLOAD {
            return Err(RefusedEvent::TooLong(format!("a payload has at most {} bytes", longest::PAYLOAD)));
        }
        if key.as_ref().is_some_and(|key| key.len() > longest::KEY) {
            return Err(RefusedEvent::TooLong(format!("the key of an event has at most {} bytes", longest::KEY)));
        }
        self.payload.check(&payload).map_err(RefusedEvent::Payload)?;
        let size = self.retention.size;
        if self.bytes() >= size.saturating_add(size / 4) {
            return Err(RefusedEvent::Full(self.name.clone()));
        }
        Ok(EventRecord { time, source: source.to_owned(), key, payload, trace: None })
    }

    /// The bytes of its events.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// The number of its latest event; 0 if it has had none.
    pub fn last(&self) -> u64 {
        self.last.load(Relaxed)
    }

    /// What was counted when the host started: the number of the latest event, and the bytes of all.
    pub fn count(&self, last: u64, bytes: u64) {
        self.last.store(last, Relaxed);
        self.bytes.store(bytes, Relaxed);
    }

    /// Events of so many bytes have gone.
    pub fn dropped(&self, bytes: u64) {
        let less = |now: u64| Some(now.saturating_sub(bytes));
        let _ = self.bytes.fetch_update(Relaxed, Relaxed, less);
    }

    /// So many events, with so many bytes, are on disk: tells whoever delivers.
    pub fn published(&self, events: u64, bytes: u64) {
        self.last.fetch_add(events, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
        self.may_have_more();
    }

    /// A commit with events has failed so that nobody knows whether it is on disk: whoever delivers looks.
    pub fn may_have_more(&self) {
        if let Some(tell) = self.on_publish.get() {
            tell();
        }
    }

    /// `tell` is called after each event from now on. Only the first one counts.
    pub fn on_publish(&self, tell: impl Fn() + Send + Sync + 'static) {
        let _ = self.on_publish.set(Box::new(tell));
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Topic({})", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_bounded_and_a_full_topic_takes_none() {
        let retention = Retention { age: Duration::from_secs(1), size: 1000 };
        let topic = Topic::new(TopicName::new("a.b").unwrap(), PayloadType::Any, retention);
        assert_eq!(topic.bucket().as_str(), "topic:a.b");
        let event = |key: usize, payload: usize| NewEvent {
            key: Some("k".repeat(key)),
            payload: format!("\"{}\"", "p".repeat(payload - 2)),
        };
        assert!(topic.admit(event(longest::KEY, longest::PAYLOAD), "a", 7).is_ok());
        for long in [event(longest::KEY + 1, 2), event(1, longest::PAYLOAD + 1)] {
            assert!(matches!(topic.admit(long, "a", 7), Err(RefusedEvent::TooLong(_))));
        }
        topic.published(1, 1249);
        assert!(topic.admit(event(1, 2), "a", 7).is_ok());
        topic.published(1, 1);
        assert_eq!(topic.admit(event(1, 2), "a", 7), Err(RefusedEvent::Full(topic.name.clone())));
        topic.dropped(1249);
        assert_eq!((topic.last(), topic.bytes()), (2, 1));
        assert!(topic.admit(event(1, 2), "a", 7).is_ok());
    }
}
