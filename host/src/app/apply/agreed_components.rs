//! What the nodes of the cluster have agreed on, where a manifest is applied: a manifest is of one node, and gives no
//! service another component than all nodes have.

use super::apply_refusal::of_cluster;
use crate::admin::OperationError;
use crate::base::{Digest, ServiceName};
use crate::cluster::Cluster;
use crate::config::{Manifest, ServiceConfig};
use crate::rollout::Rollout;
use crate::runtime::Component;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

/// The digest on which the nodes have agreed, of each service; none without a cluster.
#[derive(Default, PartialEq, Eq)]
pub(super) struct AgreedComponents(BTreeMap<ServiceName, Digest>);

impl AgreedComponents {
    /// What this node knows of it now.
    pub(super) fn of(cluster: Option<&Cluster>) -> Self {
        let Some(cluster) = cluster else { return Self::default() };
        let board = cluster.swaps();
        let board = board.borrow();
        Self(board.wanted.iter().map(|(service, wanted)| (service.clone(), wanted.digest)).collect())
    }

    /// The components that stay in place of the manifest's `files`: what serves is agreed on, and the file is what it
    /// was when the manifest was read before. Whoever changes other keys need not adopt them first.
    pub(super) fn stand_in(
        &self,
        manifest: &mut Manifest,
        files: &BTreeMap<ServiceName, PathBuf>,
        rollout: &Rollout,
    ) -> BTreeMap<ServiceName, Component> {
        let mut kept = BTreeMap::new();
        for service in &mut manifest.services {
            let name = &service.spec.name;
            let Some(component) = self.0.get(name).and_then(|_| rollout.served_component(name.as_str())) else {
                continue;
            };
            let file = files.get(name).and_then(|path| fs::read(path).ok()).map(|bytes| Digest::of(&bytes));
            let unchanged = file.is_some() && file == rollout.manifest_digest(name.as_str());
            if self.0.get(name) == Some(&component.digest()) && unchanged {
                service.spec.manifest = file;
                kept.insert(name.clone(), component);
            }
        }
        kept
    }

    /// Whether the nodes have agreed on another component of this service than `digest`.
    pub(super) fn differs(&self, service: &ServiceName, digest: Option<Digest>) -> bool {
        self.0.get(service).is_some_and(|agreed| digest.is_some_and(|digest| digest != *agreed))
    }

    /// Refuses to give a service of `next` another component than the agreed one. What serves may stay: a node that
    /// cannot serve what was agreed on goes on with its own.
    ///
    /// # Errors
    /// Which service, and what to do.
    pub(super) fn permit<'a>(
        &self,
        mut next: impl Iterator<Item = (&'a ServiceConfig, Option<Digest>)>,
        rollout: &Rollout,
    ) -> Result<(), OperationError> {
        let refused = next.find_map(|(service, after)| {
            let (name, after) = (&service.spec.name, after?);
            let serves = rollout.digest(name.as_str()) == Some(after);
            let agreed = *self.0.get(name).filter(|agreed| **agreed != after && !serves)?;
            Some(of_cluster(name, after, agreed))
        });
        refused.map_or(Ok(()), Err)
    }
}
