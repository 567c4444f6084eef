//! What the mesh writes into a request's trace: a span for each try, for a wait, and for a call that was refused.

use crate::base::{CallContext, ErrorKind, OpenSpan, ServiceName, SpanId, SpanKind, TraceMark};
use crate::mesh::clock;
use std::sync::Arc;
use std::time::Instant;

/// The words of one call's spans.
pub(super) struct CallTrace<'a> {
    pub(super) context: &'a CallContext,
    /// The service that is called; for a host outside, the service that calls.
    pub(super) service: &'a ServiceName,
}

impl CallTrace<'_> {
    /// Begins the span of a try at `endpoint`, the one after `tried` others, of which `last` was the last. Boxed, and
    /// on a path of its own: most hosts trace nothing.
    pub(super) fn begin_try(
        &self,
        endpoint: &Arc<str>,
        tried: u32,
        last: Option<SpanId>,
        now: Instant,
    ) -> Option<OpenSpan> {
        let scope = self.context.trace.as_ref()?;
        let mut span = scope.open(SpanKind::Client, self.service.shared(), now)?;
        span.reserve(4);
        span.attribute("atoll.endpoint", Arc::clone(endpoint));
        if tried > 0 {
            span.attribute("http.request.resend_count", i64::from(tried));
        }
        if let Some(last) = last {
            span.link(last);
        }
        Some(span)
    }

    /// Begins the span of a wait in the queue of the service.
    pub(super) fn begin_wait(&self, now: Instant) -> Option<OpenSpan> {
        let scope = self.context.trace.as_ref()?;
        let mut span = scope.open(SpanKind::Internal, "wait in the queue", now)?;
        span.attribute("atoll.service", self.service.shared());
        Some(span)
    }

    /// Writes down a call that was refused before any try.
    pub(super) fn refused(&self, kind: ErrorKind) {
        let Some(scope) = &self.context.trace else { return };
        if matches!(kind, ErrorKind::CircuitOpen | ErrorKind::OutOfService) {
            scope.tree().mark(TraceMark::CircuitOpen);
        }
        let now = clock::now();
        if let Some(mut span) = scope.open(SpanKind::Client, self.service.shared(), now) {
            span.fail(kind.as_str());
            span.end_at(now);
        }
    }
}

/// Writes into a try's span, and into its trace, that it failed.
pub(super) fn note_failure(span: &mut OpenSpan, kind: ErrorKind) {
    use crate::base::Blame;
    span.fail(kind.as_str());
    let mark = match kind {
        ErrorKind::Trap | ErrorKind::Memory => TraceMark::Trapped,
        kind if matches!(kind.blame(), Blame::Service | Blame::Host) => TraceMark::Failed,
        _ => return,
    };
    span.tree().mark(mark);
}

/// Writes the status of an answer into a try's span.
pub(super) fn note_status(span: &mut OpenSpan, status: u16) {
    span.attribute("http.response.status_code", i64::from(status));
    if status >= 400 {
        // A client's span fails by a 4xx too (semantic conventions, HTTP spans).
        span.fail(status.to_string());
    }
    if status >= 500 {
        span.tree().mark(TraceMark::Failed);
    }
}
