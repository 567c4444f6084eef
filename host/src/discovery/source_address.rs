//! Which kind of source an address of `urls` names.

use super::registry_address::{RegistryAddress, WrongAddress};
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
    /// A registry.
    Registry(RegistryAddress),
}

/// What to write in place of a wrong address of SRV records.
const SRV_HELP: &str = "write the name of the records: \"dns+srv://_http._tcp.users.internal\", or with a name server \
                        \"dns+srv://10.0.0.2:8600/users.service.consul\"";

impl SourceAddress {
    /// The source that `address` names. An address of `http` or `https` names its host.
    ///
    /// # Errors
    /// What is wrong with an address of the schemes of this room.
    pub fn of(address: &Uri) -> Result<Self, WrongAddress> {
        if let Some(source) = SrvSource::of(address) {
            let wrong = |message: &str| WrongAddress { message: message.to_owned(), help: SRV_HELP.to_owned() };
            return source.map(Self::Srv).map_err(wrong);
        }
        if let Some(registry) = RegistryAddress::of(address) {
            return registry.map(Self::Registry);
        }
        let port = address.port_u16().unwrap_or(if address.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 });
        let host = address.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        Ok(host.parse::<IpAddr>().map_or(Self::Name(port), |ip| Self::Literal(SocketAddr::new(ip, port))))
    }

    /// Whether it is the address of a host, by `http` or `https`.
    pub fn is_host(&self) -> bool {
        matches!(self, Self::Literal(_) | Self::Name(_))
    }

    /// Whether the endpoints of `address` speak TLS. False for a wrong address.
    pub fn is_secure(address: &Uri) -> bool {
        match Self::of(address) {
            Ok(Self::Srv(source)) => source.secure,
            Ok(Self::Registry(registry)) => registry.secure,
            Ok(Self::Literal(_) | Self::Name(_)) => address.scheme() == Some(&Scheme::HTTPS),
            Err(_) => false,
        }
    }
}
