//! The gateway's cache, through the real binary.

mod by_state;
mod disk;
mod freshness;
mod identities;
mod operators;
mod origin;
mod state_history;
mod typed_routes;

use super::atoll::{Answer, Atoll, Home, Http, eventually};
use http::{Method, Request};
use origin::{Origin, Script};

/// A host in front of an origin. `/plain` has no cache; `/cached` has `cache = true`, and `/told` what the test writes.
struct Cached {
    atoll: Atoll,
    http: Http,
    origin: Origin,
    home: Home,
}

impl Cached {
    async fn start(
        told: &str,
        answer: impl Fn(&http::request::Parts, usize) -> Script + Send + Sync + 'static,
    ) -> Self {
        let origin = Origin::start(answer).await;
        let home = Home::new(&manifest(&origin, told));
        Self { atoll: home.start().await, http: Http::default(), origin, home }
    }

    async fn get(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.send(Method::GET, path, fields).await
    }

    async fn send(&self, method: Method, path: &str, fields: &[(&str, &str)]) -> Answer {
        let request = Request::builder().method(method).uri(format!("{}{path}", self.atoll.gateway));
        let request = fields.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        self.http.send(request, "").await
    }

    /// The number of the requests to the routes of `route` that ended so.
    async fn counted(&self, route: &str, outcome: &str) -> u64 {
        let answer = self.http.get(&format!("{}/metrics", self.atoll.admin)).await;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        let line = text.lines().find(|line| {
            line.starts_with("atoll_cache_requests_total")
                && line.contains(&format!("route=\"{route}\""))
                && line.contains(&format!("outcome=\"{outcome}\""))
        });
        let line = line.unwrap_or_else(|| panic!("no series {outcome} of {route} in {text}"));
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    }
}

fn manifest(origin: &Origin, told: &str) -> String {
    let (address, told) = (origin.address, if told.is_empty() { "true" } else { told });
    format!(
        r#"
        [service.origin]
        urls = ["http://{address}"]
        retry = {{ tries = 0 }}
        breaker = {{ failure_threshold = 1000, recovery_timeout = "1ms" }}

        [[route]]
        prefix = "/plain"
        service = "origin"

        [[route]]
        prefix = "/cached"
        service = "origin"
        cache = true

        [[route]]
        prefix = "/told"
        service = "origin"
        cache = {told}
        "#
    )
}

/// The member of `Cache-Status` that the gateway has written.
fn status(answer: &Answer) -> String {
    let mut lines = answer.headers.get_all("cache-status").iter().map(|line| line.to_str().unwrap().to_owned());
    lines.next_back().unwrap_or_else(|| panic!("no Cache-Status in {answer:?}"))
}

fn text(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.body).unwrap()
}

/// A 200 with these fields, whose content is the number of requests before it.
fn numbered(fields: &[(&'static str, &str)], before: usize) -> Script {
    (200, fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(), format!("answer {before}"))
}
