//! The HTTP client for plain addresses and outside hosts: connections, their pools, TLS, what a head says of this host.
//! Always: an outside host is reached only at an address that its rule admitted, and learns nothing; every wait ends.
//! Never: it picks no endpoint, and sends nothing twice (but where a connection closed before a byte was written).

mod answer_framing;
pub(super) mod client;
mod connection_pool;
mod connector;
mod content;
#[expect(clippy::module_inception, reason = "a file is named for its main noun")]
pub(super) mod dial;
mod exchange;
mod failure;
mod http2_exchange;
mod http_connection;
mod lookup;
mod request_head;
mod shared_connections;
mod stream;
#[cfg(test)]
mod tests;
pub(super) mod tls;
mod upgrade;
mod upstream_body;
