//! Which kind of source an address of `urls` names.

use super::srv_source::SrvSource;
use http::Uri;
use http::uri::Scheme;
use std::net::{IpAddr, SocketAddr};

/// What tells the endpoints of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceAddress {
    /// The address itself: its host is this IP address.
    Literal(SocketAddr),
    /// Its host's name, with the port of the address.
    Name(u16),
    /// Records of DNS.
    Srv(SrvSource),
}

impl SourceAddress {
    /// The source that `address` names. An address of `http` or `https` names its host.
    ///
    /// # Errors
    /// What is wrong with an address of the schemes of this room.
    pub fn of(address: &Uri) -> Result<Self, &'static str> {
        if let Some(source) = SrvSource::of(address) {
            return source.map(Self::Srv);
        }
        let port = address.port_u16().unwrap_or(if address.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 });
        let host = address.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        Ok(host.parse::<IpAddr>().map_or(Self::Name(port), |ip| Self::Literal(SocketAddr::new(ip, port))))
    }
}
