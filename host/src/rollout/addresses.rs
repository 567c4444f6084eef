//! The plain HTTP addresses of one service: those that are written, and those that a host name stands for at this time.

use super::plan::{PlainAddress, Plan};
use crate::mesh::{Endpoint, EndpointTarget, HttpClient};
use futures_util::future::join_all;
use http::uri::Scheme;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::lookup_host;
use tokio::time::timeout;

/// Longest wait for a name server.
const LOOKUP: Duration = Duration::from_secs(5);
/// Most addresses of one name that become endpoints.
const MOST: usize = 64;

/// One address of the plan, with what is known of where it is.
#[derive(Clone)]
pub(super) struct Site {
    /// `legacy-url-0`
    id: String,
    address: PlainAddress,
    port: u16,
    /// `None`: it is a name.
    literal: Option<IpAddr>,
    endpoints: Vec<(IpAddr, Arc<Endpoint>)>,
}

impl Site {
    /// The sites of a plan. What is written as an address has its endpoint; a name has none yet.
    pub(super) fn all(plan: &Plan) -> Vec<Self> {
        let site = |(index, address): (usize, &PlainAddress)| {
            let base = &address.base;
            let host = base.host().unwrap_or_default();
            let mut site = Self {
                id: format!("{}-url-{index}", plan.name),
                address: address.clone(),
                port: base.port_u16().unwrap_or(if base.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 }),
                literal: host.trim_start_matches('[').trim_end_matches(']').parse().ok(),
                endpoints: Vec::new(),
            };
            site.endpoints = site.literal.iter().map(|ip| (*ip, site.endpoint(plan, *ip))).collect();
            site
        };
        plan.urls.iter().enumerate().map(site).collect()
    }

    /// Whether its addresses may change.
    pub(super) fn is_name(&self) -> bool {
        self.literal.is_none()
    }

    pub(super) fn endpoints(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.endpoints.iter().map(|(_, endpoint)| endpoint)
    }

    fn endpoint(&self, plan: &Plan, ip: IpAddr) -> Arc<Endpoint> {
        let PlainAddress { base, weight } = &self.address;
        let client = HttpClient::fixed(base.clone(), SocketAddr::new(ip, self.port), &plan.dial);
        let named = self.is_name();
        let place = EndpointTarget::Url { base: base.clone(), at: named.then_some(ip), client };
        let id = if named { format!("{}@{ip}", self.id) } else { self.id.clone() };
        Arc::new(Endpoint::new(id, place, plan.breaker, *weight, Instant::now(), rand::random()))
    }

    /// The same site with the addresses that its name has now: an endpoint that stays keeps what is known of it. `None` when nothing has
    /// changed, and when the look-up failed: what was known last is better than nothing.
    async fn resolved(&self, plan: &Plan) -> Option<Self> {
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
        let endpoints = found.iter().map(|ip| (*ip, kept(*ip).unwrap_or_else(|| self.endpoint(plan, *ip))));
        tracing::info!(service = %plan.name, host, addresses = ?found, "resolved");
        Some(Self { endpoints: endpoints.collect(), ..self.clone() })
    }

    fn unresolved(&self, host: &str, error: &dyn std::fmt::Display) -> Option<Self> {
        tracing::warn!(id = self.id, host, %error, known = self.endpoints.len(), "a name was not resolved");
        None
    }
}

/// The sites with the addresses that their names have now; `None` when nothing has changed.
pub(super) async fn resolve(plan: &Plan, sites: &[Site]) -> Option<Vec<Site>> {
    let resolved =
        join_all(sites.iter().map(async |site| if site.is_name() { site.resolved(plan).await } else { None }));
    let resolved = resolved.await;
    let changed = resolved.iter().any(Option::is_some);
    let sites = sites.iter().zip(resolved).map(|(old, new)| new.unwrap_or_else(|| old.clone()));
    changed.then(|| sites.collect())
}
