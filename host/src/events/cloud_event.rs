//! The envelope of an event: CloudEvents 1.0 in its JSON format.

use super::event_record::EventRecord;
use super::topic_name::TopicName;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

/// The envelope. The payload is passed on as it was published, to the last digit.
#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: String,
    source: String,
    #[serde(rename = "type")]
    kind: &'a str,
    time: String,
    datacontenttype: &'static str,
    publisher: &'a str,
    sequence: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    partitionkey: Option<&'a str>,
    data: Option<&'a RawValue>,
}

/// The event `number` of `topic` as a CloudEvent (CloudEvents 1.0.2, section 3; JSON format, section 3).
///
/// `source` and `id` together are unique, as section 3.1.1 demands: the source names the topic of this host, and the id
/// is the event's number in it. `sequence`, `partitionkey` and `traceparent` are documented extensions of the
/// specification.
pub fn cloud_event(topic: &TopicName, number: u64, event: &EventRecord) -> Box<RawValue> {
    let envelope = CloudEvent {
        specversion: "1.0",
        id: number.to_string(),
        source: format!("/topics/{topic}"),
        kind: topic.as_str(),
        time: rfc3339(event.time),
        datacontenttype: "application/json",
        publisher: &event.source,
        // Texts of equal length sort as their numbers do: the extension compares them as texts.
        sequence: format!("{number:020}"),
        traceparent: event.trace.as_ref().map(ToString::to_string),
        partitionkey: event.key.as_deref(),
        // A payload is published only if it is JSON.
        data: serde_json::from_str(&event.payload).ok(),
    };
    to_raw_value(&envelope).expect("texts and JSON are JSON")
}

/// The time `ms` milliseconds after 1970, as RFC 3339 writes it, in UTC.
pub(crate) fn rfc3339(ms: u64) -> String {
    let (days, rest) = (ms / 86_400_000, ms % 86_400_000);
    let (year, month, day) = civil(days);
    let (hour, minute, second, ms) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1000 % 60, rest % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// Year, month and day of the day that is so many days after 1970-01-01. The algorithm is Howard Hinnant's
/// `civil_from_days`: years begin in March there, so that the leap day is the last one.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::TraceParent;

    #[test]
    fn an_envelope_has_the_required_attributes_and_the_payload_as_it_is() {
        let payload = r#"{"id":"o-1","total":9007199254740993.50}"#.to_owned();
        let trace = TraceParent::parse("00-000000000000000000000000000000ab-00000000000000cd-01");
        let (time, key) = (1_795_000_000_123, Some("o-1".into()));
        let event = EventRecord { time, source: "orders".into(), key, payload, trace };
        let expected = r#"{"specversion":"1.0","id":"7","source":"/topics/orders.placed","type":"orders.placed","#
            .to_owned()
            + r#""time":"2026-11-18T11:06:40.123Z","datacontenttype":"application/json","publisher":"orders","#
            + r#""sequence":"00000000000000000007","#
            + r#""traceparent":"00-000000000000000000000000000000ab-00000000000000cd-01","partitionkey":"o-1","#
            + r#""data":{"id":"o-1","total":9007199254740993.50}}"#;
        assert_eq!(cloud_event(&TopicName::new("orders.placed").unwrap(), 7, &event).get(), expected);
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        // From `date -u -d @SECONDS`.
        let cases = [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199_999, "2024-02-29T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ];
        for (ms, text) in cases {
            assert_eq!(rfc3339(ms), text);
        }
    }
}
