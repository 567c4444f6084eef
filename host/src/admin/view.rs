//! The wire types: what operators read, and the CLI with them.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A service as operators see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceView {
    /// Its name.
    pub name: String,
    /// The revision that serves: the first 12 hex digits of its digest. None for a service of plain addresses only.
    pub revision: Option<String>,
    /// The whole digest of that revision, 64 hex digits.
    pub digest: Option<String>,
    /// How long that revision has served, in seconds.
    pub age_seconds: Option<u64>,
    /// Whether a swap made it differ from what the manifest says. It lasts until the host restarts.
    pub differs_from_manifest: bool,
    /// The revision that a rollback returns to, as short as `revision`.
    pub previous: Option<String>,
    /// Where calls can go.
    pub endpoints: Vec<EndpointView>,
    /// How the endpoint of a call is chosen: the manifest's word.
    pub balance: String,
    /// Calls that wait for their turn now.
    pub waiting: u64,
    /// The faults on purpose that stand for it.
    pub faults: Vec<FaultView>,
}

/// One endpoint of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EndpointView {
    /// Its id, unique within the service.
    pub id: String,
    /// `instance` for one in this host, or the address.
    pub place: String,
    /// Its circuit.
    pub breaker: BreakerView,
    /// Whether an operator holds the circuit where it is, until a reset.
    pub forced: bool,
    /// Whether its active checks pass; where there are none, it is ready.
    pub ready: bool,
    /// Whether it left the choice for a while, because it failed far more often than the others.
    pub ejected: bool,
    /// Its share of the calls beside the others': 1 to 1000.
    pub weight: u16,
    /// How long its answers take at the moment, in milliseconds; none before the first, or while it has long had no calls.
    pub latency_ms: Option<f64>,
    /// Calls that were tried here since it was registered.
    pub requests: u64,
    /// Those of them that the service failed.
    pub failures: u64,
    /// Calls that are running now.
    pub in_flight: u64,
}

/// The state of a circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BreakerView {
    /// Calls pass.
    Closed,
    /// No call passes.
    Open,
    /// One call may try.
    HalfOpen,
}

impl fmt::Display for BreakerView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        })
    }
}

/// A fault on purpose that stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultView {
    /// Its id, by which it is cleared: unique within the host.
    pub id: u64,
    /// The service whose calls suffer it.
    pub service: String,
    /// How much longer each call takes, in milliseconds.
    pub latency_ms: u64,
    /// The share of calls that fail like an error of the service: `10%`.
    pub error: String,
    /// The share of calls that fail like a trap of the service: `1%`.
    pub trap: String,
    /// After how many seconds it ends by itself; none: not before it is cleared or the host restarts.
    pub seconds_left: Option<u64>,
    /// Who wanted it.
    pub origin: OriginView,
}

/// Who wanted a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OriginView {
    /// The manifest: it is there again after a restart.
    Manifest,
    /// An operator, through the admin.
    Operator,
}

impl fmt::Display for OriginView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Manifest => "manifest",
            Self::Operator => "operator",
        })
    }
}

/// Faults that were cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClearedView {
    /// How many stood.
    pub cleared: usize,
}

/// An outside host that a service called. Each service has its own circuit to a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutsideView {
    /// The service that calls it.
    pub service: String,
    /// Scheme, host, and the port where it is not the scheme's own: `https://api.example.com`.
    pub host: String,
    /// Its circuit.
    pub breaker: BreakerView,
    /// Requests so far.
    pub requests: u64,
    /// Those of them that it failed.
    pub failures: u64,
    /// Requests that are running now.
    pub in_flight: u64,
}

/// One route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteView {
    /// What it matches, as text: `GET /api/users`.
    pub matches: String,
    /// The service that it leads to.
    pub service: String,
    /// The function that is called, as `interface#function`; absent when the service answers HTTP itself.
    pub call: Option<String>,
    /// The path that the service sees, when it is another one.
    pub rewrite: Option<String>,
}

/// A swap or a rollback that came about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwapView {
    /// The service.
    pub service: String,
    /// The revision that serves now: 12 hex digits.
    pub revision: String,
    /// The revision that a rollback returns to.
    pub previous: Option<String>,
}

/// The body of every refusal (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProblemView {
    /// What kind of problem it is: a URN.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status in words.
    pub title: String,
    /// The status.
    pub status: u16,
    /// What happened and what to do.
    pub detail: String,
    /// The id of the request, also in `x-request-id` and in the log.
    pub request_id: String,
}
