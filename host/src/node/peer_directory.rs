//! Where the services stand on other nodes, as the cluster's view tells it: the endpoints that follow from it.

use crate::base::ServiceName;
use crate::cluster::Cluster;
use crate::membership::{ClusterView, Incarnation, NodeName, NodeRow, ServiceRow, ZoneName};
use crate::mesh::Distance;
use crate::peer::{PeerClient, PeerProtocol, PeerTls};
use crate::rollout::{PeerPlace, PeerPlaces, Rollout};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How often one looks whether a node has lost its lease.
const LOOK: Duration = Duration::from_millis(250);
/// How many nodes are tried at a time: all may have lost their leases at once.
const PROBES: usize = 64;

/// The other nodes, with the connections to each.
pub struct PeerDirectory {
    /// This node's zone.
    zone: Option<ZoneName>,
    tls: PeerTls,
    cluster: Arc<Cluster>,
    /// The most bytes of a typed call's arguments, and of its result.
    longest: usize,
    /// The newest version of the wire that this node speaks.
    newest: PeerProtocol,
    known: BTreeMap<NodeName, (Incarnation, Arc<PeerClient>)>,
    /// The tries to reach nodes without a lease that are under way, at most one for each.
    probes: JoinSet<NodeName>,
    tried: BTreeSet<NodeName>,
}

impl PeerDirectory {
    /// Nobody is known yet.
    pub fn new(
        cluster: Arc<Cluster>,
        zone: Option<ZoneName>,
        (tls, longest, newest): (PeerTls, usize, PeerProtocol),
    ) -> Self {
        Self {
            zone,
            tls,
            cluster,
            longest,
            newest,
            known: BTreeMap::new(),
            probes: JoinSet::new(),
            tried: BTreeSet::new(),
        }
    }

    /// Gives the services of `rollout` the endpoints that each view has for them, and tries to reach the nodes that
    /// have lost their leases. It ends with the views.
    pub async fn follow(mut self, rollout: &Rollout) {
        self.cluster.expect_probes(PeerClient::PROBE + 2 * LOOK);
        let mut views = self.cluster.view();
        views.mark_changed();
        loop {
            match timeout(LOOK, views.changed()).await {
                Ok(Ok(())) => {
                    let view = Arc::clone(&views.borrow_and_update());
                    rollout.place(self.places(&view));
                }
                Ok(Err(_)) => return,
                Err(_) => {}
            }
            self.probe_doubted();
        }
    }

    /// A node without a lease may have lost the registry alone, and nobody may have opened a connection to it for long:
    /// it is tried anew, four times in a lease, before it is evicted and for as long as it stays.
    fn probe_doubted(&mut self) {
        while let Some(ended) = self.probes.try_join_next() {
            match ended {
                Ok(name) => self.tried.remove(&name),
                // A probe that panicked does not say whose it was: none is kept from being tried again.
                Err(_) => std::mem::take(&mut self.tried).is_empty(),
            };
        }
        for name in self.cluster.to_probe() {
            let Some((_, client)) = self.known.get(&name) else { continue };
            if self.probes.len() >= PROBES || !self.tried.insert(name.clone()) {
                continue;
            }
            let client = Arc::clone(client);
            self.probes.spawn(async move {
                client.probe().await;
                name
            });
        }
    }

    fn places(&mut self, view: &ClusterView) -> PeerPlaces {
        // Connections to a node that left end with its last call. One that started again gets new ones: what the old
        // process had accepted is gone.
        self.known.retain(|name, (life, client)| {
            view.nodes.get(name).is_some_and(|row| row.incarnation == *life && row.address == client.address())
        });
        let mut places = PeerPlaces { longest: self.longest, ..PeerPlaces::default() };
        for (row, services) in callable(view) {
            let (client, distance) = (self.client(row), self.distance(row));
            for served in services {
                let weight = u16::try_from(served.replicas).unwrap_or(u16::MAX).clamp(1, 1000);
                let place = PeerPlace { client: Arc::clone(&client), distance, weight };
                places.services.entry(served.service.clone()).or_default().push(place);
            }
        }
        places
    }

    fn client(&mut self, row: &NodeRow) -> Arc<PeerClient> {
        let (cluster, tls, name, newest) = (&self.cluster, &self.tls, &row.name, self.newest);
        let (_, client) = self.known.entry(name.clone()).or_insert_with(|| {
            // Who was reached lives, and who was not does not, whatever the registry says.
            let (table, probed) = (Arc::downgrade(cluster), name.clone());
            let told = move |reached| {
                if let Some(table) = table.upgrade() {
                    table.probed(&probed, reached);
                }
            };
            let client = PeerClient::new(name.as_str(), &row.address, tls.clone(), Box::new(told));
            (row.incarnation, Arc::new(client.speaking(newest)))
        });
        Arc::clone(client)
    }

    fn distance(&self, row: &NodeRow) -> Distance {
        if self.zone.is_some() && self.zone == row.zone { Distance::Zone } else { Distance::Far }
    }
}

/// The other nodes that get calls, each with the services for which it does. A node that drains gets those of the
/// services that no other node has: what is under way may need them, and an answer is better than none.
fn callable(view: &ClusterView) -> impl Iterator<Item = (&Arc<NodeRow>, Vec<&ServiceRow>)> {
    let own = view.nodes.get(&view.own);
    let open = || view.others().filter(|row| row.standing.takes_calls());
    let served: BTreeSet<&ServiceName> =
        open().chain(own).flat_map(|row| &row.services).map(|served| &served.service).collect();
    view.others().map(move |row| {
        let gets = |one: &&ServiceRow| row.standing.takes_calls() || !served.contains(&one.service);
        (row, row.services.iter().filter(gets).collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Digest;
    use crate::membership::Standing;

    #[test]
    fn a_node_that_drains_gets_calls_of_services_that_no_other_has() {
        use Standing::{Cordoned, Draining, Living};
        let row = |name: &str, standing, services: &[&str]| {
            let served = |name: &&str| ServiceRow {
                service: ServiceName::new(name).unwrap(),
                revision: Digest([7; 32]),
                replicas: 1,
                load: 0,
            };
            let (name, address) = (NodeName::new(name).unwrap(), format!("{name}:7070"));
            let services = services.iter().map(served).collect();
            let (incarnation, cannot) = (Incarnation(1), std::collections::BTreeSet::new());
            Arc::new(NodeRow { name, incarnation, zone: None, address, standing, services, cannot, gateway: None })
        };
        let rows = [
            // Its own instances of `a` are there, whatever its standing.
            row("own", Draining, &["a"]),
            row("b", Draining, &["a", "b", "c", "d"]),
            row("c", Cordoned, &["b"]),
            row("d", Living, &["c"]),
            row("e", Draining, &["d"]),
        ];
        let nodes = rows.into_iter().map(|row| (row.name.clone(), row)).collect();
        let view = ClusterView { own: NodeName::new("own").unwrap(), nodes, stale: false };
        let got: Vec<String> = callable(&view)
            .flat_map(|(row, services)| services.into_iter().map(move |one| format!("{} {}", row.name, one.service)))
            .collect();
        assert_eq!(got, ["b d", "c b", "d c", "e d"]);
    }
}
