//! Several real hosts with one real `nats-server`: what each knows of the others, through kills, sleeps, outages and
//! orders of operators. Without a server these tests say so and pass; `just cluster` installs it. `alone` needs none.

mod agreement;
mod alone;
mod clocks;
mod cuts;
mod full_disks;
mod manifests;
mod names;
mod outages;
mod own_network;
mod quorum;
mod shop_load;
mod slow_links;
mod standings;
mod state_load;
mod state_moves;
mod trio;
mod views;

use super::atoll::{Atoll, Home, Http, eventually};
use super::topics::nats_server::NatsServer;
use serde_json::Value;
use std::time::{Duration, Instant};

/// Two services; the second one is a plain address, which no node offers to others.
const MANIFEST: &str = r#"
[service.hello]
component = "{component:fixture-hello}"
replicas = 2
[service.plain]
urls = ["http://127.0.0.1:9"]
[[route]]
prefix = "/hello"
service = "hello"
"#;
/// Long enough for a busy machine: a host that does nothing for so long has lost its lease, and rightly.
const LEASE: Duration = Duration::from_secs(4);

/// The folder of a node.
fn home(nats: &str) -> Home {
    Home::new(&format!("[cluster]\nnats = '{nats}'\nlease = '4s'\nzone = 'z1'\n{MANIFEST}"))
}

/// How the process of a node is started.
#[derive(Default)]
struct NodeProcess {
    /// The program that becomes it, with its arguments.
    through: Vec<String>,
    /// Further variables.
    variables: Vec<(&'static str, String)>,
}

/// A running node.
struct RunningNode {
    host: Atoll,
    http: Http,
}

impl RunningNode {
    async fn start(home: &Home, name: &str) -> Self {
        Self::start_as(home, name, &NodeProcess::default()).await
    }

    async fn start_as(home: &Home, name: &str, process: &NodeProcess) -> Self {
        let mut variables = vec![("ATOLL_NODE", name), ("ATOLL_LOG", "debug,h2=off")];
        variables.extend(process.variables.iter().map(|(variable, value)| (*variable, value.as_str())));
        let host = home.start_through(&process.through, &variables).await;
        let token = variables.iter().find(|(variable, _)| *variable == "ATOLL_ADMIN_TOKEN");
        Self { host, http: token.map_or_else(Http::default, |(_, token)| Http::with_token(token)) }
    }

    /// What it says of the nodes.
    async fn view(&self) -> Value {
        self.http.get(&format!("{}/v1/nodes", self.host.admin)).await.json()
    }

    /// The names of the nodes that it knows.
    async fn known(&self) -> Vec<String> {
        names(&self.view().await)
    }

    /// Waits until it knows exactly these nodes, each with its services.
    async fn knows(&self, expected: &[&str]) {
        eventually(&format!("it knows {expected:?}"), async || {
            let view = self.view().await;
            let served = view["nodes"].as_array().unwrap().iter().all(|node| node["services"][0]["name"] == "hello");
            (names(&view) == expected && served && view["stale_ms"].is_null()).then_some(())
        })
        .await;
    }

    /// What it says of one node.
    async fn node(&self, name: &str) -> Value {
        let view = self.view().await;
        view["nodes"].as_array().unwrap().iter().find(|node| node["name"] == name).cloned().unwrap_or_default()
    }

    /// Waits until it says this of a node.
    async fn says(&self, name: &str, standing: &str) {
        eventually(&format!("{name} is {standing}"), async || {
            (self.node(name).await["standing"] == standing).then_some(())
        })
        .await;
    }

    async fn readyz(&self) -> (u16, String) {
        let answer = self.http.get(&format!("{}/readyz", self.host.admin)).await;
        (answer.status.as_u16(), String::from_utf8_lossy(&answer.body).into_owned())
    }
}

fn names(view: &Value) -> Vec<String> {
    view["nodes"].as_array().unwrap().iter().map(|node| node["name"].as_str().unwrap().to_owned()).collect()
}

/// Three nodes that know each other.
struct Fleet {
    homes: Vec<Home>,
    nodes: Vec<RunningNode>,
}

const NAMES: [&str; 3] = ["a", "b", "c"];

impl Fleet {
    async fn start(server: &NatsServer) -> Self {
        let homes: Vec<_> = NAMES.iter().map(|_| home(&server.address())).collect();
        let mut nodes = Vec::new();
        for (home, name) in homes.iter().zip(NAMES) {
            nodes.push(RunningNode::start(home, name).await);
        }
        for node in &nodes {
            node.knows(&NAMES).await;
        }
        Self { homes, nodes }
    }

    /// Sees for this time that every node knows all of them.
    async fn stays_whole_for(&self, time: Duration) {
        let began = Instant::now();
        while began.elapsed() < time {
            for node in &self.nodes {
                assert_eq!(node.known().await, NAMES);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn stop(self) {
        for node in self.nodes {
            node.host.stop().await;
        }
    }
}
