//! What this node does for its cluster beside its own manifest, as several tasks note it: what it offers to others, and
//! what it cannot do.

use crate::base::ServiceName;
use crate::membership::NodeName;
use crate::peer::{PeerTls, ProofLook};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// How often one looks at the certificate.
const LOOK: Duration = Duration::from_secs(10);
/// After so many looks files that cannot be used are no renewal under way: tools write both within a minute.
const HALF: u32 = 6;

/// Shared by the tasks of a node.
#[derive(Debug, Default)]
pub struct NodeDuties {
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
    /// Whether the files of the certificate cannot be used any more, so that those before are.
    outdated: AtomicBool,
    /// The callers that were refused.
    refused: Arc<AtomicU64>,
}

impl NodeDuties {
    /// From now on others are told what this node serves.
    pub fn open(&self) {
        self.open.store(true, Relaxed);
    }

    /// Whether others are told that this node serves `service`.
    pub fn offers(&self, service: &ServiceName) -> bool {
        self.open.load(Relaxed) && !self.leaving().contains(service) && !self.withheld().contains(service)
    }

    /// Whether other nodes would refuse this one's certificate.
    pub fn is_unproved(&self) -> bool {
        self.unproved.load(Relaxed)
    }

    /// Whether the files of the certificate cannot be used any more: the next start would fail.
    pub fn is_outdated(&self) -> bool {
        self.outdated.load(Relaxed)
    }

    /// The callers that were refused, counted.
    pub fn refused(&self) -> &Arc<AtomicU64> {
        &self.refused
    }

    /// Looks at the certificate of `node` again and again: it may expire, or be renewed with a wrong one. It never
    /// returns.
    pub async fn watch_certificate(self: Arc<Self>, files: PeerTls, node: NodeName) {
        let mut looks = 0;
        loop {
            let (read, name) = (files.clone(), node.clone());
            if let Ok(look) = spawn_blocking(move || read.look(name.as_str())).await {
                looks = self.note_look(look, looks);
            }
            sleep(LOOK).await;
        }
    }

    /// Notes what a look at the certificate has found, after `before` looks one after the other that found files that
    /// cannot be used. Returns how many there are with this one.
    fn note_look(&self, ProofLook { unusable, unproved }: ProofLook, before: u32) -> u32 {
        let was_wrong = self.unproved.swap(unproved.is_some(), Relaxed);
        match unproved {
            Some(error) if !was_wrong => tracing::error!(%error, "the certificate of this node"),
            None if was_wrong => tracing::info!("other nodes take the certificate of this node again"),
            _ => {}
        }
        let looks = if unusable.is_some() { before.saturating_add(1) } else { 0 };
        let was_outdated = self.outdated.swap(looks >= HALF, Relaxed);
        if let Some(error) = unusable.filter(|_| looks >= HALF && !was_outdated) {
            let text = "the files of this node's certificate cannot be used, so those before are; a start would fail";
            tracing::error!(%error, "{text}");
        }
        looks
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

    /// Why it has no instances that it should have, by the service.
    pub fn place_failures(&self) -> MutexGuard<'_, BTreeMap<ServiceName, String>> {
        self.place_failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The services of which this node should do something that it cannot.
    pub fn failing(&self) -> BTreeSet<ServiceName> {
        let mut failing: BTreeSet<_> = self.swap_failures().keys().cloned().collect();
        failing.extend(self.place_failures().keys().cloned());
        failing
    }
}
