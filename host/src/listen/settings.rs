//! The bounds of a listening socket.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// The address to listen on, the bounds of each connection, and the bound on their number.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The address to bind; port 0 stands for any free port.
    pub address: SocketAddr,
    /// How long the header section of a request may take from its first byte. A new connection may be silent for as
    /// long before it sends that byte.
    pub header_timeout: Duration,
    /// How long a connection may be idle between two requests.
    pub idle_timeout: Duration,
    /// How long a peer may take no byte of an answer that is ready to be sent.
    pub write_timeout: Duration,
    /// How long an exchange goes on, without a byte of an answer, after its peer has closed the sending half of the
    /// connection. The peer may still read the answer (RFC 9112, section 9.6), or it may be gone: TCP shows the
    /// difference only when the answer is sent.
    pub half_closed_timeout: Duration,
    /// The most header fields of a request. The parser's own ceiling is a little higher, so that a request just above
    /// this bound reaches the service, which answers it with a body of its own.
    pub max_headers: usize,
    /// The most bytes of a request's header section; the parser's ceiling is higher, as for `max_headers`.
    pub header_bytes: usize,
    /// The most connections at a time. When there are so many, the accept loop waits until one ends, and new
    /// connections wait in the kernel's backlog.
    pub connections: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(60),
            half_closed_timeout: Duration::from_secs(5),
            max_headers: 100,
            header_bytes: 32 * 1024,
            connections: 10_000,
        }
    }
}
