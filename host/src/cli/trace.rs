//! `atoll trace`: the kept traces, as a table or as a waterfall.

use super::client::{Client, percent_encoded};
use super::layout::Side::{Left, Right};
use super::layout::{Side, lay_out, none};
use super::output::Output;
use crate::admin::{SpanView, TraceSummaryView, TraceView};
use crate::base::{counted, log_safe};
use clap::Args;
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime};

/// Which traces to show.
#[derive(Debug, Args)]
pub(super) struct TraceArgs {
    /// The id of a trace, or of a request as the access log and `x-request-id` have it
    #[arg(value_name = "ID")]
    pub(super) id: Option<String>,
    /// Only traces in which this service worked
    #[arg(long, value_name = "SERVICE", conflicts_with = "id")]
    pub(super) service: Option<String>,
    /// Only traces of requests that took at least so many milliseconds
    #[arg(long, value_name = "NUMBER", conflicts_with = "id")]
    pub(super) min_ms: Option<u64>,
    /// Only traces of requests in which something went wrong
    #[arg(long, conflicts_with = "id")]
    pub(super) errors: bool,
    /// The most traces, the newest first [default: 50]
    #[arg(long, value_name = "NUMBER", conflicts_with = "id")]
    pub(super) limit: Option<usize>,
    #[command(flatten)]
    pub(super) output: Output,
}

/// The columns of the bars of a waterfall.
const BAR: usize = 32;
/// The longest name of a span that is shown whole.
const NAME: usize = 48;

/// Executes the verb.
pub(super) async fn trace(client: &Client, arguments: TraceArgs) -> anyhow::Result<String> {
    let path = match &arguments.id {
        Some(id) => format!("/v1/traces/{}", percent_encoded(id)),
        None => format!("/v1/traces?{}", query(&arguments)),
    };
    match arguments.id {
        Some(_) => client.show(&path, arguments.output, waterfall).await,
        None => client.list(&path, arguments.output, |traces| list(traces, SystemTime::now())).await,
    }
}

fn query(arguments: &TraceArgs) -> String {
    let TraceArgs { service, min_ms, errors, limit, .. } = arguments;
    let pairs = [
        service.as_ref().map(|service| format!("service={}", percent_encoded(service))),
        min_ms.map(|least| format!("min_ms={least}")),
        errors.then(|| "error=true".to_owned()),
        limit.map(|limit| format!("limit={limit}")),
    ];
    pairs.into_iter().flatten().collect::<Vec<_>>().join("&")
}

/// The traces as a table, the newest first.
fn list(traces: &[TraceSummaryView], now: SystemTime) -> String {
    const COLUMNS: [(&str, Side); 8] = [
        ("TRACE", Left),
        ("AGE", Right),
        ("MS", Right),
        ("STATUS", Right),
        ("KEPT", Left),
        ("SPANS", Right),
        ("ERROR", Left),
        ("REQUEST", Left),
    ];
    if traces.is_empty() {
        return "no traces are kept that fit\n".into();
    }
    let row = |trace: &TraceSummaryView| {
        let began = SystemTime::UNIX_EPOCH + Duration::from_millis(trace.began);
        [
            trace.id.clone(),
            super::layout::age(now.duration_since(began).unwrap_or_default().as_secs()),
            format!("{:.1}", trace.duration_ms),
            if trace.status == 0 { none() } else { trace.status.to_string() },
            trace.rule.clone(),
            trace.span_count.to_string(),
            trace.error.clone().map_or_else(none, |error| shown(&error)),
            shown(&trace.name),
        ]
    };
    lay_out(COLUMNS, traces.iter().map(row))
}

/// The trace as a tree of spans, each with its time as a bar.
fn waterfall(trace: &TraceView) -> String {
    let TraceSummaryView { id, request_id, duration_ms, name, status, rule, .. } = &trace.summary;
    let mut text = format!(
        "trace {id}, request {}\n{}: status {status} after {duration_ms:.3} ms, kept since it is {}\n",
        shown(request_id),
        shown(name),
        reason(rule)
    );
    if trace.lost_spans > 0 {
        text.push_str(&format!(
            "{} had no room: see `spans` in [telemetry]\n",
            counted(trace.lost_spans, "more span", "more spans")
        ));
    }
    if let Some(stranger) = &trace.stranger {
        text.push_str(&format!("the client names a trace of its own: {}\n", shown(stranger)));
    }
    text.push('\n');
    const COLUMNS: [(&str, Side); 5] =
        [("SPAN", Left), ("START", Right), ("MS", Right), ("TIME", Left), ("WHAT", Left)];
    let rows = in_order(&trace.spans).into_iter().map(|(span, indent)| {
        let owner = span.service.as_deref().unwrap_or("gateway");
        let label = format!("{indent}{}", shown(&format!("{owner}: {}", span.name)));
        let (start, took) = (span.start_ms, span.duration_ms);
        [label, format!("{start:.3}"), format!("{took:.3}"), bar(start, took, *duration_ms), what(span)]
    });
    text.push_str(&lay_out(COLUMNS, rows));
    text
}

fn reason(rule: &str) -> String {
    match rule {
        "trapped" => "one in which a guest trapped".into(),
        "circuit-open" => "one that met an open circuit".into(),
        "failed" => "one in which something failed".into(),
        "slow" => "slower than the p99 of its route".into(),
        "parent" => "recorded by its trusted caller".into(),
        "sampled" => "one of the sample".into(),
        other => shown(other),
    }
}

/// The spans, each below its parent and in the order in which they began, with the branches that lead to it.
fn in_order(spans: &[SpanView]) -> Vec<(&SpanView, String)> {
    let known: HashMap<&str, usize> = spans.iter().enumerate().map(|(at, span)| (span.id.as_str(), at)).collect();
    let mut below: BTreeMap<Option<usize>, Vec<usize>> = BTreeMap::new();
    for (at, span) in spans.iter().enumerate() {
        // A parent stands before its children, as the admin sends them: so there is no circle.
        let parent = span.parent.as_deref().and_then(|parent| known.get(parent)).copied().filter(|parent| *parent < at);
        below.entry(parent).or_default().push(at);
    }
    let mut rows = Vec::with_capacity(spans.len());
    // Spans that are still to come, the next one last: its place, the indent of its children, and its branch.
    let mut ahead: Vec<(usize, String, &str)> = Vec::new();
    let push = |ahead: &mut Vec<(usize, String, &'static str)>, parent: Option<usize>, indent: &str| {
        let children = below.get(&parent).map_or(&[][..], Vec::as_slice);
        for (number, child) in children.iter().enumerate().rev() {
            let last = number + 1 == children.len();
            let branch = match (parent, last) {
                (None, _) => "",
                (Some(_), true) => "└ ",
                (Some(_), false) => "├ ",
            };
            ahead.push((*child, indent.to_owned(), branch));
        }
    };
    push(&mut ahead, None, "");
    while let Some((at, indent, branch)) = ahead.pop() {
        rows.push((&spans[at], format!("{indent}{branch}")));
        let inner = match branch {
            "├ " => format!("{indent}│ "),
            "└ " => format!("{indent}  "),
            _ => indent,
        };
        push(&mut ahead, Some(at), &inner);
    }
    rows
}

/// The time of a span within the trace.
fn bar(start: f64, took: f64, whole: f64) -> String {
    let column = |ms: f64| {
        let part = if whole > 0.0 { (ms / whole).clamp(0.0, 1.0) } else { 0.0 };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is within 0 and the width")]
        let column = (part * BAR as f64).round() as usize;
        column
    };
    let first = column(start).min(BAR - 1);
    let length = column(start + took).saturating_sub(first).max(1);
    format!("{}{}{}", "·".repeat(first), "█".repeat(length), "·".repeat(BAR - first - length.min(BAR - first)))
}

/// What else a line says of a span: its failure, and the facts that lead to its cause.
fn what(span: &SpanView) -> String {
    const SHOWN: [&str; 7] = [
        "atoll.endpoint",
        "rpc.method",
        "http.request.method",
        "http.response.status_code",
        "http.request.resend_count",
        "db.operation.name",
        "atoll.service",
    ];
    let facts = SHOWN.iter().filter_map(|name| {
        let value = span.attributes.get(*name)?;
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Some(match *name {
            "http.request.resend_count" => format!("try {}", value.as_i64().unwrap_or_default() + 1),
            _ => shown(&text),
        })
    });
    let error = span.error.iter().map(|error| format!("! {}", shown(error)));
    error.chain(facts).collect::<Vec<_>>().join(" ")
}

/// A text that strangers may have chosen, as the terminal may show it.
fn shown(text: &str) -> String {
    let safe = log_safe(text);
    if safe.chars().count() <= NAME {
        return safe.into_owned();
    }
    safe.chars().take(NAME - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn span(id: &str, parent: Option<&str>, start: f64, took: f64) -> SpanView {
        SpanView {
            id: id.into(),
            parent: parent.map(Into::into),
            link: None,
            kind: "client".into(),
            name: format!("name-{id}"),
            service: parent.map(|_| "users".into()),
            revision: None,
            start_ms: start,
            duration_ms: took,
            error: None,
            attributes: BTreeMap::new(),
        }
    }

    fn trace(spans: Vec<SpanView>) -> TraceView {
        let summary = TraceSummaryView {
            id: "0af7651916cd43dd8448eb211c80319c".into(),
            request_id: "r-1".into(),
            began: 0,
            duration_ms: 8.0,
            name: "GET /users/{id}".into(),
            status: 502,
            rule: "failed".into(),
            weight: 1.0,
            services: vec!["users".into()],
            span_count: spans.len(),
            error: Some("connect".into()),
        };
        TraceView { summary, route: "/users/{id}".into(), lost_spans: 0, stranger: None, spans }
    }

    #[test]
    fn a_waterfall_shows_the_tree_the_times_and_what_failed() {
        let mut first = span("b", Some("a"), 1.0, 2.0);
        first.error = Some("connect".into());
        first.attributes.insert("atoll.endpoint".into(), json!("users-0"));
        let mut second = span("c", Some("a"), 4.0, 4.0);
        second.attributes.insert("http.request.resend_count".into(), json!(1));
        let spans = vec![
            span("a", None, 0.0, 8.0),
            first,
            second,
            span("d", Some("c"), 5.0, 2.0),
            span("e", Some("d"), 5.0, 1.0),
            span("f", Some("c"), 7.5, 0.0),
        ];
        let text = waterfall(&trace(spans));
        let expected = "\
trace 0af7651916cd43dd8448eb211c80319c, request r-1
GET /users/{id}: status 502 after 8.000 ms, kept since it is one in which something failed

SPAN                 START     MS  TIME                              WHAT
gateway: name-a      0.000  8.000  ████████████████████████████████
├ users: name-b      1.000  2.000  ····████████····················  ! connect users-0
└ users: name-c      4.000  4.000  ················████████████████  try 2
  ├ users: name-d    5.000  2.000  ····················████████····
  │ └ users: name-e  5.000  1.000  ····················████········
  └ users: name-f    7.500  0.000  ······························█·
";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_stranger_controls_no_terminal() {
        let mut bad = trace(vec![span("a", None, 0.0, 8.0)]);
        bad.summary.name = "GET \u{1b}[2J/x".into();
        bad.spans[0].name = "\u{1b}]0;title\u{7}".repeat(40);
        let text = waterfall(&bad) + &list(&[bad.summary], SystemTime::now());
        assert!(!text.contains('\u{1b}') && !text.contains('\u{7}'), "{text:?}");
    }

    #[test]
    fn a_parent_that_is_not_there_or_a_circle_ends_the_tree() {
        let spans = [span("a", Some("z"), 0.0, 1.0), span("b", Some("c"), 0.0, 1.0), span("c", Some("b"), 0.0, 1.0)];
        let shown: Vec<_> = in_order(&spans).iter().map(|(span, _)| span.id.as_str()).collect();
        assert_eq!(shown, ["a", "b", "c"]);
    }

    #[test]
    fn the_list_has_a_row_for_each_trace() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(90);
        let text = list(&[trace(Vec::new()).summary], now);
        let rows: Vec<&str> = text.lines().collect();
        assert_eq!(
            rows[1],
            "0af7651916cd43dd8448eb211c80319c   1m  8.0     502  failed      0  connect  GET /users/{id}"
        );
        assert_eq!(list(&[], now), "no traces are kept that fit\n");
    }

    #[test]
    fn what_is_asked_is_the_query() {
        let arguments = TraceArgs {
            id: None,
            service: Some("a&b".into()),
            min_ms: Some(5),
            errors: true,
            limit: Some(3),
            output: Output::default(),
        };
        assert_eq!(query(&arguments), "service=a%26b&min_ms=5&error=true&limit=3");
    }
}
