//! The API keys as the gateway sees them.

use crate::identity::KeyRing;
use arc_swap::{ArcSwap, Guard};
use std::sync::Arc;

/// The ring that all policies of API keys read. Whoever creates or revokes a key replaces it whole, so the next request
/// sees the change.
#[derive(Debug, Default)]
pub struct SharedKeyRing(ArcSwap<KeyRing>);

impl SharedKeyRing {
    /// Replaces the ring.
    pub fn replace(&self, ring: KeyRing) {
        self.0.store(Arc::new(ring));
    }

    pub(super) fn load(&self) -> Guard<Arc<KeyRing>> {
        self.0.load()
    }
}
