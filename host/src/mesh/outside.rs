//! The outside hosts that one service calls. Each is an entry like those of the discovery table, with a breaker, bounds and counters of its
//! own; no two services share one, so that none opens another's circuit.

use super::dial::{Dial, HttpClient, origin};
use super::endpoint::{Endpoint, EndpointStats};
use super::error::CallError;
use super::place::EndpointTarget;
use super::service::Service;
use super::traffic::{Traffic, TrafficSettings};
use crate::base::{ErrorKind, ServiceName};
use crate::breaker;
use crate::egress::EgressRule;
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

/// Most hosts of one service that are known at a time: a rule with `*.` permits any number of them. One that is not called now makes room.
const MOST_HOSTS: usize = 64;

/// The outside hosts that one service has called.
pub struct Outside {
    service: ServiceName,
    settings: OutsideSettings,
    /// By scheme, host and port, which is left out where it is the scheme's own.
    hosts: Mutex<HashMap<String, Arc<Service>>>,
}

impl Outside {
    pub(super) fn new(service: ServiceName, settings: OutsideSettings) -> Self {
        Self { service, settings, hosts: Mutex::default() }
    }

    /// Every host that is known, as `https://api.example.com`, with how it fares.
    pub fn hosts(&self) -> Vec<(String, Arc<EndpointStats>)> {
        let hosts = self.lock();
        let mut all: Vec<_> =
            hosts.iter().map(|(name, host)| (name.clone(), Arc::clone(&host.endpoints[0].stats))).collect();
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        all
    }

    /// The host of `uri`, which `rule` permits.
    ///
    /// # Errors
    /// When the address is none, and when too many hosts are called at the same time.
    pub(super) fn host(&self, rule: &EgressRule, uri: &Uri) -> Result<Arc<Service>, CallError> {
        let base =
            origin(uri).ok_or_else(|| self.error(ErrorKind::Host, format!("`{uri}` is no address of a host")))?;
        let name = base.to_string().trim_end_matches('/').to_owned();
        let mut hosts = self.lock();
        if let Some(host) = hosts.get(&name) {
            return Ok(Arc::clone(host));
        }
        if hosts.len() >= MOST_HOSTS {
            let idle = |host: &Arc<Service>| host.endpoints[0].stats.load.in_flight() == 0;
            let idle = hosts.iter().find(|(_, host)| idle(host)).map(|(name, _)| name.clone());
            let idle = idle.ok_or_else(|| {
                self.error(ErrorKind::Overloaded, format!("{MOST_HOSTS} outside hosts are called at a time already"))
            })?;
            hosts.remove(&idle);
        }
        let host = Arc::new(self.entry(&name, base, rule));
        hosts.insert(name, Arc::clone(&host));
        Ok(host)
    }

    fn entry(&self, name: &str, base: Uri, rule: &EgressRule) -> Service {
        let OutsideSettings { dial, traffic, breaker } = &self.settings;
        let client = HttpClient::checked(base.clone(), rule.clone(), dial);
        let place = EndpointTarget::Url { base, at: None, client };
        let now = super::clock::now();
        let endpoint = Endpoint::new(name.to_owned(), place, *breaker, 1, now, rand::random());
        let traffic = Traffic::new(self.service.clone(), traffic.clone(), OutsideSettings::default());
        traffic.bulkhead.resize(1);
        Service {
            name: self.service.clone(),
            endpoints: vec![Arc::new(endpoint)],
            traffic: Arc::new(traffic),
            revision: None,
            idempotent: Vec::new(),
        }
    }

    fn error(&self, kind: ErrorKind, detail: String) -> CallError {
        CallError::new(&self.service, kind, detail)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Service>>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
