//! Three NATS servers that are one, and three hosts over which the shop is spread so that every call crosses nodes.

use super::super::atoll::{Answer, Home, Http, eventually};
use super::super::components::shop_manifest;
use super::super::topics::nats_server::NatsServer;
use super::agreement::SERVICE;
use super::{LEASE, NAMES, RunningNode, names};
use bytes::Bytes;
use host::app::{NodeFiles, certify_node, init_cluster};
use http::{Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

/// The stream of the nodes' bucket.
const BUCKET: &str = "KV_atoll_trio";

/// Three servers of one JetStream, with three copies of all.
pub(super) struct NatsTrio {
    pub(super) servers: Vec<NatsServer>,
}

impl NatsTrio {
    /// Running servers; `None` if there is no `nats-server`.
    pub(super) async fn start() -> Option<Self> {
        // Each has to know the ports of all before any of them runs.
        let held: Vec<_> = NAMES.iter().map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let own: Vec<_> = held.iter().map(|one| format!("nats://{}", one.local_addr().unwrap())).collect();
        drop(held);
        let routes = own.join(",");
        let mut servers = Vec::new();
        for (name, own) in NAMES.into_iter().zip(&own) {
            let arguments = [
                "--server_name",
                name,
                "--cluster_name",
                "trio",
                "--cluster",
                own.as_str(),
                "--routes",
                routes.as_str(),
            ];
            servers.push(NatsServer::start_with(&arguments).await?);
        }
        let trio = Self { servers };
        trio.has_leader("INFO").await;
        Some(trio)
    }

    fn addresses(&self) -> String {
        let addresses: Vec<_> = self.servers.iter().map(|server| server.address().replace("nats://", "")).collect();
        format!("nats://{}", addresses.join(","))
    }

    /// Asks the first server.
    pub(super) async fn ask(&self, request: &str, body: &str) -> Value {
        let mut client = self.servers[0].client().await;
        let answer = client.ask(&format!("$JS.API.{request}"), body).await;
        answer.ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
    }

    /// Waits until JetStream, or the stream of the bucket, has a leader again.
    async fn has_leader(&self, request: &str) -> Value {
        eventually("JetStream has a leader", async || {
            let answer = self.ask(request, "").await;
            let leads = request == "INFO" || answer["cluster"]["leader"].is_string();
            (answer.is_object() && answer["error"].is_null() && leads).then_some(answer)
        })
        .await
    }

    /// Which server leads the nodes' bucket.
    pub(super) async fn leader(&self) -> usize {
        let info = self.has_leader(&format!("STREAM.INFO.{BUCKET}")).await;
        NAMES.iter().position(|name| info["cluster"]["leader"] == *name).unwrap()
    }

    /// Whether somebody has proposed a swap of `hello`.
    pub(super) async fn has_proposal(&self) -> bool {
        let asked = json!({ "last_by_subj": "$KV.atoll_trio.proposal.hello" }).to_string();
        self.ask(&format!("STREAM.MSG.GET.{BUCKET}"), &asked).await["message"].is_object()
    }
}

/// The shop on three nodes: users on `a`, products on `c`, and orders, which need both, on `b`.
pub(super) struct SpreadShop {
    pub(super) homes: Vec<Home>,
    /// `None`: it is dead.
    pub(super) nodes: Vec<Option<RunningNode>>,
}

impl SpreadShop {
    pub(super) async fn open(nats: &NatsTrio, pki: &Path) -> Self {
        init_cluster(pki).unwrap();
        // The steps of a saga stay on its node.
        let of_sagas = |part: &&str| ["[saga.", "[[saga.", "\nsaga = "].iter().any(|word| part.contains(word));
        let shop = shop_manifest();
        let parts = shop.split("\n\n").filter(|part| !of_sagas(part)).map(|part| match part {
            part if part.contains("[service.users]") => placed(part, "a"),
            part if part.contains("[service.products]") => placed(part, "c"),
            part => placed(part, "b"),
        });
        let shop = parts.collect::<Vec<_>>().join("\n\n");
        let home = |(at, name): (usize, &&str)| {
            let NodeFiles { authority, certificate, key } = certify_node(pki, name).unwrap();
            let (addresses, lease) = (nats.addresses(), LEASE.as_secs());
            Home::new(&format!(
                "[cluster]\nnats = '{addresses}'\nname = 'trio'\nreplicas = 3\nlease = '{lease}s'\nzone = 'z{at}'\n\
                 listen = '127.0.0.1:0'\nauthority = {authority:?}\ncertificate = {certificate:?}\nkey = {key:?}\n\
                 {shop}\n{SERVICE}"
            ))
        };
        let homes: Vec<_> = NAMES.iter().enumerate().map(home).collect();
        let mut nodes = Vec::new();
        for (home, name) in homes.iter().zip(NAMES) {
            nodes.push(Some(RunningNode::start(home, name).await));
        }
        let shop = Self { homes, nodes };
        for node in 0..NAMES.len() {
            shop.knows(node, &NAMES).await;
        }
        shop
    }

    pub(super) fn node(&self, node: usize) -> &RunningNode {
        self.nodes[node].as_ref().expect("it runs")
    }

    fn living(&self) -> impl Iterator<Item = &RunningNode> {
        self.nodes.iter().flatten()
    }

    /// Waits until a node knows exactly these, from NATS as it is.
    pub(super) async fn knows(&self, node: usize, expected: &[&str]) {
        eventually(&format!("{} knows {expected:?}", NAMES[node]), async || {
            let view = self.node(node).view().await;
            (names(&view) == expected && view["stale_ms"].is_null()).then_some(())
        })
        .await;
    }

    /// Waits until every node is told of all again, and has its lease. Returns how long that took.
    pub(super) async fn is_fresh(&self) -> Duration {
        let since = Instant::now();
        eventually("all tables are fresh", async || {
            for node in self.living() {
                let view = node.view().await;
                assert_eq!(names(&view), NAMES, "nobody is evicted");
                if !view["stale_ms"].is_null() || !view["lease_age_ms"].is_u64() {
                    return None;
                }
            }
            Some(())
        })
        .await;
        since.elapsed()
    }

    /// Waits until every node is stale: NATS tells nothing.
    pub(super) async fn is_stale(&self) {
        eventually("all tables are stale", async || {
            for node in self.living() {
                if node.view().await["stale_ms"].is_null() {
                    return None;
                }
            }
            Some(())
        })
        .await;
    }

    /// Sees for this time that every node knows all of them.
    pub(super) async fn stays_whole_for(&self, time: Duration) {
        let began = Instant::now();
        while began.elapsed() < time {
            for node in self.living() {
                assert_eq!(node.known().await, NAMES, "nobody is evicted");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The nodes that have `hello`, as a node knows it.
    pub(super) async fn hosts(&self, by: usize) -> Vec<String> {
        let view = self.node(by).view().await;
        let nodes = view["nodes"].as_array().unwrap().iter();
        let has = |node: &&Value| node["services"].as_array().unwrap().iter().any(|one| one["name"] == "hello");
        nodes.filter(has).map(|node| node["name"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until these nodes serve a revision of `hello`.
    pub(super) async fn serve(&self, nodes: &[usize], revision: &str) {
        for node in nodes {
            let node = self.node(*node);
            eventually(&format!("{revision} is served"), async || {
                let service = node.http.get(&format!("{}/v1/services/hello", node.host.admin)).await.json();
                (service["revision"] == revision).then_some(())
            })
            .await;
        }
    }
}

/// A part of the manifest, whose service has instances on one node.
fn placed(part: &str, node: &str) -> String {
    let Some(at) = part.find("[service.") else { return part.to_owned() };
    let end = at + part[at..].find('\n').unwrap();
    format!("{}\nnodes = [\"node={node}\"]{}", &part[..end], &part[end..])
}

/// The order of an operator to swap `hello` at this admin.
pub(super) async fn swap(http: &Http, admin: &str, component: Vec<u8>) -> Result<Answer, String> {
    let request = Request::builder().method(Method::POST).uri(format!("{admin}/v1/services/hello/swap"));
    let request = request.header("content-type", "application/wasm").body(Full::from(Bytes::from(component)));
    http.try_send(request.unwrap()).await
}
