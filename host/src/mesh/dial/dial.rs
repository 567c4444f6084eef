//! How connections are made.

use super::tls::Tls;
use std::time::Duration;

/// The settings of new connections.
#[derive(Debug, Clone)]
pub struct Dial {
    /// The longest wait for a connection, with the look-up of its name and the handshake of TLS. Default 1 s: an
    /// address in reach answers in milliseconds, and one lost packet costs a second.
    pub connect: Duration,
    /// How servers prove who they are; `None` refuses every `https` address.
    pub tls: Option<Tls>,
    /// Whether the servers speak HTTP/2, without TLS by prior knowledge. Default false: HTTP/1.1.
    pub http2: bool,
}

impl Default for Dial {
    fn default() -> Self {
        Self { connect: Duration::from_secs(1), tls: None, http2: false }
    }
}
