//! Traces as OTLP (`trace/v1/trace.proto` and `collector/trace/v1/trace_service.proto`).

use super::protobuf::ProtobufWriter;
use super::resource::{HostResource, Resource, nanos, text, write_attribute, write_scope};
use crate::base::{SpanExtras, SpanValue, TraceSpan};
use crate::telemetry::kept_trace::KeptTrace;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The flags of a span whose parent is on another host: that this is known, and that it is so.
const REMOTE: u32 = 0x100 | 0x200;
/// The flags of a span whose parent is on this host: that this is known.
const LOCAL: u32 = 0x100;
/// The status of a span that failed.
const ERROR: u64 = 2;

/// The spans of one owner, each with its trace.
type OwnedSpans<'a> = Vec<(&'a KeptTrace, &'a TraceSpan)>;

/// The request that carries these traces to a collector.
pub fn traces_request(host: &HostResource, traces: &[Arc<KeptTrace>]) -> Vec<u8> {
    let mut owners: BTreeMap<Resource<'_>, OwnedSpans<'_>> = BTreeMap::new();
    for trace in traces {
        for span in &trace.spans {
            let resource = match &span.owner {
                None => Resource::Host,
                Some(owner) => Resource::Service { name: &owner.service, revision: &owner.revision },
            };
            owners.entry(resource).or_default().push((trace, span));
        }
    }
    let mut request = ProtobufWriter::default();
    for (resource, spans) in owners {
        request.message(1, |resource_spans| {
            resource.write(resource_spans, host);
            resource_spans.message(2, |scope_spans| {
                write_scope(scope_spans);
                for (trace, span) in spans {
                    scope_spans.message(2, |message| write_span(message, trace, span));
                }
            });
        });
    }
    request.into_bytes()
}

fn write_span(message: &mut ProtobufWriter, trace: &KeptTrace, span: &TraceSpan) {
    let is_root = span.id == trace.root();
    message.bytes(1, trace.id.bytes());
    message.bytes(2, span.id.bytes());
    let extras = span.extras.as_deref();
    if let Some(state) = extras.and_then(|extras| extras.state.as_ref()).or(trace.state.as_ref()) {
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
    if let Some(extras) = extras {
        write_extras(message, trace, extras);
    }
    if span.error.is_some() {
        message.message(15, |status| {
            status.text(2, extras.and_then(|extras| extras.message.as_deref()).unwrap_or_default());
            status.varint(3, ERROR);
        });
    }
    // The trace's flags: it is recorded, and perhaps its id is random.
    let flags = 1 | if trace.random { 2 } else { 0 };
    message.fixed32(16, flags | if is_root && span.parent.is_some() { REMOTE } else { LOCAL });
}

/// Writes what a guest says of a span of its own.
fn write_extras(message: &mut ProtobufWriter, trace: &KeptTrace, extras: &SpanExtras) {
    let [attributes, events, links] = extras.dropped;
    for (field, dropped) in [(10, attributes), (12, events), (14, links)] {
        if dropped > 0 {
            message.varint(field, dropped.into());
        }
    }
    for event in &extras.events {
        message.message(11, |message| {
            message.fixed64(1, nanos(trace.began, event.at));
            message.text(2, &event.name);
            for (name, value) in &event.attributes {
                write_attribute(message, 3, name, value);
            }
        });
    }
    for link in &extras.links {
        message.message(13, |message| {
            message.bytes(1, link.trace.bytes());
            message.bytes(2, link.span.bytes());
            if let Some(state) = &link.state {
                message.text(3, state.as_str());
            }
            for (name, value) in &link.attributes {
                write_attribute(message, 4, name, value);
            }
            let place = if link.trace == trace.id { LOCAL } else { REMOTE };
            message.fixed32(6, place | u32::from(link.sampled));
        });
    }
}
