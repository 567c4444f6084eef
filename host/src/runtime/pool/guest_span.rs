//! The span of a guest's work for one call, and that of the wait for the instance before it.

use crate::base::{CallContext, ErrorKind, OpenSpan, SpanKind, SpanOwner, SpanText, TraceMark, TraceScope};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A shorter wait for an instance is not shown: an instance that is free at once is made meanwhile.
const WAIT: Duration = Duration::from_micros(100);

/// The work of a guest for one call; nothing if that is not traced. It ends when it is dropped.
#[derive(Default)]
pub(super) struct GuestSpan(Option<Box<TracedWork>>);

struct TracedWork {
    span: OpenSpan,
    /// The place of the try that the work is for.
    above: TraceScope,
}

impl GuestSpan {
    /// Begins the span of the work for the call with this context, which is `owner`'s. Returns the context of the work:
    /// what the guest calls is below this span. It has arrived at `arrived`, and begins when an instance is there.
    pub(super) fn begin(context: &CallContext, owner: &Arc<SpanOwner>, arrived: Instant) -> (CallContext, Self) {
        let mut context = context.clone();
        let Some(above) = context.trace.take() else { return (context, Self(None)) };
        let owned = above.owned_by(owner);
        let Some(span) = owned.open(SpanKind::Server, "handle", arrived.into_std()) else {
            context.trace = Some(owned);
            return (context, Self(None));
        };
        context.trace = Some(span.scope());
        (context, Self(Some(Box::new(TracedWork { span, above }))))
    }

    /// Names the work.
    pub(super) fn describe(&mut self, name: impl FnOnce() -> SpanText) {
        if let Some(work) = &mut self.0 {
            work.span.rename(name());
        }
    }

    /// An instance has begun the work at `leased`, for which the call has waited since `arrived`.
    pub(super) fn leased(&mut self, arrived: Instant, leased: Instant) {
        let Some(work) = &mut self.0 else { return };
        work.span.begin_again(leased.into_std());
        if leased - arrived < WAIT {
            return;
        }
        if let Some(wait) = work.above.open(SpanKind::Internal, "wait for an instance", arrived.into_std()) {
            wait.end_at(leased.into_std());
        }
    }

    /// The work failed.
    pub(super) fn fail(&mut self, kind: ErrorKind) {
        let Some(work) = &mut self.0 else { return };
        work.span.fail(kind.as_str());
        if matches!(kind, ErrorKind::Trap | ErrorKind::Memory) {
            work.span.tree().mark(TraceMark::Trapped);
        }
    }
}
