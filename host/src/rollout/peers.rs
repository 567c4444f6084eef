//! The endpoints of a service on other nodes of the cluster.

use super::spec::ServiceSpec;
use crate::base::ServiceName;
use crate::mesh::{Distance, Endpoint, EndpointTarget, PeerTarget};
use crate::peer::PeerClient;
use crate::runtime::{Revision, answers_http};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// A node on which a service stands.
#[derive(Clone)]
pub struct PeerPlace {
    /// The calls to the node; one for all services there.
    pub client: Arc<PeerClient>,
    /// How far it is.
    pub distance: Distance,
    /// The weight of the endpoint beside the service's others: its replicas there. 1 to 1,000.
    pub weight: u16,
}

/// Where the services stand, beside this node.
#[derive(Clone, Default)]
pub struct PeerPlaces {
    /// The nodes of each service.
    pub services: BTreeMap<ServiceName, Vec<PeerPlace>>,
    /// The most bytes of a typed call's arguments, and of its result.
    pub longest: usize,
}

/// The endpoints of one service on other nodes.
#[derive(Clone, Default)]
pub(super) struct PeerEndpoints {
    places: Vec<PeerPlace>,
    longest: usize,
    /// One for each place.
    endpoints: Vec<Arc<Endpoint>>,
    /// Whose functions they have.
    revision: Option<Arc<Revision>>,
}

impl PeerPlace {
    /// Whether its endpoint can go on with `other` in its place.
    fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.client, &other.client) && self.distance == other.distance
    }
}

impl PeerEndpoints {
    pub(super) fn endpoints(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.endpoints.iter()
    }

    /// The same endpoints for another revision; `None` if nothing changes.
    pub(super) fn of_revision(&self, spec: &ServiceSpec, revision: Option<&Arc<Revision>>) -> Option<Self> {
        self.moved(spec, (&self.places, self.longest), revision)
    }

    /// The endpoints at `places`, as calls by the functions of `revision` know them; `None` if nothing changes. Those
    /// that stay keep their circuit, load and counters; a node that comes back counts on.
    pub(super) fn moved(
        &self,
        spec: &ServiceSpec,
        (places, longest): (&[PeerPlace], usize),
        revision: Option<&Arc<Revision>>,
    ) -> Option<Self> {
        let known = match (&self.revision, revision) {
            (Some(own), Some(revision)) => Arc::ptr_eq(own, revision),
            (None, None) => true,
            _ => false,
        };
        let known = known && self.longest == longest;
        let stays = |(own, other): (&PeerPlace, &PeerPlace)| own.same(other) && own.weight == other.weight;
        let is_same = self.places.len() == places.len() && self.places.iter().zip(places).all(stays);
        if is_same && (known || places.is_empty()) {
            return None;
        }
        let endpoint = |place: &PeerPlace| {
            let mut before = self.places.iter().zip(&self.endpoints);
            let before = before.find(|(own, _)| own.client.node() == place.client.node());
            match before {
                Some((own, endpoint)) if known && own.same(place) => {
                    endpoint.stats.set_weight(place.weight);
                    Some(Arc::clone(endpoint))
                }
                before => {
                    let before = before.map(|(_, endpoint)| &**endpoint);
                    Some(Arc::new(place.endpoint(spec, longest, revision?, before)))
                }
            }
        };
        let with: Vec<(PeerPlace, Arc<Endpoint>)> =
            places.iter().filter_map(|place| Some((place.clone(), endpoint(place)?))).collect();
        let (places, endpoints) = with.into_iter().unzip();
        Some(Self { places, longest, endpoints, revision: revision.cloned() })
    }
}

impl PeerPlace {
    fn endpoint(
        &self,
        spec: &ServiceSpec,
        longest: usize,
        revision: &Arc<Revision>,
        before: Option<&Endpoint>,
    ) -> Endpoint {
        let target = PeerTarget {
            client: Arc::clone(&self.client),
            service: spec.name.clone(),
            distance: self.distance,
            functions: Arc::clone(revision.crossing()),
            answers_http: answers_http(revision.contract()),
            longest,
        };
        let id = format!("{}@{}", spec.name, self.client.node());
        let (target, now) = (EndpointTarget::Peer(Box::new(target)), Instant::now());
        let before = before.map(|before| &*before.stats);
        Endpoint::after(before, id, target, spec.breaker, self.weight, now, rand::random())
    }
}

impl PeerPlaces {
    pub(super) fn of(&self, service: &ServiceName) -> (&[PeerPlace], usize) {
        (self.services.get(service).map_or(&[][..], Vec::as_slice), self.longest)
    }
}
