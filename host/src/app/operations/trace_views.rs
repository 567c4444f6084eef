//! The kept traces as the admin shows them.

use crate::admin::{SpanView, TraceSummaryView, TraceView};
use crate::base::{SpanValue, TraceSpan};
use crate::telemetry::KeptTrace;
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

/// A trace in a list.
pub(super) fn summary(trace: &KeptTrace) -> TraceSummaryView {
    let services: BTreeSet<&str> =
        trace.spans.iter().filter_map(|span| Some(span.owner.as_ref()?.service.as_str())).collect();
    let failed = trace.spans.iter().filter(|span| span.error.is_some());
    // The deepest failure began last.
    let error = failed.max_by_key(|span| span.began).and_then(|span| span.error.as_deref());
    TraceSummaryView {
        id: trace.id.to_string(),
        request_id: trace.request_id.to_string(),
        began: unix_millis(trace.began),
        duration_ms: millis(trace.took),
        name: trace.spans.first().map_or_else(String::new, |span| span.name.to_string()),
        status: trace.status,
        rule: trace.rule.as_str().to_owned(),
        weight: trace.weight,
        services: services.into_iter().map(str::to_owned).collect(),
        span_count: trace.spans.len(),
        error: error.map(str::to_owned),
    }
}

/// A whole trace.
pub(super) fn view(trace: &KeptTrace) -> TraceView {
    TraceView {
        summary: summary(trace),
        route: trace.route.clone(),
        lost_spans: trace.lost,
        stranger: trace.stranger.map(|parent| parent.trace.to_string()),
        spans: trace.spans.iter().map(span_view).collect(),
    }
}

fn span_view(span: &TraceSpan) -> SpanView {
    let value = |value: &SpanValue| match value {
        SpanValue::Text(text) => Value::from(&**text),
        SpanValue::Whole(number) => Value::from(*number),
        SpanValue::Decimal(number) => Value::from(*number),
        SpanValue::Flag(flag) => Value::from(*flag),
        SpanValue::Json(json) => serde_json::from_str(json).unwrap_or_else(|_| Value::from(&**json)),
    };
    SpanView {
        id: span.id.to_string(),
        parent: span.parent.map(|parent| parent.to_string()),
        link: span.link.map(|link| link.to_string()),
        kind: span.kind.as_str().to_owned(),
        name: span.name.to_string(),
        service: span.owner.as_ref().map(|owner| owner.service.clone()),
        revision: span.owner.as_ref().map(|owner| owner.revision.clone()),
        start_ms: millis(span.began),
        duration_ms: millis(span.took),
        error: span.error.as_deref().map(str::to_owned),
        attributes: span.attributes.iter().map(|(name, own)| (name.to_string(), value(own))).collect(),
    }
}

/// Milliseconds, to the microsecond.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

fn unix_millis(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
