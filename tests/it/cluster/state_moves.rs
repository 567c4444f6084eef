//! A service whose data are on a database server moves between nodes under traffic, by orders of operators, by
//! manifests and by a death: no acknowledged write is lost, and no call fails but for the death.

use super::super::atoll::{Home, eventually};
use super::super::state_server::StateServer;
use super::super::topics::nats_server::NatsServer;
use super::own_network::is_asked_for;
use super::quorum::hold;
use super::state_load::StateLoad;
use super::{LEASE, NAMES, RunningNode};
use host::app::{NodeFiles, certify_node, init_cluster};
use http::Method;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Instant;

/// Where the service stands is said in place of `PLACE`.
const SERVICE: &str = r#"shared = true
[service.kv]
component = "{component:fixture-kv}"
state = true
PLACE
[[route]]
prefix = "/kv"
strip_prefix = "/kv"
service = "kv"
"#;

/// Three nodes that share the data.
struct StateFleet {
    homes: Vec<Home>,
    manifests: Vec<String>,
    /// `None`: it is dead.
    nodes: Vec<Option<RunningNode>>,
}

impl StateFleet {
    async fn start(nats: &NatsServer, server: &StateServer, pki: &Path, place: &str) -> Self {
        init_cluster(pki).unwrap();
        let manifest = |(at, name): (usize, &&str)| {
            let NodeFiles { authority, certificate, key } = certify_node(pki, name).unwrap();
            let (nats, lease, state) = (nats.address(), LEASE.as_secs(), server.section());
            format!(
                "[cluster]\nnats = '{nats}'\nlease = '{lease}s'\nzone = 'z{at}'\nlisten = '127.0.0.1:0'\n\
                 authority = {authority:?}\ncertificate = {certificate:?}\nkey = {key:?}\n{state}{SERVICE}"
            )
        };
        let manifests: Vec<_> = NAMES.iter().enumerate().map(manifest).collect();
        let homes: Vec<_> = manifests.iter().map(|text| server.home(&text.replace("PLACE", place))).collect();
        let mut nodes = Vec::new();
        for (home, name) in homes.iter().zip(NAMES) {
            nodes.push(Some(RunningNode::start(home, name).await));
        }
        Self { homes, manifests, nodes }
    }

    fn node(&self, node: usize) -> &RunningNode {
        self.nodes[node].as_ref().expect("it runs")
    }

    /// The nodes that have the service, as a node knows it.
    async fn hosts(&self, by: usize) -> Vec<usize> {
        let view = self.node(by).view().await;
        let has = |node: &Value| node["services"].as_array().unwrap().iter().any(|one| one["name"] == "kv");
        let nodes = view["nodes"].as_array().unwrap().iter().filter(|node| has(node));
        nodes.map(|node| NAMES.iter().position(|name| node["name"] == *name).unwrap()).collect()
    }

    /// Waits until exactly one of these has it, as all living nodes know it. Returns which.
    async fn settles(&self, among: &[usize]) -> usize {
        eventually(&format!("one of {among:?} has it"), async || {
            let mut found = None;
            for node in (0..NAMES.len()).filter(|node| self.nodes[*node].is_some()) {
                let hosts = self.hosts(node).await;
                let [host] = hosts[..] else { return None };
                if !among.contains(&host) || found.is_some_and(|found| found != host) {
                    return None;
                }
                found = Some(host);
            }
            found
        })
        .await
    }

    async fn order(&self, node: usize, order: &str) {
        let asked = self.node(node);
        let url = format!("{}/v1/nodes/{}/{order}", asked.host.admin, NAMES[node]);
        let answer = asked.http.json(Method::POST, &url, &json!({})).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// Gives a node a manifest that places the service there.
    async fn apply(&self, node: usize, place: &str) {
        let home = &self.homes[node];
        home.write(&self.manifests[node].replace("PLACE", place));
        home.link_cache();
        let admin = &self.node(node).host.admin;
        let applied = home.output(&["apply", "--yes", "--admin", admin]).await;
        let text = [applied.stdout, applied.stderr].concat();
        assert!(applied.status.success(), "{}", String::from_utf8_lossy(&text));
    }

    /// Begins the traffic, when every node reaches the service.
    async fn traffic(&self) -> StateLoad {
        for node in 0..NAMES.len() {
            let node = self.node(node);
            let url = format!("{}/kv/keys", node.host.gateway);
            let answers = async || (node.http.get(&url).await.status == 200).then_some(());
            eventually("it is served everywhere", answers).await;
        }
        let gateways: Vec<_> = (0..NAMES.len()).map(|node| self.node(node).host.gateway.clone()).collect();
        StateLoad::begin(&gateways)
    }

    async fn stop(self) {
        for node in self.nodes.into_iter().flatten() {
            node.host.stop().await;
        }
    }
}

/// Makes each move a test of each kind of server.
macro_rules! over_each_server {
    ($($moves:ident)*) => {
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $moves() {
                super::over(super::StateServer::postgres, super::$moves).await;
            })*
        }
        mod redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $moves() {
                super::over(super::StateServer::redis, super::$moves).await;
            })*
        }
    };
}

over_each_server! {
    drained_nodes_hand_it_over_and_no_call_fails
    manifests_move_it_and_no_call_fails
    the_death_of_its_node_loses_no_acknowledged_write
}

async fn over(server: impl FnOnce() -> Option<StateServer>, moves: impl AsyncFnOnce(&NatsServer, &StateServer, &Path)) {
    if !is_asked_for() {
        return;
    }
    let Some(server) = server() else { return };
    let Some(nats) = NatsServer::start().await else { return };
    let folder = tempfile::tempdir().unwrap();
    moves(&nats, &server, &folder.path().join("pki")).await;
}

async fn drained_nodes_hand_it_over_and_no_call_fails(nats: &NatsServer, server: &StateServer, pki: &Path) {
    let fleet = StateFleet::start(nats, server, pki, "node_count = 1").await;
    let first = fleet.settles(&[0, 1, 2]).await;
    let load = fleet.traffic().await;
    load.goes_on("it is served").await;
    // From node to node, and back to the first one, whose place it is.
    let (mut at, mut left) = (first, vec![0, 1, 2]);
    while left.len() > 1 {
        left.retain(|node| *node != at);
        fleet.order(at, "drain").await;
        at = fleet.settles(&left).await;
        load.goes_on("the next node serves it").await;
    }
    for node in (0..NAMES.len()).filter(|node| *node != at) {
        fleet.order(node, "uncordon").await;
    }
    assert_eq!(fleet.settles(&[first]).await, first);
    load.goes_on("the first node serves it").await;
    let (served, failed, gap) = load.end(None).await;
    println!("moved three times: {served} rounds of three calls, {failed} failed, the longest gap {gap:?}");
    fleet.stop().await;
}

/// One node after the other, as operators do: the one that is to have it first, and the one that has it last.
async fn manifests_move_it_and_no_call_fails(nats: &NatsServer, server: &StateServer, pki: &Path) {
    let place = |node: usize| format!("nodes = ['node={}']", NAMES[node]);
    let fleet = StateFleet::start(nats, server, pki, &place(0)).await;
    fleet.settles(&[0]).await;
    let load = fleet.traffic().await;
    load.goes_on("it is served").await;
    for (from, to) in [(0, 1), (1, 2), (2, 0)] {
        let third = 3 - from - to;
        for node in [to, third, from] {
            fleet.apply(node, &place(to)).await;
            if node == to {
                eventually("all know that both have it", async || {
                    for by in 0..NAMES.len() {
                        if fleet.hosts(by).await.len() != 2 {
                            return None;
                        }
                    }
                    Some(())
                })
                .await;
            }
        }
        fleet.settles(&[to]).await;
        load.goes_on("the next node serves it").await;
    }
    let (served, failed, gap) = load.end(None).await;
    println!("moved three times: {served} rounds of three calls, {failed} failed, the longest gap {gap:?}");
    fleet.stop().await;
}

async fn the_death_of_its_node_loses_no_acknowledged_write(nats: &NatsServer, server: &StateServer, pki: &Path) {
    let mut fleet = StateFleet::start(nats, server, pki, "node_count = 1").await;
    let first = fleet.settles(&[0, 1, 2]).await;
    let load = fleet.traffic().await;
    load.goes_on("it is served").await;
    let from = Instant::now();
    load.found_at(first, None);
    fleet.nodes[first].take().unwrap().host.kill().await;
    let left: Vec<_> = (0..NAMES.len()).filter(|node| *node != first).collect();
    fleet.settles(&left).await;
    let to = Instant::now();
    load.goes_on("another node serves it").await;
    fleet.nodes[first] = Some(RunningNode::start(&fleet.homes[first], NAMES[first]).await);
    load.found_at(first, Some(fleet.node(first).host.gateway.clone()));
    fleet.settles(&[first]).await;
    load.goes_on("the first node serves it again").await;
    let (served, failed, gap) = load.end(Some((from, to))).await;
    println!("killed: {served} rounds of three calls, {failed} failed, nobody was served for {gap:?} at the longest");
    hold(gap, 2 * LEASE);
    fleet.stop().await;
}
