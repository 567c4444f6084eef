//! A deployment that takes the place of another one of the same service, since the manifest has other settings for it.
//! What the settings leave alone goes on: counters, faults on purpose, circuits, connections, the memory of rollouts.

use super::addresses::AddressEndpoints;
use super::deployment::{Deployment, PublishedEndpoints};
use super::revision_history::RevisionHistory;
use super::spec::{GrantSettings, ServiceSpec};
use crate::mesh::{Dial, Traffic};
use crate::runtime::{Link, RecordingPlace};
use crate::state::Store;
use std::sync::{Arc, PoisonError};
use std::time::SystemTime;

impl Deployment {
    /// The deployment of `spec` in place of this one. It has no replicas yet.
    pub(super) fn succeeded(
        &self,
        mut spec: ServiceSpec,
        store: Option<&Store>,
        recordings: &Arc<RecordingPlace>,
    ) -> Self {
        // A topic is one for the process: its counters, and who is told of an event, hang on it.
        for topic in &mut spec.grants.topics {
            if let Some(own) = self.spec.grants.topics.iter().find(|own| own.name == topic.name) {
                *topic = Arc::clone(own);
            }
        }
        let before = self.published().clone();
        let mut next = Self::new(spec, store, recordings);
        // What is recorded of a service changes with a restart alone.
        next.recorder = Arc::clone(&self.recorder);
        let (old, new) = (&self.spec, &next.spec);
        if new.placement.is_some() {
            next.note_hosted(self.stands_here() || old.placement.is_none());
        }
        if same_grants(&old.grants, &new.grants) {
            next.grants = Arc::clone(&self.grants);
        }
        next.traffic = if old.traffic == new.traffic {
            Arc::clone(&self.traffic)
        } else {
            Arc::new(Traffic::succeeded(&self.traffic, new.traffic.clone()))
        };
        let same_policy = old.traffic == new.traffic && old.breaker == new.breaker;
        if same_policy && same_dial(&old.grants.dial, &new.grants.dial) {
            next.outside = Arc::clone(&self.outside);
        }
        let same_endpoints = old.breaker == new.breaker && same_dial(&old.addresses.dial, &new.addresses.dial);
        let addresses = std::mem::take(&mut next.published().addresses).into_iter();
        let before_them = &before.addresses;
        let goes_on =
            |one: AddressEndpoints| if same_endpoints { one.after(before_them) } else { one.knowing(before_them) };
        next.published().addresses = addresses.map(goes_on).collect();
        if old.breaker == new.breaker {
            next.published().peers = before.peers;
        }
        // Their counters go on with the replicas that follow.
        next.published().replicas = before.replicas;
        next.canary_stats = self.canary_stats.lock().unwrap_or_else(PoisonError::into_inner).clone().into();
        next
    }

    /// Whether a revision of this deployment with these links can go on in `next`.
    pub(super) fn shares_revisions(&self, next: &Self, links: (&[Link], &[Link])) -> bool {
        let limits = self.spec.replicas.limits == next.spec.replicas.limits;
        Arc::ptr_eq(&self.grants, &next.grants) && limits && links.0 == links.1
    }

    /// Whether the replicas of this deployment can go on in `next`, which has the same revision.
    pub(super) fn shares_replicas(&self, next: &Self) -> bool {
        let (old, new) = (&self.spec.replicas, &next.spec.replicas);
        let counts = self.replica_count() == next.replica_count();
        let same = counts && old.weight == new.weight && old.isolation == new.isolation;
        same && self.spec.breaker == next.spec.breaker && Arc::ptr_eq(&self.recorder, &next.recorder)
    }

    /// Takes the replicas of `before` over, with their circuits. They serve what `history` says, as they did.
    pub(super) fn keep_replicas(&self, before: &PublishedEndpoints, history: &RevisionHistory) {
        let mut published = self.published();
        let since = before.revision.as_ref().map_or_else(SystemTime::now, |revision| revision.since);
        published.replicas.clone_from(&before.replicas);
        published.revision = history.told(since);
        published.idempotent = history.stable.as_ref().map_or_else(Vec::new, |revision| self.idempotent(revision));
        published.stable.clone_from(&history.stable);
        self.stay_placed(&mut published);
    }
}

/// Whether a component may reach the same. Topics are the same if their names are: they change with a restart alone.
fn same_grants(a: &GrantSettings, b: &GrantSettings) -> bool {
    let storage = |grants: &GrantSettings| (grants.state, grants.bucket.clone(), grants.publish.clone());
    storage(a) == storage(b)
        && a.config == b.config
        && a.secrets == b.secrets
        && a.env == b.env
        && a.calls == b.calls
        && a.egress == b.egress
        && same_dial(&a.dial, &b.dial)
}

/// Whether connections are made alike. The roots of TLS are read anew, so they may be others.
fn same_dial(a: &Dial, b: &Dial) -> bool {
    a.connect == b.connect && a.http2 == b.http2 && a.tls.is_none() && b.tls.is_none()
}
