//! Where the services stand, beside this node.

use super::deployment::{Deployment, PublishedEndpoints};
use super::peers::PeerPlaces;
use super::swap::Rollout;
use crate::mesh::Service;
use crate::registry::Registry;
use std::sync::{MutexGuard, PoisonError};

impl Rollout {
    /// Gives each service its endpoints on other nodes. Services that another manifest brings later get theirs, too.
    pub fn place(&self, places: PeerPlaces) {
        *self.places() = places;
        self.place_again();
    }

    /// The same places, for services that another manifest has brought.
    pub(super) fn place_again(&self) {
        // Held to the end: of two views the later one must not be overtaken.
        let places = self.places();
        self.deployments().values().for_each(|deployment| deployment.place(&self.registry, &places));
    }

    /// Where the services stand, beside this node.
    pub(super) fn places(&self) -> MutexGuard<'_, PeerPlaces> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deployment {
    /// Puts the endpoints on other nodes into the discovery table, if they are others than those there.
    pub(super) fn place(&self, registry: &Registry<Service>, places: &PeerPlaces) {
        let mut published = self.published();
        if self.move_peers(&mut published, places) && !published.retired {
            registry.publish(&self.spec.name, self.service(&published));
        }
    }

    /// Like [`Deployment::place`], but leaves the discovery table as it is.
    pub(super) fn place_unpublished(&self, places: &PeerPlaces) {
        self.move_peers(&mut self.published(), places);
    }

    fn move_peers(&self, published: &mut PublishedEndpoints, places: &PeerPlaces) -> bool {
        let moved = published.peers.moved(&self.spec, places.of(&self.spec.name), published.stable.as_ref());
        moved.map(|moved| published.peers = moved).is_some()
    }

    /// The endpoints on other nodes stay, and are called by the functions of the revision that serves now.
    pub(super) fn stay_placed(&self, published: &mut PublishedEndpoints) {
        if let Some(peers) = published.peers.of_revision(&self.spec, published.stable.as_ref()) {
            published.peers = peers;
        }
    }
}
