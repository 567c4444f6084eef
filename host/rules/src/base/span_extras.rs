//! What a span of a guest's own says and a span of the host's does not: links and events with attributes, and a state.

use super::span_attribute::{SpanAttribute, SpanText, attribute_bytes, text_bytes};
use super::trace_context::{SpanId, TraceId, TraceState};
use std::time::Duration;

/// What else a guest says of its span. The spans of the host have none of it, and pay a pointer.
#[derive(Debug, Clone, Default)]
pub struct SpanExtras {
    /// What other systems pass on, as the guest has it.
    pub state: Option<TraceState>,
    /// Other spans, also of other traces, that have to do with it.
    pub links: Vec<SpanLink>,
    /// What happened within it.
    pub events: Vec<SpanEvent>,
    /// What the guest says of its failure.
    pub message: Option<Box<str>>,
    /// How many attributes, events and links were left out, by the guest or for the bounds.
    pub dropped: [u32; 3],
}

/// Another span that has to do with one.
#[derive(Debug, Clone)]
pub struct SpanLink {
    /// Its trace.
    pub trace: TraceId,
    /// The span.
    pub span: SpanId,
    /// Whether it is recorded, as the guest says.
    pub sampled: bool,
    /// What other systems pass on with it.
    pub state: Option<TraceState>,
    /// What the guest says of the link.
    pub attributes: Vec<SpanAttribute>,
}

/// Something that happened within a span.
#[derive(Debug, Clone)]
pub struct SpanEvent {
    /// What it was.
    pub name: SpanText,
    /// When it was, since the trace began.
    pub at: Duration,
    /// What the guest says of it.
    pub attributes: Vec<SpanAttribute>,
}

impl SpanExtras {
    /// What it takes of the memory, in bytes.
    pub fn bytes(&self) -> usize {
        let state = |state: &Option<TraceState>| state.as_ref().map_or(0, |state| state.as_str().len());
        let links = self.links.iter().map(|link| state(&link.state) + attribute_bytes(&link.attributes));
        let events = self.events.iter().map(|event| text_bytes(&event.name) + attribute_bytes(&event.attributes));
        size_of::<Self>()
            + self.links.capacity() * size_of::<SpanLink>()
            + self.events.capacity() * size_of::<SpanEvent>()
            + state(&self.state)
            + self.message.as_ref().map_or(0, |message| message.len())
            + links.chain(events).sum::<usize>()
    }
}
