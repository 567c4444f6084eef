//! The name server of this host, and what it offers: the gateways at which others reach the services.

use super::host_parts::HostParts;
use super::running_host::RunningHost;
use crate::base::GatewayPlace;
use crate::cluster::Cluster;
use crate::config::Manifest;
use crate::listen::{Drain, Listener};
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

    /// This host's own gateway with this weight, unless it takes no further requests.
    fn own(&self, node: Option<&str>, takes_calls: bool, weight: u16) -> Option<OfferedGateway> {
        let is_open = takes_calls && weight > 0 && !self.drain.is_started();
        is_open.then(|| OfferedGateway { node: node.map(str::to_owned), place: self.place.clone(), weight })
    }
}

impl OfferedServices for HostOffer {
    fn gateways_of(&self, service: &str) -> Option<Vec<OfferedGateway>> {
        if !self.is_routed(service) {
            return None;
        }
        let here = self.ready_endpoints(service);
        let Some(cluster) = &self.cluster else { return Some(self.own(None, true, here).into_iter().collect()) };
        let view = cluster.view().borrow().clone();
        let takes_calls = view.nodes.get(&view.own).is_none_or(|row| row.standing.takes_calls());
        let own = self.own(Some(view.own.as_str()), takes_calls, here);
        let others = view.serving(service).filter_map(|(row, served)| {
            let weight = u16::try_from(served.replicas).unwrap_or(u16::MAX);
            Some(OfferedGateway { node: Some(row.name.to_string()), place: row.gateway.clone()?, weight })
        });
        Some(own.into_iter().chain(others).collect())
    }

    fn gateways(&self) -> Vec<OfferedGateway> {
        let Some(cluster) = &self.cluster else { return self.own(None, true, 1).into_iter().collect() };
        let view = cluster.view().borrow().clone();
        let takes_calls = view.nodes.get(&view.own).is_none_or(|row| row.standing.takes_calls());
        let own = self.own(Some(view.own.as_str()), takes_calls, 1);
        let open = view.others().filter(|row| row.standing.takes_calls());
        let others = open.filter_map(|row| {
            Some(OfferedGateway { node: Some(row.name.to_string()), place: row.gateway.clone()?, weight: 1 })
        });
        own.into_iter().chain(others).collect()
    }
}
