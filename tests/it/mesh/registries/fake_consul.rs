//! The wire of Consul's `/v1/health/service`, with blocking queries.

use super::fake_registry::{FakeAnswer, FakeQuestion, FakeWire};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

/// One instance of the service `users`.
#[derive(Debug, Clone)]
pub struct ConsulInstance {
    pub at: SocketAddr,
    pub passing: bool,
    pub tags: Vec<&'static str>,
    pub weight: u16,
}

/// What the catalog has, with its index.
#[derive(Debug, Clone)]
pub struct ConsulCatalog {
    pub index: u64,
    pub instances: Vec<ConsulInstance>,
    /// Whether the rules hide what there is.
    pub filtered: bool,
}

pub struct FakeConsul {
    /// The token that it wants; empty: none.
    pub token: &'static str,
    pub catalog: watch::Sender<ConsulCatalog>,
    /// The queries that it got.
    pub asked: watch::Sender<Vec<String>>,
}

impl ConsulInstance {
    pub fn passing(at: SocketAddr) -> Self {
        Self { at, passing: true, tags: vec!["v2"], weight: 1 }
    }

    fn json(&self) -> Value {
        let status = if self.passing { "passing" } else { "critical" };
        let (ip, port) = (self.at.ip().to_string(), self.at.port());
        json!({
            "Node": { "ID": "n", "Node": "agent-1", "Address": ip, "Datacenter": "dc1", "Meta": null },
            "Service": {
                "ID": format!("users-{port}"), "Service": "users", "Tags": self.tags, "Address": "", "Port": port,
                "Weights": { "Passing": self.weight, "Warning": 1 },
            },
            "Checks": [{ "Node": "agent-1", "CheckID": "c", "Status": status, "ServiceName": "users" }],
        })
    }
}

impl FakeConsul {
    pub fn new(token: &'static str, places: &[SocketAddr]) -> Self {
        let instances = places.iter().copied().map(ConsulInstance::passing).collect();
        let catalog = watch::Sender::new(ConsulCatalog { index: 10, instances, filtered: false });
        Self { token, catalog, asked: watch::Sender::new(Vec::new()) }
    }

    /// The catalog has these instances now.
    pub fn has(&self, instances: Vec<ConsulInstance>) {
        self.catalog.send_modify(|catalog| {
            catalog.instances = instances;
            catalog.index += 1;
        });
    }
}

impl FakeWire for FakeConsul {
    fn answer(&self, question: FakeQuestion) -> BoxFuture<'_, FakeAnswer> {
        Box::pin(async move {
            let Some(name) = question.path.strip_prefix("/v1/health/service/") else {
                return FakeAnswer::status(404, "");
            };
            if question.header("x-consul-token") != self.token {
                return FakeAnswer::status(403, "Permission denied: token s3cret lacks permission");
            }
            let pairs = question.query.iter().map(|(name, value)| format!("{name}={value}"));
            let query = pairs.collect::<Vec<_>>().join("&");
            self.asked.send_modify(|asked| asked.push(query));
            let after: u64 = question.param("index").and_then(|index| index.parse().ok()).unwrap_or_default();
            let wait = question.param("wait").and_then(|wait| wait.trim_end_matches('s').parse().ok()).unwrap_or(300);
            let mut catalog = self.catalog.subscribe();
            if after > 0 {
                // As with Consul: after a restore the index is lower, and waiting queries are answered.
                let newer = catalog.wait_for(|catalog| catalog.index != after);
                let _ = timeout(Duration::from_secs(wait), newer).await;
            }
            let ConsulCatalog { index, instances, filtered } = catalog.borrow_and_update().clone();
            let passing = question.param("passing").is_some();
            let tag = question.param("tag");
            let shown = instances.iter().filter(|one| {
                name == "users"
                    && !filtered
                    && (one.passing || !passing)
                    && tag.is_none_or(|tag| one.tags.contains(&tag))
            });
            let mut answer = FakeAnswer::json(&shown.map(ConsulInstance::json).collect());
            answer.headers.push(("x-consul-index", index.to_string()));
            answer.headers.push(("x-consul-knownleader", "true".into()));
            answer.headers.push(("x-consul-lastcontact", "0".into()));
            if filtered {
                answer.headers.push(("x-consul-results-filtered-by-acls", "true".into()));
            }
            answer
        })
    }
}
