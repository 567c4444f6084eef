//! The bounds of a listening socket.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Where to listen, and the bounds on each connection and on their number.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The address to bind; port 0 takes a free one.
    pub address: SocketAddr,
    /// How long the whole header section of a request may take from its first byte, and a new connection to send that byte.
    pub header_timeout: Duration,
    /// How long a connection may rest between two requests.
    pub idle_timeout: Duration,
    /// How long a peer may take no byte of an answer that is ready for it.
    pub write_timeout: Duration,
    /// The most header fields of a request that a service gets to see. The parser's own ceiling is a little higher, so that the service
    /// can answer what is just beyond with a body of its own.
    pub max_headers: usize,
    /// The most bytes of a request's header section that a service gets to see; the ceiling is higher as for `max_headers`.
    pub header_bytes: usize,
    /// The most connections at once; beyond it accepting waits, and the kernel's backlog holds those that knock.
    pub connections: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(60),
            max_headers: 100,
            header_bytes: 32 * 1024,
            connections: 10_000,
        }
    }
}
