//! Endpoints that registries name. Consul, Eureka and the API server are fakes of their wire, which clients of
//! strangers check; etcd is a real one (both: `just discovery`).

mod consul;
mod etcd;
mod eureka;
mod fake_api_server;
mod fake_consul;
mod fake_eureka;
mod fake_registry;
mod kubernetes;
mod strangers;

use super::super::atoll::{Home, eventually};
use super::super::plain_server::PlainServer;
use super::{Host, Http, route};
use serde_json::Value;
use std::net::SocketAddr;

/// The manifest of a host whose service `legacy` is at `url`, with these further sections.
fn manifest(url: &str, sections: &str) -> String {
    let service = format!("[service.legacy]\nurls = [{url:?}]\ndns = \"1s\"\nretry = {{ tries = 0 }}\n");
    format!("{service}{sections}{}", route("/plain", "legacy"))
}

/// What the admin says of the one source.
async fn source(host: &Host) -> Value {
    let service = host.http.get(&format!("{}/v1/services/legacy", host.atoll.admin)).await.json();
    service["sources"][0].clone()
}

/// Waits until the endpoints are at these places. Meanwhile no call fails, if there were endpoints before.
async fn serves(host: &Host, servers: &[&PlainServer]) {
    let mut wanted: Vec<_> = servers.iter().map(|server| server.address.to_string()).collect();
    wanted.sort();
    eventually("the endpoints are those of the registry", async || {
        let ids = host.endpoints("legacy", "id").await;
        if !ids.is_empty() {
            assert_eq!(host.status("/plain/x").await, 200);
        }
        let place = |id: &Value| id.as_str().unwrap().trim_start_matches("legacy-url-0@").to_owned();
        let mut places: Vec<_> = ids.iter().map(place).collect();
        places.sort();
        (places == wanted).then_some(())
    })
    .await;
}

/// Waits until the source has an error with this text, and returns what the admin says of it. Its endpoints serve on.
async fn fails(host: &Host, text: &str) -> Value {
    eventually("the source tells what is wrong", async || {
        if !host.endpoints("legacy", "id").await.is_empty() {
            assert_eq!(host.status("/plain/x").await, 200);
        }
        let source = source(host).await;
        source["error"].as_str().is_some_and(|error| error.contains(text)).then_some(source)
    })
    .await
}

/// Waits until the last answer of the source is good again.
async fn recovers(host: &Host) {
    eventually("the last answer is good", async || source(host).await["error"].is_null().then_some(())).await;
}

/// No line of the log shows what registries say, or a secret.
fn tells_no_secret(host: &Host) {
    let told = host.atoll.log().into_iter().find(|line| line.contains("s3cret"));
    assert_eq!(told, None);
}

fn places(servers: &[&PlainServer]) -> Vec<SocketAddr> {
    servers.iter().map(|server| server.address).collect()
}
