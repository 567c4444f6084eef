//! The HTTP client for plain addresses and outside hosts: connections, their pools, TLS, and what a request's head says
//! about this host. Always: a connection to an outside host goes to an address that its rule admitted, without a second
//! look-up in between (so DNS rebinding gains nothing), and an outside host learns no id, deadline or depth; TLS checks
//! the certificate against the host of the URL; every wait ends. Never: it picks no endpoint, and sends nothing twice,
//! but for a request whose connection closed before a byte of it was written.

pub(super) mod client;
mod connector;
#[expect(clippy::module_inception, reason = "a file is named for its main noun")]
pub(super) mod dial;
mod lookup;
mod request_head;
mod stream;
#[cfg(test)]
mod tests;
pub(super) mod tls;
