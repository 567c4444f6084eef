//! The name server of this host, and what it offers: the gateways at which others reach the services.

use super::host_parts::HostParts;
use super::running_host::RunningHost;
use crate::base::GatewayPlace;
use crate::cluster::Cluster;
use crate::config::Manifest;
use crate::listen::{Drain, Listener};
use crate::membership::NodeRow;
use crate::mesh::{EndpointTarget, Service};
use crate::name_server::NameServer;
use crate::naming::{OfferedGateway, OfferedServices};
use crate::node::NodeDuties;
use crate::registry::Registry;
use crate::telemetry::NameMetrics;
use anyhow::Context;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::task::JoinSet;

/// The name server before it serves, bound like the gateway, of which it tells.
pub(super) struct NameService {
    server: NameServer,
    address: SocketAddr,
    place: GatewayPlace,
}

/// What this host offers, and the nodes beside it.
struct HostOffer {
    running: Arc<RunningHost>,
    registry: Arc<Registry<Service>>,
    cluster: Option<Arc<Cluster>>,
    duties: Arc<NodeDuties>,
    drain: Drain,
    place: GatewayPlace,
}

impl NameService {
    /// Binds its sockets, if the manifest has a name server.
    ///
    /// # Errors
    /// The address is in use, for one.
    pub(super) async fn bind(manifest: &Manifest, gateway: &Listener) -> anyhow::Result<Option<Self>> {
        let Some(dns) = &manifest.dns else { return Ok(None) };
        let server = NameServer::bind(&dns.server).await.context("`listen` of [dns]")?;
        let place = GatewayPlace {
            addresses: dns.addresses.clone(),
            port: gateway.local_addr()?.port(),
            secure_port: gateway.secure_addr()?.map(|address| address.port()),
        };
        let address = server.local_addr()?;
        Ok(Some(Self { server, address, place }))
    }

    /// Where others reach the gateway of this host.
    pub(super) fn place(&self) -> &GatewayPlace {
        &self.place
    }

    /// What it counts.
    pub(super) fn metrics(&self) -> Arc<NameMetrics> {
        Arc::clone(self.server.metrics())
    }

    /// Answers as long as the task is in `upkeep`, and returns the address of the sockets. It goes on while the host
    /// drains: others have to learn that it does, and where else the services are.
    pub(super) fn serve(self, parts: &HostParts, running: &Arc<RunningHost>, upkeep: &mut JoinSet<()>) -> SocketAddr {
        let offer = HostOffer {
            running: Arc::clone(running),
            registry: Arc::clone(&parts.registry),
            cluster: parts.cluster.clone(),
            duties: Arc::clone(&parts.duties),
            drain: parts.drain.clone(),
            place: self.place,
        };
        upkeep.spawn(self.server.serve(Arc::new(offer)));
        self.address
    }
}

impl HostOffer {
    /// Whether a route leads to the service: without one nobody reaches it here.
    fn is_routed(&self, service: &str) -> bool {
        let gateway = self.running.gateway();
        let routes = gateway.0.routes().routes();
        routes.iter().any(|(_, target)| target.service().is_some_and(|name| name.as_str() == service))
    }

    /// How many endpoints of the service are ready, without those on other nodes.
    fn ready_endpoints(&self, service: &str) -> u16 {
        let table = self.registry.snapshot();
        let Some(service) = table.get(service) else { return 0 };
        let is_told = self.cluster.is_none() || self.duties.offers(&service.group.name);
        let here = service.group.endpoints.iter().filter(|endpoint| match &endpoint.target {
            // What is withheld from the other nodes is so from everybody.
            EndpointTarget::Instances(_) => is_told,
            EndpointTarget::Url { .. } => true,
            EndpointTarget::Peer(_) => false,
        });
        let ready = here.filter(|endpoint| endpoint.stats.readiness.is_ready()).count();
        u16::try_from(ready).unwrap_or(u16::MAX)
    }

    /// The gateways that take requests: this host's own, with the weight `here`, and those of the nodes to which
    /// `weight` gives one.
    fn open_gateways(&self, here: u16, weight: impl Fn(&NodeRow) -> Option<u16>) -> Vec<OfferedGateway> {
        let view = self.cluster.as_ref().map(|cluster| cluster.view().borrow().clone());
        let own_row = view.as_ref().and_then(|view| view.nodes.get(&view.own));
        let takes_calls = own_row.is_none_or(|row| row.standing.takes_calls()) && !self.drain.is_started();
        let node = view.as_ref().map(|view| view.own.to_string());
        let own = (takes_calls && here > 0).then(|| OfferedGateway { node, place: self.place.clone(), weight: here });
        let open = view.iter().flat_map(|view| view.others()).filter(|row| row.standing.takes_calls());
        let others = open.filter_map(|row| {
            let (node, place) = (Some(row.name.to_string()), row.gateway.clone()?);
            Some(OfferedGateway { node, place, weight: weight(row)? })
        });
        own.into_iter().chain(others).collect()
    }
}

impl OfferedServices for HostOffer {
    fn gateways_of(&self, service: &str) -> Option<Vec<OfferedGateway>> {
        let replicas = |row: &NodeRow| row.service(service).map(|served| served.replicas);
        let weight = |row: &NodeRow| replicas(row).map(|replicas| u16::try_from(replicas).unwrap_or(u16::MAX));
        self.is_routed(service).then(|| self.open_gateways(self.ready_endpoints(service), weight))
    }

    fn gateways(&self) -> Vec<OfferedGateway> {
        self.open_gateways(1, |_| Some(1))
    }
}
