//! The house as tables: which room stands on which floor, which wing above which, and what a room must never name.

use super::graph::{Circle, Levels};

/// The rooms by floor. A room imports only from floors below its own.
pub const FLOORS: [&[&str]; 11] = [
    &["base"],
    &["telemetry"],
    &[
        "breaker",
        "balance",
        "retry",
        "schedule",
        "fault",
        "egress",
        "limit",
        "cache",
        "route",
        "contract",
        "identity",
        "coding",
        "diagnosis",
        "verdict",
        "recording",
        "membership",
        "naming",
    ],
    &["registry", "state", "audit", "archive", "listen", "events", "expectation", "saga", "peer", "name_server"],
    &["runtime", "broker", "discovery"],
    &["mesh", "cluster"],
    &["rollout", "health", "acme", "delivery", "coordinator"],
    &["gateway", "admin", "node"],
    &["config"],
    &["app", "project"],
    &["cli"],
];

/// The highest floor of the crate `rules`. The floors above are the crate `host`.
const TOP_OF_RULES: usize = 2;

/// The one file outside of `runtime` that names Wasmtime: the impl of a trait of ours for a type of the engine.
pub const ENGINE_VALUES: &str = "host/rules/src/contract/json/engine_value.rs";

/// Imports that the floors would allow and the charters forbid: room, what it must not import, why.
const CLOSED_DOORS: [(&str, &[&str], &str); 2] = [
    (
        "gateway",
        &["runtime", "registry", "breaker", "balance", "state"],
        "the gateway reaches services through the mesh alone",
    ),
    ("runtime", &["route", "registry", "breaker"], "the runtime runs components and does not know who calls them"),
];

/// The wings of each room that has folders, from the top: a wing imports only from wings on levels below its own.
/// A file beside the room's `mod.rs` is a wing by itself; `mod.rs` stands above them all.
const WINGS: [(&str, Levels<'static>); 9] = [
    (
        "app",
        &[
            &["verbs"],
            &["run"],
            &["shutdown", "start_end"],
            &["apply", "cluster_node"],
            &["name_service"],
            &["asynchronous", "running_host"],
            &["event_handler", "fault_watch", "host_parts"],
            &["operations"],
            &["assembly"],
            &["edge"],
            &["discovery_samples", "health_watches", "late_findings", "otlp"],
        ],
    ),
    (
        "state",
        &[
            &["bucket_export", "bucket_import", "overlay"],
            &["data_format"],
            &["store"],
            &["absent_backend", "cursors", "embedded", "postgres", "redis"],
            &["remote"],
            &["backend", "commit_queue"],
            &["frozen_bucket"],
            &["backend_future", "key_watches"],
            &["batch_plan", "bucket_lines"],
            &["transaction"],
            &["error", "fair_queue", "remote_settings", "state_key"],
        ],
    ),
    (
        "broker",
        &[
            &["kafka", "nats", "rabbit"],
            &["envelope"],
            &["broker_log", "request_time", "secure_socket"],
            &["error", "settings"],
        ],
    ),
    ("contract", &[&["compat", "openapi"], &["compact", "http_binding"], &["json"], &["wit"]]),
    (
        "telemetry",
        &[
            &["exposition", "otlp", "trap_report"],
            &[
                "cache_metrics",
                "cluster_metrics",
                "delivery_metrics",
                "discovery_metrics",
                "duration_text",
                "edge_metrics",
                "guest_metrics",
                "host_change",
                "host_collector",
                "log",
                "metrics_source",
                "name_metrics",
                "saga_metrics",
                "schedule_metrics",
                "store_metrics",
                "tls_metrics",
                "trace_collector",
            ],
            &[
                "code_metrics",
                "endpoint_metrics",
                "gateway_metrics",
                "kept_line",
                "label_text",
                "limit_layer",
                "operator",
                "pool_metrics",
                "switched_format",
                "tracer",
            ],
            &[
                "access_line",
                "line_format",
                "line_limiter",
                "line_queue",
                "numbered_ring",
                "service_metrics",
                "slow_threshold",
                "state_counters",
                "status_slot",
                "trace_memory",
                "trace_queue",
                "trace_settings",
            ],
            &["caller_counters", "histogram", "kept_trace", "kind_counters", "traffic_window"],
        ],
    ),
    (
        "runtime",
        &[
            &["pool"],
            &["instance"],
            &["code"],
            &["engine"],
            &["cache", "imports", "settings"],
            &["context"],
            &["tape"],
            &["capacity", "grants", "outcall", "offer"],
            &["lock", "niceness", "values"],
            &["fault"],
            &["error"],
        ],
    ),
    ("mesh", &[&["call"], &["table"], &["dial", "call_rng", "clock"], &["error"]]),
    (
        "gateway",
        &[
            &["operator_access", "succession"],
            &["pipeline"],
            &["caller"],
            &[
                "access_log",
                "acme_answer",
                "answer_extras",
                "body_budget",
                "call_outcome",
                "forwarded_request",
                "head_check",
                "https_only",
                "openapi_document",
                "own_answer",
                "request_changes",
                "count_scopes",
                "public_answer",
                "typed",
            ],
            &["request_trace", "route_numbers", "websocket"],
            &["settings", "told_hosts"],
            &["body_decoding", "entry_gate"],
            &["body_limit"],
            &[
                "address_list",
                "authentication",
                "caching",
                "compression",
                "cors",
                "files",
                "header_edits",
                "mirror",
                "rates",
                "redirection",
                "saga_answer",
                "status",
            ],
            &["call", "caller", "client_address", "disk", "problem", "sticky_fields"],
        ],
    ),
    (
        "config",
        &[
            &["manifest", "manifest_change"],
            &["change_class", "route"],
            &["route_cache"],
            &["route_auth"],
            &["auth", "bridge", "cluster", "dns"],
            &["auth_tokens", "broker", "discovery", "encryption", "operators", "state_backend"],
            &["transforms"],
            &["header_edits", "route_saga"],
            &["edge", "interim", "mirror", "route_call", "saga", "schedule", "telemetry", "websocket"],
            &[
                "auth_names",
                "decompress",
                "matching",
                "openapi",
                "otel_variables",
                "own_answer",
                "service",
                "tls",
                "token",
            ],
            &["acme", "record", "saga_event", "saga_lock", "saga_wait", "subscription"],
            &["secret"],
            &[
                "addresses",
                "audit",
                "breaker",
                "build",
                "cache_bounds",
                "compress",
                "cors",
                "egress",
                "entry",
                "granted_env",
                "health",
                "http2",
                "limits",
                "log",
                "rate",
                "resilience",
                "cluster_calls",
                "placement",
                "rollout",
                "saga_binding",
                "telemetry_logs",
                "topic",
            ],
            &["idle_keys", "listen_addresses"],
            &["reader", "edge_finding_key", "late_finding_key"],
        ],
    ),
];

/// Circles among files that stay, each with its reason.
pub const CIRCLES: [Circle; 3] = [
    ("app", &["verbs/test_bench.rs", "verbs/test_order.rs"], "an order is carried out on a bench that keeps it"),
    ("delivery", &["event_trace.rs", "handler.rs"], "a try and its trace know each other"),
    ("delivery", &["schedules.rs", "timekeeper.rs"], "the schedules own the tasks that keep their times"),
];

/// Names of types that more than one room defines, each with its reason.
pub const SHARED_NAMES: [(&str, &str); 1] =
    [("Settings", "each room owns its settings; others name them with the room: `mesh::Settings`")];

/// The levels of the room's wings, or nothing if the room has none.
pub fn wings(room: &str) -> Option<Levels<'static>> {
    WINGS.iter().find(|(name, _)| *name == room).map(|(_, levels)| *levels)
}

/// The floor of `room`, or nothing if there is no such room.
pub fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

/// The folder of the room, relative to the workspace. A room that no floor has would stand in the host.
pub fn home(room: &str) -> String {
    let crate_ = if floor(room).is_some_and(|floor| floor <= TOP_OF_RULES) { "host/rules/src" } else { "host/src" };
    format!("{crate_}/{room}")
}

/// The rule that an import of `target` by `room` breaks, if it breaks one.
pub fn broken_by_import(room: &str, target: &str) -> Option<String> {
    let Some(from) = floor(room) else {
        return Some(format!("`{room}` is not a room: add it to the table of floors, or move the code"));
    };
    if room == target {
        return None;
    }
    let Some(to) = floor(target) else {
        return Some(format!("`crate::{target}` is not a room: import from the room that owns it"));
    };
    if to >= from {
        let direction = if to == from { "sideways" } else { "up" };
        return Some(format!(
            "{room} (floor {from}) imports {target} (floor {to}), {direction}: a room imports only from floors below it"
        ));
    }
    let (_, _, why) = CLOSED_DOORS.iter().find(|(from, closed, _)| *from == room && closed.contains(&target))?;
    Some(format!("{room} must not import {target}: {why}"))
}

/// Tokens that code in some places must not contain.
pub struct Ban {
    /// The tokens in a row. One that ends in `*` stands for every name that begins so.
    pub tokens: &'static [&'static str],
    /// Whether the ban holds in the room; `None` is `lib.rs` and `main.rs`.
    pub holds_in: fn(Option<&str>) -> bool,
    /// Whether the ban holds in the room's own tests too.
    pub holds_in_tests: bool,
    pub why: &'static str,
}

const fn always(tokens: &'static [&'static str], holds_in: fn(Option<&str>) -> bool, why: &'static str) -> Ban {
    Ban { tokens, holds_in, holds_in_tests: true, why }
}

const fn outside_tests(tokens: &'static [&'static str], holds_in: fn(Option<&str>) -> bool, why: &'static str) -> Ban {
    Ban { tokens, holds_in, holds_in_tests: false, why }
}

fn anywhere(_: Option<&str>) -> bool {
    true
}

fn outside_runtime(room: Option<&str>) -> bool {
    room != Some("runtime")
}

fn below_app(room: Option<&str>) -> bool {
    room.is_some_and(|room| room != "app" && room != "cli")
}

fn vocabulary(room: Option<&str>) -> bool {
    room.and_then(floor) == Some(0)
}

fn decisions(room: Option<&str>) -> bool {
    room.and_then(floor) == Some(2)
}

pub const WASMTIME: &str = "only `runtime` names Wasmtime";
const ANYHOW: &str = "`anyhow` is for `app` and `cli`; a room has its own error enum";
const NO_IO: &str = "floor 0 is vocabulary: no I/O, no tokio";
const PURE: &str = "floor 2 decides from values: it does not wait, read a clock, draw at random, log, or know hyper";
const HIDDEN_DOOR: &str = "this hides an import from the walls";

/// Every ban.
pub const BANS: [Ban; 20] = [
    always(&["wasmtime*", "::"], outside_runtime, WASMTIME),
    always(&["use", "wasmtime*"], outside_runtime, WASMTIME),
    always(&["anyhow", "::"], below_app, ANYHOW),
    always(&["#", "[", "path", "="], anywhere, HIDDEN_DOOR),
    always(&["path", "=", "\"\"", ")", "]"], anywhere, HIDDEN_DOOR), // `#[cfg_attr(…, path = "…")]`
    outside_tests(&["include", "!"], anywhere, HIDDEN_DOOR),
    always(&["extern", "crate", "self"], anywhere, HIDDEN_DOOR),
    outside_tests(&["tokio*", "::"], vocabulary, NO_IO),
    outside_tests(&["hyper*", "::"], vocabulary, NO_IO),
    outside_tests(&["std", "::", "fs"], vocabulary, NO_IO),
    outside_tests(&[".", "await"], decisions, PURE),
    outside_tests(&["Instant", "::", "now"], decisions, PURE),
    outside_tests(&["SystemTime", "::", "now"], decisions, PURE),
    outside_tests(&[".", "elapsed", "(", ")"], decisions, PURE),
    outside_tests(&["rand", "::", "rng"], decisions, PURE),
    outside_tests(&["rand", "::", "random*"], decisions, PURE),
    outside_tests(&["tracing*", "::"], decisions, PURE),
    outside_tests(&["log", "::"], decisions, PURE),
    outside_tests(&["hyper*", "::"], decisions, PURE),
    outside_tests(&["use", "hyper*"], decisions, PURE),
];
