//! `wasi:otel/tracing`: the spans that a guest opens itself.

use super::attributes::{AttributeRoom, LONGEST_NAME, safe};
use super::bindings::wasi::clocks::wall_clock::Datetime;
use super::bindings::wasi::otel::tracing as contract;
use super::{Otel, place};
use crate::base::{SpanEvent, SpanExtras, SpanId, SpanKind, SpanLink, TraceId, TraceParent, TraceScope, TraceState};
use crate::runtime::context::call_notes::CallNotes;
use crate::runtime::context::context::{Context, own_call};
use crate::telemetry::{GuestSignal, guest_metrics};
use std::time::{Duration, Instant, SystemTime};
use wasmtime::component::Access;
use wasmtime::{AsContextMut, StoreContextMut};

/// The most events and the most links of one span.
const MOST: usize = 16;
/// The most bytes of what a guest says of a failure.
const LONGEST_MESSAGE: usize = 512;

impl contract::Host for Context {}

impl contract::HostWithStore<Context> for Otel {
    fn on_start(mut access: Access<'_, Context, Self>, context: contract::SpanContext) -> wasmtime::Result<()> {
        if let Some(scope) = place(&mut access.as_context_mut())
            && let Some(id) = own_id(&scope, &context)
        {
            // One that may not begin is counted when it ends.
            scope.claim(id, Instant::now());
        }
        Ok(())
    }

    fn on_end(mut access: Access<'_, Context, Self>, span: contract::SpanData) -> wasmtime::Result<()> {
        let mut store = access.as_context_mut();
        let Some(scope) = place(&mut store) else { return Ok(()) };
        if !end(&scope, span) {
            guest_metrics().left_out(store.data().identity.grants.service.as_str(), GuestSignal::Spans, 1);
        }
        Ok(())
    }

    fn current_span_context(mut access: Access<'_, Context, Self>) -> wasmtime::Result<contract::SpanContext> {
        Ok(asked(&mut access.as_context_mut(), true))
    }

    fn outer_span_context(mut access: Access<'_, Context, Self>) -> wasmtime::Result<contract::SpanContext> {
        Ok(asked(&mut access.as_context_mut(), false))
    }
}

/// The id that a guest has given to its span, if it says that the span is one of this trace.
fn own_id(scope: &TraceScope, context: &contract::SpanContext) -> Option<SpanId> {
    let is_own = TraceId::parse(&context.trace_id) == Some(scope.tree().start().id);
    is_own.then(|| SpanId::parse(&context.span_id)).flatten()
}

/// Ends a span. `false`: it is none of this call, or there was no room for what is said of it.
fn end(scope: &TraceScope, span: contract::SpanData) -> bool {
    let Some(id) = own_id(scope, &span.span_context) else { return false };
    let now = Instant::now();
    let kind = match span.span_kind {
        contract::SpanKind::Client => SpanKind::Client,
        contract::SpanKind::Server => SpanKind::Server,
        contract::SpanKind::Producer => SpanKind::Producer,
        contract::SpanKind::Consumer => SpanKind::Consumer,
        contract::SpanKind::Internal => SpanKind::Internal,
    };
    let name = safe(&span.name, LONGEST_NAME).into();
    let Some(mut open) = scope.release(id, SpanId::parse(&span.parent_span_id), (kind, name)) else { return false };
    let mut room = AttributeRoom::new();
    // As systems without scopes name them (OpenTelemetry, "Mapping to non-OTLP formats").
    open.attribute("otel.scope.name", safe(&span.instrumentation_scope.name, LONGEST_NAME));
    if let Some(version) = &span.instrumentation_scope.version {
        open.attribute("otel.scope.version", safe(version, LONGEST_NAME));
    }
    let mut error = None;
    for (name, value) in room.take(span.attributes) {
        // It is written once, with the failure.
        match value {
            crate::base::SpanValue::Text(text) if &*name == "error.type" => error = Some(text),
            value => open.attribute(name, value),
        }
    }
    let message = match span.status {
        contract::Status::Error(message) => {
            open.fail(error.take().unwrap_or("error".into()));
            Some(safe(&message, LONGEST_MESSAGE).into_boxed_str())
        }
        contract::Status::Unset | contract::Status::Ok => None,
    };
    if let Some(error) = error {
        open.attribute("error.type", error);
    }
    let over = |count: usize| u32::try_from(count.saturating_sub(MOST)).unwrap_or(u32::MAX);
    let dropped_events = span.dropped_events.saturating_add(over(span.events.len()));
    let dropped_links = span.dropped_links.saturating_add(over(span.links.len()));
    let events = span.events.into_iter().take(MOST).map(|event| SpanEvent {
        name: safe(&event.name, LONGEST_NAME).into(),
        at: scope.since_began(now, ago(event.time)),
        attributes: room.take(event.attributes),
    });
    let events = events.collect();
    let links = span.links.into_iter().take(MOST).filter_map(|link| self::link(link, &mut room)).collect();
    let dropped = [span.dropped_attributes.saturating_add(room.dropped), dropped_events, dropped_links];
    let state = TraceState::of_members(&span.span_context.trace_state);
    let had_room = open.describe(SpanExtras { state, links, events, message, dropped });
    open.end_at(now);
    had_room
}

fn link(link: contract::Link, room: &mut AttributeRoom) -> Option<SpanLink> {
    let contract::SpanContext { trace_id, span_id, trace_flags, trace_state, .. } = &link.span_context;
    Some(SpanLink {
        trace: TraceId::parse(trace_id)?,
        span: SpanId::parse(span_id)?,
        sampled: trace_flags.contains(contract::TraceFlags::SAMPLED),
        state: TraceState::of_members(trace_state),
        attributes: room.take(link.attributes),
    })
}

/// How long ago a time of the guest's clock is. One that no clock shows is now.
fn ago(time: Datetime) -> Duration {
    // A guest may say any numbers; more nanoseconds than a second has, too.
    let since = Duration::from_secs(time.seconds).checked_add(Duration::from_nanos(time.nanoseconds.into()));
    let time = since.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since));
    time.and_then(|time| time.elapsed().ok()).unwrap_or_default()
}

/// The span that the guest works in: the innermost of its own, or the host's of the call. A guest that is not traced
/// gets one that is none.
fn asked(store: &mut StoreContextMut<'_, Context>, innermost: bool) -> contract::SpanContext {
    let tape = store.data().identity.tape.clone();
    if let Some(played) = tape.play(|playback| playback.span()) {
        return span_context(played.as_deref().and_then(read_place));
    }
    let call = own_call(store);
    if let Some(notes) = CallNotes::of(&call, &store.data().identity.grants) {
        notes.request_id(&call.request_id);
    }
    let scope = call.trace.map(|scope| if innermost { scope.innermost() } else { scope });
    let place = scope.map(|scope| (scope.parent(), scope.tree().start().state.clone()));
    let text = place.as_ref().map_or_else(String::new, |(parent, state)| {
        format!("{parent} {}", state.as_ref().map_or("", TraceState::as_str))
    });
    tape.add(text.len(), |given, _| given.spans.push(text));
    span_context(place)
}

/// A place in a trace, as a recording has it.
fn read_place(text: &str) -> Option<(TraceParent, Option<TraceState>)> {
    let (parent, state) = text.split_once(' ')?;
    Some((TraceParent::parse(parent)?, TraceState::of_text(state)))
}

fn span_context(place: Option<(TraceParent, Option<TraceState>)>) -> contract::SpanContext {
    let Some((TraceParent { trace, span, .. }, state)) = place else {
        return contract::SpanContext {
            trace_id: "0".repeat(32),
            span_id: "0".repeat(16),
            trace_flags: contract::TraceFlags::empty(),
            is_remote: false,
            trace_state: Vec::new(),
        };
    };
    contract::SpanContext {
        trace_id: trace.to_string(),
        span_id: span.to_string(),
        // Whether the trace is kept is decided at its end, so the guest records in any case.
        trace_flags: contract::TraceFlags::SAMPLED,
        is_remote: false,
        trace_state: state.map_or_else(Vec::new, |state| state.members()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_time_of_a_guest_breaks_the_clock() {
        for seconds in [0, 1, u64::MAX / 2, u64::MAX - 4, u64::MAX] {
            for nanoseconds in [0, 999_999_999, 1_000_000_000, u32::MAX] {
                let past = ago(Datetime { seconds, nanoseconds });
                assert_eq!(past.is_zero(), seconds > 1, "{seconds} {nanoseconds}");
            }
        }
    }
}
