//! `GET /openapi.json` of the admin: what it can be asked, from one table and the wire types themselves.

use super::answer_schema::schema_of;
use super::apply_view::ApplyView;
use super::data::LINES;
use super::data_view::{ImportedView, SnapshotView};
use super::handler::AdminState;
use super::limit_view::{ErasedView, KeyReplacedView, LimitView, MaintenanceView};
use super::node_view::{NodeView, NodesView};
use super::observed_view::{ChangeView, HostWhyView, LinesView, OverviewView, TrapView, WhyView};
use super::operations::Operations;
use super::operator::Role;
use super::recording_view::RecordingView;
use super::rollout_view::{AdoptedView, BegunView, HistoryView, RolloutView};
use super::schedule_view::ScheduleView;
use super::trace_view::{TraceSummaryView, TraceView};
use super::view::{
    CacheView, ClearedView, FaultView, KeyView, OutsideView, ProblemView, PurgedView, RouteView, ServiceView, SwapView,
    TrialView,
};
use crate::audit::AuditLine;
use axum::routing::get;
use axum::{Json, Router};
use http::Method;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// One thing that the admin can be asked.
#[derive(Clone, Copy)]
struct AdminResource {
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    /// The parameters of its query.
    query: &'static [&'static str],
    /// The media type of its answer.
    media_type: &'static str,
    /// The schema of its answer.
    answer: fn() -> Value,
}

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";

const fn resource(
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    answer: fn() -> Value,
) -> AdminResource {
    AdminResource { method, path, summary, query: &[], media_type: JSON, answer }
}

const fn asked(resource: AdminResource, query: &'static [&'static str]) -> AdminResource {
    AdminResource { query, ..resource }
}

const fn written_as(resource: AdminResource, media_type: &'static str) -> AdminResource {
    AdminResource { media_type, ..resource }
}

/// The parameters that the resource `path` knows when it is read; `None`: there is no such resource. The probes and the
/// metrics take what their callers add.
pub(super) fn known_query(path: &str) -> Option<&'static [&'static str]> {
    let is = |resource: &&AdminResource| {
        let parts = resource.path.split('/').map(Some).chain([None]);
        let mut both = parts.zip(path.split('/').map(Some).chain([None]));
        let same = |(part, own): (Option<&str>, Option<&str>)| {
            part == own || part.zip(own).is_some_and(|(part, _)| part.starts_with('{'))
        };
        resource.method == GET && resource.path.starts_with("/v1/") && both.all(same)
    };
    RESOURCES.iter().find(is).map(|resource| resource.query)
}

fn anything() -> Value {
    json!({ "type": "object" })
}

fn text() -> Value {
    json!({ "type": "string" })
}

const GET: &str = "GET";
const POST: &str = "POST";
const PUT: &str = "PUT";
const DELETE: &str = "DELETE";

/// Every resource under `/v1`, the probes and the metrics. A test holds the router against it.
static RESOURCES: [AdminResource; 65] = [
    resource(GET, "/healthz", "Whether the host is alive", anything),
    resource(GET, "/readyz", "Whether the host takes requests", anything),
    written_as(resource(GET, "/metrics", "All metrics, as OpenMetrics text", text), "application/openmetrics-text"),
    resource(GET, "/v1/services", "Every service", schema_of::<Vec<ServiceView>>),
    resource(GET, "/v1/services/{name}", "One service", schema_of::<ServiceView>),
    resource(POST, "/v1/services/{name}/swap", "Replace its component", schema_of::<SwapView>),
    resource(POST, "/v1/services/{name}/trial", "Try a component without a change", schema_of::<TrialView>),
    resource(POST, "/v1/services/{name}/rollback", "Return to the revision before", schema_of::<SwapView>),
    resource(POST, "/v1/services/{name}/breaker", "Open, close or reset circuits", schema_of::<ServiceView>),
    resource(POST, "/v1/services/{name}/faults", "Add a fault on purpose", schema_of::<FaultView>),
    resource(DELETE, "/v1/services/{name}/faults", "Clear its faults on purpose", schema_of::<ClearedView>),
    resource(DELETE, "/v1/services/{name}/faults/{id}", "Clear one of them", schema_of::<ClearedView>),
    resource(GET, "/v1/services/{name}/why", "Why it does not fare well, the first cause first", schema_of::<WhyView>),
    resource(GET, "/v1/routes", "Every route", schema_of::<Vec<RouteView>>),
    resource(GET, "/v1/faults", "The active faults on purpose", schema_of::<Vec<FaultView>>),
    resource(DELETE, "/v1/faults", "Clear all of them", schema_of::<ClearedView>),
    resource(DELETE, "/v1/faults/{id}", "Clear one of them", schema_of::<ClearedView>),
    resource(GET, "/v1/outside", "The hosts outside that services called", schema_of::<Vec<OutsideView>>),
    resource(GET, "/v1/keys", "The API keys, without the keys", schema_of::<Vec<KeyView>>),
    resource(POST, "/v1/keys", "Create an API key, which is in this one answer", anything),
    resource(DELETE, "/v1/keys/{id}", "Revoke an API key", schema_of::<KeyView>),
    resource(GET, "/v1/why", "What is wrong in the whole host, and what changed lately", schema_of::<HostWhyView>),
    resource(GET, "/v1/overview", "How every service fares", schema_of::<Vec<OverviewView>>),
    asked(
        resource(
            GET,
            "/v1/logs",
            "The last lines of the log; with `follow`, events that go on",
            schema_of::<LinesView>,
        ),
        &["service", "level", "since", "trace", "limit", "follow"],
    ),
    asked(resource(GET, "/v1/traps", "How guests failed", schema_of::<Vec<TrapView>>), &["service"]),
    asked(
        resource(GET, "/v1/changes", "What has changed, the newest first", schema_of::<Vec<ChangeView>>),
        &["service", "kind", "since", "limit"],
    ),
    resource(GET, "/v1/cache", "How full the gateway's cache is", schema_of::<CacheView>),
    resource(DELETE, "/v1/cache", "Take all answers out of it", schema_of::<PurgedView>),
    resource(POST, "/v1/cache/purge", "Take answers out of it, by path, prefix or tag", schema_of::<PurgedView>),
    resource(GET, "/v1/services/{name}/rollouts", "Its revisions and its canary", schema_of::<HistoryView>),
    resource(POST, "/v1/services/{name}/rollouts", "Begin a rollout of a component", schema_of::<BegunView>),
    resource(GET, "/v1/services/{name}/rollouts/{id}", "One rollout, with its signals", schema_of::<RolloutView>),
    resource(POST, "/v1/services/{name}/rollouts/{id}/{end}", "Promote, roll back or abort it", schema_of::<SwapView>),
    resource(POST, "/v1/services/{name}/rollback/{revision}", "Return to this revision", schema_of::<SwapView>),
    resource(POST, "/v1/services/{name}/adopt", "Write what serves into the manifest's file", schema_of::<AdoptedView>),
    asked(
        resource(GET, "/v1/audit", "The last lines of the audit file, the newest first", schema_of::<Vec<AuditLine>>),
        &["who", "what", "on", "limit"],
    ),
    resource(GET, "/v1/nodes", "The nodes of the cluster, as this one knows them", schema_of::<NodesView>),
    resource(POST, "/v1/nodes/{name}/{order}", "Drain, cordon or uncordon a node", schema_of::<NodeView>),
    resource(GET, "/v1/schedules", "Every schedule", schema_of::<Vec<ScheduleView>>),
    resource(GET, "/v1/recordings", "The recorded calls, the last one first", schema_of::<Vec<RecordingView>>),
    asked(resource(GET, "/v1/recordings/{id}", "The file of one, masked by rule", anything), &["service", "random"]),
    asked(
        asked(
            resource(POST, "/v1/apply", "Serve another manifest, all of it or nothing", schema_of::<ApplyView>),
            &["dry_run", "base", "name"],
        ),
        &["dry_run", "base"],
    ),
    resource(GET, "/v1/topics", "Every topic, with its subscriptions", anything),
    asked(
        resource(GET, "/v1/topics/{topic}/events", "Its events from a place on", anything),
        &["after", "since", "latest", "limit"],
    ),
    resource(POST, "/v1/topics/{topic}/events", "Publish an event", anything),
    asked(
        resource(
            GET,
            "/v1/topics/{topic}/subscriptions/{service}/dead",
            "The dead letters of a subscription",
            anything,
        ),
        &["after", "limit"],
    ),
    resource(POST, "/v1/topics/{topic}/subscriptions/{service}/dead/retry", "Send them again", anything),
    asked(
        resource(GET, "/v1/sagas", "The sagas that have not ended, or those that have", anything),
        &["state", "after", "limit"],
    ),
    resource(POST, "/v1/sagas", "Start a saga", anything),
    resource(GET, "/v1/sagas/{id}", "What a saga is at", anything),
    resource(POST, "/v1/sagas/{id}/{order}", "Retry, skip or compensate it", anything),
    resource(POST, "/v1/services/{name}/rebuild", "Erase its data, and deliver its events again", anything),
    resource(GET, "/v1/limits", "The rate limits", schema_of::<Vec<LimitView>>),
    resource(GET, "/v1/maintenance", "Whether every request is answered with 503", schema_of::<MaintenanceView>),
    resource(PUT, "/v1/maintenance", "Begin or end that", schema_of::<MaintenanceView>),
    resource(DELETE, "/v1/services/{name}/data", "Erase the data of the service", schema_of::<ErasedView>),
    written_as(
        resource(GET, "/v1/services/{name}/data", "All of its data, as they are and not encrypted", text),
        LINES,
    ),
    asked(
        resource(POST, "/v1/services/{name}/data", "Import data, or a snapshot", schema_of::<ImportedView>),
        &["replace", "snapshot"],
    ),
    resource(GET, "/v1/services/{name}/data/snapshots", "Its snapshots", schema_of::<Vec<SnapshotView>>),
    resource(POST, "/v1/services/{name}/data/snapshots", "Make a snapshot on the host", schema_of::<SnapshotView>),
    resource(POST, "/v1/state/key", "Replace the key that encrypts all data", schema_of::<KeyReplacedView>),
    asked(
        resource(GET, "/v1/traces", "The traces that are kept", schema_of::<Vec<TraceSummaryView>>),
        &["service", "min_ms", "error", "limit"],
    ),
    resource(GET, "/v1/traces/{id}", "One trace with its spans", schema_of::<TraceView>),
    written_as(resource(GET, "/v1/stream", "Changes as they come, and rates once a second", text), EVENTS),
    resource(GET, "/openapi.json", "This document", anything),
];

/// The route.
pub(super) fn resources<O: Operations>() -> Router<Arc<AdminState<O>>> {
    Router::new().route("/openapi.json", get(async || Json(document())))
}

/// The paths without a parameter, each once: what one can begin with.
pub(super) fn listed_paths() -> Vec<&'static str> {
    let mut paths: Vec<_> = RESOURCES.iter().map(|resource| resource.path).filter(|path| !path.contains('{')).collect();
    paths.dedup();
    paths
}

/// The document (OpenAPI 3.1).
fn document() -> Value {
    let mut paths = Map::new();
    for resource in &RESOURCES {
        let operations = paths.entry(resource.path).or_insert_with(|| json!({}));
        operations[resource.method.to_ascii_lowercase()] = operation(resource);
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Atoll's admin", "version": env!("CARGO_PKG_VERSION") },
        "security": [{ "token": [] }],
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": { "Problem": schema_of::<ProblemView>() },
        },
        "paths": paths,
    })
}

fn operation(resource: &AdminResource) -> Value {
    let method = Method::from_bytes(resource.method.as_bytes()).unwrap_or_default();
    let in_path = resource.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let in_path = in_path.map(|name| json!({ "name": name, "in": "path", "required": true, "schema": text() }));
    let in_query = resource.query.iter().map(|name| json!({ "name": name, "in": "query", "schema": text() }));
    let refusal = json!({ "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } });
    json!({
        "summary": resource.summary,
        "description": format!("For operators with the role `{}`.", Role::needed(&method, resource.path).as_str()),
        "parameters": in_path.chain(in_query).collect::<Vec<_>>(),
        "responses": {
            "2XX": { "description": "Done", "content": { resource.media_type: { "schema": (resource.answer)() } } },
            "default": { "description": "Refused", "content": refusal },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{LOOPBACK, admin, get, send};
    use super::*;

    #[tokio::test]
    async fn the_document_has_every_route_of_the_code_and_no_other() {
        let sources = [
            include_str!("router.rs"),
            include_str!("traffic.rs"),
            include_str!("keys.rs"),
            include_str!("guards.rs"),
            include_str!("data.rs"),
            include_str!("traces.rs"),
            include_str!("cache.rs"),
            include_str!("apply.rs"),
            include_str!("audit.rs"),
            include_str!("rollouts.rs"),
            include_str!("recordings.rs"),
            include_str!("nodes.rs"),
            include_str!("topics.rs"),
            include_str!("sagas.rs"),
            include_str!("observed.rs"),
            include_str!("admin_document.rs"),
        ];
        let mut routed: Vec<&str> = sources.iter().flat_map(|text| text.split(".route(\"").skip(1)).collect();
        routed =
            routed.into_iter().filter_map(|rest| rest.split('"').next()).filter(|path| path.starts_with('/')).collect();
        let mut described: Vec<&str> = RESOURCES.iter().map(|resource| resource.path).collect();
        for paths in [&mut routed, &mut described] {
            paths.sort_unstable();
            paths.dedup();
        }
        assert_eq!(described, routed);
    }

    #[tokio::test]
    async fn a_path_that_is_none_is_told_where_to_begin() {
        let (admin, _) = admin(LOOPBACK, None);
        let told = get(&admin, "/v1/nothing").await.text;
        for path in ["/healthz", "/metrics", "/v1/services", "/v1/cache/purge", "/v1/state/key", "/v1/stream"] {
            assert_eq!(told.matches(&format!("{path},")).count(), 1, "{path}: {told}");
        }
        assert!(!told.contains("{name}"), "{told}");
    }

    #[tokio::test]
    async fn the_admin_answers_each_method_of_the_document() {
        let (admin, _) = admin(LOOPBACK, None);
        let document: Value = serde_json::from_str(&get(&admin, "/openapi.json").await.text).unwrap();
        assert_eq!(document["openapi"], "3.1.0");
        for resource in RESOURCES.iter().filter(|resource| resource.media_type != EVENTS) {
            let path = resource.path.replace("{name}", "users").replace("{id}", "1").replace("{end}", "abort");
            let answer = send(&admin, resource.method, &path, &[("host", LOOPBACK)]).await;
            let unknown = ["no-such-resource", "wrong-method"].iter().any(|kind| answer.text.contains(kind));
            assert!(!unknown, "{} {path}: {}", resource.method, answer.text);
            let operation = &document["paths"][resource.path][resource.method.to_ascii_lowercase()];
            assert_eq!(operation["summary"], resource.summary);
        }
        let why = &document["paths"]["/v1/services/{name}/why"]["get"];
        let schema = &why["responses"]["2XX"]["content"][JSON]["schema"];
        assert_eq!(schema["properties"]["causes"]["items"]["properties"]["path"]["type"], "array");
        let keys = &document["paths"]["/v1/keys"]["post"]["description"];
        assert!(keys.as_str().unwrap().contains("`admin`"), "{keys}");
    }
}
