//! The outside hosts that one service calls.
//!
//! Each host has an endpoint, a breaker, bounds and counters of its own. No two services share one, so no service opens
//! the circuit of another.

use super::endpoint::{Endpoint, EndpointStats};
use super::endpoint_group::EndpointGroup;
use super::target::EndpointTarget;
use super::traffic::{Traffic, TrafficSettings};
use crate::base::{ErrorKind, ServiceName};
use crate::breaker;
use crate::egress::EgressRule;
use crate::mesh::clock;
use crate::mesh::dial::client::{HttpClient, origin};
use crate::mesh::dial::dial::Dial;
use crate::mesh::error::CallError;
use http::Uri;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How outside hosts are called.
#[derive(Clone, Default)]
pub struct OutsideSettings {
    /// How connections are made.
    pub dial: Dial,
    /// The policy of the calls to each host.
    pub traffic: TrafficSettings,
    /// The breaker of each host.
    pub breaker: breaker::Settings,
}

/// The most hosts of one service that are remembered at a time: a rule with `*.` permits any number of hosts. A host
/// without a call under way is forgotten to make room.
const MOST_HOSTS: usize = 64;

/// The outside hosts that one service has called.
pub struct OutsideHosts {
    service: ServiceName,
    settings: OutsideSettings,
    /// By origin: scheme, host, and port if it is not the scheme's own.
    hosts: Mutex<HashMap<String, Arc<EndpointGroup>>>,
}

/// One outside host, for people.
pub struct OutsideHost {
    /// Its origin, such as `https://api.example.com`.
    pub name: String,
    /// How it fares.
    pub stats: Arc<EndpointStats>,
}

impl OutsideHosts {
    /// The outside hosts of `service`, none of which it has called yet.
    pub fn new(service: ServiceName, settings: OutsideSettings) -> Self {
        Self { service, settings, hosts: Mutex::default() }
    }

    /// Every host that is remembered, in the order of the names.
    pub fn all(&self) -> Vec<OutsideHost> {
        let hosts = self.lock();
        let host = |(name, group): (&String, &Arc<EndpointGroup>)| OutsideHost {
            name: name.clone(),
            stats: Arc::clone(&group.endpoints[0].stats),
        };
        let mut all: Vec<_> = hosts.iter().map(host).collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }

    /// The host of `uri`, which `rule` permits.
    ///
    /// # Errors
    /// When `uri` names no host, and when too many hosts have calls under way at the same time.
    pub(crate) fn host(&self, rule: &EgressRule, uri: &Uri) -> Result<Arc<EndpointGroup>, CallError> {
        let base =
            origin(uri).ok_or_else(|| self.error(ErrorKind::Host, format!("`{uri}` is no address of a host")))?;
        let name = base.to_string().trim_end_matches('/').to_owned();
        let mut hosts = self.lock();
        if let Some(host) = hosts.get(&name) {
            return Ok(Arc::clone(host));
        }
        if hosts.len() >= MOST_HOSTS {
            let idle = |host: &Arc<EndpointGroup>| host.endpoints[0].stats.load.in_flight() == 0;
            let idle = hosts.iter().find(|(_, host)| idle(host)).map(|(name, _)| name.clone());
            let idle = idle.ok_or_else(|| {
                self.error(ErrorKind::Overloaded, format!("{MOST_HOSTS} outside hosts have calls under way already"))
            })?;
            hosts.remove(&idle);
        }
        let host = Arc::new(self.group(&name, base, rule));
        hosts.insert(name, Arc::clone(&host));
        Ok(host)
    }

    /// A group of one endpoint: the host at `base`.
    fn group(&self, name: &str, base: Uri, rule: &EgressRule) -> EndpointGroup {
        let OutsideSettings { dial, traffic, breaker } = &self.settings;
        let client = HttpClient::checked(base.clone(), rule.clone(), dial);
        let target = EndpointTarget::Url { base, at: None, client };
        let endpoint = Endpoint::new(name.to_owned(), target, *breaker, 1, clock::now(), rand::random());
        let traffic = Traffic::new(traffic.clone());
        traffic.bulkhead.resize(1);
        EndpointGroup::new(self.service.clone(), vec![Arc::new(endpoint)], Arc::new(traffic))
    }

    fn error(&self, kind: ErrorKind, detail: String) -> CallError {
        CallError::new(&self.service, kind, detail)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<EndpointGroup>>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
