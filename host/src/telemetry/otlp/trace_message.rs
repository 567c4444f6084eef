//! The messages of OTLP (opentelemetry-proto 1.8, `trace/v1/trace.proto` and `collector/trace/v1/trace_service.proto`).
//!
//! One request carries many resources. Each service is one, and so is the gateway: otherwise a backend would draw the
//! whole system as one box.

use super::kept_trace::KeptTrace;
use super::protobuf::{ProtobufReader, ProtobufValue, ProtobufWriter};
use crate::base::{SpanOwner, SpanValue, TraceSpan};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The flags of a span whose parent is on another host: that this is known, and that it is so.
const REMOTE: u32 = 0x100 | 0x200;
/// The flags of a span whose parent is on this host: that this is known.
const LOCAL: u32 = 0x100;
/// The status of a span that failed.
const ERROR: u64 = 2;

/// What all spans of this host have in common.
#[derive(Debug, Clone)]
pub struct HostResource {
    /// The name of the system.
    pub service_name: String,
    /// The name of this process among those of the system.
    pub instance: String,
    /// What else each resource says.
    pub attributes: Vec<(String, String)>,
}

/// The spans of one owner, each with its trace.
type OwnedSpans<'a> = Vec<(&'a KeptTrace, &'a TraceSpan)>;

/// The request that carries these traces to a collector.
pub fn export_request(host: &HostResource, traces: &[Arc<KeptTrace>]) -> Vec<u8> {
    let mut owners: BTreeMap<Option<(&str, &str)>, OwnedSpans<'_>> = BTreeMap::new();
    for trace in traces {
        for span in &trace.spans {
            let owner = span.owner.as_ref().map(|owner| (owner.service.as_str(), owner.revision.as_str()));
            owners.entry(owner).or_default().push((trace, span));
        }
    }
    let mut request = ProtobufWriter::default();
    for spans in owners.values() {
        request.message(1, |resource_spans| {
            let owner = spans.first().and_then(|(_, span)| span.owner.as_deref());
            resource_spans.message(1, |resource| write_resource(resource, host, owner));
            resource_spans.message(2, |scope_spans| {
                scope_spans.message(1, |scope| {
                    scope.text(1, "atoll");
                    scope.text(2, env!("CARGO_PKG_VERSION"));
                });
                for (trace, span) in spans {
                    scope_spans.message(2, |message| write_span(message, trace, span));
                }
            });
        });
    }
    request.into_bytes()
}

fn write_resource(resource: &mut ProtobufWriter, host: &HostResource, owner: Option<&SpanOwner>) {
    let mut attribute = |name: &str, value: &str| write_attribute(resource, 1, name, &text(value));
    match owner {
        None => {
            attribute("service.name", &host.service_name);
            attribute("service.version", env!("CARGO_PKG_VERSION"));
        }
        Some(SpanOwner { service, revision }) => {
            attribute("service.name", service);
            attribute("service.namespace", &host.service_name);
            attribute("service.version", revision);
        }
    }
    attribute("service.instance.id", &host.instance);
    attribute("telemetry.sdk.name", "atoll");
    attribute("telemetry.sdk.language", "rust");
    attribute("telemetry.sdk.version", env!("CARGO_PKG_VERSION"));
    for (name, value) in &host.attributes {
        attribute(name, value);
    }
}

fn write_span(message: &mut ProtobufWriter, trace: &KeptTrace, span: &TraceSpan) {
    let is_root = span.id == trace.root();
    message.bytes(1, trace.id.bytes());
    message.bytes(2, span.id.bytes());
    if let Some(state) = &trace.state {
        message.text(3, state.as_str());
    }
    if let Some(parent) = &span.parent {
        message.bytes(4, parent.bytes());
    }
    message.text(5, &span.name);
    message.varint(6, span.kind as u64);
    message.fixed64(7, nanos(trace.began, span.began));
    message.fixed64(8, nanos(trace.began, span.began + span.took));
    for (name, value) in &span.attributes {
        write_attribute(message, 9, name, value);
    }
    if let Some(error) = &span.error {
        write_attribute(message, 9, "error.type", &SpanValue::Text(error.clone()));
    }
    if is_root {
        write_attribute(message, 9, "atoll.request_id", &text(trace.request_id.as_str()));
        write_attribute(message, 9, "atoll.sampling.rule", &text(trace.rule.as_str()));
        write_attribute(message, 9, "atoll.sampling.weight", &SpanValue::Decimal(trace.weight));
        if trace.lost > 0 {
            write_attribute(message, 9, "atoll.spans.lost", &SpanValue::Whole(trace.lost.into()));
        }
    }
    if let Some(link) = &span.link {
        message.message(13, |message| {
            message.bytes(1, trace.id.bytes());
            message.bytes(2, link.bytes());
            message.fixed32(6, LOCAL);
        });
    }
    if let Some(stranger) = trace.stranger.as_ref().filter(|_| is_root) {
        message.message(13, |message| {
            message.bytes(1, stranger.trace.bytes());
            message.bytes(2, stranger.span.bytes());
            message.fixed32(6, REMOTE | u32::from(stranger.sampled));
        });
    }
    if span.error.is_some() {
        message.message(15, |status| status.varint(3, ERROR));
    }
    // The trace's flags: it is recorded, and perhaps its id is random.
    let flags = 1 | if trace.random { 2 } else { 0 };
    message.fixed32(16, flags | if is_root && span.parent.is_some() { REMOTE } else { LOCAL });
}

/// A text, as the value of an attribute.
fn text(text: &str) -> SpanValue {
    SpanValue::Text(text.to_owned().into())
}

fn write_attribute(message: &mut ProtobufWriter, field: u32, name: &str, value: &SpanValue) {
    message.message(field, |pair| {
        pair.text(1, name);
        pair.message(2, |any| match value {
            SpanValue::Text(text) => any.text_or_empty(1, text),
            SpanValue::Flag(flag) => any.varint(2, u64::from(*flag)),
            SpanValue::Whole(number) => any.varint(3, number.cast_unsigned()),
            SpanValue::Decimal(number) => any.fixed64(4, number.to_bits()),
        });
    });
}

/// Nanoseconds since 1970.
fn nanos(began: SystemTime, after: Duration) -> u64 {
    let since = began.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default() + after;
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// What a collector says of spans that it did not take, in its answer with status 200.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartialSuccess {
    /// How many it refused; 0 with a message is a warning.
    pub rejected: u64,
    /// Why.
    pub message: String,
}

/// Reads a collector's answer. `None` if it took everything without a word, or if the answer is no such message.
pub fn partial_success(answer: &[u8]) -> Option<PartialSuccess> {
    let partial = ProtobufReader(answer).find_map(|field| match field {
        (1, ProtobufValue::Bytes(partial)) => Some(partial),
        _ => None,
    })?;
    let mut found = PartialSuccess { rejected: 0, message: String::new() };
    for field in ProtobufReader(partial) {
        match field {
            (1, ProtobufValue::Number(rejected)) => found.rejected = rejected,
            (2, ProtobufValue::Bytes(message)) => found.message = String::from_utf8_lossy(message).into_owned(),
            _ => {}
        }
    }
    (found.rejected > 0 || !found.message.is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_success_is_read_and_a_whole_one_is_none() {
        assert_eq!(partial_success(b""), None);
        assert_eq!(partial_success(b"\x0a\x00"), None);
        assert_eq!(partial_success(b"not protobuf"), None);
        let partial = partial_success(b"\x0a\x08\x08\x03\x12\x04full");
        assert_eq!(partial, Some(PartialSuccess { rejected: 3, message: "full".into() }));
    }
}
