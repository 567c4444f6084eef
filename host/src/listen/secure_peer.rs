//! What the handshake has shown of the other end of a TLS connection.

use super::certificate_facts::CertificateFacts;
use crate::base::{HostAndPort, hex};
use rustls::ServerConnection;
use rustls::pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};
use std::net::{Ipv4Addr, Ipv6Addr};

/// The other end of a TLS connection.
#[derive(Debug, Clone)]
pub struct SecurePeer {
    /// The host that the client asked for (SNI), in lower case. `None`: it named none, as clients do that connect to
    /// an address.
    pub sni: Option<String>,
    /// The protocol that both ends agreed on (ALPN): `http/1.1` or `h2`. `None`: the client offered none.
    pub protocol: Option<String>,
    /// The certificate that the client has shown, if it has. It is verified: an authority of `client_ca` signed it for
    /// clients, and it was valid at the handshake.
    pub certificate: Option<ClientCertificate>,
    /// Whether the listener asks its clients for certificates.
    pub(super) asks_clients: bool,
}

/// A verified certificate of a client.
#[derive(Debug, Clone)]
pub struct ClientCertificate {
    /// What it says.
    pub facts: CertificateFacts,
    /// Its SHA-256, in 64 hexadecimal digits in lower case: what `openssl x509 -fingerprint -sha256` shows.
    pub fingerprint: String,
    /// The certificate in DER, and those that the client sent with it.
    pub chain: Vec<CertificateDer<'static>>,
}

impl SecurePeer {
    /// The peer of a connection after its handshake. `None`: what its certificate says cannot be read.
    pub(super) fn of(connection: &ServerConnection, asks_clients: bool) -> Option<Self> {
        let protocol = connection.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned());
        let sni = connection.server_name().map(str::to_ascii_lowercase);
        let certificate = match connection.peer_certificates() {
            Some(chain) => Some(ClientCertificate::read(chain)?),
            None => None,
        };
        Some(Self { sni, protocol, certificate, asks_clients })
    }

    /// Whether this connection may carry requests for `host`.
    ///
    /// Where clients show certificates, they show them to the host that they asked for in the handshake, so a request
    /// for another host is refused (RFC 9110, section 7.4). Without a name in the handshake, the host is an address.
    /// Elsewhere any host that a route admits is served, as without TLS.
    pub fn may_ask_for(&self, host: HostAndPort<'_>) -> bool {
        if !self.asks_clients {
            return true;
        }
        let name = host.host().strip_suffix('.').unwrap_or(host.host());
        match &self.sni {
            Some(sni) => sni.eq_ignore_ascii_case(name),
            None => {
                let literal = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
                name.parse::<Ipv4Addr>().is_ok() || literal.is_some_and(|ip| ip.parse::<Ipv6Addr>().is_ok())
            }
        }
    }
}

impl ClientCertificate {
    fn read(chain: &[CertificateDer<'static>]) -> Option<Self> {
        let own = chain.first()?;
        let facts = CertificateFacts::read(own)?;
        let fingerprint = hex(&Sha256::digest(own));
        Some(Self { facts, fingerprint, chain: chain.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_clients_show_certificates_a_request_is_for_the_host_of_the_handshake() {
        let peer = |sni: Option<&str>, asks_clients| {
            let sni = sni.map(str::to_owned);
            SecurePeer { sni, protocol: None, certificate: None, asks_clients }
        };
        for (sni, host, good) in [
            (Some("shop.example"), "Shop.Example:8443", true),
            (Some("shop.example"), "shop.example.", true),
            (Some("shop.example"), "admin.example", false),
            (Some("shop.example"), "127.0.0.1", false),
            (None, "127.0.0.1:8443", true),
            (None, "[::1]:8443", true),
            (None, "shop.example", false),
        ] {
            let host = HostAndPort::parse(host).expect("a host");
            assert_eq!(peer(sni, true).may_ask_for(host), good, "{sni:?} {host}");
            assert!(peer(sni, false).may_ask_for(host), "nobody is asked for a certificate");
        }
    }
}
