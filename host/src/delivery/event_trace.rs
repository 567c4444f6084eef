//! The trace of one try of an event: its first span is the handling, with a link to the trace of the publisher.

use super::handler::TryEnd;
use super::subscription::Subscription;
use crate::base::{HandledEvent, OpenSpan, RequestId, SpanKind, TraceParent, TraceScope, TraceTree};
use crate::telemetry::{TraceEnd, Tracer};
use std::sync::Arc;
use std::time::Instant;

/// The trace of a try that is under way.
pub(super) struct EventTrace {
    tracer: Arc<Tracer>,
    tree: Arc<TraceTree>,
    root: OpenSpan,
    began: Instant,
}

impl EventTrace {
    /// Begins the trace of the try with the id `id`. `cause` is the place in a trace at which the event was published.
    /// That trace has long ended, so this one does not continue it.
    pub(super) fn begin(tracer: &Arc<Tracer>, cause: Option<TraceParent>, id: &RequestId, began: Instant) -> Self {
        let own = u128::from_str_radix(id.as_str(), 16).unwrap_or_else(|_| rand::random());
        let tree = tracer.begin((cause, None), false, (own, rand::random()), began);
        let root = tree.root_of(SpanKind::Consumer, "process");
        Self { tracer: Arc::clone(tracer), tree, root, began }
    }

    /// The place below the first span.
    pub(super) fn scope(&self) -> TraceScope {
        self.root.scope()
    }

    /// Ends the trace with the outcome. The attributes are those of OpenTelemetry's conventions for messaging.
    pub(super) fn end(self, subscription: &Subscription, event: &HandledEvent, id: &RequestId, end: &TryEnd) {
        let Self { tracer, tree, mut root, began } = self;
        let took = began.elapsed();
        let failed = *end != TryEnd::Handled;
        let Some(rule) = tracer.decide(&tree, Some(&subscription.slow), failed, took) else { return };
        let topic = subscription.topic.name.as_str();
        root.rename(format!("process {topic}"));
        root.reserve(6);
        root.attribute("messaging.system", "atoll");
        root.attribute("messaging.operation.type", "process");
        root.attribute("messaging.destination.name", topic.to_owned());
        root.attribute("messaging.consumer.group.name", subscription.service.shared());
        root.attribute("messaging.message.id", event.number.to_string());
        root.attribute("atoll.event.attempt", i64::from(event.attempt));
        match end {
            TryEnd::Handled => {}
            TryEnd::Failed(_) => root.fail("failed"),
            TryEnd::NotNow(_) => root.fail("not-now"),
        }
        root.end_after(took);
        let route = format!("{topic} > {}", subscription.service);
        tracer.keep(&tree, rule, &TraceEnd { route: &route, request_id: id, status: TraceEnd::NO_STATUS, took });
    }
}
