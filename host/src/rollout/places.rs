//! Where the services stand, beside this node.

use super::peers::PeerPlaces;
use super::swap::Rollout;
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
