//! An event as a message of NATS: CloudEvents 1.0 in the binary mode of its NATS binding, whose headers are encoded as
//! in its HTTP binding, section 3.1.3.2.

use super::broker_log::{OutgoingEvent, StoredEvent};
use crate::base::TraceParent;
use crate::events::{EventRecord, TopicName, longest, rfc3339};
use async_nats::{HeaderMap, Message};
use jiff::Timestamp;

/// The id that the server looks at, too.
const ID: &str = "Nats-Msg-Id";
const PUBLISHER: &str = "ce-publisher";
const SOURCE: &str = "ce-source";
const KEY: &str = "ce-partitionkey";
const TIME: &str = "ce-time";
const TRACE: &str = "ce-traceparent";

/// The headers of an event.
pub(super) fn headers(topic: &TopicName, event: &OutgoingEvent) -> HeaderMap {
    let EventRecord { time, source, key, trace, .. } = &event.record;
    let mut headers = HeaderMap::new();
    headers.insert(ID, event.id.as_str());
    headers.insert("ce-specversion", "1.0");
    headers.insert("ce-id", event.id.as_str());
    headers.insert(SOURCE, format!("/topics/{topic}").as_str());
    headers.insert("ce-type", topic.as_str());
    headers.insert(TIME, rfc3339(*time).as_str());
    headers.insert("content-type", "application/json");
    headers.insert(PUBLISHER, encode(source).as_str());
    if let Some(key) = key {
        headers.insert(KEY, encode(key).as_str());
    }
    if let Some(trace) = trace {
        headers.insert(TRACE, trace.to_string().as_str());
    }
    headers
}

/// The event of a message that a stream has; `None` if it has no number. A message that somebody else published may
/// have any payload: whoever handles it finds out.
pub(super) fn stored(message: &Message) -> Option<StoredEvent> {
    let header = |name: &str| message.headers.as_ref()?.get(name).map(|value| value.as_str().trim());
    let number = header("Nats-Sequence")?.parse().ok()?;
    let time = [TIME, "Nats-Time-Stamp"].iter().find_map(|name| {
        let time: Timestamp = header(name)?.parse().ok()?;
        u64::try_from(time.as_millisecond()).ok()
    });
    let source = header(PUBLISHER).or_else(|| header(SOURCE)).map_or_else(|| "outside".to_owned(), decode);
    let record = EventRecord {
        time: time.unwrap_or_default(),
        source: cut(source, longest::SOURCE),
        key: header(KEY).map(|key| cut(decode(key), longest::KEY)),
        payload: String::from_utf8_lossy(&message.payload).into_owned(),
        trace: header(TRACE).and_then(TraceParent::parse),
    };
    Some(StoredEvent { number, id: header(ID).map(str::to_owned), record, bytes: message.length as u64 })
}

/// The beginning of a text, of at most `most` bytes.
pub(super) fn cut(mut text: String, most: usize) -> String {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.truncate(end);
    text
}

/// Writes every byte that is not a visible ASCII character, and `"` and `%`, as `%XX`.
fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'%');
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// Undoes [`encode`]. A `%` that begins no escape stays.
fn decode(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| byte == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        // `from_str_radix` takes a sign.
        let digits = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(escaped) => (bytes.push(escaped), rest = &after[2..]).1,
            None => (bytes.push(byte), rest = after).1,
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(mut headers: HeaderMap, payload: &str) -> Message {
        headers.insert("Nats-Sequence", "7");
        headers.insert("Nats-Time-Stamp", "2026-11-18T11:06:41.5Z");
        let payload = payload.as_bytes().to_vec().into();
        let (subject, headers) = ("t".into(), Some(headers));
        Message { subject, reply: None, payload, headers, status: None, description: None, length: 99 }
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
            let headers = headers(&TopicName::new("orders.placed").unwrap(), &event);
            for (_, values) in headers.iter() {
                prop_assert!(values.iter().all(|value| value.as_str().bytes().all(|b| (b' '..=b'~').contains(&b))));
            }
            let stored = stored(&message(headers, &event.record.payload)).unwrap();
            prop_assert_eq!((stored.number, stored.id.as_deref(), stored.bytes), (7, Some("o-7-ab"), 99));
            prop_assert_eq!(stored.record, event.record);
        }

        #[test]
        fn no_header_of_somebody_else_breaks_the_reader(key in "[ -~]{0,2000}", time in "[ -~]{0,40}") {
            let mut headers = HeaderMap::new();
            headers.insert(KEY, key.as_str());
            headers.insert(TIME, time.as_str());
            let read = stored(&message(headers, "no JSON")).unwrap();
            prop_assert!(read.record.key.unwrap().len() <= longest::KEY);
            prop_assert_eq!(read.record.payload, "no JSON");
        }
    }

    #[test]
    fn a_message_without_headers_of_ours_is_an_event_too() {
        let read = stored(&message(HeaderMap::new(), "{}")).unwrap();
        let record = EventRecord {
            time: 1_795_000_001_500,
            source: "outside".into(),
            key: None,
            payload: "{}".into(),
            trace: None,
        };
        assert_eq!((read.id, read.record), (None, record));
        assert_eq!(decode("%41%zz%4%+1%"), "A%zz%4%+1%");
    }
}
