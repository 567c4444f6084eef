//! The dashboard's types (`web/src/api/types.ts`) against the wire types: a member that the admin does not send would
//! be `undefined` on a page, and nobody would hear of it.

use super::answer_schema::schema_of;
use super::node_view::{NodeServiceView, NodeView, NodesView};
use super::observed_view::{CauseView, ChangeView, HostWhyView, LineView, OverviewView, TrapView, UseView, WhyView};
use super::recording_view::ShadowView;
use super::rollout_view::{CanaryView, HistoryView, RolloutView, SideView};
use super::schedule_view::ScheduleView;
use super::topic_view::{DeadLetterView, EventView, SubscriptionView, TopicView};
use super::trace_view::{SpanView, TraceSummaryView};
use super::view::{EndpointView, FaultView, OutsideView, ProblemView, RouteView, ServiceView};
use crate::audit::AuditLine;
use crate::coordinator::SagaStatus;
use serde_json::Value;

const TYPES: &str = include_str!("../../../web/src/api/types.ts");

/// Interfaces without a schema: a trace is flattened out of two types, and a CloudEvent is not the admin's.
const OTHERS: [&str; 2] = ["Trace", "CloudEvent"];

fn wire_types() -> Vec<(&'static str, Value)> {
    vec![
        ("Endpoint", schema_of::<EndpointView>()),
        ("Use", schema_of::<UseView>()),
        ("Overview", schema_of::<OverviewView>()),
        ("Why", schema_of::<WhyView>()),
        ("Cause", schema_of::<CauseView>()),
        ("HostWhy", schema_of::<HostWhyView>()),
        ("Service", schema_of::<ServiceView>()),
        ("Nodes", schema_of::<NodesView>()),
        ("ClusterNode", schema_of::<NodeView>()),
        ("NodeService", schema_of::<NodeServiceView>()),
        ("Fault", schema_of::<FaultView>()),
        ("Outside", schema_of::<OutsideView>()),
        ("Route", schema_of::<RouteView>()),
        ("TraceSummary", schema_of::<TraceSummaryView>()),
        ("Span", schema_of::<SpanView>()),
        ("Problem", schema_of::<ProblemView>()),
        ("TrapReport", schema_of::<TrapView>()),
        ("Change", schema_of::<ChangeView>()),
        ("LogLine", schema_of::<LineView>()),
        ("Topic", schema_of::<TopicView>()),
        ("Subscription", schema_of::<SubscriptionView>()),
        ("TopicEvent", schema_of::<EventView>()),
        ("DeadLetter", schema_of::<DeadLetterView>()),
        ("Saga", schema_of::<SagaStatus>()),
        ("Schedule", schema_of::<ScheduleView>()),
        ("History", schema_of::<HistoryView>()),
        ("Rollout", schema_of::<RolloutView>()),
        ("Canary", schema_of::<CanaryView>()),
        ("Side", schema_of::<SideView>()),
        ("Shadow", schema_of::<ShadowView>()),
        ("AuditEntry", schema_of::<AuditLine>()),
    ]
}

/// The members of each interface of `text`: name and type, with the question mark of an optional one.
fn interfaces(text: &str) -> Vec<(&str, Vec<(&str, &str)>)> {
    let all = text.split("\nexport interface ").skip(1).map(|rest| {
        let (head, body) = rest.split_once("{\n").expect("a body follows");
        let name = head.split_whitespace().next().expect("a name follows");
        let body = body.split("\n}").next().unwrap_or_default();
        let lines = body.lines().filter_map(|line| line.strip_prefix("    ")?.strip_suffix(';')?.split_once(": "));
        (name, lines.filter(|(name, _)| !name.starts_with([' ', '*', '/'])).collect())
    });
    all.collect()
}

/// Whether the type that a page expects is the one that is sent.
fn fits(optional: bool, expected: &str, sent: &Value) -> bool {
    let null = sent["anyOf"][1]["type"] == "null";
    let sent = if null { &sent["anyOf"][0] } else { sent };
    let (expected, expects_null) = match expected.strip_suffix(" | null") {
        Some(rest) => (rest, true),
        None => (expected, false),
    };
    let simple = ["string", "number", "boolean"].contains(&expected);
    let same = match sent["type"].as_str() {
        Some("string") => !simple || expected == "string",
        Some("integer" | "number") => expected == "number",
        Some("boolean") => expected == "boolean",
        Some("array") => expected.ends_with("[]"),
        Some(_) => !simple && !expected.ends_with("[]"),
        None => true,
    };
    same && (optional || null == expects_null)
}

#[test]
fn the_dashboard_reads_only_what_the_admin_sends() {
    let (wire_types, interfaces) = (wire_types(), interfaces(TYPES));
    let mut expected: Vec<&str> = interfaces.iter().map(|(name, _)| *name).collect();
    let mut known: Vec<&str> = wire_types.iter().map(|(name, _)| *name).chain(OTHERS).collect();
    expected.sort_unstable();
    known.sort_unstable();
    assert_eq!(expected, known, "an interface of types.ts has no wire type here");
    for (name, schema) in wire_types {
        let (_, members) = interfaces.iter().find(|(own, _)| *own == name).unwrap();
        assert!(!members.is_empty(), "{name}");
        for (member, expected) in members {
            let (member, optional) = member.strip_suffix('?').map_or((*member, false), |member| (member, true));
            // A schema ends at a member of any JSON; it names those behind it all the same.
            let named = schema["required"].as_array().is_some_and(|all| all.iter().any(|own| own == member));
            assert!(named, "`{name}.{member}`: the admin does not send it");
            let sent = &schema["properties"][member];
            assert!(fits(optional, expected, sent), "`{name}.{member}` is read as {expected}, and sent as {sent}");
        }
    }
}

#[test]
fn a_type_that_does_not_fit_is_seen() {
    let text = "\nexport interface A {\n    /** x: y; */\n    one: string | null;\n    two?: B[];\n}\n";
    assert_eq!(interfaces(text), [("A", vec![("one", "string | null"), ("two?", "B[]")])]);
    let service = schema_of::<ServiceView>();
    for (member, expected, fit) in [
        ("name", "string", true),
        ("name", "number", false),
        ("revision", "string | null", true),
        ("revision", "string", false),
        ("endpoints", "Endpoint[]", true),
        ("endpoints", "Endpoint", false),
        ("waiting", "number | null", false),
    ] {
        assert_eq!(fits(false, expected, &service["properties"][member]), fit, "{member}: {expected}");
    }
}
