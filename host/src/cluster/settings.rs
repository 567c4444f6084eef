//! Which cluster, and which of its nodes this host is.

use crate::base::GatewayPlace;
use crate::broker::NatsServers;
use crate::membership::{NodeName, ZoneName};
use std::net::SocketAddr;
use std::time::Duration;

/// What the manifest says of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where the table is kept.
    pub nats: NatsServers,
    /// On how many servers of NATS it is kept: 1 to 5.
    pub replicas: u8,
    /// The name of the cluster: a DNS label.
    pub name: String,
    /// This node.
    pub node: NodeName,
    /// Where it is.
    pub zone: Option<ZoneName>,
    /// The address to which other nodes connect.
    pub listen: SocketAddr,
    /// Where other nodes reach this one: `host:port`.
    pub address: String,
    /// How long the lease of a node lasts: 2 s to 1 min, in whole seconds.
    pub lease: Duration,
    /// Where others reach this node's gateway, for the name servers of all nodes; `None`: they are not told. Only a
    /// host that has bound its sockets knows it.
    pub gateway: Option<GatewayPlace>,
}
