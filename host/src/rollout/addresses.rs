//! The endpoints of a service's plain HTTP addresses: of the IP addresses that are written, of those that a host name
//! resolves to now, and of those that SRV records name.

use super::spec::{PlainAddress, ServiceSpec};
use super::srv_choice::MOST as MOST_RECORDS;
use super::srv_lookup::{LocatedRecord, look_up};
use super::srv_source::SrvSource;
use crate::mesh::{Endpoint, EndpointTarget, HttpClient};
use crate::telemetry::{ChangeKind, note_change};
use futures_util::future::join_all;
use http::Uri;
use http::uri::{Authority, Scheme};
use std::collections::BTreeMap;
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
    origin: AddressOrigin,
    endpoints: BTreeMap<SocketAddr, (LocatedAddress, Arc<Endpoint>)>,
}

/// What tells the endpoints of an address.
#[derive(Clone)]
enum AddressOrigin {
    /// The manifest: the host is this IP address.
    Literal(SocketAddr),
    /// The host's name, with the port of the address.
    Name(u16),
    /// Records of DNS.
    Srv(SrvSource),
}

/// What a name says about one endpoint, beside where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct LocatedAddress {
    /// Scheme, host and port, for the request's head and the certificate.
    base: Uri,
    weight: u16,
}

/// What a look-up found.
struct FoundAddresses {
    located: BTreeMap<SocketAddr, LocatedAddress>,
    /// The bases whose host has no address now; their endpoints stay.
    unlocated: Vec<LocatedAddress>,
}

impl AddressEndpoints {
    /// The addresses of `spec`. An IP address has its endpoint; a name has none until it is resolved.
    pub(super) fn all(spec: &ServiceSpec) -> Vec<Self> {
        let unresolved = |(index, address): (usize, &PlainAddress)| {
            let mut one = Self {
                id: format!("{}-url-{index}", spec.name),
                address: address.clone(),
                origin: AddressOrigin::of(address),
                endpoints: BTreeMap::new(),
            };
            if let AddressOrigin::Literal(at) = one.origin {
                let located = one.as_written();
                let endpoint = one.endpoint(spec, at, &located, None);
                one.endpoints.insert(at, (located, endpoint));
            }
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
        !matches!(self.origin, AddressOrigin::Literal(_))
    }

    pub(super) fn endpoints(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.endpoints.values().map(|(_, endpoint)| endpoint)
    }

    fn as_written(&self) -> LocatedAddress {
        LocatedAddress { base: self.address.base.clone(), weight: self.address.weight }
    }

    /// A new endpoint, which counts on where `before` ends.
    fn endpoint(
        &self,
        spec: &ServiceSpec,
        at: SocketAddr,
        located: &LocatedAddress,
        before: Option<&Endpoint>,
    ) -> Arc<Endpoint> {
        let LocatedAddress { base, weight } = located;
        let client = HttpClient::fixed(base.clone(), at, &spec.addresses.dial);
        let target = EndpointTarget::Url { base: base.clone(), at: self.is_name().then_some(at.ip()), client };
        let id = match self.origin {
            AddressOrigin::Literal(_) => self.id.clone(),
            AddressOrigin::Name(_) => format!("{}@{}", self.id, at.ip()),
            AddressOrigin::Srv(_) => format!("{}@{at}", self.id),
        };
        let before = before.map(|before| &*before.stats);
        Arc::new(Endpoint::after(before, id, target, spec.breaker, *weight, Instant::now(), rand::random()))
    }

    /// Looks the name up again. An endpoint that stays keeps its breaker and its load. `None` if nothing has changed,
    /// and if the look-up failed or found nothing: the endpoints that were found last are better than none.
    async fn resolved(&self, spec: &ServiceSpec) -> Option<Self> {
        let found = match &self.origin {
            AddressOrigin::Literal(_) => return None,
            AddressOrigin::Name(port) => timeout(LOOKUP, self.find_host(*port)).await,
            AddressOrigin::Srv(source) => timeout(LOOKUP, self.find_records(source)).await,
        };
        let found = match found {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => return self.unresolved(&error),
            Err(elapsed) => return self.unresolved(&elapsed),
        };
        let found = self.with_unlocated(found);
        if found.iter().eq(self.endpoints.iter().map(|(at, (located, _))| (at, located))) {
            return None;
        }
        self.note(spec, &found);
        let endpoints = found.into_iter().map(|(at, located)| {
            let endpoint = match self.endpoints.get(&at) {
                Some((before, endpoint)) if before.base == located.base => {
                    endpoint.stats.set_weight(located.weight);
                    Arc::clone(endpoint)
                }
                before => self.endpoint(spec, at, &located, before.map(|(_, endpoint)| &**endpoint)),
            };
            (at, (located, endpoint))
        });
        Some(Self { endpoints: endpoints.collect(), ..self.clone() })
    }

    async fn find_host(&self, port: u16) -> Result<FoundAddresses, String> {
        let host = self.address.base.host().unwrap_or_default();
        let found = lookup_host((host, port)).await.map_err(|error| error.to_string())?;
        let located: BTreeMap<_, _> =
            found.take(MOST).map(|at| (SocketAddr::new(at.ip(), port), self.as_written())).collect();
        if located.is_empty() {
            return Err("it has no address".to_owned());
        }
        Ok(FoundAddresses { located, unlocated: Vec::new() })
    }

    async fn find_records(&self, source: &SrvSource) -> Result<FoundAddresses, String> {
        let records = look_up(source, self.address.weight).await.map_err(|error| error.to_string())?;
        let mut found = FoundAddresses { located: BTreeMap::new(), unlocated: Vec::new() };
        for LocatedRecord { record, addresses } in records {
            let Some(base) = base_of(source, &record.target, record.port) else { continue };
            let located = LocatedAddress { base, weight: record.weight };
            match addresses {
                Ok(addresses) => {
                    let room = MOST_RECORDS.saturating_sub(found.located.len());
                    let places = addresses.into_iter().map(|ip| SocketAddr::new(ip, record.port));
                    found.located.extend(places.take(room).map(|at| (at, located.clone())));
                }
                Err(error) => {
                    tracing::warn!(id = self.id, %error, "a host of a record was not resolved");
                    found.unlocated.push(located);
                }
            }
        }
        let known = |one: &LocatedAddress| self.endpoints.values().any(|(own, _)| own.base == one.base);
        if found.located.is_empty() && !found.unlocated.iter().any(known) {
            return Err("none of its hosts has an address".to_owned());
        }
        Ok(found)
    }

    /// What was found, with the endpoints that stay since their host has no address for now.
    fn with_unlocated(&self, found: FoundAddresses) -> BTreeMap<SocketAddr, LocatedAddress> {
        let mut located = found.located;
        for one in found.unlocated {
            for (at, _) in self.endpoints.iter().filter(|(_, (own, _))| own.base == one.base) {
                located.entry(*at).or_insert_with(|| one.clone());
            }
        }
        located
    }

    /// The name, as the log calls it.
    fn host(&self) -> &str {
        match &self.origin {
            AddressOrigin::Srv(source) => &source.name,
            AddressOrigin::Literal(_) | AddressOrigin::Name(_) => self.address.base.host().unwrap_or_default(),
        }
    }

    fn note(&self, spec: &ServiceSpec, found: &BTreeMap<SocketAddr, LocatedAddress>) {
        let host = self.host();
        let addresses: Vec<_> = found.keys().map(SocketAddr::ip).collect();
        tracing::info!(service = %spec.name, host, ?addresses, "resolved");
        let came = found.keys().filter(|at| !self.endpoints.contains_key(*at)).count();
        let left = self.endpoints.keys().filter(|at| !found.contains_key(*at)).count();
        if came + left > 0 {
            let reason = format!("{host}: {came} came, {left} left, {} in all", found.len());
            note_change(ChangeKind::AddressesChanged, spec.name.as_str(), None, &reason);
        }
    }

    fn unresolved(&self, error: &dyn std::fmt::Display) -> Option<Self> {
        let host = self.host();
        tracing::warn!(id = self.id, host, %error, known = self.endpoints.len(), "a name was not resolved");
        None
    }
}

impl AddressOrigin {
    fn of(address: &PlainAddress) -> Self {
        if let Some(Ok(source)) = SrvSource::of(&address.base) {
            return Self::Srv(source);
        }
        let base = &address.base;
        let port = base.port_u16().unwrap_or(if base.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 });
        let host = base.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        host.parse::<IpAddr>().map_or(Self::Name(port), |ip| Self::Literal(SocketAddr::new(ip, port)))
    }
}

/// The address of a record's host; `None` if it is none for HTTP.
fn base_of(source: &SrvSource, host: &str, port: u16) -> Option<Uri> {
    let authority = Authority::try_from(format!("{host}:{port}")).ok()?;
    Uri::builder().scheme(source.scheme()).authority(authority).path_and_query("/").build().ok()
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
