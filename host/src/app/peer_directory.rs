//! Where the services stand on other nodes, as the cluster's view tells it: the endpoints that follow from it.

use crate::cluster::Cluster;
use crate::membership::{ClusterView, Incarnation, NodeName, NodeRow, ZoneName};
use crate::mesh::Distance;
use crate::peer::{PeerClient, PeerTls};
use crate::rollout::{PeerPlace, PeerPlaces, Rollout};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The other nodes, with the connections to each.
pub(super) struct PeerDirectory {
    /// This node's zone.
    zone: Option<ZoneName>,
    tls: PeerTls,
    cluster: Arc<Cluster>,
    /// The most bytes of a typed call's arguments, and of its result.
    longest: usize,
    known: BTreeMap<NodeName, (Incarnation, Arc<PeerClient>)>,
}

impl PeerDirectory {
    /// Nobody is known yet.
    pub(super) fn new(cluster: Arc<Cluster>, zone: Option<ZoneName>, (tls, longest): (PeerTls, usize)) -> Self {
        Self { zone, tls, cluster, longest, known: BTreeMap::new() }
    }

    /// Gives the services of `rollout` the endpoints that each view has for them. It ends with the views.
    pub(super) async fn follow(mut self, rollout: &Rollout) {
        let mut views = self.cluster.view();
        loop {
            let view = Arc::clone(&views.borrow_and_update());
            rollout.place(self.places(&view));
            if views.changed().await.is_err() {
                return;
            }
        }
    }

    fn places(&mut self, view: &ClusterView) -> PeerPlaces {
        // Connections to a node that left end with its last call. One that started again gets new ones: what the old
        // process had accepted is gone.
        self.known.retain(|name, (life, client)| {
            view.nodes.get(name).is_some_and(|row| row.incarnation == *life && row.address == client.address())
        });
        let mut places = PeerPlaces { longest: self.longest, ..PeerPlaces::default() };
        for row in view.others().filter(|row| row.standing.takes_calls()) {
            let (client, distance) = (self.client(row), self.distance(row));
            for served in &row.services {
                let weight = u16::try_from(served.replicas).unwrap_or(u16::MAX).clamp(1, 1000);
                let place = PeerPlace { client: Arc::clone(&client), distance, weight };
                places.services.entry(served.service.clone()).or_default().push(place);
            }
        }
        places
    }

    fn client(&mut self, row: &NodeRow) -> Arc<PeerClient> {
        let (cluster, tls, name) = (&self.cluster, &self.tls, &row.name);
        let (_, client) = self.known.entry(name.clone()).or_insert_with(|| {
            // Who was reached lives, and who was not does not, whatever the registry says.
            let (table, probed) = (Arc::downgrade(cluster), name.clone());
            let told = move |reached| {
                if let Some(table) = table.upgrade() {
                    table.probed(&probed, reached);
                }
            };
            let client = PeerClient::new(name.as_str(), &row.address, tls.clone(), Box::new(told));
            (row.incarnation, Arc::new(client))
        });
        Arc::clone(client)
    }

    fn distance(&self, row: &NodeRow) -> Distance {
        if self.zone.is_some() && self.zone == row.zone { Distance::Zone } else { Distance::Far }
    }
}
