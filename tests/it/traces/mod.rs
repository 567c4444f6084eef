//! The traces of requests, from the header that a client sends to the collector that gets the spans.

mod collector;
mod context;
mod export;
mod guests;
mod kept;
mod metrics;
mod signals;

use super::atoll::{Atoll, Home, Http};
use serde_json::Value;

/// A running host whose requests are traced.
struct TracedHost {
    atoll: Atoll,
    http: Http,
    home: Home,
}

impl TracedHost {
    async fn start(manifest: &str) -> Self {
        let home = Home::new(manifest);
        Self { atoll: home.start().await, http: Http::default(), home }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.atoll.gateway)
    }

    async fn get(&self, path: &str) -> super::atoll::Answer {
        self.http.get(&self.url(path)).await
    }

    /// What the admin answers at `path`, as JSON.
    async fn admin(&self, path: &str) -> Value {
        self.http.get(&format!("{}{path}", self.atoll.admin)).await.json()
    }

    /// The value of a metric with exactly these labels; 0 if there is none.
    async fn metric(&self, series: &str) -> f64 {
        let answer = self.http.get(&format!("{}/metrics", self.atoll.admin)).await;
        let text = String::from_utf8_lossy(&answer.body);
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{series} ")));
        line.map_or(0.0, |value| value.trim().parse().unwrap())
    }
}
