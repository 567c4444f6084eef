//! A manifest that is served, and what it shares with the one that comes next.

use crate::app::edge::quotas;
use crate::base::{Digest, ServiceName};
use crate::config::{ChangeClass, Manifest, ManifestChange, ManifestTree, ServiceConfig};
use crate::gateway::RateLimit;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A manifest as it is served.
pub(in crate::app) struct ManifestInUse {
    pub(super) manifest: Manifest,
    pub(super) tree: ManifestTree,
    pub(super) digest: Digest,
}

/// What a host has from its start.
#[derive(Debug, Clone, Copy)]
pub(super) struct HostAssets {
    /// Whether the database is open.
    pub(super) store: bool,
    /// Whether there is a history.
    pub(super) history: bool,
}

impl ManifestInUse {
    /// The manifest that was read from `text`.
    pub(in crate::app) fn new(text: &str, manifest: Manifest) -> Self {
        let (tree, digest) = (ManifestTree::parse(text).unwrap_or_default(), Digest::of(text.as_bytes()));
        Self { manifest, tree, digest }
    }

    /// Gives `next` the limits of this manifest of which `tree`, its text, says the same: their buckets go on.
    pub(super) fn share_limits(&self, tree: &ManifestTree, next: &mut Manifest) {
        let same = |limit: &&Arc<RateLimit>| self.tree.agrees(tree, &["limit", limit.name()]);
        let known: BTreeMap<_, _> = self.manifest.limits.iter().filter(same).map(|one| (one.name(), one)).collect();
        for limit in &mut next.limits {
            if let Some(own) = known.get(limit.name()) {
                *limit = Arc::clone(own);
            }
        }
        for route in &mut next.routes {
            let shared = |name: &str| known.get(name).map(|limit| Arc::clone(limit));
            route.limits = route.limits.as_ref().map(|limits| limits.with(shared));
        }
    }

    /// The limits of this manifest that `before` does not have.
    pub(super) fn fresh_limits(&self, before: &Self) -> Vec<Arc<RateLimit>> {
        let known = |limit: &&Arc<RateLimit>| !before.manifest.limits.iter().any(|own| Arc::ptr_eq(own, limit));
        self.manifest.limits.iter().filter(known).cloned().collect()
    }

    /// Its settings of a service.
    pub(super) fn service(&self, name: &ServiceName) -> Option<&ServiceConfig> {
        self.manifest.services.iter().find(|service| service.spec.name == *name)
    }

    /// Whether `next` says the same of a service, but for its component's content.
    pub(super) fn agrees_on_service(&self, next: &Self, name: &ServiceName) -> bool {
        self.tree.agrees(&next.tree, &["service", name.as_str()]) && self.same_values(next, name)
    }

    /// Whether what a service names outside of the manifest has the same values: files and variables.
    fn same_values(&self, next: &Self, name: &ServiceName) -> bool {
        let (Some(old), Some(new)) = (self.service(name), next.service(name)) else { return false };
        let (old, new) = (&old.spec.grants, &new.spec.grants);
        old.secrets == new.secrets && old.env == new.env
    }

    /// For each route of `next` its position in this manifest, if both say the same of it and of all that it depends
    /// on.
    pub(super) fn kept_routes(&self, next: &Self) -> Vec<Option<usize>> {
        let before = &self.manifest.routes;
        let kept = next.manifest.routes.iter().enumerate().map(|(at, route)| {
            let own = before.iter().position(|own| own.rule == route.rule)?;
            let service = match &route.answerer {
                crate::gateway::Answerer::Service(service) => Some(service.as_str()),
                _ => None,
            };
            self.tree.agrees_on_route(own, &next.tree, at, service).then_some(own)
        });
        kept.collect()
    }

    /// What `next` changes though its text does not say it.
    pub(super) fn unwritten_changes(&self, next: &Self, assets: HostAssets) -> Vec<ManifestChange> {
        let change = |key: String, class, reason| ManifestChange { key, class, reason, before: None, after: None };
        let services = next.manifest.services.iter().map(|service| &service.spec.name);
        let values = services.filter(|name| self.service(name).is_some() && !self.same_values(next, name));
        let values = values.filter(|name| self.tree.agrees(&next.tree, &["service", name.as_str()]));
        let reason = "a file or a variable that it names has another value";
        let mut changes: Vec<_> =
            values.map(|name| change(format!("service.{name}: secrets"), ChangeClass::Live, reason)).collect();
        let state = next.manifest.services.iter().any(|service| service.spec.grants.state);
        if !assets.store && (state || quotas::are_named(&next.manifest.limits)) {
            let reason = "no database is open: the manifest before had no need of one";
            changes.push(change("state".into(), ChangeClass::Restart, reason));
        }
        if assets.history != next.manifest.history.is_some() {
            let reason = "the history is opened at a start; a `rollout` of a service turns it on";
            changes.push(change("history".into(), ChangeClass::Restart, reason));
        }
        changes
    }
}
