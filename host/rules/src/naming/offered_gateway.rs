//! What can be found by a name.

use crate::base::GatewayPlace;

/// A gateway at which others reach a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedGateway {
    /// The name of its node, a DNS label; `None`: it is the only one, of a host without a cluster.
    pub node: Option<String>,
    /// Where it is.
    pub place: GatewayPlace,
    /// How many ready endpoints of the service it has: its share beside others.
    pub weight: u16,
}

/// What is offered at one moment.
pub trait OfferedServices {
    /// The gateways that reach `service` and have ready endpoints of it; `None`: no service of this name is offered.
    /// The name is any text.
    fn gateways_of(&self, service: &str) -> Option<Vec<OfferedGateway>>;

    /// Every gateway, whatever it serves.
    fn gateways(&self) -> Vec<OfferedGateway>;
}
