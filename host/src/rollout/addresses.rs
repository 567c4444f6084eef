//! The endpoints of a service's plain HTTP addresses: of the IP addresses that are written, and of those that a source
//! of endpoints names now.

use super::spec::{PlainAddress, ServiceSpec};
use crate::discovery::{FoundEndpoint, LocatedEndpoints, SourceAddress, WatchedSource};
use crate::mesh::{Endpoint, EndpointTarget, HttpClient};
use crate::telemetry::{ChangeKind, note_change};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// One address of a service, with its endpoints.
#[derive(Clone)]
pub(super) struct AddressEndpoints {
    /// `legacy-url-0`
    id: String,
    address: PlainAddress,
    /// Whether one endpoint is told from the others by its port too, and not by its IP address alone.
    has_ports: bool,
    /// What names the endpoints; `None`: the address itself.
    source: Option<Arc<WatchedSource>>,
    endpoints: BTreeMap<SocketAddr, (FoundEndpoint, Arc<Endpoint>)>,
}

impl AddressEndpoints {
    /// The addresses of `spec`. An IP address has its endpoint; a source has none until it has answered.
    pub(super) fn all(spec: &ServiceSpec) -> Vec<Self> {
        let one = |(index, address): (usize, &PlainAddress)| Self::new(spec, index, address);
        spec.addresses.urls.iter().enumerate().map(one).collect()
    }

    fn new(spec: &ServiceSpec, index: usize, address: &PlainAddress) -> Self {
        let id = format!("{}-url-{index}", spec.name);
        let PlainAddress { base, weight } = address;
        // `config` has read the address, so it is right; with a wrong one the service would have no endpoint there.
        let origin = SourceAddress::of(base).unwrap_or(SourceAddress::Name(0));
        let has_ports = !matches!(origin, SourceAddress::Name(_));
        let literal = if let SourceAddress::Literal(at) = origin { Some(at) } else { None };
        let source = WatchedSource::new(&id, origin, (base, *weight), spec.addresses.dns).map(Arc::new);
        let mut one = Self { id, address: address.clone(), has_ports, source, endpoints: BTreeMap::new() };
        if let Some(at) = literal {
            let found = FoundEndpoint { base: base.clone(), weight: *weight };
            let endpoint = one.endpoint(spec, at, &found, None);
            one.endpoints.insert(at, (found, endpoint));
        }
        one
    }

    /// The same address with the endpoints that it has in `before`.
    pub(super) fn after(self, before: &[Self]) -> Self {
        match self.same_in(before) {
            Some(same) => Self { endpoints: same.endpoints.clone(), ..self.knowing(before) },
            None => self,
        }
    }

    /// The same address, whose source goes on with what it knows in `before`. So while the source is away, the service
    /// has endpoints.
    pub(super) fn knowing(self, before: &[Self]) -> Self {
        let Some(known) = self.same_in(before).and_then(|same| same.source.as_ref()) else { return self };
        let source = self.source.map(|own| {
            if own.is_asked_like(known) {
                return Arc::clone(known);
            }
            own.go_on_from(known);
            own
        });
        Self { source, ..self }
    }

    fn same_in<'a>(&self, before: &'a [Self]) -> Option<&'a Self> {
        before.iter().find(|other| other.address == self.address && other.id == self.id)
    }

    /// What names its endpoints, which may change.
    pub(super) fn source(&self) -> Option<&Arc<WatchedSource>> {
        self.source.as_ref()
    }

    pub(super) fn endpoints(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.endpoints.values().map(|(_, endpoint)| endpoint)
    }

    /// A new endpoint, which counts on where `before` ends.
    fn endpoint(
        &self,
        spec: &ServiceSpec,
        at: SocketAddr,
        found: &FoundEndpoint,
        before: Option<&Endpoint>,
    ) -> Arc<Endpoint> {
        let FoundEndpoint { base, weight } = found;
        let client = HttpClient::fixed(base.clone(), at, &spec.addresses.dial);
        let target = EndpointTarget::Url { base: base.clone(), at: self.source.is_some().then_some(at.ip()), client };
        let id = match &self.source {
            None => self.id.clone(),
            Some(_) if self.has_ports => format!("{}@{at}", self.id),
            Some(_) => format!("{}@{}", self.id, at.ip()),
        };
        let before = before.map(|before| &*before.stats);
        Arc::new(Endpoint::after(before, id, target, spec.breaker, *weight, Instant::now(), rand::random()))
    }

    /// The address with the endpoints that its source names now; `None` if it has them. An endpoint that stays keeps
    /// its breaker and its load.
    pub(super) fn renewed(&self, spec: &ServiceSpec) -> Option<Self> {
        let source = self.source.as_ref()?;
        let found = source.good();
        if found.iter().eq(self.endpoints.iter().map(|(at, (found, _))| (at, found))) {
            return None;
        }
        self.note(spec, source.host(), &found);
        let endpoints = found.iter().map(|(at, found)| {
            let endpoint = match self.endpoints.get(at) {
                Some((before, endpoint)) if before.base == found.base => {
                    endpoint.stats.set_weight(found.weight);
                    Arc::clone(endpoint)
                }
                before => self.endpoint(spec, *at, found, before.map(|(_, endpoint)| &**endpoint)),
            };
            (*at, (found.clone(), endpoint))
        });
        Some(Self { endpoints: endpoints.collect(), ..self.clone() })
    }

    fn note(&self, spec: &ServiceSpec, host: &str, found: &LocatedEndpoints) {
        let addresses: Vec<_> = found.keys().map(SocketAddr::ip).collect();
        tracing::info!(service = %spec.name, host, ?addresses, "resolved");
        let came = found.keys().filter(|at| !self.endpoints.contains_key(*at)).count();
        let left = self.endpoints.keys().filter(|at| !found.contains_key(*at)).count();
        if came + left > 0 {
            let reason = format!("{host}: {came} came, {left} left, {} in all", found.len());
            note_change(ChangeKind::AddressesChanged, spec.name.as_str(), None, &reason);
        }
    }
}
