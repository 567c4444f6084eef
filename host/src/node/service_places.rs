//! The services with `node_count`: this node has instances of those that the cluster's view gives to it.
//!
//! Each node decides by its own view, and the rule is `membership`'s. A move is made before it is broken: the node that
//! gets a service has it ready, then the others see that, and then the node that had it tells that it has none. It ends
//! its replicas a lease later, if all that still holds: of two nodes that counted on each other both have heard by then
//! that the other leaves, and nobody sends calls there any more. A node that was told nothing for so long is stale, and
//! leaves nothing.

use super::node_duties::NodeDuties;
use crate::base::ServiceName;
use crate::cluster::Cluster;
use crate::membership::{ClusterView, PlaceOrder};
use crate::rollout::{PlacedService, Rollout};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

/// How often one looks without a new view: a service may be a new one of another manifest.
const LOOK: Duration = Duration::from_millis(500);
/// The pause after instances that did not start.
const PAUSE: Duration = Duration::from_secs(10);

/// How long others are told that they do not start.
const AGAIN: Duration = Duration::from_secs(60);

/// The task that keeps the services of this node.
pub struct ServicePlaces {
    /// Its view says which nodes there are.
    pub cluster: Arc<Cluster>,
    /// Begins and ends the instances.
    pub rollout: Arc<Rollout>,
    /// What others are told.
    pub duties: Arc<NodeDuties>,
}

/// What the task remembers of a service.
#[derive(Default)]
struct ServiceMove {
    /// Since when others are told that it is not here.
    leaving: Option<Instant>,
    /// When its instances last did not start.
    failed: Option<Instant>,
}

impl ServicePlaces {
    /// Follows the views. It ends with them.
    pub async fn follow(self) {
        let (mut views, mut moves) = (self.cluster.view(), BTreeMap::<ServiceName, ServiceMove>::new());
        loop {
            views.mark_unchanged();
            let placed = self.rollout.placed();
            moves.retain(|name, _| placed.iter().any(|one| one.name == *name));
            let known = |name: &ServiceName| moves.contains_key(name);
            self.duties.leaving().retain(known);
            self.duties.place_failures().retain(|name, _| known(name));
            for one in &placed {
                // By the view of this moment: what another service does may take long.
                self.carry_out(self.order(one), one, moves.entry(one.name.clone()).or_default()).await;
            }
            if let Ok(Err(_)) = timeout(LOOK, views.changed()).await {
                return;
            }
        }
    }

    fn order(&self, one: &PlacedService) -> PlaceOrder {
        let view = Arc::clone(&self.cluster.view().borrow());
        one.placement.order(&one.name, &view)
    }

    async fn carry_out(&self, order: PlaceOrder, one: &PlacedService, own: &mut ServiceMove) {
        let PlacedService { name, here, .. } = one;
        match order {
            PlaceOrder::Leave if *here => match own.leaving {
                None => {
                    self.duties.leaving().insert(name.clone());
                    own.leaving = self.cluster.has_told_none_of(name).then(Instant::now);
                }
                Some(since) if since.elapsed() >= self.cluster.lease() => {
                    // Whoever is not sure that others see it does not know who they are.
                    if !self.cluster.holds_lease() || self.order(one) != PlaceOrder::Leave {
                        return;
                    }
                    if let Err(error) = self.rollout.end_to_host(name).await {
                        tracing::debug!(service = %name, %error, "its instances stay for now");
                        return;
                    }
                    self.stays(name, own);
                }
                Some(_) => {}
            },
            PlaceOrder::Have if !here => {
                self.stays(name, own);
                if own.failed.is_some_and(|failed| failed.elapsed() < PAUSE) {
                    return;
                }
                match self.rollout.begin_to_host(name).await {
                    Ok(()) => {
                        own.failed = None;
                        self.duties.place_failures().remove(name);
                    }
                    Err(error) => {
                        tracing::error!(service = %name, %error, "this node should have instances of it");
                        own.failed = Some(Instant::now());
                        self.duties.place_failures().insert(name.clone(), error.to_string());
                    }
                }
            }
            PlaceOrder::Leave => self.tries_again(name, own),
            PlaceOrder::Have => self.stays(name, own),
            PlaceOrder::Stay => {
                self.stays(name, own);
                self.tries_again(name, own);
            }
        }
    }

    /// After a while this node says no more that it cannot start the instances: it may be its turn again.
    fn tries_again(&self, name: &ServiceName, own: &mut ServiceMove) {
        if own.failed.is_none_or(|failed| failed.elapsed() >= AGAIN) {
            own.failed = None;
            self.duties.place_failures().remove(name);
        }
    }

    fn stays(&self, name: &ServiceName, own: &mut ServiceMove) {
        own.leaving = None;
        self.duties.leaving().remove(name);
    }
}

/// Waits until the services that this node has alone stand elsewhere, as long as somebody is there to take them: this
/// node has said that it drains.
pub async fn handed_over(cluster: &Cluster, rollout: &Rollout) {
    let waits = |view: &ClusterView| {
        let placed = rollout.placed();
        placed.into_iter().any(|one| {
            let somebody = !one.placement.nodes(&one.name, view).is_empty();
            one.here && somebody && !view.stale && one.placement.order(&one.name, view) == PlaceOrder::Stay
        })
    };
    let views = cluster.view();
    while waits(&views.borrow()) {
        sleep(LOOK / 5).await;
    }
}
