//! What is deployed as one service: the settings of the rooms below, together.

use super::plan::CanaryPlan;
use crate::base::{Digest, ServiceName};
use crate::breaker;
use crate::contract::BoundFunction;
use crate::discovery::SourceSettings;
use crate::egress::Allow;
use crate::events::{Topic, TopicName};
use crate::membership::Placement;
use crate::mesh::{Dial, TrafficSettings};
use crate::runtime::{GuestEnv, Isolation, Limits, RecordShare};
use http::Uri;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// A service as it is deployed: with a component, with plain HTTP addresses, or with both.
#[derive(Debug, Clone)]
pub struct ServiceSpec {
    /// The name that callers use.
    pub name: ServiceName,
    /// The endpoints of its component.
    pub replicas: ReplicaSettings,
    /// The plain HTTP addresses that serve it.
    pub addresses: AddressSettings,
    /// What its component may reach.
    pub grants: GrantSettings,
    /// The functions of its component that may be called twice without harm, each `function` or `interface#function`;
    /// no two the same.
    pub idempotent: Vec<String>,
    /// The folder of the WIT files that describe its component; `None`: nothing is compared with them. Default: none.
    pub wit: Option<PathBuf>,
    /// The functions of its component that routes call, in the order of the routes. Default: none.
    pub routed: Arc<[BoundFunction]>,
    /// The scopes that each of its callers must have. Default: none.
    pub requires: Arc<[Arc<str>]>,
    /// How its calls are made.
    pub traffic: TrafficSettings,
    /// The breaker of each endpoint.
    pub breaker: breaker::Settings,
    /// How a new revision gets its calls, unless the order says otherwise; `None`: all at once. Default: none.
    pub rollout: Option<CanaryPlan>,
    /// Which of its calls are recorded; `None`: none. Default: none.
    pub record: Option<RecordShare>,
    /// The digest of the manifest's component, if another one serves in its place from the start. Default: none.
    pub manifest: Option<Digest>,
    /// On how many nodes of the cluster it stands, if this one may be one of them; `None`: that does not depend on
    /// others. Default: none.
    pub placement: Option<Placement>,
}

/// The endpoints of a component.
#[derive(Debug, Clone)]
pub struct ReplicaSettings {
    /// How many there are, each with its own instances, breaker and load: 1 to 64. Default 1.
    pub count: usize,
    /// The weight of each of them beside the other endpoints of the service: 1 to 1,000. Default 1.
    pub weight: u16,
    /// The limits of each of them.
    pub limits: Limits,
    /// Whether calls share instances.
    pub isolation: Isolation,
}

/// The plain HTTP addresses that serve a service.
#[derive(Debug, Clone, Default)]
pub struct AddressSettings {
    /// The addresses, no two the same.
    pub urls: Vec<PlainAddress>,
    /// How sources of endpoints among them are asked. Default: every 30 s, and no registries.
    pub sources: SourceSettings,
    /// How connections to them are made.
    pub dial: Dial,
}

/// What a component may reach. Default: nothing.
#[derive(Debug, Clone, Default)]
pub struct GrantSettings {
    /// Whether it has a store of its own.
    pub state: bool,
    /// Another name under which it may open that store by `wasi:keyvalue`.
    pub bucket: Option<String>,
    /// What it reads through `wasi:config/store`.
    pub config: BTreeMap<String, String>,
    /// The secrets that it reads through `wasi:config/store` too; none has the name of a value in `config`.
    pub secrets: GuestEnv,
    /// Its environment variables. Their values may be secrets.
    pub env: GuestEnv,
    /// The services that it may call, no two the same; it may be one of them itself.
    pub calls: Vec<ServiceName>,
    /// The outside hosts that it may send requests to.
    pub egress: Allow,
    /// The topics on which it may publish.
    pub publish: Vec<TopicName>,
    /// These topics, as the host has them.
    pub topics: Vec<Arc<Topic>>,
    /// How connections to these hosts are made.
    pub dial: Dial,
}

impl GrantSettings {
    /// Whether it has a store of its own, and whether it may publish.
    pub fn storage(&self) -> (bool, bool) {
        (self.state, !self.publish.is_empty())
    }
}

/// A plain HTTP service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlainAddress {
    /// Scheme, host and port. If the host is a name, each address that it resolves to is an endpoint. With a scheme of
    /// [`SourceAddress`](crate::discovery::SourceAddress), each endpoint that is found there.
    pub base: Uri,
    /// The weight of each of these endpoints beside the others of the service: 1 to 1,000.
    pub weight: u16,
}

impl ServiceSpec {
    /// A service with a name and otherwise the defaults of the manifest.
    pub fn new(name: ServiceName) -> Self {
        Self {
            name,
            replicas: ReplicaSettings::default(),
            addresses: AddressSettings::default(),
            grants: GrantSettings::default(),
            idempotent: Vec::new(),
            wit: None,
            routed: Arc::default(),
            requires: Arc::default(),
            traffic: TrafficSettings::default(),
            breaker: breaker::Settings::default(),
            rollout: None,
            record: None,
            manifest: None,
            placement: None,
        }
    }
}

impl Default for ReplicaSettings {
    fn default() -> Self {
        Self { count: 1, weight: 1, limits: Limits::default(), isolation: Isolation::default() }
    }
}
