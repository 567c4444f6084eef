//! The wire of a Kubernetes API server for EndpointSlices: pages of a list, watches, bookmarks, and 410.

use super::fake_registry::{FakeAnswer, FakeBody, FakeQuestion, FakeWire};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use std::sync::Mutex;
use tokio::sync::mpsc::{self, Sender};

#[derive(Default)]
pub struct FakeApiServer {
    /// The token that it wants; empty: none.
    pub token: &'static str,
    cluster: Mutex<Cluster>,
}

#[derive(Default)]
struct Cluster {
    version: u64,
    slices: Vec<Value>,
    /// The events, each with its version; those before `compacted` are gone.
    events: Vec<(u64, Value)>,
    compacted: u64,
    watches: Vec<Sender<String>>,
    lists: usize,
}

/// A slice of the Service `users` with this name, these endpoints and the port `http`.
pub fn slice(name: &str, port: u16, endpoints: &Value) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {
            "name": name, "namespace": "shop", "labels": { "kubernetes.io/service-name": "users" },
        },
        "endpoints": endpoints,
        "ports": [{ "name": "http", "port": port, "protocol": "TCP" }],
    })
}

impl FakeApiServer {
    pub fn new(token: &'static str) -> Self {
        Self { token, ..Self::default() }
    }

    /// Adds the slice, or puts it in the place of the one with its name.
    pub fn put(&self, mut slice: Value) {
        let mut cluster = self.cluster.lock().unwrap();
        cluster.version += 1;
        slice["metadata"]["resourceVersion"] = cluster.version.to_string().into();
        let name = slice["metadata"]["name"].clone();
        let before = cluster.slices.len();
        cluster.slices.retain(|own| own["metadata"]["name"] != name);
        let kind = if cluster.slices.len() < before { "MODIFIED" } else { "ADDED" };
        cluster.slices.push(slice.clone());
        cluster.tell(kind, slice);
    }

    pub fn remove(&self, name: &str) {
        let mut cluster = self.cluster.lock().unwrap();
        cluster.version += 1;
        let at = cluster.slices.iter().position(|own| own["metadata"]["name"] == name).unwrap();
        let mut slice = cluster.slices.remove(at);
        slice["metadata"]["resourceVersion"] = cluster.version.to_string().into();
        cluster.tell("DELETED", slice);
    }

    /// Tells the watches the version, and nothing else.
    pub fn bookmark(&self) {
        let mut cluster = self.cluster.lock().unwrap();
        cluster.version += 1;
        let version = cluster.version.to_string();
        let object = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": { "resourceVersion": version },
        });
        cluster.send(&json!({ "type": "BOOKMARK", "object": object }));
    }

    /// Ends all watches, and forgets what has happened so far; with `loudly` each is told 410 as its last line.
    pub fn compact(&self, loudly: bool) {
        let mut cluster = self.cluster.lock().unwrap();
        cluster.version += 1;
        cluster.compacted = cluster.version;
        if loudly {
            let object = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410,
                "reason": "Expired", "message": "too old resource version" });
            cluster.send(&json!({ "type": "ERROR", "object": object }));
        }
        cluster.watches.clear();
    }

    /// How many lists were asked for, and how many watches are under way.
    pub fn counts(&self) -> (usize, usize) {
        let mut cluster = self.cluster.lock().unwrap();
        cluster.watches.retain(|watch| !watch.is_closed());
        (cluster.lists, cluster.watches.len())
    }
}

impl Cluster {
    fn tell(&mut self, kind: &str, object: Value) {
        let event = json!({ "type": kind, "object": object });
        self.send(&event);
        self.events.push((self.version, event));
    }

    fn send(&mut self, event: &Value) {
        self.watches.retain(|watch| watch.try_send(format!("{event}\n")).is_ok());
    }

    fn watch(&mut self, question: &FakeQuestion) -> FakeAnswer {
        let from: u64 = question.param("resourceVersion").and_then(|text| text.parse().ok()).unwrap_or_default();
        if from < self.compacted {
            return status(410, "Expired");
        }
        let (sender, lines) = mpsc::channel(1024);
        for (_, event) in self.events.iter().filter(|(version, _)| *version > from) {
            sender.try_send(format!("{event}\n")).unwrap();
        }
        // With a limit of time it ends, as a client of tests wants it.
        if question.param("timeoutSeconds").is_none_or(|seconds| seconds != "1") {
            self.watches.push(sender);
        }
        FakeAnswer { body: FakeBody::Lines(lines), ..FakeAnswer::json(&Value::Null) }
    }

    /// A page of the list; `continue` is how many came before.
    fn list(&mut self, question: &FakeQuestion) -> FakeAnswer {
        self.lists += 1;
        let limit = question.param("limit").and_then(|text| text.parse().ok()).unwrap_or(usize::MAX);
        let skip: usize = question.param("continue").and_then(|text| text.parse().ok()).unwrap_or_default();
        let items: Vec<_> = self.slices.iter().skip(skip).take(limit).cloned().collect();
        let more = skip + items.len() < self.slices.len();
        let next = if more { (skip + items.len()).to_string() } else { String::new() };
        FakeAnswer::json(&json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSliceList", "items": items,
            "metadata": { "resourceVersion": self.version.to_string(), "continue": next },
        }))
    }
}

fn status(code: u16, reason: &str) -> FakeAnswer {
    let text = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason });
    FakeAnswer { status: code, ..FakeAnswer::json(&text) }
}

impl FakeWire for FakeApiServer {
    fn answer(&self, question: FakeQuestion) -> BoxFuture<'_, FakeAnswer> {
        Box::pin(async move {
            if !self.token.is_empty() && question.header("authorization") != format!("Bearer {}", self.token) {
                return status(401, "Unauthorized");
            }
            if question.path != "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices" {
                return status(404, "NotFound");
            }
            assert_eq!(question.param("labelSelector"), Some("kubernetes.io/service-name=users"));
            let mut cluster = self.cluster.lock().unwrap();
            if question.param("watch").is_some() { cluster.watch(&question) } else { cluster.list(&question) }
        })
    }
}
