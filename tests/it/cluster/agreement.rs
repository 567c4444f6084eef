//! Services that move between nodes, and swaps of all nodes.

use super::super::atoll::{Home, eventually, hello_revision};
use super::super::topics::nats_server::NatsServer;
use super::{LEASE, NAMES, RunningNode};
use bytes::Bytes;
use host::app::{NodeFiles, certify_node, init_cluster};
use http::{Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::time::Instant;

/// A service without data, on two nodes.
pub(super) const SERVICE: &str = r#"
[service.hello]
component = "{component:fixture-hello}"
node_count = 2
[[route]]
prefix = "/hello"
service = "hello"
"#;

/// A fleet whose nodes call each other, in three zones. The first one keeps a history.
pub(super) struct CallingFleet {
    pub(super) homes: Vec<Home>,
    pub(super) nodes: Vec<RunningNode>,
}

impl CallingFleet {
    pub(super) async fn start(server: &NatsServer, pki: &Path) -> Self {
        init_cluster(pki).unwrap();
        let home = |(at, name): (usize, &&str)| {
            let NodeFiles { authority, certificate, key } = certify_node(pki, name).unwrap();
            let (nats, zone) = (server.address(), at + 1);
            let history = if at == 0 { "[history]\nrevisions = 5\n" } else { "" };
            Home::new(&format!(
                "[cluster]\nnats = '{nats}'\nlease = '4s'\nzone = 'z{zone}'\nlisten = '127.0.0.1:0'\n\
                 authority = {authority:?}\ncertificate = {certificate:?}\nkey = {key:?}\n{history}{SERVICE}"
            ))
        };
        let homes: Vec<_> = NAMES.iter().enumerate().map(home).collect();
        let mut nodes = Vec::new();
        for (home, name) in homes.iter().zip(NAMES) {
            nodes.push(RunningNode::start(home, name).await);
        }
        Self { homes, nodes }
    }

    /// The nodes that have the service, as `by` knows it, each with its revision.
    async fn hosts(&self, by: usize) -> Vec<(String, String)> {
        let view = self.nodes[by].view().await;
        let of = |node: &Value| {
            let served = node["services"].as_array()?.iter().find(|one| one["name"] == "hello")?;
            Some((node["name"].as_str()?.to_owned(), served["digest"].as_str()?.to_owned()))
        };
        view["nodes"].as_array().unwrap().iter().filter_map(of).collect()
    }

    /// Waits until exactly `count` nodes have it.
    pub(super) async fn settles(&self, by: usize, count: usize) -> Vec<(String, String)> {
        eventually(&format!("{count} nodes have it"), async || {
            let hosts = self.hosts(by).await;
            (hosts.len() == count).then_some(hosts)
        })
        .await
    }

    /// What a node says of the service.
    pub(super) async fn service(&self, node: usize) -> Value {
        let node = &self.nodes[node];
        node.http.get(&format!("{}/v1/services/hello", node.host.admin)).await.json()
    }

    /// What the service answers to clients of a node.
    pub(super) async fn answers(&self, node: usize) -> String {
        let node = &self.nodes[node];
        let answer = node.http.get(&format!("{}/hello", node.host.gateway)).await;
        String::from_utf8_lossy(&answer.body).into_owned()
    }

    async fn swap(&self, by: usize, component: Vec<u8>) -> (u16, Value) {
        let node = &self.nodes[by];
        let request = Request::post(format!("{}/v1/services/hello/swap", node.host.admin));
        let request = request.header("content-type", "application/wasm").body(Full::from(Bytes::from(component)));
        let answer = node.http.try_send(request.unwrap()).await.unwrap();
        (answer.status.as_u16(), serde_json::from_slice(&answer.body).unwrap())
    }

    /// Waits until every node serves this revision, by its short digest.
    pub(super) async fn all_serve(&self, revision: &str) {
        for node in &self.nodes {
            eventually(&format!("every node serves {revision}"), async || {
                let service = node.http.get(&format!("{}/v1/services/hello", node.host.admin)).await.json();
                (service["revision"] == revision).then_some(())
            })
            .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_stands_on_its_number_of_nodes_and_moves_when_one_is_killed_or_drained() {
    let Some(server) = NatsServer::start().await else { return };
    let pki = tempfile::tempdir().unwrap();
    let mut fleet = CallingFleet::start(&server, &pki.path().join("pki")).await;
    let hosts = fleet.settles(0, 2).await;
    for node in &fleet.nodes {
        assert_eq!(node.http.get(&format!("{}/hello", node.host.gateway)).await.status, 200, "from every node");
    }

    // Handed over: at each moment until it has moved, somebody serves it.
    let drained = NAMES.iter().position(|name| *name == hosts[0].0).unwrap();
    let asked = &fleet.nodes[drained];
    let order = format!("{}/v1/nodes/{}/drain", asked.host.admin, hosts[0].0);
    assert_eq!(asked.http.json(Method::POST, &order, &json!({})).await.status, 200);
    eventually("the others have it", async || {
        let answer = asked.http.get(&format!("{}/hello", asked.host.gateway)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let hosts = fleet.hosts(drained).await;
        (hosts.len() == 2 && hosts.iter().all(|(name, _)| name != NAMES[drained])).then_some(())
    })
    .await;
    let order = format!("{}/v1/nodes/{}/uncordon", asked.host.admin, hosts[0].0);
    assert_eq!(asked.http.json(Method::POST, &order, &json!({})).await.status, 200);
    let hosts = fleet.settles(0, 2).await;

    // Killed: the rest has it within two leases.
    let killed = NAMES.iter().position(|name| *name == hosts[1].0).unwrap();
    fleet.homes.remove(killed);
    fleet.nodes.remove(killed).host.kill().await;
    let since = Instant::now();
    eventually("the rest has it", async || {
        let hosts = fleet.hosts(0).await;
        (hosts.len() == 2 && hosts.iter().all(|(name, _)| name != NAMES[killed])).then_some(())
    })
    .await;
    assert!(since.elapsed() < 2 * LEASE, "{:?}", since.elapsed());
    for node in fleet.nodes {
        node.host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swap_is_of_all_nodes_or_of_none_and_holds_for_a_node_that_starts_again() {
    let Some(mut server) = NatsServer::start().await else { return };
    let pki = tempfile::tempdir().unwrap();
    let mut fleet = CallingFleet::start(&server, &pki.path().join("pki")).await;
    let hosts = fleet.settles(0, 2).await;
    let old = hosts[0].1.get(..12).unwrap().to_owned();
    let new = fs::read(hello_revision(b"revision-001-bbb", pki.path())).unwrap();

    // Each begins with instances, and one ends them, a lease after it has said that it has none.
    let without = eventually("one has no instances any more", async || {
        for (at, node) in fleet.nodes.iter().enumerate() {
            let service = node.http.get(&format!("{}/v1/services/hello", node.host.admin)).await.json();
            if service["endpoints"].as_array()?.iter().all(|one| one["id"] != "hello-0") {
                return Some(at);
            }
        }
        None
    })
    .await;
    let (status, text) = fleet.swap(without, new.clone()).await;
    assert_eq!(status, 200, "{text}");
    assert_eq!(text["elsewhere"], true, "{text}");
    let revision = text["revision"].as_str().unwrap().to_owned();
    assert!(revision != old && text["previous"] == old.as_str() && text["late"].is_null(), "{text}");
    fleet.all_serve(&revision).await;
    let (status, text) = fleet.swap(0, b"no component".to_vec()).await;
    assert!(status >= 400, "{text}");
    fleet.all_serve(&revision).await;

    // It has no history on its disk: the word of the cluster is what it takes, and not its file.
    fleet.nodes.remove(1).host.stop().await;
    fleet.nodes.insert(1, RunningNode::start(&fleet.homes[1], NAMES[1]).await);
    let again = &fleet.nodes[1];
    let service = again.http.get(&format!("{}/v1/services/hello", again.host.admin)).await.json();
    assert!(service["revision"] == revision.as_str() && service["of_cluster"] == true, "{service}");

    let rollback = format!("{}/v1/services/hello/rollback", again.host.admin);
    // It needs a lease, which it has a moment after its start.
    let answer = eventually("it has a lease", async || {
        let answer = again.http.json(Method::POST, &rollback, &json!({})).await;
        (answer.status != 503).then_some(answer)
    })
    .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    fleet.all_serve(&old).await;

    // One after the other: no word on the one before takes a vote for the next one back.
    for _ in 0..2 {
        let (status, text) = fleet.swap(2, new.clone()).await;
        assert!(status == 200 && text["late"].is_null(), "{status} {text}");
        fleet.all_serve(&revision).await;
    }

    // NATS loses all: the node with a history puts back what was agreed on, for one that has only its file.
    server.kill().await;
    fs::remove_dir_all(server.folder().join("jetstream")).unwrap();
    server.start_again().await;
    fleet.nodes.remove(1).host.stop().await;
    fleet.nodes.insert(1, RunningNode::start(&fleet.homes[1], NAMES[1]).await);
    let again = &fleet.nodes[1];
    eventually("it serves what was put back", async || {
        let service = again.http.get(&format!("{}/v1/services/hello", again.host.admin)).await.json();
        (service["revision"] == revision.as_str() && service["of_cluster"] == true).then_some(())
    })
    .await;
    for node in fleet.nodes {
        node.host.stop().await;
    }
}
