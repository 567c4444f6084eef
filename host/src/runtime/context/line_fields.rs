//! What a guest says of a line of its own, beside the text.

use crate::base::{SpanId, TraceId};

/// The fields of a line of a guest's.
#[derive(Clone, Copy, Default)]
pub(crate) struct LineFields<'a> {
    /// What it is about; empty: nothing is said.
    pub(crate) topic: &'a str,
    /// An object of JSON; empty: there is none.
    pub(crate) attributes: &'a str,
    /// The trace that it is logged in.
    pub(crate) trace: Option<TraceId>,
    /// The span of that trace.
    pub(crate) span: Option<SpanId>,
}
