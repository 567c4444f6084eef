//! A topic: its settings, and what is decided when an event is published.

use super::event_record::EventRecord;
use super::payload_type::{PayloadMisfit, PayloadType};
use super::topic_name::TopicName;
use crate::base::ServiceName;
use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// The bounds of one event.
pub mod longest {
    /// The longest payload, in bytes.
    pub const PAYLOAD: usize = 512 << 10;
    /// The longest key, in bytes.
    pub const KEY: usize = 1024;
    /// The longest name of a publisher, in bytes.
    pub const SOURCE: usize = 255;
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
    /// Events above this number must stay, for others than subscriptions.
    needed: AtomicU64,
    on_publish: OnceLock<Box<dyn Fn() + Send + Sync>>,
    /// With a broker: the events on this disk that are not there yet.
    outbox: Option<OutboxFill>,
}

/// What waits in the outbox of a topic.
struct OutboxFill {
    /// With so many bytes it takes no further event.
    bound: u64,
    /// Below 0 for the moment in which an event is with the broker before its publisher has counted it.
    bytes: AtomicI64,
    /// As `bytes`.
    events: AtomicI64,
    /// When its oldest event was published, in milliseconds since 1970, as its relay has read; 0 if it has none.
    oldest: AtomicU64,
    /// Why the broker does nothing now.
    failure: Mutex<Option<String>>,
    on_waiting: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

/// What waits in the outbox of a topic, as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxReport {
    /// Its events.
    pub events: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the oldest of them was published, in milliseconds since 1970.
    pub oldest: Option<u64>,
    /// Why the broker does nothing now; `None` while it does.
    pub failure: Option<String>,
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
    /// The topic takes no more for now.
    #[error("the topic `{topic}` is full: {reason}; try again later")]
    Full {
        /// The topic.
        topic: TopicName,
        /// What it waits for.
        reason: &'static str,
    },
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
            needed: AtomicU64::new(u64::MAX),
            on_publish: OnceLock::new(),
            outbox: None,
        }
    }

    /// The same topic, whose log is in a broker. At most about `bound` bytes of its events wait for the broker.
    #[must_use]
    pub fn with_outbox(self, bound: u64) -> Self {
        let outbox = OutboxFill {
            bound,
            bytes: AtomicI64::new(0),
            events: AtomicI64::new(0),
            oldest: AtomicU64::new(0),
            failure: Mutex::new(None),
            on_waiting: OnceLock::new(),
        };
        Self { outbox: Some(outbox), ..self }
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
        let reason = match &self.outbox {
            Some(outbox) if outbox.bytes() >= outbox.bound => "its broker is away, or takes no more events",
            None if self.is_full() => "its subscribers are behind",
            _ => return Ok(EventRecord { time, source: source.to_owned(), key, payload, trace: None }),
        };
        Err(RefusedEvent::Full { topic: self.name.clone(), reason })
    }

    /// Whether its log takes no further event: subscribers are behind, since what they have settled may go.
    pub fn is_full(&self) -> bool {
        let size = self.retention.size;
        self.bytes() >= size.saturating_add(size / 4)
    }

    /// The bytes of its events.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// The number of its latest event; 0 if it has had none.
    pub fn last(&self) -> u64 {
        self.last.load(Relaxed)
    }

    /// From now on events above this number must stay, for others than subscriptions. `u64::MAX`: none must.
    pub fn need_after(&self, number: u64) {
        self.needed.store(number, Relaxed);
    }

    /// The number above which events must stay, for others than subscriptions.
    pub fn needed(&self) -> u64 {
        self.needed.load(Relaxed)
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

    /// So many events, with so many bytes, are on disk, the latest with the number `last`: tells whoever delivers, or
    /// moves them to the broker.
    pub fn published(&self, last: u64, events: u64, bytes: u64) {
        if let Some(outbox) = &self.outbox {
            outbox.bytes.fetch_add(signed(bytes), Relaxed);
            outbox.events.fetch_add(signed(events), Relaxed);
            outbox.on_waiting.get().into_iter().for_each(|tell| tell());
            return;
        }
        self.last.fetch_max(last, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
        self.tell();
    }

    /// A commit with events has failed so that nobody knows whether it is on disk: whoever delivers them, or moves them
    /// to the broker, looks.
    pub fn may_have_more(&self) {
        match &self.outbox {
            Some(outbox) => outbox.on_waiting.get().into_iter().for_each(|tell| tell()),
            None => self.tell(),
        }
    }

    /// Whoever delivers has read the event of this number: it may be one whose commit nobody knew of.
    pub fn has(&self, number: u64) {
        self.last.fetch_max(number, Relaxed);
    }

    /// What waits for the broker; `None` without one.
    pub fn outbox(&self) -> Option<OutboxReport> {
        let outbox = self.outbox.as_ref()?;
        Some(OutboxReport {
            events: outbox.events.load(Relaxed).try_into().unwrap_or(0),
            bytes: outbox.bytes(),
            oldest: Some(outbox.oldest.load(Relaxed)).filter(|oldest| *oldest > 0),
            failure: outbox.failure.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        })
    }

    /// What was found in the outbox when the host started.
    pub fn count_outbox(&self, events: u64, bytes: u64) {
        if let Some(outbox) = &self.outbox {
            outbox.bytes.store(signed(bytes), Relaxed);
            outbox.events.store(signed(events), Relaxed);
        }
    }

    /// So many events that had so many bytes in the outbox are with the broker.
    pub fn relayed(&self, events: u64, bytes: u64) {
        if let Some(outbox) = &self.outbox {
            outbox.bytes.fetch_sub(signed(bytes), Relaxed);
            outbox.events.fetch_sub(signed(events), Relaxed);
        }
    }

    /// The oldest event of the outbox was published at this time, in milliseconds since 1970; `None`: it has none.
    pub fn waits_since(&self, oldest: Option<u64>) {
        if let Some(outbox) = &self.outbox {
            outbox.oldest.store(oldest.unwrap_or(0), Relaxed);
        }
    }

    /// The broker does nothing now, and why; `None`: it does.
    pub fn broker_fails(&self, failure: Option<String>) {
        if let Some(outbox) = &self.outbox {
            *outbox.failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
        }
    }

    /// The broker's log has the event `last`, and more bytes by so many: tells whoever delivers.
    pub fn extended(&self, last: u64, bytes: u64) {
        self.last.fetch_max(last, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
        self.tell();
    }

    /// There may be something new: tells whoever delivers.
    pub fn tell(&self) {
        self.on_publish.get().into_iter().for_each(|tell| tell());
    }

    /// `tell` is called after each event that waits for the broker. Only the first one counts.
    pub fn on_waiting(&self, tell: impl Fn() + Send + Sync + 'static) {
        if let Some(outbox) = &self.outbox {
            let _ = outbox.on_waiting.set(Box::new(tell));
        }
    }

    /// `tell` is called after each event from now on. Only the first one counts.
    pub fn on_publish(&self, tell: impl Fn() + Send + Sync + 'static) {
        let _ = self.on_publish.set(Box::new(tell));
    }
}

impl OutboxFill {
    fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed).try_into().unwrap_or(0)
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
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
        let full = |reason| RefusedEvent::Full { topic: TopicName::new("a.b").unwrap(), reason };
        topic.published(1, 1, 1249);
        assert!(topic.admit(event(1, 2), "a", 7).is_ok());
        topic.published(2, 1, 1);
        assert_eq!(topic.admit(event(1, 2), "a", 7), Err(full("its subscribers are behind")));
        topic.dropped(1249);
        assert_eq!((topic.last(), topic.bytes()), (2, 1));
        assert!(topic.admit(event(1, 2), "a", 7).is_ok());
        // Nobody knew of the commit of number 3 before it was read, and number 4 is counted once.
        topic.has(3);
        assert_eq!(topic.last(), 3);
        topic.has(4);
        topic.published(4, 1, 1);
        assert_eq!(topic.last(), 4);
    }

    #[test]
    fn with_a_broker_the_outbox_is_bounded_and_what_it_has_is_no_event_of_the_log() {
        let retention = Retention { age: Duration::from_secs(1), size: 1000 };
        let topic = Topic::new(TopicName::new("a.b").unwrap(), PayloadType::Any, retention).with_outbox(500);
        let event = || NewEvent { key: None, payload: "{}".into() };
        topic.count_outbox(3, 300);
        topic.published(5, 2, 199);
        assert!(topic.admit(event(), "a", 7).is_ok());
        topic.published(6, 1, 1);
        topic.waits_since(Some(7));
        topic.broker_fails(Some("away".into()));
        let report = OutboxReport { events: 6, bytes: 500, oldest: Some(7), failure: Some("away".into()) };
        assert_eq!(topic.outbox(), Some(report));
        let reason = "its broker is away, or takes no more events";
        let full = RefusedEvent::Full { topic: topic.name.clone(), reason };
        assert_eq!((topic.admit(event(), "a", 7), topic.last(), topic.bytes()), (Err(full), 0, 0));
        topic.relayed(6, 400);
        topic.relayed(1, 150);
        topic.waits_since(None);
        topic.broker_fails(None);
        let empty = OutboxReport { events: 0, bytes: 0, oldest: None, failure: None };
        assert_eq!(topic.outbox(), Some(empty.clone()));
        // It was with the broker before its publisher has counted it.
        topic.published(7, 1, 150);
        topic.extended(3, 400);
        // That its log is full, the relay has to know: events are still taken.
        topic.extended(2, 2000);
        assert!(topic.is_full() && topic.admit(event(), "a", 7).is_ok());
        assert_eq!((topic.last(), topic.bytes()), (3, 2400));
        assert_eq!(topic.outbox(), Some(OutboxReport { bytes: 100, ..empty }));
    }
}
