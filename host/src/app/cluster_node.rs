//! This host as a node that calls others: its edge towards them, and its services' endpoints there.

use super::edge::peer_edge::PeerEdge;
use super::host_parts::HostParts;
use super::name_service::NameService;
use super::operations::node_operations;
use crate::cluster::{Cluster, Settings};
use crate::config::{ClusterCalls, Manifest};
use crate::listen::Drain;
use crate::mesh::{PeerDoor, Service};
use crate::node::{KnownNodes, NodeDuties, PeerDirectory, ServicePlaces};
use crate::registry::Registry;
use std::sync::Arc;
use tokio::task::{JoinHandle, JoinSet};

/// The edge of this node towards the others, while it serves.
pub(super) struct ServingEdge {
    /// Its task, which returns how many connections it cut off.
    pub(super) edge: JoinHandle<usize>,
    /// Its own, and not the gateway's: requests under way here may need calls that come back from other nodes.
    pub(super) drain: Drain,
}

/// A node before it serves: its edge is bound, so that the others can be told where it is.
pub(super) struct ClusterNode {
    edge: PeerEdge,
    calls: ClusterCalls,
    cluster: Arc<Cluster>,
    settings: Settings,
}

impl ClusterNode {
    /// Begins to be a node, if the manifest has a cluster; and one that calls others, if it has certificates. With a
    /// name server the others are told where the gateway is, too.
    ///
    /// # Errors
    /// Those of the cluster; the certificates cannot be used, or the address is in use.
    pub(super) async fn join(
        manifest: &Manifest,
        names: Option<&NameService>,
        registry: &Arc<Registry<Service>>,
        duties: &Arc<NodeDuties>,
    ) -> anyhow::Result<(Option<Arc<Cluster>>, Option<Self>)> {
        let Some(mut settings) = manifest.cluster.clone() else { return Ok((None, None)) };
        settings.gateway = names.map(|names| names.place().clone());
        let Some(calls) = &manifest.calls else {
            return Ok((node_operations::join(&settings, registry, duties).await.map(Some)?, None));
        };
        let edge = PeerEdge::bind(settings.listen, &calls.tls).await?;
        if settings.listen.port() == 0 && settings.address == settings.listen.to_string() {
            settings.address = edge.local_addr()?.to_string();
        }
        let cluster = node_operations::join(&settings, registry, duties).await?;
        let node = Self { edge, calls: calls.clone(), cluster: Arc::clone(&cluster), settings };
        Ok((Some(cluster), Some(node)))
    }

    /// Answers the calls of other nodes until it is drained, and gives the services their endpoints there.
    pub(super) fn serve(self, parts: &HostParts, upkeep: &mut JoinSet<()>) -> ServingEdge {
        let Self { edge, calls, cluster, settings } = self;
        upkeep.spawn(Arc::clone(&edge.tls).watch("cluster"));
        let known = KnownNodes::counted_by(Arc::clone(parts.duties.refused()));
        upkeep.spawn(known.clone().follow(cluster.view()));
        let (own, files, duties) = (settings.node.clone(), calls.tls.clone(), Arc::clone(&parts.duties));
        upkeep.spawn(duties.watch_certificate(files, own));
        let (kept, duties) = (Arc::clone(&parts.rollout), Arc::clone(&parts.duties));
        upkeep.spawn(ServicePlaces { cluster: Arc::clone(&cluster), rollout: kept, duties }.follow());
        let directory = PeerDirectory::new(cluster, settings.zone, (calls.tls, calls.message, calls.protocol));
        let rollout = Arc::clone(&parts.rollout);
        upkeep.spawn(async move { directory.follow(&rollout).await });
        let door = PeerDoor::new(Arc::clone(&parts.mesh), parts.tracer.clone(), calls.message);
        let door = door.speaking(calls.protocol);
        let drain = Drain::new();
        ServingEdge { edge: edge.serve(Arc::new(door), known, drain.clone()), drain }
    }
}
