//! The endpoints of a service's plain HTTP addresses: of the IP addresses that are written, and of those that a host
//! name resolves to now.

use super::spec::{PlainAddress, ServiceSpec};
use crate::mesh::{Endpoint, EndpointTarget, HttpClient};
use futures_util::future::join_all;
use http::uri::Scheme;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::lookup_host;
use tokio::time::timeout;

/// The longest wait for a name server.
const LOOKUP: Duration = Duration::from_secs(5);
/// The largest number of addresses of one name that become endpoints.
const MOST: usize = 64;

/// One address of a service, with its endpoints.
#[derive(Clone)]
pub(super) struct AddressEndpoints {
    /// `legacy-url-0`
    id: String,
    address: PlainAddress,
    port: u16,
    /// The IP address, if the host is one; `None`: the host is a name.
    literal: Option<IpAddr>,
    endpoints: Vec<(IpAddr, Arc<Endpoint>)>,
}

impl AddressEndpoints {
    /// The addresses of `spec`. An IP address has its endpoint; a name has none until it is resolved.
    pub(super) fn all(spec: &ServiceSpec) -> Vec<Self> {
        let unresolved = |(index, address): (usize, &PlainAddress)| {
            let base = &address.base;
            let host = base.host().unwrap_or_default();
            let mut one = Self {
                id: format!("{}-url-{index}", spec.name),
                address: address.clone(),
                port: base.port_u16().unwrap_or(if base.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 }),
                literal: host.trim_start_matches('[').trim_end_matches(']').parse().ok(),
                endpoints: Vec::new(),
            };
            one.endpoints = one.literal.iter().map(|ip| (*ip, one.endpoint(spec, *ip))).collect();
            one
        };
        spec.addresses.urls.iter().enumerate().map(unresolved).collect()
    }

    /// The same address with the endpoints that it has in `before`.
    pub(super) fn after(self, before: &[Self]) -> Self {
        let same = |other: &&Self| other.address == self.address && other.id == self.id;
        match before.iter().find(same) {
            Some(before) => Self { endpoints: before.endpoints.clone(), ..self },
            None => self,
        }
    }

    /// Whether the host is a name, whose addresses may change.
    pub(super) fn is_name(&self) -> bool {
        self.literal.is_none()
    }

    pub(super) fn endpoints(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.endpoints.iter().map(|(_, endpoint)| endpoint)
    }

    fn endpoint(&self, spec: &ServiceSpec, ip: IpAddr) -> Arc<Endpoint> {
        let PlainAddress { base, weight } = &self.address;
        let client = HttpClient::fixed(base.clone(), SocketAddr::new(ip, self.port), &spec.addresses.dial);
        let named = self.is_name();
        let target = EndpointTarget::Url { base: base.clone(), at: named.then_some(ip), client };
        let id = if named { format!("{}@{ip}", self.id) } else { self.id.clone() };
        Arc::new(Endpoint::new(id, target, spec.breaker, *weight, Instant::now(), rand::random()))
    }

    /// Resolves the name again. An endpoint whose IP address stays keeps its breaker and its load. `None` if nothing
    /// has changed, and if the look-up failed: the addresses that were resolved last are better than none.
    async fn resolved(&self, spec: &ServiceSpec) -> Option<Self> {
        let host = self.address.base.host()?;
        let found = match timeout(LOOKUP, lookup_host((host, self.port))).await {
            Ok(Ok(found)) => found.map(|address| address.ip()).take(MOST).collect::<BTreeSet<_>>(),
            Ok(Err(error)) => return self.unresolved(host, &error),
            Err(elapsed) => return self.unresolved(host, &elapsed),
        };
        if found.is_empty() {
            return self.unresolved(host, &"it has no address");
        }
        if found.iter().eq(self.endpoints.iter().map(|(ip, _)| ip)) {
            return None;
        }
        let kept =
            |ip: IpAddr| self.endpoints.iter().find(|(own, _)| *own == ip).map(|(_, endpoint)| Arc::clone(endpoint));
        let endpoints = found.iter().map(|ip| (*ip, kept(*ip).unwrap_or_else(|| self.endpoint(spec, *ip))));
        tracing::info!(service = %spec.name, host, addresses = ?found, "resolved");
        Some(Self { endpoints: endpoints.collect(), ..self.clone() })
    }

    fn unresolved(&self, host: &str, error: &dyn std::fmt::Display) -> Option<Self> {
        tracing::warn!(id = self.id, host, %error, known = self.endpoints.len(), "a name was not resolved");
        None
    }
}

/// Resolves all names again. `None` if nothing has changed.
pub(super) async fn resolve(spec: &ServiceSpec, addresses: &[AddressEndpoints]) -> Option<Vec<AddressEndpoints>> {
    let resolved =
        join_all(addresses.iter().map(async |one| if one.is_name() { one.resolved(spec).await } else { None }));
    let resolved = resolved.await;
    let changed = resolved.iter().any(Option::is_some);
    let addresses = addresses.iter().zip(resolved).map(|(old, new)| new.unwrap_or_else(|| old.clone()));
    changed.then(|| addresses.collect())
}
