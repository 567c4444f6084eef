//! The wire types: what operators read, and the CLI with them.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A service as operators see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
}

/// One endpoint of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointView {
    /// Its id, unique within the service.
    pub id: String,
    /// `instance` for one in this host, or the address.
    pub place: String,
    /// Its circuit.
    pub breaker: BreakerView,
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
