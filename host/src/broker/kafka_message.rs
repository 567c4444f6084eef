//! An event as a record of the Kafka protocol: CloudEvents 1.0 in the binary mode of its Kafka binding, section 3.2.
//! The key of the event is that of the record.

use super::broker_log::{OutgoingEvent, StoredEvent};
use super::kafka_records::LogRecord;
use super::message::cut;
use crate::base::TraceParent;
use crate::events::{EventRecord, TopicName, longest, rfc3339};
use jiff::Timestamp;

const ID: &str = "ce_id";
const PUBLISHER: &str = "ce_publisher";
const SOURCE: &str = "ce_source";
const TIME: &str = "ce_time";
const TRACE: &str = "ce_traceparent";
/// A record with this header is no event: it is the first one that a host writes in a new epoch.
const MARK: &str = "atoll-mark";
/// How much a record has beside its payload and its key, about.
const ENVELOPE: usize = 300;

/// The record of an event.
pub(super) fn record(topic: &TopicName, event: &OutgoingEvent) -> LogRecord {
    let EventRecord { time, source, key, trace, payload } = &event.record;
    let mut headers = Vec::new();
    let mut insert = |name: &str, value: &str| headers.push((name.to_owned(), value.as_bytes().to_vec()));
    insert("ce_specversion", "1.0");
    insert(ID, &event.id);
    insert(SOURCE, &format!("/topics/{topic}"));
    insert("ce_type", topic.as_str());
    insert(TIME, &rfc3339(*time));
    insert("content-type", "application/json");
    insert(PUBLISHER, source);
    if let Some(trace) = trace {
        insert(TRACE, &trace.to_string());
    }
    let key = key.as_ref().map(|key| key.clone().into_bytes());
    LogRecord { time: time.cast_signed(), key, value: payload.clone().into_bytes(), headers }
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

/// The event of a record at this offset; `None`: it is a mark. What somebody else published may have any payload:
/// whoever handles it finds out.
pub(super) fn stored(offset: u64, record: LogRecord) -> Option<StoredEvent> {
    if record.header(MARK).is_some() {
        return None;
    }
    let told = || u64::try_from(record.header(TIME)?.parse::<Timestamp>().ok()?.as_millisecond()).ok();
    let source = record.header(PUBLISHER).or_else(|| record.header(SOURCE)).unwrap_or_else(|| "outside".to_owned());
    // An empty one names nothing: all events with it would count as one.
    let id = record.header(ID).filter(|id| !id.is_empty());
    let event = EventRecord {
        time: told().unwrap_or_else(|| u64::try_from(record.time).unwrap_or(0)),
        source: cut(source, longest::SOURCE),
        key: record.key.as_ref().map(|key| cut(String::from_utf8_lossy(key).into_owned(), longest::KEY)),
        trace: record.header(TRACE).as_deref().and_then(TraceParent::parse),
        payload: String::from_utf8_lossy(&record.value).into_owned(),
    };
    let bytes = ENVELOPE + event.payload.len() + event.key.as_ref().map_or(0, String::len);
    Some(StoredEvent { number: offset.saturating_add(1), id, record: event, bytes: bytes as u64 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::kafka_records::{ProducerTurn, encode};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_event_reads_as_it_was_written(
            time in 0..4_000_000_000_000_u64,
            source in ".{1,40}",
            key in proptest::option::of("(?s).{0,60}"),
            payload in ".{0,100}",
        ) {
            let trace = TraceParent::parse("00-000000000000000000000000000000ab-00000000000000cd-01");
            let event = EventRecord { time, source, key, payload, trace };
            let event = OutgoingEvent { id: "o-7-ab".into(), record: event };
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
}
