//! The way out of the host by HTTP: to services that are not WebAssembly yet, and to hosts outside.
//!
//! Owns one pool of connections for each place ([`HttpClient`]), how a connection is made, and what a request's head says about us. What
//! always holds:
//! - A connection to an outside host is made to one of the very addresses that its rule admitted: no second look-up lies between the check
//!   and the connection, so a name that changes its mind (DNS rebinding) gains nothing.
//! - An outside host learns no id, no deadline and no depth of ours.
//! - TLS checks the certificate against the host that was asked for, be it a name or an address.
//! - Every wait ends: that for a connection with [`Dial::connect`], that for the head with the call's deadline.
//!
//! Never: it picks no endpoint and tries nothing again, but for a request that met a connection which the other side had closed before a
//! byte was sent.
//! Tests: in `tests`, against sockets of this machine.

mod client;
mod connector;
mod head;
mod lookup;
mod stream;
#[cfg(test)]
mod tests;
mod tls;

pub use client::HttpClient;
pub(super) use client::origin;
pub use tls::{Tls, TlsError};

use std::time::Duration;

/// How connections are made.
#[derive(Debug, Clone)]
pub struct Dial {
    /// The longest wait for a connection, in which its name is looked up and the handshake of TLS is made. Default 1 s: an address in reach
    /// answers in milliseconds, and one lost packet costs a second.
    pub connect: Duration,
    /// How the other side proves who it is; `None` refuses every `https` address.
    pub tls: Option<Tls>,
}

impl Default for Dial {
    fn default() -> Self {
        Self { connect: Duration::from_secs(1), tls: None }
    }
}
