//! What happens in a running host as text: lines, traps, changes, causes, rates.

use super::layout::Side::{Left, Right};
use super::layout::{Side, age, lay_out, none};
use crate::admin::{
    CauseView, ChangeView, HostWhyView, LineView, OverviewView, RequestShapeView, TrapView, UseView, WhyView,
};
use crate::base::{log_safe, utc};
use serde_json::Value;
use std::time::{Duration, SystemTime};

/// A line of the log, with its newline.
pub(super) fn line(line: &LineView) -> String {
    let LineView { time, level, target, service, request_id, trace_id, text: message, fields, .. } = line;
    let mut text = format!("{} {:>5} {target}", at(*time), level.to_ascii_uppercase());
    if let Some(service) = service {
        text.push_str(&format!(" {service}"));
    }
    text.push_str(&format!(": {message}"));
    let ids = [("request_id", request_id), ("trace_id", trace_id)];
    let ids = ids.into_iter().filter_map(|(name, id)| Some((name, id.clone()?)));
    let fields = fields.iter().map(|(name, value)| match value {
        Value::String(text) => (name.as_str(), text.clone()),
        value => (name.as_str(), value.to_string()),
    });
    for (name, value) in fields.chain(ids) {
        // Guests choose values: they end neither their field nor the line.
        let plain =
            !value.is_empty() && value.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'=' | b'\\'));
        text.push_str(&if plain { format!(" {name}={value}") } else { format!(" {name}={value:?}") });
    }
    text.push('\n');
    text
}

/// A time that the admin has sent: `2026-11-28T10:00:00.123Z`.
fn at(milliseconds: u64) -> String {
    utc(SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(milliseconds)).unwrap_or(SystemTime::UNIX_EPOCH))
}

/// A change, with its newline.
pub(super) fn change(change: &ChangeView) -> String {
    let ChangeView { time, kind, service, endpoint, reason, by, .. } = change;
    let subject = match (service.as_str(), endpoint) {
        ("", _) => "host".to_owned(),
        (service, Some(endpoint)) => format!("{service} {endpoint}"),
        (service, None) => service.to_owned(),
    };
    let by = by.as_ref().map_or_else(String::new, |by| format!(" (by {by})"));
    format!("{} {kind} {subject}: {reason}{by}\n", at(*time))
}

/// The trap reports, the latest first.
pub(super) fn traps(traps: &[TrapView]) -> String {
    if traps.is_empty() {
        return "no traps\n".into();
    }
    traps.iter().map(trap).collect::<Vec<_>>().join("\n")
}

fn trap(trap: &TrapView) -> String {
    let TrapView { service, revision, kind, cause, frames, error_output, count, request, request_id, .. } = trap;
    let often = if *count == 1 { "once".into() } else { format!("{count} times") };
    let ago = age(trap.last_seconds_ago);
    let mut text =
        format!("{service} {revision} {kind} {often}, last {ago} ago: {}\n", cause.lines().next().unwrap_or_default());
    for (number, frame) in frames.iter().enumerate() {
        text.push_str(&format!("  {number:>2}: {frame}\n"));
    }
    if !error_output.is_empty() {
        text.push_str("  standard error:\n");
        error_output.lines().for_each(|line| text.push_str(&format!("    {}\n", log_safe(line))));
    }
    if let Some(RequestShapeView { method, route, content_type, length }) = request {
        let media_type = content_type.as_ref().map_or_else(String::new, |media_type| format!(", {media_type}"));
        let length = length.filter(|length| *length > 0).map_or_else(String::new, |length| format!(", {length} bytes"));
        text.push_str(&format!("  request: {method} on route {route}{media_type}{length}\n"));
    }
    text.push_str(&format!("  first {}, last {}, request_id {request_id}\n", at(trap.first), at(trap.last)));
    text
}

/// Why a service does not fare well: the first cause, and then the others.
pub(super) fn why(why: &WhyView) -> String {
    let WhyView { service, causes, .. } = why;
    let Some((first, others)) = causes.split_first() else {
        return format!("{service}: nothing is wrong that the host knows of in the last minute\n");
    };
    let mut text = format!("{service}: first cause\n{}", cause(first));
    if !others.is_empty() {
        text.push_str("beside it\n");
        others.iter().for_each(|other| text.push_str(&cause(other)));
    }
    text
}

/// What is wrong in the whole host: each service that does not fare well with its causes, then the host itself, then
/// what changed lately.
pub(super) fn host_why(host: &HostWhyView) -> String {
    let HostWhyView { of_services, services, troubles, changes } = host;
    let mut text = match services.len() {
        0 => format!("nothing is wrong with {of_services} services that the host knows of in the last minute\n"),
        ill => format!("{ill} of {of_services} services do not fare well\n"),
    };
    for WhyView { service, causes, .. } in services {
        let Some((first, own)) = causes.split_first() else { continue };
        // What is wrong there has an entry of its own.
        if first.path.iter().skip(1).any(|callee| services.iter().any(|one| one.service == *callee)) {
            let own: Vec<_> = own.iter().map(|cause| cause.cause.as_str()).collect();
            let (path, own) = (first.path.join(" -> "), own.join(", "));
            text.push_str(&format!("  {own} in {service}: for {} in {path}\n", first.cause));
        } else {
            causes.iter().for_each(|own| text.push_str(&cause(own)));
        }
    }
    troubles.iter().for_each(|trouble| text.push_str(&format!("  {}\n", log_safe(trouble))));
    if !changes.is_empty() {
        text.push_str("changes of the last ten minutes, the newest first\n");
        changes.iter().for_each(|one| text.push_str(&format!("  {}", change(one))));
    }
    text
}

fn cause(CauseView { cause, path, revision, detail, next, needs }: &CauseView) -> String {
    let revision = revision.as_ref().map_or_else(String::new, |revision| format!(" (revision {revision})"));
    let needs = needs.as_ref().map_or_else(String::new, |needs| format!("    which needs {needs}\n"));
    format!("  {cause} in {}{revision}\n    {detail}\n    next: {next}\n{needs}", path.join(" -> "))
}

/// How all services fare, one in each row.
pub(super) fn overview(services: &[OverviewView]) -> String {
    const COLUMNS: [(&str, Side); 12] = [
        ("SERVICE", Left),
        ("REQ/S", Right),
        ("FAILED", Right),
        ("P99", Right),
        ("REFUSED", Right),
        ("RETRIES", Right),
        ("CALLS", Right),
        ("QUEUE", Right),
        ("POOL", Right),
        ("BODIES", Right),
        ("LAST-ERROR", Left),
        ("NEWEST-CHANGE", Left),
    ];
    let row = |one: &OverviewView| {
        let last = one.last_error.as_ref().map(|last| format!("{} {} ago", last.kind, age(last.seconds_ago)));
        let change = one.newest_change.as_ref().map(|last| format!("{} {} ago", last.kind, age(last.seconds_ago)));
        [
            one.service.clone(),
            format!("{:.1}", one.requests_per_second),
            format!("{:.1}%", one.failed_percent),
            one.p99_ms.map_or_else(none, milliseconds),
            one.refused.to_string(),
            one.retries.to_string(),
            used(one.in_flight),
            used(one.waiting),
            used(one.pool),
            share(one.body_memory),
            last.unwrap_or_else(none),
            change.unwrap_or_else(none),
        ]
    };
    lay_out(COLUMNS, services.iter().map(row))
}

/// A latency: `0.4ms`, `41ms`, `1.2s`.
fn milliseconds(value: f64) -> String {
    match value {
        value if value < 10.0 => format!("{value:.1}ms"),
        value if value < 1_000.0 => format!("{value:.0}ms"),
        value => format!("{:.1}s", value / 1_000.0),
    }
}

/// `3/64`; `-` without a limit.
fn used(UseView { used, limit }: UseView) -> String {
    if limit == 0 { none() } else { format!("{used}/{limit}") }
}

/// The used share of a memory; `-` without a limit.
fn share(UseView { used, limit }: UseView) -> String {
    used.saturating_mul(100).checked_div(limit).map_or_else(none, |percent| format!("{percent}%"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_line_shows_its_fields_and_no_value_forges_another() {
        let view: LineView = serde_json::from_value(json!({
            "id": 1, "time": 7, "level": "warn", "target": "guest", "service": "users", "request_id": "r1",
            "trace_id": null, "text": "full", "fields": {"instance": 7, "topic": "a b=c"},
        }))
        .unwrap();
        assert_eq!(
            line(&view),
            "1970-01-01T00:00:00.007Z  WARN guest users: full instance=7 topic=\"a b=c\" request_id=r1\n"
        );
    }

    #[test]
    fn a_change_says_what_where_why_and_who() {
        let mut view = ChangeView {
            id: 1,
            time: 7,
            seconds_ago: 3,
            kind: "circuit-opened".into(),
            service: "users".into(),
            endpoint: Some("users-0".into()),
            reason: "too many failures".into(),
            by: None,
        };
        assert_eq!(change(&view), "1970-01-01T00:00:00.007Z circuit-opened users users-0: too many failures\n");
        (view.by, view.endpoint) = (Some("ann".into()), None);
        assert_eq!(change(&view), "1970-01-01T00:00:00.007Z circuit-opened users: too many failures (by ann)\n");
    }

    #[test]
    fn the_first_cause_stands_first_with_its_path_and_the_next_command() {
        let one = |cause: &str, path: &[&str]| CauseView {
            cause: cause.into(),
            path: path.iter().map(|name| (*name).to_owned()).collect(),
            revision: Some("aaaaaaaaaaaa".into()),
            detail: "7 tries failed".into(),
            next: "atoll traps users".into(),
            needs: None,
        };
        let causes = vec![one("trap", &["orders", "users"]), one("circuit-open", &["orders"])];
        let text = why(&WhyView { service: "orders".into(), well: false, causes });
        let first = "orders: first cause\n  trap in orders -> users (revision aaaaaaaaaaaa)\n    7 tries failed\n    \
                     next: atoll traps users\nbeside it\n  circuit-open in orders";
        assert!(text.starts_with(first), "{text}");
        let lacks = CauseView { needs: Some("`keep`".into()), ..one("timeout", &["users"]) };
        let text = why(&WhyView { service: "users".into(), well: false, causes: vec![lacks] });
        assert!(text.ends_with("    next: atoll traps users\n    which needs `keep`\n"), "{text}");
        let well = WhyView { service: "users".into(), well: true, causes: Vec::new() };
        assert!(why(&well).contains("nothing is wrong"));
    }

    #[test]
    fn the_whole_host_shows_each_cause_once_and_what_changed() {
        let one = |cause: &str, path: &[&str]| CauseView {
            cause: cause.to_owned(),
            path: path.iter().map(|name| (*name).to_owned()).collect(),
            revision: Some("aaaaaaaaaaaa".into()),
            detail: "7 tries failed".into(),
            next: "atoll traps users".into(),
            needs: None,
        };
        let ill = |service: &str, causes: Vec<CauseView>| WhyView { service: service.into(), well: false, causes };
        let services = vec![
            ill("users", vec![one("trap", &["users"]), one("circuit-open", &["users"])]),
            ill("web", vec![one("connect", &["web", "http://a.test"])]),
            ill("orders", vec![one("trap", &["orders", "users"]), one("answered-5xx", &["orders"])]),
        ];
        let mut host =
            HostWhyView { of_services: 9, services, troubles: vec!["keys: away".into()], changes: Vec::new() };
        let block = |cause: &str, path: &str| {
            format!("  {cause} in {path} (revision aaaaaaaaaaaa)\n    7 tries failed\n    next: atoll traps users\n")
        };
        let expected = format!(
            "3 of 9 services do not fare well\n{}{}{}  answered-5xx in orders: for trap in orders -> users\n  keys: \
             away\n",
            block("trap", "users"),
            block("circuit-open", "users"),
            block("connect", "web -> http://a.test")
        );
        assert_eq!(host_why(&host), expected);
        (host.services, host.troubles) = (Vec::new(), Vec::new());
        host.changes = vec![ChangeView {
            id: 1,
            time: 0,
            seconds_ago: 3,
            kind: "log-dropped".into(),
            service: String::new(),
            endpoint: None,
            reason: "nobody reads it".into(),
            by: None,
        }];
        let text = host_why(&host);
        assert!(text.starts_with("nothing is wrong with 9 services"), "{text}");
        let changes = "minutes, the newest first\n  1970-01-01T00:00:00.000Z log-dropped host: nobody reads it\n";
        assert!(text.ends_with(changes), "{text}");
    }

    #[test]
    fn the_overview_shows_rates_and_the_use_beside_its_limit() {
        let one = OverviewView {
            service: "users".into(),
            requests_per_second: 12.34,
            failed_percent: 2.5,
            p99_ms: Some(1_234.0),
            refused: 3,
            retries: 4,
            in_flight: UseView { used: 5, limit: 64 },
            body_memory: UseView { used: 50, limit: 100 },
            ..OverviewView::default()
        };
        let text = overview(&[one]);
        let cells: Vec<_> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(cells, ["users", "12.3", "2.5%", "1.2s", "3", "4", "5/64", "-", "-", "50%", "-", "-"]);
        assert_eq!((milliseconds(0.44), milliseconds(41.4)), ("0.4ms".into(), "41ms".into()));
    }
}
