//! One piece of the work for a request, as a plain record.

use super::span_attribute::{SpanAttribute, SpanText, attribute_bytes, text_bytes};
use super::span_extras::SpanExtras;
use super::trace_context::SpanId;
use std::sync::Arc;
use std::time::Duration;

/// Which side of a call a span is, in the numbers of OTLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    /// Work within a service.
    Internal = 1,
    /// The side that serves a call.
    Server = 2,
    /// The side that makes a call.
    Client = 3,
    /// The side that publishes an event.
    Producer = 4,
    /// The side that handles an event.
    Consumer = 5,
}

impl SpanKind {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Server => "server",
            Self::Client => "client",
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        }
    }
}

/// Whose work a span is: the revision of a service.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct SpanOwner {
    /// The service.
    pub service: String,
    /// The short digest of its revision.
    pub revision: String,
}

/// A span that has ended.
#[derive(Debug, Clone)]
pub struct TraceSpan {
    /// Its id within the trace.
    pub id: SpanId,
    /// The span on whose behalf the work was done; `None` for the first one of a trace that begins here.
    pub parent: Option<SpanId>,
    /// Which side of a call it is.
    pub kind: SpanKind,
    /// What was done, with few different values: no path, no id.
    pub name: SpanText,
    /// Whose work it is; `None`: the gateway's.
    pub owner: Option<Arc<SpanOwner>>,
    /// When it began, since the trace began.
    pub began: Duration,
    /// How long it took.
    pub took: Duration,
    /// The kind of its failure; `None`: it did not fail.
    pub error: Option<SpanText>,
    /// Another span of the trace that is its cause and not its parent: the try before.
    pub link: Option<SpanId>,
    /// What else is known of it.
    pub attributes: Vec<SpanAttribute>,
    /// What else a guest says of a span of its own.
    pub extras: Option<Box<SpanExtras>>,
}

impl TraceSpan {
    /// What it takes of the memory, in bytes.
    pub fn bytes(&self) -> usize {
        size_of::<Self>()
            + attribute_bytes(&self.attributes)
            + text_bytes(&self.name)
            + self.error.as_ref().map_or(0, text_bytes)
            + self.extras.as_ref().map_or(0, |extras| extras.bytes())
    }
}
