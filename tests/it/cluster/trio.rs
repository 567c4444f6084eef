//! Three NATS servers that are one, and three hosts over which the shop is spread so that every call crosses nodes.

use super::super::atoll::{Answer, Home, Http, eventually};
use super::super::components::shop_manifest;
use super::super::topics::nats_server::NatsServer;
use super::agreement::SERVICE;
use super::{LEASE, NAMES, NodeProcess, RunningNode, names};
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
        Self::start_with(&[]).await
    }

    /// The same, with further arguments.
    pub(super) async fn start_with(arguments: &[&str]) -> Option<Self> {
        // Each has to know the ports of all before any of them runs.
        let held: Vec<_> = NAMES.iter().map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let own: Vec<_> = held.iter().map(|one| format!("nats://{}", one.local_addr().unwrap())).collect();
        drop(held);
        let here = || (Vec::new(), "127.0.0.1".to_owned());
        Self::start_on(&own, &[here(), here(), here()], arguments).await
    }

    /// Servers with these addresses for each other; of each, the program that becomes it, and the address for clients.
    pub(super) async fn start_on(
        own: &[String],
        machines: &[(Vec<String>, String)],
        arguments: &[&str],
    ) -> Option<Self> {
        let routes = own.join(",");
        let mut servers = Vec::new();
        for ((name, own), (through, host)) in NAMES.into_iter().zip(own).zip(machines) {
            let named = [
                "--server_name",
                name,
                "--cluster_name",
                "trio",
                "--cluster",
                own.as_str(),
                "--routes",
                routes.as_str(),
            ];
            servers.push(NatsServer::start_through(through, host, &[&named[..], arguments].concat()).await?);
        }
        let trio = Self { servers };
        trio.has_leader("INFO").await;
        Some(trio)
    }

    pub(super) fn addresses(&self) -> String {
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

    /// Waits until each server knows the leader of the nodes' bucket, and that all copies are the same.
    pub(super) async fn is_whole(&self) {
        eventually("all servers of NATS agree", async || {
            for server in &self.servers {
                let asked = server.client().await.ask(&format!("$JS.API.STREAM.INFO.{BUCKET}"), "").await.ok()?;
                let info: Value = serde_json::from_str(&asked).ok()?;
                let copies = info["cluster"]["replicas"].as_array()?;
                let is_current = |copy: &Value| copy["current"] == true && copy["offline"] != true;
                if !info["cluster"]["leader"].is_string() || copies.len() != 2 || !copies.iter().all(is_current) {
                    return None;
                }
            }
            Some(())
        })
        .await;
    }

    /// Whether somebody has proposed a swap of `hello`.
    pub(super) async fn has_proposal(&self) -> bool {
        let asked = json!({ "last_by_subj": "$KV.atoll_trio.proposal.hello" }).to_string();
        self.ask(&format!("STREAM.MSG.GET.{BUCKET}"), &asked).await["message"].is_object()
    }
}

/// A service without data, on one node.
const SOLO: &str = r#"
[service.solo]
component = "{component:fixture-hello}"
node_count = 1
[[route]]
prefix = "/solo"
service = "solo"
"#;

/// What one node of the shop is told of where it is.
#[derive(Default)]
pub(super) struct ShopPlace {
    /// The servers of NATS.
    pub(super) nats: String,
    /// Further lines of `[cluster]`, `listen` among them.
    pub(super) lines: String,
    pub(super) process: NodeProcess,
}

/// The shop on three nodes: users on `a`, products on `c`, and orders, which need both, on `b`.
pub(super) struct SpreadShop {
    pub(super) homes: Vec<Home>,
    /// `None`: it is dead.
    pub(super) nodes: Vec<Option<RunningNode>>,
}

impl SpreadShop {
    pub(super) async fn open(nats: &NatsTrio, pki: &Path) -> Self {
        let lines = || "listen = '127.0.0.1:0'\n".to_owned();
        let place = || ShopPlace { nats: nats.addresses(), lines: lines(), process: NodeProcess::default() };
        Self::open_at(&[place(), place(), place()], nats.servers.len(), pki).await
    }

    /// The same at other places, with so many servers of NATS.
    pub(super) async fn open_at(places: &[ShopPlace], servers: usize, pki: &Path) -> Self {
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
            let (ShopPlace { nats, lines, .. }, lease) = (&places[at], LEASE.as_secs());
            Home::new(&format!(
                "[cluster]\nnats = '{nats}'\nname = 'trio'\nreplicas = {servers}\nlease = '{lease}s'\nzone = 'z{at}'\n\
                 {lines}authority = {authority:?}\ncertificate = {certificate:?}\nkey = {key:?}\n\
                 {shop}\n{SERVICE}{SOLO}"
            ))
        };
        let homes: Vec<_> = NAMES.iter().enumerate().map(home).collect();
        let mut nodes = Vec::new();
        for ((home, name), place) in homes.iter().zip(NAMES).zip(places) {
            nodes.push(Some(RunningNode::start_as(home, name, &place.process).await));
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
        self.hosts_of("hello", by).await
    }

    /// The nodes that have a service, as a node knows it.
    pub(super) async fn hosts_of(&self, service: &str, by: usize) -> Vec<String> {
        let view = self.node(by).view().await;
        let nodes = view["nodes"].as_array().unwrap().iter();
        let has = |node: &&Value| node["services"].as_array().unwrap().iter().any(|one| one["name"] == service);
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
