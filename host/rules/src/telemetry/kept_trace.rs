//! A trace that is kept, and why.

use crate::base::{RequestId, SpanId, TraceId, TraceParent, TraceSpan, TraceState};
use std::time::{Duration, SystemTime};

/// Why a trace is kept. The first that applies is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepRule {
    /// A guest trapped, or used up its memory.
    Trapped,
    /// A call met an open circuit.
    CircuitOpen,
    /// The request failed, or a call for it did, even if that was tried again.
    Failed,
    /// It was slower than the p99 of its route.
    Slow,
    /// A trusted peer records the trace.
    Parent,
    /// It is one of the sample.
    Sampled,
}

impl KeepRule {
    /// A stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trapped => "trapped",
            Self::CircuitOpen => "circuit-open",
            Self::Failed => "failed",
            Self::Slow => "slow",
            Self::Parent => "parent",
            Self::Sampled => "sampled",
        }
    }

    /// Whether something went wrong.
    pub fn is_error(self) -> bool {
        matches!(self, Self::Trapped | Self::CircuitOpen | Self::Failed)
    }
}

/// A trace that is kept, from the arrival of its request to the end of the answer.
#[derive(Debug)]
pub struct KeptTrace {
    /// Its id.
    pub id: TraceId,
    /// Whether the id is random.
    pub random: bool,
    /// The request that it is of: the access log has this id.
    pub request_id: RequestId,
    /// When the request arrived.
    pub began: SystemTime,
    /// How long it took to the end of the answer.
    pub took: Duration,
    /// The route, or a word in brackets.
    pub route: String,
    /// The status of the answer; 499 if the client went away before; 0 for an event.
    pub status: u16,
    /// Why it is kept.
    pub rule: KeepRule,
    /// How many such traces it stands for: 1, or for one of the sample as many as were left out beside it.
    pub weight: f64,
    /// What other systems pass on.
    pub state: Option<TraceState>,
    /// What a stranger said of a trace of its own.
    pub stranger: Option<TraceParent>,
    /// Its spans, in the order in which they began. The first one is that of the gateway.
    pub spans: Vec<TraceSpan>,
    /// How many more there were.
    pub lost: u32,
}

impl KeptTrace {
    /// The span of the gateway.
    pub fn root(&self) -> SpanId {
        self.spans.first().expect("a trace has a first span").id
    }

    /// Whether a span is the work of `service`.
    pub fn has_service(&self, service: &str) -> bool {
        self.spans.iter().any(|span| span.owner.as_ref().is_some_and(|owner| owner.service == service))
    }

    /// What it takes of the memory, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let spans = self.spans.iter().map(TraceSpan::bytes).sum::<usize>();
        let spare = (self.spans.capacity() - self.spans.len()) * size_of::<TraceSpan>();
        size_of::<Self>() + self.route.capacity() + spans + spare
    }
}
