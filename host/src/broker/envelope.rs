//! The envelope of an event in a broker: CloudEvents 1.0 in the binary mode, in which the attributes are headers of the
//! message and the payload is its body. Each protocol has a binding of its own, which says how the headers are called
//! and where they stand; the attributes are the same.

use super::broker_log::OutgoingEvent;
use crate::base::TraceParent;
use crate::events::{EventRecord, TopicName, longest, rfc3339};
use jiff::Timestamp;
use std::borrow::Cow;

/// How much a message has beside its payload and its key, about.
const HEADERS: usize = 300;

/// An attribute of an event: those of CloudEvents, and its documented extensions `partitionkey` and `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EventAttribute {
    SpecVersion,
    Id,
    Source,
    Type,
    Time,
    ContentType,
    Publisher,
    Key,
    Trace,
}

impl EventAttribute {
    /// The header of the attribute in a binding that writes `prefix` before the names.
    pub(super) fn header(self, prefix: &str) -> String {
        let name = match self {
            // No binding has it among the others: messages had a header for it before.
            Self::ContentType => return "content-type".to_owned(),
            Self::SpecVersion => "specversion",
            Self::Id => "id",
            Self::Source => "source",
            Self::Type => "type",
            Self::Time => "time",
            Self::Publisher => "publisher",
            Self::Key => "partitionkey",
            Self::Trace => "traceparent",
        };
        format!("{prefix}{name}")
    }
}

/// The headers of a message, in the binding of its protocol.
pub(super) trait Envelope {
    /// Writes an attribute.
    fn write(&mut self, attribute: EventAttribute, value: &str);

    /// The value of an attribute; `None` if the message has none that is a text.
    fn read(&self, attribute: EventAttribute) -> Option<Cow<'_, str>>;

    /// Writes all attributes of an event.
    fn seal(&mut self, topic: &TopicName, event: &OutgoingEvent) {
        let EventRecord { time, source, key, trace, .. } = &event.record;
        self.write(EventAttribute::SpecVersion, "1.0");
        self.write(EventAttribute::Id, &event.id);
        self.write(EventAttribute::Source, &format!("/topics/{topic}"));
        self.write(EventAttribute::Type, topic.as_str());
        self.write(EventAttribute::Time, &rfc3339(*time));
        self.write(EventAttribute::ContentType, "application/json");
        self.write(EventAttribute::Publisher, source);
        if let Some(key) = key {
            self.write(EventAttribute::Key, key);
        }
        if let Some(trace) = trace {
            self.write(EventAttribute::Trace, &trace.to_string());
        }
    }

    /// The event of a message with this payload. Somebody else may have published it, with any payload and any headers:
    /// whoever handles it finds out. `sent` is its time where no attribute tells one.
    fn open(&self, payload: &[u8], sent: impl FnOnce() -> u64) -> EventRecord {
        let publisher = self.read(EventAttribute::Publisher).or_else(|| self.read(EventAttribute::Source));
        EventRecord {
            time: self.read(EventAttribute::Time).and_then(|time| milliseconds(&time)).unwrap_or_else(sent),
            source: cut(publisher.map_or_else(|| "outside".to_owned(), Cow::into_owned), longest::SOURCE),
            key: self.read(EventAttribute::Key).map(|key| cut(key.into_owned(), longest::KEY)),
            payload: String::from_utf8_lossy(payload).into_owned(),
            trace: self.read(EventAttribute::Trace).as_deref().and_then(TraceParent::parse),
        }
    }
}

/// A time as RFC 3339 writes it, in milliseconds since 1970; `None` if it is none, or earlier.
pub(super) fn milliseconds(time: &str) -> Option<u64> {
    u64::try_from(time.parse::<Timestamp>().ok()?.as_millisecond()).ok()
}

/// The id of a message. An empty one names nothing: all events with it would count as one.
pub(super) fn id_of(told: Option<&str>) -> Option<String> {
    told.filter(|id| !id.is_empty()).map(str::to_owned)
}

/// About how many bytes an event has in a broker that does not say it.
pub(super) fn size(event: &EventRecord) -> u64 {
    (HEADERS + event.payload.len() + event.key.as_ref().map_or(0, String::len)) as u64
}

/// The beginning of a text, of at most `most` bytes.
fn cut(mut text: String, most: usize) -> String {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.truncate(end);
    text
}

/// Events for the tests of the bindings.
#[cfg(test)]
pub(super) mod sample {
    use super::*;
    use proptest::prelude::*;

    pub(crate) const TRACE: &str = "00-000000000000000000000000000000ab-00000000000000cd-01";

    fn event_of(time: u64, source: String, key: Option<String>, payload: String) -> OutgoingEvent {
        let record = EventRecord { time, source, key, payload, trace: TraceParent::parse(TRACE) };
        OutgoingEvent { id: "o-7-ab".into(), record }
    }

    /// One event, and its topic.
    pub(crate) fn event() -> (TopicName, OutgoingEvent) {
        let event = event_of(1_795_000_001_500, "orders of \u{e9}".into(), Some("ke%y".into()), "{}".into());
        (TopicName::new("orders.placed").unwrap(), event)
    }

    /// Any event.
    pub(crate) fn events() -> impl Strategy<Value = OutgoingEvent> {
        let key = proptest::option::of("(?s).{0,60}");
        (0..4_000_000_000_000_u64, ".{1,40}", key, ".{0,100}")
            .prop_map(|(time, source, key, payload)| event_of(time, source, key, payload))
    }

    /// What is expected of headers.
    pub(crate) fn texts<const N: usize>(headers: [(&str, &str); N]) -> Vec<(String, String)> {
        headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }
}
