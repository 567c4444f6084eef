//! A host as a name server: what it answers of its own services, to its own client, to `dig`, and to another host.

mod dig;
mod discovered;
pub mod dns_client;
mod moments;

use super::atoll::{Atoll, Home};
use std::net::SocketAddr;

/// Three services: a component with a route, an address with a route whose checks fail, and one that no route names.
const MANIFEST: &str = r#"
[dns]
domain = "atoll.test"
listen = "127.0.0.1:0"
ttl = "3s"
[service.hello]
component = "{component:fixture-hello}"
replicas = 2
[service.down]
urls = ["http://127.0.0.1:9"]
health = { path = "/", interval = "100ms", timeout = "100ms", down = 1 }
[service.hidden]
component = "{component:fixture-hello}"
[[route]]
prefix = "/hello"
service = "hello"
[[route]]
prefix = "/down"
service = "down"
"#;

/// A running host, and where its name server is.
async fn start(home: &Home) -> (Atoll, SocketAddr) {
    let host = home.start().await;
    let address = host.dns.as_ref().expect("it has a name server").parse().unwrap();
    (host, address)
}

/// The port of the host's gateway.
fn port(host: &Atoll) -> u16 {
    host.gateway.rsplit_once(':').unwrap().1.parse().unwrap()
}
