//! Typed services behind the real gateway: numbers and descriptions, values and streams between guests, faults, depth,
//! deadlines, isolation, and what the manifest check refuses.

mod concurrent;
mod deadlines;
mod description;
mod exact_numbers;
mod faults;
mod internal_http;
mod isolation;
mod manifest_refusals;
mod random_values;
mod retries;
mod streams;
mod values;
mod withdrawn;

use super::atoll::{Answer, Atoll, Home, Http, eventually};
use super::components::workspace;
use std::pin::pin;

/// How long the callee sleeps in tests that need several calls in flight at the same time. A busy machine needs the
/// longer ones.
const SLEEPS: [u32; 4] = [400, 1_600, 6_400, 25_600];

/// A running host of typed services.
struct Typed {
    atoll: Atoll,
    http: Http,
    _home: Home,
}

impl Typed {
    async fn start(manifest: &str) -> Self {
        let home = Home::new(manifest);
        Self { atoll: home.start().await, http: Http::default(), _home: home }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.atoll.gateway)
    }

    async fn get(&self, path: &str) -> Answer {
        self.http.get(&self.url(path)).await
    }

    /// The value that a function returns.
    async fn value(&self, path: &str) -> serde_json::Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    }

    /// The status and the problem kind of a failed call.
    async fn failure(&self, path: &str) -> (u16, String) {
        let answer = self.get(path).await;
        let problem = answer.problem();
        (answer.status.as_u16(), problem["type"].as_str().unwrap().trim_start_matches("urn:atoll:problem:").to_owned())
    }

    /// The sum of a metric over the endpoints of `service`.
    async fn metric(&self, name: &str, service: &str) -> f64 {
        let answer = self.http.get(&format!("{}/metrics", self.atoll.admin)).await;
        let text = String::from_utf8_lossy(&answer.body);
        let start = format!("{name}{{service=\"{service}\"");
        let lines = text.lines().filter(|line| line.starts_with(&start));
        lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
    }

    /// Waits until a metric of `service` has this value.
    async fn until(&self, name: &str, service: &str, value: u32) {
        let what = format!("{name} of {service} is {value}");
        eventually(&what, async || (self.metric(name, service).await == f64::from(value)).then_some(())).await;
    }

    /// Runs `action` while all of these `calls` are in flight, which make `count` calls of `service`. `None` if one
    /// call ended too early.
    async fn meanwhile<C, L>(
        &self,
        service: &str,
        count: u32,
        calls: impl Future<Output = C>,
        action: impl Future<Output = L>,
    ) -> Option<(C, L)> {
        let mut calls = pin!(calls);
        tokio::select! {
            _ = &mut calls => return None,
            () = self.until("atoll_in_flight", service, count) => {}
        }
        Some(tokio::join!(calls, action))
    }

    /// Waits until these services have no call in flight and no instance that serves one.
    async fn at_rest(&self, services: &[&str]) {
        for service in services {
            self.until("atoll_in_flight", service, 0).await;
            self.until("atoll_instances", service, 0).await;
        }
    }
}

/// A route of `GET path` to `function`. `more` are further lines of the route.
fn route(path: &str, function: &str, more: &str) -> String {
    format!("\n[[route]]\nmethod = \"GET\"\npath = \"{path}\"\ncall = \"{function}\"\n{more}\n")
}

/// The section `[runtime]`, with the tests' common cache of compiled code.
fn runtime(more: &str) -> String {
    let cache = workspace().join("target/test-cache");
    format!("\n[runtime]\ncache = {:?}\n{more}\n", cache.display().to_string())
}

#[expect(clippy::disallowed_methods, reason = "a developer sets the seed to repeat a failed run")]
fn seed() -> u64 {
    let seed = std::env::var("ATOLL_TEST_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    println!("set ATOLL_TEST_SEED={seed} to repeat the same run");
    seed
}
