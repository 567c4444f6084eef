//! The mesh with the real binary: tries, bounds, balancing, health checks, names, outbound calls, deadlines and
//! circuits.

mod balancing;
mod breaker;
mod bulkhead;
mod callers_deadlines;
mod deadlines;
mod dns_and_tls;
mod egress;
mod health;
mod operator_controls;
mod raw_upstreams;
mod registries;
mod retries;
mod srv_records;

use super::atoll::{Answer, Atoll, Home, Http};
use super::plain_server::PlainServer;
use http::request::Builder;
use serde_json::Value;

/// Keys of a service whose circuits never open and whose endpoints are never ejected, for tests of something else.
const NEVER_OPENS: &str = "breaker = { failure_threshold = 1000 }\nejection = { most = 0 }\n";

/// A running host.
struct Host {
    atoll: Atoll,
    http: Http,
    home: Home,
}

impl Host {
    async fn start(manifest: &str) -> Self {
        Self::at(Home::new(manifest)).await
    }

    async fn at(home: Home) -> Self {
        Self { atoll: home.start().await, http: Http::default(), home }
    }

    /// A host with one service, `legacy`, which has these servers and these further keys. Every path below `/plain`
    /// is routed to it.
    async fn of(servers: &[&PlainServer], keys: &str) -> Self {
        Self::start(&manifest(servers, keys)).await
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.atoll.gateway)
    }

    async fn get(&self, path: &str) -> Answer {
        self.http.get(&self.url(path)).await
    }

    /// The status of a GET request, which may be an error.
    async fn status(&self, path: &str) -> u16 {
        self.get(path).await.status.as_u16()
    }

    /// Sends a request to `/plain/x`.
    async fn send(&self, request: Builder, body: impl Into<bytes::Bytes>) -> Answer {
        self.http.send(request.uri(self.url("/plain/x")), body).await
    }

    /// The member `key` of each endpoint of `service`, as the admin API shows it.
    async fn endpoints(&self, service: &str, key: &str) -> Vec<Value> {
        let service = self.http.get(&format!("{}/v1/services/{service}", self.atoll.admin)).await.json();
        service["endpoints"].as_array().unwrap().iter().map(|endpoint| endpoint[key].clone()).collect()
    }

    /// The value of one series of the metrics, by its name and all of its labels; 0 if there is none.
    async fn series(&self, series: &str) -> f64 {
        let answer = self.http.get(&format!("{}/metrics", self.atoll.admin)).await;
        let text = String::from_utf8_lossy(&answer.body);
        let line = text.lines().find_map(|line| line.strip_prefix(series));
        line.map_or(0.0, |value| value.trim().parse().unwrap())
    }

    /// The sum of a metric over all lines of `service`.
    async fn metric(&self, name: &str, service: &str) -> f64 {
        let answer = self.http.get(&format!("{}/metrics", self.atoll.admin)).await;
        let text = String::from_utf8_lossy(&answer.body);
        let start = format!("{name}{{service=\"{service}\"");
        let lines = text.lines().filter(|line| line.starts_with(&start));
        lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
    }
}

/// The manifest of [`Host::of`].
fn manifest(servers: &[&PlainServer], keys: &str) -> String {
    let urls: Vec<_> = servers.iter().map(|server| format!("http://{}", server.address)).collect();
    format!("[service.legacy]\nurls = {urls:?}\n{keys}\n{}", route("/plain", "legacy"))
}

/// A route of all paths below `prefix` to `service`. The service does not see the prefix.
fn route(prefix: &str, service: &str) -> String {
    format!("\n[[route]]\nprefix = {prefix:?}\nstrip_prefix = {prefix:?}\nservice = {service:?}\n")
}

/// A request of this method for [`Host::send`].
fn request(method: impl AsRef<str>) -> Builder {
    http::Request::builder().method(method.as_ref())
}

/// Whether an error text contains `part`, wherever the terminal breaks its lines.
fn says(complaint: &str, part: &str) -> bool {
    let squeezed = |text: &str| text.split_whitespace().filter(|word| !["|", "│"].contains(word)).collect::<String>();
    squeezed(complaint).contains(&squeezed(part))
}

/// The kind of a problem: `overloaded`.
fn kind(answer: &Answer) -> String {
    answer.problem()["type"].as_str().unwrap().trim_start_matches("urn:atoll:problem:").to_owned()
}
