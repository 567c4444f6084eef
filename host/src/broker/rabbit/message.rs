//! An event as a message of RabbitMQ. A stream keeps the headers of AMQP 0.9.1 as application properties of AMQP 1.0,
//! and with these names they are those of CloudEvents' AMQP binding, section 3.1.

use super::recent_events::SeenMessage;
use crate::broker::broker_log::{OutgoingEvent, StoredEvent};
use crate::broker::envelope::{Envelope, EventAttribute, id_of, size};
use crate::events::TopicName;
use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use std::borrow::Cow;
use std::time::{SystemTime, UNIX_EPOCH};

/// What stands before the name of an attribute.
const PREFIX: &str = "cloudEvents:";
/// The type of a message that is no event: it tells its sender how far the stream goes.
const MARK: &str = "atoll.mark";

impl Envelope for FieldTable {
    fn write(&mut self, attribute: EventAttribute, value: &str) {
        // A property of the message says it.
        if attribute != EventAttribute::ContentType {
            self.insert(attribute.header(PREFIX).into(), AMQPValue::LongString(value.into()));
        }
    }

    fn read(&self, attribute: EventAttribute) -> Option<Cow<'_, str>> {
        match self.inner().get(&*attribute.header(PREFIX))? {
            AMQPValue::LongString(text) => Some(String::from_utf8_lossy(text.as_bytes())),
            AMQPValue::ShortString(text) => Some(text.as_str().into()),
            _ => None,
        }
    }
}

/// The properties of an event.
pub(super) fn properties(topic: &TopicName, event: &OutgoingEvent) -> BasicProperties {
    let mut headers = FieldTable::default();
    headers.seal(topic, event);
    let properties = BasicProperties::default().with_message_id(event.id.as_str().into()).with_headers(headers);
    properties.with_content_type("application/json".into()).with_delivery_mode(2)
}

/// The properties of a mark with this id.
pub(super) fn mark(id: &str) -> BasicProperties {
    BasicProperties::default().with_message_id(id.into()).with_type(MARK.into()).with_delivery_mode(2)
}

/// What a stream has delivered; `None` if it has no number.
pub(super) fn seen(delivery: &Delivery) -> Option<SeenMessage> {
    let properties = &delivery.properties;
    let headers = properties.headers().as_ref()?;
    let number = match headers.inner().get("x-stream-offset")? {
        AMQPValue::LongLongInt(offset) => u64::try_from(*offset).ok()?.checked_add(1)?,
        _ => return None,
    };
    let id = id_of(properties.message_id().as_ref().map(ShortString::as_str));
    if properties.kind().as_ref().is_some_and(|kind| kind.as_str() == MARK) {
        return Some(SeenMessage { number, id, event: None });
    }
    // The property has seconds.
    let sent = || properties.timestamp().as_ref().map(|seconds| seconds.saturating_mul(1000));
    // Without any it is as new as it is to this host: an alarm on its age would be false.
    let record = headers.open(&delivery.data, || sent().unwrap_or_else(now));
    let bytes = size(&record);
    Some(SeenMessage { number, id: id.clone(), event: Some(StoredEvent { number, id, record, bytes }) })
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::envelope::sample;
    use crate::events::{EventRecord, longest};
    use proptest::prelude::*;

    const KEY: &str = "cloudEvents:partitionkey";
    const TIME: &str = "cloudEvents:time";
    const TRACE: &str = "cloudEvents:traceparent";

    /// What comes of a message in a stream: the broker adds its number.
    fn delivered(properties: BasicProperties, offset: Option<i64>, payload: &[u8]) -> Delivery {
        let mut headers = properties.headers().clone().unwrap_or_default();
        if let Some(offset) = offset {
            headers.insert("x-stream-offset".into(), AMQPValue::LongLongInt(offset));
        }
        let mut delivery = Delivery::mock(1, "".into(), "t".into(), false, payload.to_vec());
        delivery.properties = properties.with_headers(headers);
        delivery
    }

    proptest! {
        #[test]
        fn an_event_reads_as_it_was_written(event in sample::events()) {
            let written = properties(&TopicName::new("orders.placed").unwrap(), &event);
            let read = seen(&delivered(written, Some(6), event.record.payload.as_bytes())).unwrap();
            prop_assert_eq!((read.number, read.id.as_deref()), (7, Some("o-7-ab")));
            prop_assert_eq!(read.event.unwrap().record, event.record);
        }

        #[test]
        fn no_header_of_somebody_else_breaks_the_reader(key in ".{0,2000}", time in ".{0,40}", offset: i64) {
            let mut headers = FieldTable::default();
            headers.insert(KEY.into(), AMQPValue::LongString(key.as_str().into()));
            headers.insert(TIME.into(), AMQPValue::LongString(time.as_str().into()));
            headers.insert(TRACE.into(), AMQPValue::Boolean(true));
            let read = seen(&delivered(BasicProperties::default().with_headers(headers), Some(offset), b"\xffno JSON"));
            prop_assert_eq!(read.is_some(), offset >= 0);
            if let Some(read) = read {
                let record = read.event.unwrap().record;
                prop_assert!(record.key.unwrap().len() <= longest::KEY);
                prop_assert_eq!(record.payload, "\u{fffd}no JSON");
            }
        }
    }

    #[test]
    fn a_mark_is_no_event_and_a_message_without_headers_of_ours_is_one() {
        let read = seen(&delivered(mark("m-1"), Some(0), b"")).unwrap();
        assert_eq!(read, SeenMessage { number: 1, id: Some("m-1".into()), event: None });
        let read = seen(&delivered(BasicProperties::default().with_timestamp(7), Some(4), b"{}")).unwrap();
        let record = EventRecord { time: 7000, source: "outside".into(), key: None, payload: "{}".into(), trace: None };
        assert_eq!((read.number, read.event.unwrap().record), (5, record));
        let untimed = seen(&delivered(BasicProperties::default(), Some(4), b"{}")).unwrap().event.unwrap();
        assert!(untimed.record.time > 1_700_000_000_000, "{untimed:?}");
        assert_eq!(seen(&delivered(BasicProperties::default(), None, b"{}")), None);
        let unnamed = seen(&delivered(BasicProperties::default().with_message_id("".into()), Some(4), b"{}")).unwrap();
        assert_eq!((unnamed.id, unnamed.event.unwrap().id), (None, None), "an empty id is none");
    }

    #[test]
    fn an_event_has_the_properties_of_the_binding() {
        let (topic, event) = sample::event();
        let properties = properties(&topic, &event);
        let text = |value: &AMQPValue| match value {
            AMQPValue::LongString(text) => text.to_string(),
            other => format!("{other:?}"),
        };
        let headers = properties.headers().as_ref().unwrap().inner();
        let found: Vec<_> = headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        let expected = [
            ("cloudEvents:id", "o-7-ab"),
            ("cloudEvents:partitionkey", "ke%y"),
            ("cloudEvents:publisher", "orders of \u{e9}"),
            ("cloudEvents:source", "/topics/orders.placed"),
            ("cloudEvents:specversion", "1.0"),
            ("cloudEvents:time", "2026-11-18T11:06:41.500Z"),
            ("cloudEvents:traceparent", sample::TRACE),
            ("cloudEvents:type", "orders.placed"),
        ];
        assert_eq!(found, sample::texts(expected));
        let told = [properties.message_id(), properties.content_type(), properties.kind()];
        let told = told.map(|property| property.as_ref().map(|text| text.as_str().to_owned()));
        assert_eq!(told, [Some("o-7-ab".to_owned()), Some("application/json".to_owned()), None]);
        assert_eq!(*properties.delivery_mode(), Some(2));
    }
}
