//! An event as a record of the Kafka protocol: the headers are those of CloudEvents' Kafka binding, section 3.2. The
//! key of the event is that of the record.

use super::records::LogRecord;
use crate::broker::broker_log::{OutgoingEvent, StoredEvent};
use crate::broker::envelope::{self, Envelope, EventAttribute};
use crate::events::TopicName;
use std::borrow::Cow;

/// What stands before the name of an attribute.
const PREFIX: &str = "ce_";
/// A record with this header is no event: it is the first one that a host writes in a new epoch.
const MARK: &str = "atoll-mark";

impl Envelope for LogRecord {
    fn write(&mut self, attribute: EventAttribute, value: &str) {
        match attribute {
            EventAttribute::Key => self.key = Some(value.into()),
            _ => self.headers.push((attribute.header(PREFIX), value.into())),
        }
    }

    fn read(&self, attribute: EventAttribute) -> Option<Cow<'_, str>> {
        match attribute {
            EventAttribute::Key => self.key.as_deref().map(String::from_utf8_lossy),
            _ => self.header(&attribute.header(PREFIX)),
        }
    }
}

/// The record of an event.
pub(super) fn record(topic: &TopicName, event: &OutgoingEvent) -> LogRecord {
    let value = event.record.payload.clone().into_bytes();
    let mut record = LogRecord { time: event.record.time.cast_signed(), value, ..LogRecord::default() };
    record.seal(topic, event);
    record
}

/// How many bytes the record of an event has, at least as many as it will.
pub(super) fn size(record: &LogRecord) -> usize {
    let headers: usize = record.headers.iter().map(|(name, value)| name.len() + value.len() + 10).sum();
    headers + record.key.as_ref().map_or(0, Vec::len) + record.value.len() + 40
}

/// The mark of a host, at this time in milliseconds.
pub(super) fn mark(writer: &str, time: u64) -> LogRecord {
    let headers = vec![(MARK.to_owned(), writer.as_bytes().to_vec())];
    LogRecord { time: time.cast_signed(), headers, ..LogRecord::default() }
}

/// The event of a record at this offset; `None`: it is a mark.
pub(super) fn stored(offset: u64, record: LogRecord) -> Option<StoredEvent> {
    if record.header(MARK).is_some() {
        return None;
    }
    let id = envelope::id_of(record.read(EventAttribute::Id).as_deref());
    let event = record.open(&record.value, || u64::try_from(record.time).unwrap_or(0));
    let bytes = envelope::size(&event);
    Some(StoredEvent { number: offset.saturating_add(1), id, record: event, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::envelope::sample;
    use crate::broker::kafka::records::{ProducerTurn, encode};
    use crate::events::{EventRecord, longest};
    use proptest::prelude::*;

    const ID: &str = "ce_id";
    const SOURCE: &str = "ce_source";
    const TIME: &str = "ce_time";
    const TRACE: &str = "ce_traceparent";

    proptest! {
        #[test]
        fn an_event_reads_as_it_was_written(event in sample::events()) {
            let written = record(&TopicName::new("orders.placed").unwrap(), &event);
            let turn = ProducerTurn { id: 1, epoch: 0, sequence: 0 };
            prop_assert!(encode(std::slice::from_ref(&written), turn).len() <= size(&written) + 61);
            let read = stored(6, written).unwrap();
            prop_assert_eq!((read.number, read.id.as_deref(), read.record), (7, Some("o-7-ab"), event.record));
        }

        #[test]
        fn no_header_of_somebody_else_breaks_the_reader(
            key in proptest::collection::vec(any::<u8>(), 0..2000),
            headers in proptest::collection::vec(
                (
                    proptest::sample::select(vec![ID, TIME, TRACE, SOURCE, "x"]),
                    proptest::collection::vec(any::<u8>(), 0..300),
                ),
                0..5
            ),
            time: i64,
        ) {
            let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            let read = stored(0, LogRecord { time, key: Some(key), value: b"\xffno JSON".to_vec(), headers }).unwrap();
            prop_assert!(read.record.key.unwrap().len() <= longest::KEY && read.record.source.len() <= longest::SOURCE);
            prop_assert_eq!(read.record.payload, "\u{fffd}no JSON");
        }
    }

    #[test]
    fn a_mark_is_no_event_and_a_record_without_headers_of_ours_is_one() {
        assert_eq!(stored(3, mark("o", 5)), None);
        let plain = LogRecord { time: 7, value: b"{}".to_vec(), ..LogRecord::default() };
        let read = stored(4, plain).unwrap();
        let record = EventRecord { time: 7, source: "outside".into(), key: None, payload: "{}".into(), trace: None };
        assert_eq!((read.number, read.id, read.record), (5, None, record));
    }

    #[test]
    fn an_event_is_the_record_of_the_binding() {
        let (topic, event) = sample::event();
        let record = record(&topic, &event);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let found: Vec<_> = record.headers.iter().map(|(name, value)| (name.clone(), text(value))).collect();
        let expected = [
            ("ce_specversion", "1.0"),
            ("ce_id", "o-7-ab"),
            ("ce_source", "/topics/orders.placed"),
            ("ce_type", "orders.placed"),
            ("ce_time", "2026-11-18T11:06:41.500Z"),
            ("content-type", "application/json"),
            ("ce_publisher", "orders of \u{e9}"),
            ("ce_traceparent", sample::TRACE),
        ];
        assert_eq!(found, sample::texts(expected), "in this order");
        let found = (record.time, record.key.as_deref(), &*record.value);
        assert_eq!(found, (1_795_000_001_500, Some(&b"ke%y"[..]), &b"{}"[..]));
    }
}
