//! Rollouts through the real binary: canaries that are promoted and taken back, the history, and hosts that are killed.

mod bad_candidates;
mod canaries;
mod crashes;
mod data;
mod formats;
mod history;
mod keeper;
mod migrations;
mod recordings;
mod shadows;
mod stops;
mod traffic;
mod under_load;
mod way_back;
mod wit_files;

use super::atoll::{Answer, Atoll, Home, Http, TIMEOUT, eventually};
use super::components::component;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::Value;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::task::JoinHandle;

/// A service that has a plan, and a history. `{plan}` is the rest of its section.
fn manifest(plan: &str) -> String {
    format!(
        r#"
[service.fickle]
component = "{{component:fixture-fickle}}"
replicas = 2
{plan}

[[route]]
path = "/roll"
method = "GET"
call = "fickle/dice#roll"

[[route]]
prefix = "/http"
service = "fickle"
"#
    )
}

const STABLE: &str = "traps-000-takes-000-ms-a";

/// A revision that traps in `traps` percent of its calls, and takes `millis` for each. `mark`: so that two with the
/// same conduct are two revisions.
pub(super) fn revision(traps: u32, millis: u32, mark: char) -> (String, Bytes) {
    let conduct = format!("traps-{traps:03}-takes-{millis:03}-ms-{mark}");
    let mut bytes = fs::read(component("fixture-fickle")).unwrap();
    let at: Vec<_> = bytes.windows(STABLE.len()).enumerate().filter(|(_, w)| *w == STABLE.as_bytes()).collect();
    let [(at, _)] = at[..] else { panic!("the conduct must occur once in the component") };
    bytes[at..at + STABLE.len()].copy_from_slice(conduct.as_bytes());
    (conduct, bytes.into())
}

/// Begins a rollout, with the settings in `query`.
async fn begin(http: &Http, atoll: &Atoll, component: &Bytes, query: &str) -> Answer {
    let url = format!("{}/v1/services/fickle/rollouts{query}", atoll.admin);
    let request = Request::post(url).header("content-type", "application/wasm");
    http.try_send(request.body(Full::from(component.clone())).unwrap()).await.unwrap()
}

/// Ends the canary under way.
async fn end(http: &Http, atoll: &Atoll, how: &str) -> Answer {
    let url = format!("{}/v1/services/fickle/rollouts/current/{how}", atoll.admin);
    http.try_send(Request::post(url).body(Full::default()).unwrap()).await.unwrap()
}

/// The last rollout.
async fn last(http: &Http, atoll: &Atoll) -> Value {
    let url = format!("{}/v1/services/fickle/rollouts", atoll.admin);
    http.get(&url).await.json()["rollouts"][0].clone()
}

/// The last rollout, once it has ended.
async fn ended(http: &Http, atoll: &Atoll) -> Value {
    eventually("the rollout has ended", async || {
        let rollout = last(http, atoll).await;
        (rollout["phase"] != "canary").then_some(rollout)
    })
    .await
}

/// Calls of both kinds until it is stopped.
struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Vec<(u16, String)>>>,
}

impl Load {
    fn begin(atoll: &Atoll) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let client = |path: &str| {
            let (url, stop, http) = (format!("{}{path}", atoll.gateway), Arc::clone(&stop), Http::default());
            tokio::spawn(async move {
                let mut answers = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    // Without an answer, or with half of one, the status is 0.
                    answers.push(match http.try_send(Request::get(&url).body(Full::default()).unwrap()).await {
                        Ok(answer) => (answer.status.as_u16(), String::from_utf8_lossy(&answer.body).into_owned()),
                        Err(error) => (0, error),
                    });
                }
                answers
            })
        };
        let clients = ["/roll", "/http", "/roll", "/http"].map(client).into();
        Self { stop, clients }
    }

    async fn end(self) -> Vec<(u16, String)> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        for client in self.clients {
            all.extend(tokio::time::timeout(TIMEOUT, client).await.unwrap().unwrap());
        }
        all
    }
}

/// A size that whoever runs the test may choose: `just rollouts-long` does.
#[expect(clippy::disallowed_methods, reason = "whoever runs the test says how long it may take")]
fn number(variable: &str, usual: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}
