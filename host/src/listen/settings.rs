//! The bounds of a listening socket.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
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
    /// The least rate at which a peer sends a request's body, in bytes a second, while the service waits for it and
    /// until the head of the answer. A slower body fails, which is answered with 408. 0: any rate.
    pub min_upload_rate: u64,
    /// The least rate at which a peer takes an answer, in bytes a second, while bytes wait for it. A slower peer is cut
    /// off. 0: any rate. It has no effect where the system does not tell what a peer has taken.
    pub min_download_rate: u64,
    /// How long a peer may be below these two rates.
    pub rate_grace: Duration,
    /// The most bytes of one answer that are read ahead of a slow peer; 0: none.
    pub answer_buffer: usize,
    /// The most bytes of all answers together that are read ahead of slow peers.
    pub answer_memory: usize,
    /// How long an exchange goes on, without a byte of an answer, after its peer has closed the sending half of the
    /// connection. The peer may still read the answer (RFC 9112, section 9.6), or it may be gone: TCP shows the
    /// difference only when the answer is sent.
    pub half_closed_timeout: Duration,
    /// The most header fields of a request. The parser's own ceiling is a little higher, so that a request just above
    /// this bound reaches the service, which answers it with a body of its own.
    pub max_headers: usize,
    /// The most bytes of a request's header section; the parser's ceiling is higher, as for `max_headers`.
    pub header_bytes: usize,
    /// The most connections at a time. When there are so many, a new one takes the place of the connection that has
    /// been idle for the longest time. If none is idle, new connections wait, in the kernel's backlog, until one ends.
    pub connections: usize,
    /// The most connections at a time from one address, whose IPv6 form counts by its first 64 bits; a further one is
    /// closed. 0: any number.
    pub per_address: usize,
    /// The addresses that `per_address` does not bound: proxies, from which many clients come.
    pub proxies: Vec<IpAddr>,
    /// The proxies whose connections begin with a header of the PROXY protocol; those of others are closed. `None`: no
    /// connection has such a header.
    pub proxy_protocol: Option<Vec<IpAddr>>,
    /// How HTTP/2 is spoken; `None`: not at all.
    pub http2: Option<Http2Settings>,
}

/// The bounds of a connection with HTTP/2.
#[derive(Debug, Clone)]
pub struct Http2Settings {
    /// Whether a client without TLS may begin with the preface of HTTP/2 (RFC 9113, section 3.3).
    pub prior_knowledge: bool,
    /// The most streams at a time.
    pub streams: u32,
    /// The most bytes of a request's body that a client may send before the service reads them.
    pub stream_window: u32,
    /// The most bytes of all bodies of a connection that a client may send before they are read.
    pub connection_window: u32,
    /// How old a connection may get before its client is asked to make a new one; `None`: as old as it likes.
    pub max_age: Option<Duration>,
    /// Whether its peers may send any number of resets and of frames that carry nothing. For peers that are trusted.
    pub unmetered: bool,
}

impl Default for Http2Settings {
    fn default() -> Self {
        // Envoy's advice for edges: 100 streams, 64 KiB and 1 MiB.
        Self {
            prior_knowledge: false,
            streams: 100,
            stream_window: 64 << 10,
            connection_window: 1 << 20,
            max_age: None,
            unmetered: false,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(60),
            min_upload_rate: 240,
            min_download_rate: 240,
            rate_grace: Duration::from_secs(5),
            answer_buffer: 1 << 20,
            answer_memory: 256 << 20,
            half_closed_timeout: Duration::from_secs(5),
            max_headers: 100,
            header_bytes: 32 * 1024,
            connections: 10_000,
            per_address: 0,
            proxies: Vec::new(),
            proxy_protocol: None,
            http2: None,
        }
    }
}
