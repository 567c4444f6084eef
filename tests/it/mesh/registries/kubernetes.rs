//! Endpoints of a Service of Kubernetes.

use super::super::dns_and_tls::Authority;
use super::fake_api_server::{FakeApiServer, slice};
use super::fake_registry::{FakeManner, FakeRegistry};
use super::{Home, Host, PlainServer, eventually, fails, manifest, recovers, serves, tells_no_secret};
use serde_json::{Value, json};
use std::fs;
use tokio_rustls::TlsAcceptor;

/// One slice for each server, since the ports differ.
fn put(api: &FakeRegistry<FakeApiServer>, name: &str, server: &PlainServer, ready: &Value) {
    let endpoint = json!({ "addresses": ["127.0.0.1"], "conditions": { "ready": ready }, "zone": "a" });
    api.wire.put(slice(name, server.address.port(), &json!([endpoint])));
}

/// An API server with TLS and a token, and a host that reads the token from a file.
async fn start(token: &str, servers: &[(&str, &PlainServer)]) -> (FakeRegistry<FakeApiServer>, Host) {
    let authority = Authority::new("cluster");
    let tls = TlsAcceptor::from(authority.config("127.0.0.1"));
    let api = FakeRegistry::start_by(FakeApiServer::new("t"), Some(tls)).await;
    for (name, server) in servers {
        put(&api, name, server, &true.into());
    }
    let url = format!("k8s://shop/users:http?server=https://{}", api.address);
    let login = "[discovery.kubernetes]\ntoken = { file = \"token\" }\nca = \"ca.pem\"\n";
    let home = Home::new(&manifest(&url, login));
    fs::write(home.folder.path().join("ca.pem"), authority.pem()).unwrap();
    fs::write(home.folder.path().join("token"), format!("{token}\n")).unwrap();
    (api, Host::at(home).await)
}

/// Waits until a watch is under way.
async fn watched(api: &FakeRegistry<FakeApiServer>) {
    eventually("a watch is under way", async || (api.wire.counts().1 > 0).then_some(())).await;
}

#[tokio::test]
async fn slices_are_watched_and_a_version_that_is_gone_is_listed_anew() {
    let (a, b, c) = (PlainServer::start("a").await, PlainServer::start("b").await, PlainServer::start("c").await);
    let (mut api, host) = start("t", &[("users-1", &a), ("users-2", &b)]).await;
    serves(&host, &[&a, &b]).await;
    watched(&api).await;
    // `ready` that is null means ready.
    put(&api, "users-3", &c, &Value::Null);
    serves(&host, &[&a, &b, &c]).await;
    put(&api, "users-1", &a, &false.into());
    serves(&host, &[&b, &c]).await;
    api.wire.remove("users-3");
    serves(&host, &[&b]).await;
    // After a bookmark the versions before it may be gone: the watch goes on from there, without a list.
    assert_eq!(api.wire.counts().0, 1, "one list");
    // 410 as a line of the watch, and as the answer to a new one: both are listed anew.
    api.wire.bookmark();
    for loudly in [true, false] {
        watched(&api).await;
        let (lists, _) = api.wire.counts();
        api.wire.compact(loudly);
        put(&api, "users-1", &a, &true.into());
        eventually("it is listed anew", async || (api.wire.counts().0 > lists).then_some(())).await;
        serves(&host, &[&a, &b]).await;
    }
    // It is away, and comes back with fewer.
    api.go_away().await;
    fails(&host, "cannot connect").await;
    serves(&host, &[&a, &b]).await;
    api.wire.remove("users-1");
    api.come_back().await;
    serves(&host, &[&b]).await;
    recovers(&host).await;
    api.wire.remove("users-2");
    fails(&host, "it names no endpoint that can be called").await;
    serves(&host, &[&b]).await;
    api.behave(FakeManner::Garbage);
    api.wire.compact(false);
    fails(&host, "it is no JSON").await;
    serves(&host, &[&b]).await;
}

#[tokio::test]
async fn a_token_that_was_renewed_counts_without_a_restart() {
    let a = PlainServer::start("a").await;
    let (_api, host) = start("s3cret", &[("users-1", &a)]).await;
    fails(&host, "(status 401): correct `token` in `[discovery.kubernetes]`").await;
    tells_no_secret(&host);
    fs::write(host.home.folder.path().join("token"), "t\n").unwrap();
    serves(&host, &[&a]).await;
    recovers(&host).await;
}

#[tokio::test]
async fn a_host_in_no_cluster_is_told_to_name_the_server() {
    let host = Host::start(&manifest("k8s://shop/users", "")).await;
    fails(&host, "add `?server=https://HOST:6443`").await;
}
