//! Where a gateway is reached.

use std::net::IpAddr;

/// Where others reach a gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayPlace {
    /// Its IP addresses, one at least.
    pub addresses: Vec<IpAddr>,
    /// Its port by HTTP.
    pub port: u16,
    /// Its port by TLS; `None`: it has none.
    pub secure_port: Option<u16>,
}

impl GatewayPlace {
    /// The most addresses of one gateway: an address of each family in two networks.
    pub const MOST_ADDRESSES: usize = 4;
}
