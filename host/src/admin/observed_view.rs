//! The wire types of what an operator sees beside the services: lines, traps, changes, rates, causes.

use crate::telemetry::{HostChange, KeptLine, TrapReport};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::time::SystemTime;

/// Lines of the log, in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinesView {
    /// The lines.
    pub lines: Vec<LineView>,
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LineView {
    /// Its number; numbers rise and have no gaps.
    pub id: u64,
    /// When it was written, in milliseconds since 1970.
    pub time: u64,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    /// The part of the host that wrote it; `guest`: a component.
    pub target: String,
    /// The service that it is about.
    pub service: Option<String>,
    /// The request that it is about.
    pub request_id: Option<String>,
    /// The trace of that request.
    pub trace_id: Option<String>,
    /// The text.
    pub text: String,
    /// The other fields.
    pub fields: Map<String, Value>,
}

impl LineView {
    /// The view of the line with this number.
    pub(super) fn of(id: u64, line: &KeptLine) -> Self {
        let text = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
        Self {
            id,
            time: milliseconds(line.time),
            level: line.level.as_str().to_ascii_lowercase(),
            target: line.target.to_owned(),
            service: text(&line.service),
            request_id: text(&line.request_id),
            trace_id: text(&line.trace_id),
            text: line.message.clone().into(),
            fields: serde_json::from_str(line.fields.get()).unwrap_or_default(),
        }
    }
}

/// The failures of guests at one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrapView {
    /// Its number, unique within the life of the host.
    pub id: u64,
    /// The service.
    pub service: String,
    /// The revision: 12 hex digits.
    pub revision: String,
    /// The whole digest of that revision.
    pub digest: String,
    /// The kind of failure: `trap`, `memory-limit`, …
    pub kind: String,
    /// The innermost error.
    pub cause: String,
    /// The functions on the stack, the innermost first; each with its line of source where the component has debug
    /// information.
    pub frames: Vec<String>,
    /// The end of what the latest call printed to standard error, without secrets in their usual forms.
    pub error_output: String,
    /// How often it happened.
    pub count: u64,
    /// When it happened first, in milliseconds since 1970.
    pub first: u64,
    /// When it happened last.
    pub last: u64,
    /// How long ago that is, in seconds.
    pub last_seconds_ago: u64,
    /// The request of the latest failure.
    pub request_id: String,
    /// What a request was like that led to it. None: it has not ended, or another request of the group is known.
    pub request: Option<RequestShapeView>,
}

/// A request without what its client alone knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestShapeView {
    /// Its method.
    pub method: String,
    /// The pattern of its route.
    pub route: String,
    /// The media type of its body.
    pub content_type: Option<String>,
    /// The length of its body in bytes.
    pub length: Option<u64>,
}

impl From<TrapReport> for TrapView {
    fn from(report: TrapReport) -> Self {
        let frames = report.stack();
        let request = report.request.map(|shape| RequestShapeView {
            method: shape.method,
            route: shape.route,
            content_type: shape.content_type,
            length: shape.length,
        });
        Self {
            id: report.id,
            service: report.service,
            revision: report.revision.short(),
            digest: report.revision.to_string(),
            kind: report.kind.as_str().to_owned(),
            cause: report.cause,
            frames,
            error_output: report.error_output,
            count: report.count,
            first: milliseconds(report.first),
            last: milliseconds(report.last),
            last_seconds_ago: ago(SystemTime::now(), report.last),
            request_id: report.request_id,
            request,
        }
    }
}

/// A change of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeView {
    /// Its number; numbers rise and have no gaps.
    pub id: u64,
    /// When it happened, in milliseconds since 1970.
    pub time: u64,
    /// How long ago that is, in seconds.
    pub seconds_ago: u64,
    /// What changed: `circuit-opened`, `swapped`, …
    pub kind: String,
    /// The service; empty for the host itself.
    pub service: String,
    /// The endpoint, or the host outside.
    pub endpoint: Option<String>,
    /// Why.
    pub reason: String,
    /// The operator who ordered it. None: the host did it by itself.
    pub by: Option<String>,
}

impl ChangeView {
    /// The view of the change with this number.
    pub fn of(id: u64, change: &HostChange) -> Self {
        Self {
            id,
            time: milliseconds(change.time),
            seconds_ago: ago(SystemTime::now(), change.time),
            kind: change.kind.as_str().to_owned(),
            service: change.service.clone(),
            endpoint: change.endpoint.clone(),
            reason: change.reason.clone(),
            by: change.by.as_deref().map(str::to_owned),
        }
    }
}

/// How a service fares now: its traffic of the last minute, its use beside its limits, and what happened last.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct OverviewView {
    /// The service.
    pub service: String,
    /// How long the window of the rates is, in seconds: 60, or less after a start.
    pub window_seconds: f64,
    /// Tries in a second.
    pub requests_per_second: f64,
    /// The share of the tries that the service failed, in percent.
    pub failed_percent: f64,
    /// Below this latency are 99 of 100 tries, in milliseconds. None without tries.
    pub p99_ms: Option<f64>,
    /// Calls that were refused before an endpoint got them.
    pub refused: u64,
    /// Further tries.
    pub retries: u64,
    /// Calls under way, and how many there may be.
    pub in_flight: UseView,
    /// Calls that wait, and how many may.
    pub waiting: UseView,
    /// Memory of request bodies in bytes, and how much there may be.
    pub body_memory: UseView,
    /// Slots of the engine's pool that its instances hold, and how many there are for all services.
    pub pool: UseView,
    /// The endpoints whose circuit is not closed, and all of them.
    pub open_circuits: UseView,
    /// The services that called it, each with its calls.
    pub callers: Vec<CallerView>,
    /// The latest failure.
    pub last_error: Option<LastErrorView>,
    /// The latest change.
    pub newest_change: Option<ChangeView>,
}

/// The calls of a service by another one.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct CallerView {
    /// Who called; `(others)`: callers beyond the first 32.
    pub caller: String,
    /// Its calls in a second.
    pub calls_per_second: f64,
    /// Those that failed, in a second.
    pub failures_per_second: f64,
}

/// What is used of something, and its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UseView {
    /// What is used now.
    pub used: u64,
    /// The limit; 0: there is none.
    pub limit: u64,
}

/// The latest failure of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastErrorView {
    /// How long ago, in seconds.
    pub seconds_ago: u64,
    /// Its kind.
    pub kind: String,
    /// What happened.
    pub detail: String,
}

/// Why a service does not fare well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhyView {
    /// The service that was asked about.
    pub service: String,
    /// Whether nothing is wrong.
    pub well: bool,
    /// What is wrong, the first cause first.
    pub causes: Vec<CauseView>,
}

/// What is wrong in the whole host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostWhyView {
    /// How many services there are.
    pub of_services: u64,
    /// Those that do not fare well. Those that explain others come first.
    pub services: Vec<WhyView>,
    /// What does not work of the host itself: the part, and what it means.
    pub troubles: Vec<String>,
    /// What changed in the last ten minutes, the newest first, ten at most; without circuits, ejections and readiness,
    /// which the causes tell.
    pub changes: Vec<ChangeView>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CauseView {
    /// What it is, in one word: `trap`, `circuit-open`, …
    pub cause: String,
    /// From the service that was asked about to the one where it is wrong, by calls.
    pub path: Vec<String>,
    /// The revision of the last of them.
    pub revision: Option<String>,
    /// What is wrong, in a sentence.
    pub detail: String,
    /// What to look at or to do next: a command.
    pub next: String,
    /// What that command needs of the host and does not find there, in words; `None`: nothing.
    pub needs: Option<String>,
}

/// The milliseconds since 1970; 0 before it.
fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// How many seconds ago `time` was.
fn ago(now: SystemTime, time: SystemTime) -> u64 {
    now.duration_since(time).unwrap_or_default().as_secs()
}
