//! What the manifest says about one service.

use crate::base::ServiceName;
use crate::breaker;
use crate::egress::Allow;
use crate::mesh::{Dial, TrafficSettings};
use crate::runtime::{Isolation, Limits};
use http::Uri;
use std::collections::BTreeMap;
use std::time::Duration;

/// A service as it is to be deployed: with a component, with plain HTTP addresses, or with both.
#[derive(Clone)]
pub struct Plan {
    /// The name that callers use.
    pub name: ServiceName,
    /// Plain HTTP addresses that serve it.
    pub urls: Vec<PlainAddress>,
    /// How connections to them are made.
    pub dial: Dial,
    /// How connections to outside hosts are made.
    pub outside: Dial,
    /// How often host names among them are resolved again.
    pub dns: Duration,
    /// Endpoints of its component, at least 1.
    pub replicas: usize,
    /// The share of each replica, against the addresses': 1 to 1,000.
    pub weight: u16,
    /// Whether it has a store of its own.
    pub state: bool,
    /// The services that it may call.
    pub calls: Vec<ServiceName>,
    /// The outside hosts that it may call.
    pub egress: Allow,
    /// The functions of which a second call does what one does, as the manifest names them.
    pub idempotent: Vec<String>,
    /// How long its instances live.
    pub isolation: Isolation,
    /// Its configuration, which it reads through `wasi:config/store`.
    pub config: BTreeMap<String, String>,
    /// The limits of each replica.
    pub limits: Limits,
    /// How its calls are made.
    pub traffic: TrafficSettings,
    /// The breaker of each endpoint.
    pub breaker: breaker::Settings,
}

impl Plan {
    /// A plan for a service with nothing but its name, and the defaults of the manifest.
    pub fn new(name: ServiceName) -> Self {
        Self {
            name,
            urls: Vec::new(),
            dial: Dial::default(),
            outside: Dial::default(),
            dns: Duration::from_secs(30),
            replicas: 1,
            weight: 1,
            state: false,
            calls: Vec::new(),
            egress: Allow::default(),
            idempotent: Vec::new(),
            isolation: Isolation::default(),
            config: BTreeMap::new(),
            limits: Limits::default(),
            traffic: TrafficSettings::default(),
            breaker: breaker::Settings::default(),
        }
    }
}

/// A plain HTTP service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlainAddress {
    /// Scheme, host and port. All addresses that the host's name has become endpoints.
    pub base: Uri,
    /// The share of each of them: 1 to 1,000.
    pub weight: u16,
}
