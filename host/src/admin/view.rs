//! The wire types: what operators and the CLI read, and what they send.

use super::rollout_view::RolloutView;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// A service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceView {
    /// Its name.
    pub name: String,
    /// The revision that serves: the first 12 hex digits of its digest. None if the service has only addresses.
    pub revision: Option<String>,
    /// The whole digest of that revision, 64 hex digits.
    pub digest: Option<String>,
    /// How long that revision has served, in seconds.
    pub age_seconds: Option<u64>,
    /// Whether the revision is not the manifest's component, because of a swap. It lasts until the host restarts.
    pub differs_from_manifest: bool,
    /// The revision to which a rollback returns, in the same form as `revision`.
    pub previous: Option<String>,
    /// The endpoints that get its calls.
    pub endpoints: Vec<EndpointView>,
    /// How the endpoint of a call is chosen: a word of the manifest, such as `peak-ewma`.
    pub balance: String,
    /// Calls that wait for a permit now.
    pub waiting: u64,
    /// What it has of the engine's pool. None if the service has only addresses.
    pub pool: Option<PoolView>,
    /// Its active faults on purpose.
    pub faults: Vec<FaultView>,
    /// Why the host serves without it, if its component could not be compiled, or if the host was started with
    /// `--partial` and the service cannot be served.
    pub left_out: Option<String>,
    /// Its canary, if one is under way.
    #[serde(default)]
    pub canary: Option<RolloutView>,
    /// Whether what differs from the manifest serves after a restart, too: the host has a history.
    #[serde(default)]
    pub lasts: bool,
    /// Whether it serves the revision on which all nodes of the cluster have agreed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub of_cluster: bool,
    /// What names endpoints of it: host names, records of DNS, registries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<SourceView>,
}

/// A source of endpoints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceView {
    /// As the manifest has it: `consul://10.0.0.2:8500/users`.
    pub address: String,
    /// How many endpoints its last good answer named.
    pub endpoints: u64,
    /// How many of them stand in each zone, if it names zones.
    #[serde(default)]
    pub zones: BTreeMap<String, u64>,
    /// How many more it named that are not healthy. A source that keeps them to itself has none.
    pub unhealthy: u64,
    /// How many more it named that are no addresses, or beyond the most.
    pub unusable: u64,
    /// How long ago the last good answer came, in seconds. None: it has never answered.
    pub age_seconds: Option<u64>,
    /// How many times it has not answered, or named no endpoint, since the host started.
    pub failures: u64,
    /// Why the last answer is not good. None: it is.
    pub error: Option<String>,
}

/// What a service has of the engine's pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolView {
    /// Slots that its instances hold, idle instances too.
    pub held: u64,
    /// Its calls that wait for slots now.
    pub waiting: u64,
    /// How long the first of them has waited, in milliseconds.
    pub longest_wait_ms: u64,
}

/// One endpoint of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EndpointView {
    /// Its id, unique within the service.
    pub id: String,
    /// Where it is: `instance` for a component in this host, or the address.
    pub place: String,
    /// The node of the cluster on which it is. None: this one, or a plain address.
    #[serde(default)]
    pub node: Option<String>,
    /// The state of its circuit.
    pub breaker: BreakerView,
    /// Whether an operator forced that state. It lasts until a reset.
    pub forced: bool,
    /// Whether it has started, and its health checks pass. Without health checks it is ready when it has started.
    pub ready: bool,
    /// Whether it has not started: its code is being compiled, or that of a service which its own calls.
    #[serde(default)]
    pub starting: bool,
    /// Whether it gets no calls for a while, because it failed much more often than the other endpoints.
    pub ejected: bool,
    /// Its weight beside the other endpoints: 1 to 1000.
    pub weight: u16,
    /// How long the heads of its answers took lately, on average, in milliseconds; a failure counts with the time until
    /// it. None before the first call of this revision.
    pub latency_ms: Option<f64>,
    /// What the balancer takes for its latency, in milliseconds: a peak counts at once and fades, and a failure counts
    /// as a second at least. None before the first call of this revision.
    pub balancer_ms: Option<f64>,
    /// Tries at this endpoint since the host started, through all swaps.
    pub requests: u64,
    /// How many of these tries the service failed.
    pub failures: u64,
    /// Tries in flight now.
    pub in_flight: u64,
}

#[cfg(test)]
impl EndpointView {
    /// An endpoint of a test: ready, with so many tries of which so many failed.
    pub(super) fn example(id: &str, place: &str, breaker: BreakerView, requests: u64, failures: u64) -> Self {
        Self {
            id: id.into(),
            place: place.into(),
            node: None,
            breaker,
            forced: false,
            ready: true,
            starting: false,
            ejected: false,
            weight: 1,
            latency_ms: (failures < requests).then_some(1.25),
            balancer_ms: (failures < requests).then_some(1000.0),
            requests,
            failures,
            in_flight: failures,
        }
    }
}

/// The state of a circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BreakerView {
    /// Calls pass.
    Closed,
    /// No call passes.
    Open,
    /// Only probes pass.
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

/// An active fault on purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultView {
    /// Its id, unique within the host; it is used to clear the fault.
    pub id: u64,
    /// The service whose calls it affects.
    pub service: String,
    /// How much longer calls take, in milliseconds.
    pub latency_ms: u64,
    /// The share of calls that take longer: `30%`.
    pub latency_share: String,
    /// The share of calls that fail like an error of the service: `10%`.
    pub error: String,
    /// The share of calls that fail like a trap of the service: `1%`.
    pub trap: String,
    /// The seconds until it ends by itself. None: it ends when it is cleared or the host restarts.
    pub seconds_left: Option<u64>,
    /// Where it came from.
    pub origin: OriginView,
}

/// Where a fault came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OriginView {
    /// The manifest: the fault is active again after a restart.
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

/// The result of clearing faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClearedView {
    /// How many were cleared.
    pub cleared: usize,
}

/// An outside host that a service called. Each service has its own circuit to a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutsideView {
    /// The service that calls it.
    pub service: String,
    /// Scheme, host, and the port where it is not the scheme's own: `https://api.example.com`.
    pub host: String,
    /// The state of its circuit.
    pub breaker: BreakerView,
    /// Requests so far.
    pub requests: u64,
    /// How many of these requests it failed.
    pub failures: u64,
    /// Requests in flight now.
    pub in_flight: u64,
}

/// One route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteView {
    /// What it matches, as text: `GET /api/users`.
    pub matches: String,
    /// The service that answers. None: the gateway answers itself.
    pub service: Option<String>,
    /// What the gateway answers with itself: `files of public`, `308 /new/{id}`. None: a service answers.
    pub answer: Option<String>,
    /// The function that answers, as `interface#function`; of a saga `start`, `show`, or both. None: the service
    /// answers HTTP itself.
    pub call: Option<String>,
    /// How the path changes on the way to the service. None: not at all.
    pub rewrite: Option<String>,
    /// The policies that let callers in: any one of them. None: everybody is let in.
    pub auth: Option<Vec<String>>,
    /// The scopes that a caller must have.
    pub scopes: Vec<String>,
    /// The names of the claims that a caller must have.
    pub claims: Vec<String>,
    /// Why requests are refused, if the host was started with `--partial` and cannot serve the route or its service.
    pub left_out: Option<String>,
}

/// An API key, without the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyView {
    /// Its id, by which it is revoked.
    pub id: String,
    /// Whose key it is.
    pub name: String,
    /// The policy that it belongs to.
    pub policy: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// When it was created, in seconds since 1970.
    pub created: u64,
    /// When it ends, in seconds since 1970. None: never.
    pub expires: Option<u64>,
    /// Whether its time is over.
    pub expired: bool,
}

/// A new API key. This is the one answer that has the key. `Debug` hides it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewKeyView {
    /// The key itself.
    pub key: String,
    /// What is kept of it.
    #[serde(flatten)]
    pub about: KeyView,
}

impl fmt::Debug for NewKeyView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewKeyView").field("about", &self.about).finish_non_exhaustive()
    }
}

/// The body of `POST /v1/keys`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyRequest {
    /// Whose key it is.
    pub name: String,
    /// The policy. None: the only one that has keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// What it may do.
    pub scopes: Vec<String>,
    /// How long it is valid. None: until it is revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in_seconds: Option<u64>,
}

/// The result of a swap or a rollback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwapView {
    /// The service.
    pub service: String,
    /// The revision that serves now: 12 hex digits.
    pub revision: String,
    /// The revision to which a rollback returns.
    pub previous: Option<String>,
    /// Whether the nodes of the cluster that have instances serve it, and this one has none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub elsewhere: bool,
    /// The nodes of the cluster that do not serve it yet, each with what is known of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub late: Vec<String>,
}

/// What a swap would say of a component, which was tried and not swapped in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialView {
    /// The service.
    pub service: String,
    /// The revision that serves, with which the component was compared: 12 hex digits.
    pub revision: String,
    /// Whether the component could be swapped in.
    pub fits: bool,
    /// Why a swap would refuse the component itself. Each continues the sentence "the component …".
    pub refused: Vec<String>,
    /// What other services, routes and their clients would miss, each with its user.
    pub breaks: Vec<String>,
    /// What the service is granted, and how it is bounded.
    pub grants: Vec<GrantView>,
}

/// One kind of what a service is granted, or of its bounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantView {
    /// `limits`, `isolation`, `state`, `config`, `secrets`, `env` or `calls`.
    pub what: String,
    /// As text for people: of settings, secrets and variables the names alone.
    pub lines: Vec<String>,
}

/// What an operator does to a circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BreakerAction {
    /// Force it open: no call passes until a reset.
    Open,
    /// Force it closed: every call passes until a reset.
    Close,
    /// Close it, reset its counts, and let it open by itself again.
    Reset,
}

/// The body of `POST /v1/services/{name}/breaker`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BreakerRequest {
    /// What to do.
    pub order: BreakerAction,
    /// The endpoint of the circuit. None: all circuits of the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
}

/// The body of `POST /v1/services/{name}/faults`: at least one of `latency_ms`, `error` and `trap`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct FaultRequest {
    /// How much longer calls take, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    /// The share of calls that take longer: `30%`. None: all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_share: Option<String>,
    /// The share of calls that fail like an error of the service: `10%`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The share of calls that fail like a trap of the service: `1%`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trap: Option<String>,
    /// The seconds after which it ends by itself. None: it ends when it is cleared or the host restarts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub for_seconds: Option<u64>,
}

/// How full the cache is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheView {
    /// Kept answers.
    pub answers: u64,
    /// The bytes of memory that they hold, about.
    pub bytes: u64,
    /// The bound of these bytes.
    pub max_bytes: u64,
    /// Those of them whose content is on the disk. None: the cache has no disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<CacheDiskView>,
    /// How many answers had to leave for others.
    pub evicted: u64,
}

/// How full the disk of the cache is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheDiskView {
    /// Answers whose content is there.
    pub answers: u64,
    /// The bytes of their content.
    pub bytes: u64,
    /// The bound of these bytes.
    pub max_bytes: u64,
}

/// What a purge has taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgedView {
    /// How many answers.
    pub purged: u64,
}

/// The body of `POST /v1/cache/purge`: exactly one of its members.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct PurgeRequest {
    /// The answers of this path, of all hosts and queries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The answers of this path and the paths below it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// The answers with this tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
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
