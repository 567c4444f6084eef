//! Lines of the log as OTLP (`logs/v1/logs.proto` and `collector/logs/v1/logs_service.proto`).

use super::protobuf::ProtobufWriter;
use super::resource::{HostResource, Resource, nanos, text, write_attribute, write_scope};
use crate::base::{SpanId, SpanValue};
use crate::telemetry::kept_line::KeptLine;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tracing::Level;

/// The request that carries these lines to a collector. A line about a service belongs to that service's resource.
pub fn logs_request(host: &HostResource, lines: &[Arc<KeptLine>]) -> Vec<u8> {
    let mut owners: BTreeMap<Resource<'_>, Vec<&KeptLine>> = BTreeMap::new();
    for line in lines {
        let resource = match line.service.as_deref() {
            None | Some("") => Resource::Host,
            Some(name) => Resource::Service { name, revision: "" },
        };
        owners.entry(resource).or_default().push(line);
    }
    let mut request = ProtobufWriter::default();
    for (resource, lines) in owners {
        request.message(1, |resource_logs| {
            resource.write(resource_logs, host);
            resource_logs.message(2, |scope_logs| {
                write_scope(scope_logs);
                for line in lines {
                    scope_logs.message(2, |message| write_line(message, line));
                }
            });
        });
    }
    request.into_bytes()
}

fn write_line(message: &mut ProtobufWriter, line: &KeptLine) {
    let time = nanos(line.time, Duration::ZERO);
    message.fixed64(1, time);
    message.varint(2, severity(line.level));
    message.text(3, line.level.as_str());
    message.message(5, |any| any.text_or_empty(1, &line.message));
    write_attribute(message, 6, "log.target", &text(line.target));
    if let Some(id) = &line.request_id {
        write_attribute(message, 6, "atoll.request_id", &text(id));
    }
    let fields: Map<String, Value> = serde_json::from_str(line.fields.get()).unwrap_or_default();
    for (name, value) in &fields {
        write_attribute(message, 6, name, &attribute(value));
    }
    if let Some(trace) = line.trace_id.as_deref().and_then(trace_bytes) {
        message.bytes(9, &trace);
        if let Some(span) = fields.get("span_id").and_then(Value::as_str).and_then(SpanId::parse) {
            message.bytes(10, span.bytes());
        }
    }
    message.fixed64(11, time);
}

/// The least severity number of the level's range (opentelemetry-proto, `SeverityNumber`).
fn severity(level: Level) -> u64 {
    match level {
        Level::TRACE => 1,
        Level::DEBUG => 5,
        Level::INFO => 9,
        Level::WARN => 13,
        Level::ERROR => 17,
    }
}

/// The value of a field of a line.
fn attribute(value: &Value) -> SpanValue {
    match value {
        Value::Bool(flag) => SpanValue::Flag(*flag),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => SpanValue::Whole(whole),
            None => SpanValue::Decimal(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(own) => text(own),
        other => text(&other.to_string()),
    }
}

/// The 16 bytes of a trace's id, which is 32 hexadecimal digits.
fn trace_bytes(text: &str) -> Option<[u8; 16]> {
    (text.len() == 32).then(|| u128::from_str_radix(text, 16).ok()).flatten().map(u128::to_be_bytes)
}
