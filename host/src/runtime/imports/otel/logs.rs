//! `wasi:otel/logs`: a guest logs a line with attributes, and with its place in the trace.

use super::attributes::{LONGEST_NAME, json_text, object, safe};
use super::bindings::wasi::otel::logs as contract;
use super::{Otel, place};
use crate::base::{SpanId, TraceId, TraceScope};
use crate::runtime::context::context::Context;
use crate::runtime::context::line_fields::LineFields;
use tracing::Level;
use wasmtime::AsContextMut;
use wasmtime::component::Access;

/// The longest message that is logged of one call, in bytes.
const LONGEST: usize = 512 << 10;

impl contract::Host for Context {}

impl contract::HostWithStore<Context> for Otel {
    fn on_emit(mut access: Access<'_, Context, Self>, record: contract::LogRecord) -> wasmtime::Result<()> {
        let mut store = access.as_context_mut();
        let scope = place(&mut store);
        let level = level(record.severity_number, record.severity_text.as_deref());
        // What is no text in JSON is shown as it is.
        let text = record.body.map(|body| json_text(&body, LONGEST).unwrap_or(body)).unwrap_or_default();
        let name = record.event_name.or_else(|| record.instrumentation_scope.map(|scope| scope.name));
        let name = name.map(|name| safe(&name, LONGEST_NAME)).unwrap_or_default();
        // A line without a text would be none.
        let text = if text.trim().is_empty() { &name } else { &text[..text.floor_char_boundary(LONGEST)] };
        let span = span(scope.as_ref(), record.trace_id.as_deref(), record.span_id.as_deref());
        let fields = LineFields {
            topic: &name,
            attributes: &object(record.attributes.unwrap_or_default()),
            trace: scope.as_ref().map(|scope| scope.tree().start().id),
            span,
        };
        store.data_mut().log(level, &fields, text);
        Ok(())
    }
}

/// The span that a line is said to be of, if it is said to be of this trace.
fn span(scope: Option<&TraceScope>, trace: Option<&str>, span: Option<&str>) -> Option<SpanId> {
    let own = scope?.tree().start().id;
    let is_own = trace.is_none_or(|trace| TraceId::parse(trace) == Some(own));
    is_own.then(|| span.and_then(SpanId::parse)).flatten()
}

/// The level by OpenTelemetry's number for it, or else by its name.
fn level(number: Option<u8>, text: Option<&str>) -> Level {
    match number {
        Some(1..=4) => Level::TRACE,
        Some(5..=8) => Level::DEBUG,
        Some(9..=12) => Level::INFO,
        Some(13..=16) => Level::WARN,
        Some(17..=24) => Level::ERROR,
        _ => text.and_then(|text| text.trim().parse().ok()).unwrap_or(Level::INFO),
    }
}
