//! Swaps and rollbacks of all nodes, as this node carries them out for an operator: all nodes, or none.

use super::HostOperations;
use super::audited_operations::who;
use super::swap_refusal::refusal;
use crate::admin::{OperationError, OperationErrorKind, SwapView};
use crate::base::{Digest, ServiceName};
use crate::broker::BrokerError;
use crate::cluster::{Cluster, ClusterError, OpenSwap};
use crate::membership::{NodeName, SwapId, Tally};
use crate::rollout::SwapError;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long all nodes may take to try a component: each of them compiles it.
const TRYING: Duration = Duration::from_secs(120);
/// How long one waits for the nodes to serve what they have agreed on.
const FOLLOWING: Duration = Duration::from_secs(20);
/// How often one looks at the votes.
const LOOK: Duration = Duration::from_millis(50);

/// How all nodes are given a component.
#[derive(Debug, Default)]
pub(super) struct SwapOfAll {
    /// Whether it is a rollback.
    pub(super) rolls_back: bool,
    /// The revision of the key of what is wanted that the order was given on; `None`: whichever it is.
    pub(super) on: Option<u64>,
    /// Why, for the histories.
    pub(super) why: Option<String>,
}

impl HostOperations {
    /// Whether all nodes have agreed on the revision with this digest.
    pub(super) fn is_of_cluster(&self, service: &ServiceName, digest: Option<&str>) -> bool {
        let Some(cluster) = &self.cluster else { return false };
        let board = cluster.swaps();
        let board = board.borrow();
        board.wanted.get(service).is_some_and(|wanted| digest == Some(wanted.digest.to_string().as_str()))
    }

    /// Gives all calls of `name` to a component, on every node. If one of them cannot serve it, nothing changes.
    pub(super) async fn swap_on_all(
        &self,
        cluster: &Cluster,
        name: &str,
        component: Bytes,
        how: SwapOfAll,
    ) -> Result<SwapView, OperationError> {
        let SwapOfAll { rolls_back, on, why } = how;
        let service = ServiceName::new(name).map_err(|_| refusal(SwapError::Unknown(name.to_owned())))?;
        // What this node finds wrong by itself need not be asked of the others.
        self.rollout.try_component(name, component.clone(), rolls_back).await.map_err(refusal)?;
        let first = self.keep_first(cluster, &service).await;
        let digest = cluster.keep_component(&component).await.map_err(registry)?;
        let mut swap = match cluster.propose(&service, digest, rolls_back, on).await {
            Ok(swap) => swap,
            Err(error) => {
                // Another proposal that this node has not heard of may ask for the same component.
                let heard = cluster.swaps().borrow().proposals.contains_key(&service);
                if heard || !matches!(error, ClusterError::UnderWay(_)) {
                    forget(cluster, None, &[Some(digest), first]).await;
                }
                return Err(registry(error));
            }
        };
        swap.first = first;
        let committed = match agreed(cluster, &swap).await {
            Ok(()) => cluster.commit(&swap, &who(), why).await,
            Err(refused) => {
                cluster.close(&swap).await;
                forget(cluster, Some(swap.proposal.id), &[Some(digest), first]).await;
                return Err(refused);
            }
        };
        let wanted = match committed {
            Ok(wanted) => wanted,
            Err(error) => {
                cluster.close(&swap).await;
                // In doubt, all nodes may have to serve it.
                if error != ClusterError::InDoubt {
                    forget(cluster, Some(swap.proposal.id), &[Some(digest), first]).await;
                }
                return Err(registry(error));
            }
        };
        let (revision, previous) = (digest.short(), wanted.previous.map(|previous| previous.short()));
        tracing::info!(%service, revision, previous, by = wanted.by, "all nodes have agreed on a revision");
        let late = followed(cluster, &swap).await;
        let oldest = swap.before.as_ref().and_then(|before| before.previous);
        let oldest = oldest.filter(|oldest| *oldest != digest && Some(*oldest) != wanted.previous);
        forget(cluster, Some(swap.proposal.id), &[oldest]).await;
        let elsewhere = !self.rollout.stands_here(name);
        Ok(SwapView { service: name.to_owned(), revision, previous, elsewhere, late })
    }

    /// Returns every node to the revision before.
    pub(super) async fn roll_back_all(&self, cluster: &Cluster, name: &str) -> Result<SwapView, OperationError> {
        let service = ServiceName::new(name).map_err(|_| refusal(SwapError::Unknown(name.to_owned())))?;
        // A service that is not there is refused as such.
        self.rollout.rollouts(name).map_err(refusal)?;
        let (wanted, on) = cluster.wanted(&service).await.map_err(registry)?;
        let previous = wanted.and_then(|wanted| wanted.previous);
        let previous = previous.ok_or_else(|| refusal(SwapError::NoPrevious(service)))?;
        let component = cluster.component(&previous).await.map_err(registry)?;
        // Whoever has swapped meanwhile wins: this one was ordered before.
        let how = SwapOfAll { rolls_back: true, on: Some(on), why: None };
        self.swap_on_all(cluster, name, component, how).await
    }

    /// Keeps what serves before the first swap where all nodes find it, for a rollback.
    async fn keep_first(&self, cluster: &Cluster, service: &ServiceName) -> Option<Digest> {
        if cluster.swaps().borrow().wanted.contains_key(service) {
            return None;
        }
        let digest = self.rollout.digest(service.as_str())?;
        let component = match self.rollout.component(digest).await {
            Ok(component) => component,
            Err(_) => {
                let file = tokio::fs::read(self.components.get(service)?).await.ok()?;
                Bytes::from(file)
            }
        };
        if Digest::of(&component) != digest {
            return None;
        }
        cluster.keep_component(&component).await.ok()
    }
}

/// Waits until all nodes have voted for a swap.
async fn agreed(cluster: &Cluster, swap: &OpenSwap) -> Result<(), OperationError> {
    let (boards, views, deadline) = (cluster.swaps(), cluster.view(), Instant::now() + TRYING);
    let unchanged = |what: String| {
        OperationError::new(OperationErrorKind::Refused, format!("{what}; nothing has changed, on no node"))
    };
    let (before, mut is_current) = (swap.before.as_ref().map(|before| before.id), false);
    loop {
        let (view, board) = (Arc::clone(&views.borrow()), Arc::clone(&boards.borrow()));
        // While this proposal stands nobody else writes what is wanted. A node that slept finds that somebody has.
        let wanted = board.wanted.get(&swap.service).map(|wanted| wanted.id);
        if wanted != before && is_current {
            return Err(registry(ClusterError::Overtaken));
        }
        is_current |= wanted == before;
        let tally = board.tally(&swap.service, swap.proposal.id, &view);
        match tally {
            // Whoever is not told of the nodes does not know who has to agree.
            Tally::Agreed if !view.stale => return Ok(()),
            Tally::Refused(node, why) => return Err(unchanged(format!("node `{node}` cannot serve it: {why}"))),
            Tally::Waits(nodes) if Instant::now() >= deadline => {
                return Err(unchanged(format!("{} did not say in time whether they can serve it", names(&nodes))));
            }
            Tally::Agreed if Instant::now() >= deadline => {
                return Err(unchanged("NATS does not tell of the nodes".to_owned()));
            }
            Tally::Agreed | Tally::Waits(_) => {}
        }
        sleep(LOOK).await;
    }
}

/// Waits until all nodes serve what they have agreed on. Returns what is known of those that do not, in time.
async fn followed(cluster: &Cluster, swap: &OpenSwap) -> Vec<String> {
    let (boards, views, deadline) = (cluster.swaps(), cluster.view(), Instant::now() + FOLLOWING);
    loop {
        let view = views.borrow().clone();
        let late = boards.borrow().stragglers(&swap.service, swap.proposal.id, &view);
        if late.is_empty() {
            return Vec::new();
        }
        if Instant::now() >= deadline {
            let told = |(node, why): (NodeName, Option<String>)| match why {
                Some(why) => format!("node `{node}` cannot serve it: {why}"),
                None => format!("node `{node}` does not serve it yet"),
            };
            return late.into_iter().map(told).collect();
        }
        sleep(LOOK).await;
    }
}

/// Takes the components away that nobody needs: no node has to serve them, no rollback returns to them, and no other
/// proposal than `own` asks for them.
async fn forget(cluster: &Cluster, own: Option<SwapId>, digests: &[Option<Digest>]) {
    let board = Arc::clone(&cluster.swaps().borrow());
    // Without the whole board nobody knows who needs them.
    let unneeded = digests.iter().flatten().filter(|digest| board.is_whole && !board.needs(digest, own));
    for digest in unneeded {
        if let Err(error) = cluster.forget_component(digest).await {
            tracing::debug!(%error, "a component that nobody needs stays in NATS");
        }
    }
}

fn names(nodes: &[NodeName]) -> String {
    let nodes: Vec<_> = nodes.iter().map(|node| format!("`{node}`")).collect();
    format!("the nodes {}", nodes.join(", "))
}

/// Why the registry has not done it, as an operator reads it.
fn registry(error: ClusterError) -> OperationError {
    let (kind, message) = match &error {
        ClusterError::Overtaken => (
            OperationErrorKind::Conflict,
            "another swap was faster, so this one comes too late: look at `atoll ps --all`, and order it again"
                .to_owned(),
        ),
        ClusterError::InDoubt => {
            (OperationErrorKind::Overloaded, format!("{error}: look at `atoll ps --all` when NATS is back"))
        }
        ClusterError::UnderWay(_) | ClusterError::Component(_) => (OperationErrorKind::Conflict, error.to_string()),
        ClusterError::NoLease | ClusterError::Nats(BrokerError::Away(_)) => (
            OperationErrorKind::Overloaded,
            format!("the nodes of a cluster agree on a revision through NATS, and cannot now: {error}"),
        ),
        _ => (OperationErrorKind::Internal, error.to_string()),
    };
    OperationError::new(kind, message)
}
