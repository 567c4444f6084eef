//! Services whose place the cluster decides: they begin and end to have instances on this node.

use super::deployment::Deployment;
use super::error::SwapError;
use super::swap::Rollout;
use crate::base::ServiceName;
use crate::membership::Placement;
use crate::telemetry::{ChangeKind, note_change};

/// A service whose place the cluster decides.
#[derive(Debug, Clone)]
pub struct PlacedService {
    /// Its name.
    pub name: ServiceName,
    /// On how many nodes it stands, and on which it may.
    pub placement: Placement,
    /// Whether it has instances on this node.
    pub here: bool,
}

impl Rollout {
    /// The services whose place the cluster decides.
    pub fn placed(&self) -> Vec<PlacedService> {
        let deployments = self.deployments();
        let placed = deployments.iter().filter_map(|(name, one)| {
            let placement = one.spec.placement.clone()?;
            Some(PlacedService { name: name.clone(), placement, here: one.stands_here() })
        });
        placed.collect()
    }

    /// Whether `name` has instances on this node.
    pub fn stands_here(&self, name: &str) -> bool {
        self.find(name).is_ok_and(|deployment| deployment.stands_here())
    }

    /// Begins to have instances of `name` here: they are in the discovery table when one of them has started.
    ///
    /// # Errors
    /// Its component does not start. Then it has none.
    pub async fn begin_to_host(&self, name: &ServiceName) -> Result<(), SwapError> {
        let deployment = self.find(name.as_str())?;
        let history = deployment.turn().await?;
        let stable = history.stable.clone().ok_or_else(|| SwapError::NoComponent(name.clone()))?;
        self.rehearse(&deployment, &stable).await?;
        deployment.note_hosted(true);
        deployment.change(&self.registry, |published| deployment.replace_replicas(&self.runtime, &history, published));
        told(&deployment, "this node has instances of it");
        Ok(())
    }

    /// Has no instances of `name` here any more. Calls under way end on those that they have.
    ///
    /// # Errors
    /// There is no such service, or a manifest was applied meanwhile.
    pub async fn end_to_host(&self, name: &ServiceName) -> Result<(), SwapError> {
        let deployment = self.find(name.as_str())?;
        // A swap that is under way would make replicas for a service that has none.
        let _turn = deployment.turn().await?;
        deployment.note_hosted(false);
        deployment.change(&self.registry, |published| published.replicas.clear());
        told(&deployment, "other nodes have instances of it");
        Ok(())
    }
}

fn told(deployment: &Deployment, reason: &str) {
    let service = &deployment.spec.name;
    tracing::info!(%service, "{reason}");
    note_change(ChangeKind::Moved, service.as_str(), None, reason);
}
