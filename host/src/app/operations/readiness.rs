//! Whether the host takes requests.

use super::HostOperations;
use crate::admin::HostReadiness;

impl HostOperations {
    pub(super) fn readiness(&self) -> HostReadiness {
        if self.drain.is_started() {
            HostReadiness::Draining
        } else if self.is_drained() {
            HostReadiness::Drained
        } else if !self.rollout.starting().is_empty() {
            HostReadiness::Starting
        } else if !self.partial && !self.left_out_services().is_empty() {
            HostReadiness::Incomplete
        } else if self.store.as_ref().is_some_and(|store| store.metrics().is_away()) {
            HostReadiness::StoreAway
        } else if self.store.as_ref().is_some_and(|store| store.metrics().is_damaged()) {
            HostReadiness::StoreDamaged
        } else if self.store.as_ref().is_some_and(|store| !store.takes_writes()) {
            HostReadiness::ReadOnly
        } else {
            HostReadiness::Ready
        }
    }
}
