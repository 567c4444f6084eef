//! What this node does for its cluster beside its own manifest, as several tasks note it: what it offers to others, and
//! what it cannot do.

use crate::base::ServiceName;
use crate::membership::NodeName;
use crate::peer::PeerTls;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// How often one looks at the certificate.
const LOOK: Duration = Duration::from_secs(10);

/// Shared by the tasks of a node.
#[derive(Debug, Default)]
pub(super) struct NodeDuties {
    /// Whether others may be told what it serves: it has the revisions of the cluster, or nobody could say.
    open: AtomicBool,
    /// The services that are about to end here: others are told that it has none.
    leaving: Mutex<BTreeSet<ServiceName>>,
    /// The services whose agreed revision this node could not serve at its start: others are told that it has none.
    withheld: Mutex<BTreeSet<ServiceName>>,
    /// Why this node does not serve what the nodes have agreed on, by the service.
    swap_failures: Mutex<BTreeMap<ServiceName, String>>,
    /// Why it has no instances that it should have, by the service.
    place_failures: Mutex<BTreeMap<ServiceName, String>>,
    /// Whether other nodes would refuse this one's certificate.
    unproved: AtomicBool,
    /// The callers that were refused.
    refused: Arc<AtomicU64>,
}

impl NodeDuties {
    /// From now on others are told what this node serves.
    pub(super) fn open(&self) {
        self.open.store(true, Relaxed);
    }

    /// Whether others are told that this node serves `service`.
    pub(super) fn offers(&self, service: &ServiceName) -> bool {
        self.open.load(Relaxed) && !self.leaving().contains(service) && !self.withheld().contains(service)
    }

    /// Whether other nodes would refuse this one's certificate.
    pub(super) fn is_unproved(&self) -> bool {
        self.unproved.load(Relaxed)
    }

    pub(super) fn refused(&self) -> &Arc<AtomicU64> {
        &self.refused
    }

    /// Looks at the certificate of `node` again and again: it may expire, or be renewed with a wrong one. It never
    /// returns.
    pub(super) async fn watch_certificate(self: Arc<Self>, files: PeerTls, node: NodeName) {
        loop {
            let (read, name) = (files.clone(), node.clone());
            let proved = spawn_blocking(move || read.proves(name.as_str())).await;
            let wrong = proved.ok().and_then(Result::err);
            let was_wrong = self.unproved.swap(wrong.is_some(), Relaxed);
            match wrong {
                Some(error) if !was_wrong => tracing::error!(%error, "the certificate of this node"),
                None if was_wrong => tracing::info!("other nodes take the certificate of this node again"),
                _ => {}
            }
            sleep(LOOK).await;
        }
    }

    pub(super) fn leaving(&self) -> MutexGuard<'_, BTreeSet<ServiceName>> {
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn withheld(&self) -> MutexGuard<'_, BTreeSet<ServiceName>> {
        self.withheld.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn swap_failures(&self) -> MutexGuard<'_, BTreeMap<ServiceName, String>> {
        self.swap_failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn place_failures(&self) -> MutexGuard<'_, BTreeMap<ServiceName, String>> {
        self.place_failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The services of which this node should do something that it cannot.
    pub(super) fn failing(&self) -> BTreeSet<ServiceName> {
        let mut failing: BTreeSet<_> = self.swap_failures().keys().cloned().collect();
        failing.extend(self.place_failures().keys().cloned());
        failing
    }
}
