//! HTTP/2 at the gateway: exchanges as on HTTP/1.1, the rules of RFC 9113 by section, and peers that abuse it.

mod abuse;
mod exchanges;
mod frames;
mod grpc;
pub mod raw_client;
mod websockets;

use super::atoll::{Atoll, Home};
use super::plain_server::PlainServer;

/// A host that speaks HTTP/2 by prior knowledge, with these further keys of `[gateway]` and of its section `http2`.
async fn host(plain: &PlainServer, gateway: &str, http2: &str) -> (Atoll, Home) {
    let home = Home::new(&format!(
        r#"
        [gateway]
        {gateway}

        [gateway.http2]
        prior_knowledge = true
        {http2}

        [service.plain]
        urls = ["http://{}"]

        [[route]]
        prefix = "/"
        service = "plain"
        "#,
        plain.address
    ));
    (home.start().await, home)
}
