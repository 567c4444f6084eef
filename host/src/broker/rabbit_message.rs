//! An event as a message of RabbitMQ. A stream keeps the headers of AMQP 0.9.1 as application properties of AMQP 1.0,
//! and with these names they are CloudEvents 1.0 in the binary mode of its AMQP binding, section 3.1.

use super::broker_log::{OutgoingEvent, StoredEvent};
use super::message::cut;
use super::recent_events::SeenMessage;
use crate::base::TraceParent;
use crate::events::{EventRecord, TopicName, longest, rfc3339};
use jiff::Timestamp;
use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable};
use std::time::{SystemTime, UNIX_EPOCH};

const PUBLISHER: &str = "cloudEvents:publisher";
const SOURCE: &str = "cloudEvents:source";
const KEY: &str = "cloudEvents:partitionkey";
const TIME: &str = "cloudEvents:time";
const TRACE: &str = "cloudEvents:traceparent";
/// The type of a message that is no event: it tells its sender how far the stream goes.
const MARK: &str = "atoll.mark";
/// How much a message has beside its payload and its key, about.
const ENVELOPE: usize = 300;

/// The properties of an event.
pub(super) fn properties(topic: &TopicName, event: &OutgoingEvent) -> BasicProperties {
    let EventRecord { time, source, key, trace, .. } = &event.record;
    let mut headers = FieldTable::default();
    let mut insert = |name: &str, value: &str| {
        headers.insert(name.into(), AMQPValue::LongString(value.into()));
    };
    insert("cloudEvents:specversion", "1.0");
    insert("cloudEvents:id", &event.id);
    insert(SOURCE, &format!("/topics/{topic}"));
    insert("cloudEvents:type", topic.as_str());
    insert(TIME, &rfc3339(*time));
    insert(PUBLISHER, source);
    if let Some(key) = key {
        insert(KEY, key);
    }
    if let Some(trace) = trace {
        insert(TRACE, &trace.to_string());
    }
    let properties = BasicProperties::default().with_message_id(event.id.as_str().into()).with_headers(headers);
    properties.with_content_type("application/json".into()).with_delivery_mode(2)
}

/// The properties of a mark with this id.
pub(super) fn mark(id: &str) -> BasicProperties {
    BasicProperties::default().with_message_id(id.into()).with_type(MARK.into()).with_delivery_mode(2)
}

/// What a stream has delivered; `None` if it has no number. A message that somebody else published may have any
/// payload: whoever handles it finds out.
pub(super) fn seen(delivery: &Delivery) -> Option<SeenMessage> {
    let properties = &delivery.properties;
    let headers = properties.headers().as_ref()?.inner();
    let number = match headers.get("x-stream-offset")? {
        AMQPValue::LongLongInt(offset) => u64::try_from(*offset).ok()?.checked_add(1)?,
        _ => return None,
    };
    // An empty one names nothing: all events with it would count as one.
    let id = properties.message_id().as_ref().map(|id| id.as_str().to_owned()).filter(|id| !id.is_empty());
    if properties.kind().as_ref().is_some_and(|kind| kind.as_str() == MARK) {
        return Some(SeenMessage { number, id, event: None });
    }
    let header = |name: &str| match headers.get(name)? {
        AMQPValue::LongString(text) => Some(String::from_utf8_lossy(text.as_bytes()).into_owned()),
        AMQPValue::ShortString(text) => Some(text.as_str().to_owned()),
        _ => None,
    };
    let told = || u64::try_from(header(TIME)?.parse::<Timestamp>().ok()?.as_millisecond()).ok();
    // The property has seconds.
    let sent = || properties.timestamp().as_ref().map(|seconds| seconds.saturating_mul(1000));
    let payload = String::from_utf8_lossy(&delivery.data).into_owned();
    let source = header(PUBLISHER).or_else(|| header(SOURCE)).unwrap_or_else(|| "outside".to_owned());
    let record = EventRecord {
        // Without any it is as new as it is to this host: an alarm on its age would be false.
        time: told().or_else(sent).unwrap_or_else(now),
        source: cut(source, longest::SOURCE),
        key: header(KEY).map(|key| cut(key, longest::KEY)),
        trace: header(TRACE).as_deref().and_then(TraceParent::parse),
        payload,
    };
    let bytes = ENVELOPE + record.payload.len() + record.key.as_ref().map_or(0, String::len);
    Some(SeenMessage { number, id: id.clone(), event: Some(StoredEvent { number, id, record, bytes: bytes as u64 }) })
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
        fn an_event_reads_as_it_was_written(
            time in 0..4_000_000_000_000_u64,
            source in ".{1,40}",
            key in proptest::option::of("(?s).{0,60}"),
            payload in ".{0,100}",
        ) {
            let trace = TraceParent::parse("00-000000000000000000000000000000ab-00000000000000cd-01");
            let record = EventRecord { time, source, key, payload, trace };
            let event = OutgoingEvent { id: "o-7-ab".into(), record };
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
}
