//! The wire types of traces.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A kept trace, in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TraceSummaryView {
    /// Its id: 32 hex digits.
    pub id: String,
    /// The request's id, which the access log has.
    pub request_id: String,
    /// When the request arrived, in milliseconds since 1970.
    pub began: u64,
    /// How long it took to the end of its answer, in milliseconds.
    pub duration_ms: f64,
    /// Method and route: `GET /users/{id}`.
    pub name: String,
    /// The status of the answer; 499 if the client went away before.
    pub status: u16,
    /// Why it is kept: `trapped`, `circuit-open`, `failed`, `slow`, `parent` or `sampled`.
    pub rule: String,
    /// How many such traces it stands for: more than 1 for one of the sample.
    pub weight: f64,
    /// The services that worked on it, by name.
    pub services: Vec<String>,
    /// The number of its spans.
    pub span_count: usize,
    /// The kind of its deepest failure.
    pub error: Option<String>,
}

/// A whole trace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TraceView {
    /// What the list says of it.
    #[serde(flatten)]
    pub summary: TraceSummaryView,
    /// The path pattern of its route, or a word in brackets.
    pub route: String,
    /// Spans that it had no room for.
    pub lost_spans: u32,
    /// The trace of a client that is not trusted, to which this one has a link.
    pub stranger: Option<String>,
    /// Its spans in the order in which they began. The first one is the gateway's.
    pub spans: Vec<SpanView>,
}

/// One span.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpanView {
    /// Its id: 16 hex digits.
    pub id: String,
    /// The span above it, perhaps of another host.
    pub parent: Option<String>,
    /// Another span of the trace that is its cause: the try before.
    pub link: Option<String>,
    /// `server`, `client` or `internal`.
    pub kind: String,
    /// What was done.
    pub name: String,
    /// Whose work it is; none: the gateway's.
    pub service: Option<String>,
    /// The revision of that service.
    pub revision: Option<String>,
    /// When it began, in milliseconds since the request arrived.
    pub start_ms: f64,
    /// How long it took, in milliseconds.
    pub duration_ms: f64,
    /// The kind of its failure.
    pub error: Option<String>,
    /// What else is known of it.
    pub attributes: BTreeMap<String, Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The list's view is flattened into the whole one: a name in both would make JSON that nobody can read.
    #[test]
    fn a_whole_trace_is_read_as_it_is_written() {
        let summary = TraceSummaryView {
            id: "1".into(),
            request_id: "r".into(),
            began: 1,
            duration_ms: 1.5,
            name: "GET /".into(),
            status: 200,
            rule: "slow".into(),
            weight: 1.0,
            services: vec!["users".into()],
            span_count: 0,
            error: None,
        };
        let view = TraceView { summary, route: "/".into(), lost_spans: 0, stranger: None, spans: Vec::new() };
        let json = serde_json::to_string(&view).unwrap();
        assert_eq!(serde_json::from_str::<TraceView>(&json).unwrap(), view);
    }
}
