//! An event as a message of NATS: the headers are those of CloudEvents' NATS binding, encoded as in its HTTP binding,
//! section 3.1.3.2.

use crate::broker::broker_log::{OutgoingEvent, StoredEvent};
use crate::broker::envelope::{Envelope, EventAttribute, id_of, milliseconds};
use crate::events::TopicName;
use async_nats::{HeaderMap, Message};
use std::borrow::Cow;

/// The id that the server looks at, too.
const ID: &str = "Nats-Msg-Id";
/// What stands before the name of an attribute.
const PREFIX: &str = "ce-";

impl Envelope for HeaderMap {
    fn write(&mut self, attribute: EventAttribute, value: &str) {
        let value = if is_encoded(attribute) { encode(value).into() } else { Cow::from(value) };
        self.insert(attribute.header(PREFIX), &*value);
    }

    fn read(&self, attribute: EventAttribute) -> Option<Cow<'_, str>> {
        let value = self.get(attribute.header(PREFIX))?.as_str().trim();
        Some(if is_encoded(attribute) { decode(value).into() } else { value.into() })
    }
}

/// Whether an attribute may have any characters. The others are plain, and stand as they are.
fn is_encoded(attribute: EventAttribute) -> bool {
    matches!(attribute, EventAttribute::Publisher | EventAttribute::Source | EventAttribute::Key)
}

/// The headers of an event.
pub(super) fn headers(topic: &TopicName, event: &OutgoingEvent) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ID, event.id.as_str());
    headers.seal(topic, event);
    headers
}

/// The event of a message that a stream has; `None` if it has no number.
pub(super) fn stored(message: &Message) -> Option<StoredEvent> {
    let headers = message.headers.as_ref()?;
    let header = |name: &str| headers.get(name).map(|value| value.as_str().trim());
    let number = header("Nats-Sequence")?.parse().ok()?;
    let record = headers.open(&message.payload, || header("Nats-Time-Stamp").and_then(milliseconds).unwrap_or(0));
    Some(StoredEvent { number, id: id_of(header(ID)), record, bytes: message.length as u64 })
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
    use crate::broker::envelope::sample;
    use crate::events::{EventRecord, longest};
    use proptest::prelude::*;

    const KEY: &str = "ce-partitionkey";
    const TIME: &str = "ce-time";

    fn message(mut headers: HeaderMap, payload: &str) -> Message {
        headers.insert("Nats-Sequence", "7");
        headers.insert("Nats-Time-Stamp", "2026-11-18T11:06:41.5Z");
        let payload = payload.as_bytes().to_vec().into();
        let (subject, headers) = ("t".into(), Some(headers));
        Message { subject, reply: None, payload, headers, status: None, description: None, length: 99 }
    }

    proptest! {
        #[test]
        fn an_event_reads_as_it_was_written(event in sample::events()) {
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

    #[test]
    fn an_empty_id_is_none() {
        for empty in ["", " "] {
            let mut headers = HeaderMap::new();
            headers.insert(ID, empty);
            assert_eq!(stored(&message(headers, "{}")).unwrap().id, None, "{empty:?}");
        }
    }

    #[test]
    fn an_event_has_the_headers_of_the_binding() {
        let (topic, event) = sample::event();
        let headers = headers(&topic, &event);
        let mut found: Vec<_> =
            headers.iter().map(|(name, values)| (name.to_string(), values[0].to_string())).collect();
        found.sort();
        let expected = [
            ("Nats-Msg-Id", "o-7-ab"),
            ("ce-id", "o-7-ab"),
            ("ce-partitionkey", "ke%25y"),
            ("ce-publisher", "orders%20of%20%C3%A9"),
            ("ce-source", "/topics/orders.placed"),
            ("ce-specversion", "1.0"),
            ("ce-time", "2026-11-18T11:06:41.500Z"),
            ("ce-traceparent", sample::TRACE),
            ("ce-type", "orders.placed"),
            ("content-type", "application/json"),
        ];
        assert_eq!(found, sample::texts(expected));
    }
}
