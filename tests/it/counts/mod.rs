//! What the host counts is what its clients saw: each request once, by route, status and kind, through swaps, retries
//! and refusals.

mod access_lines;
mod gauges;
mod http2;
mod mixture;
mod swap_counters;
mod waits;

use super::atoll::{Atoll, Home, Http};
use std::collections::BTreeMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A running host.
struct Counted {
    atoll: Atoll,
    http: Http,
    home: Home,
}

/// All metrics at one moment: name, labels and value of each series.
struct Metrics(Vec<Series>);

struct Series {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Counted {
    async fn start(manifest: &str) -> Self {
        let home = Home::new(manifest);
        Self { atoll: home.start().await, http: Http::default(), home }
    }

    async fn metrics(&self) -> Metrics {
        let answer = self.http.get(&format!("{}/metrics", self.atoll.admin)).await;
        Metrics::parse(std::str::from_utf8(&answer.body).unwrap())
    }

    /// The status of a swap of `service` to `component`.
    async fn swap(&self, service: &str, component: Vec<u8>) -> u16 {
        let url = format!("{}/v1/services/{service}/swap", self.atoll.admin);
        let request = http::Request::post(url).header("content-type", "application/wasm");
        self.http.send(request, component).await.status.as_u16()
    }

    /// The status of a rollback of `service`.
    async fn roll_back(&self, service: &str) -> u16 {
        let url = format!("{}/v1/services/{service}/rollback", self.atoll.admin);
        let request = http::Request::post(url).header("content-type", "application/json");
        self.http.send(request, "").await.status.as_u16()
    }
}

impl Metrics {
    fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        Self(lines.map(|line| Series::parse(line).unwrap_or_else(|| panic!("no series: {line}"))).collect())
    }

    /// The series of this name with these labels, among others.
    fn of<'a>(&'a self, name: &'a str, labels: &'a [(&str, &str)]) -> impl Iterator<Item = &'a Series> {
        let has = |series: &Series| labels.iter().all(|(label, value)| series.label(label) == *value);
        self.0.iter().filter(move |series| series.name == name && has(series))
    }

    /// The sum of the series of this name with these labels; 0 if there is none: a kind has its series with its first
    /// event.
    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        // The sum of no floats is -0.
        self.of(name, labels).map(|series| series.value).sum::<f64>() + 0.0
    }

    /// The sum of a metric over all series of `service`, of which there must be one at least.
    fn service(&self, name: &str, service: &str) -> f64 {
        let labels = [("service", service)];
        assert!(self.of(name, &labels).next().is_some(), "{name} has no series of {service}");
        self.sum(name, &labels)
    }
}

impl Series {
    fn parse(line: &str) -> Option<Self> {
        let (series, value) = line.rsplit_once(' ')?;
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let mut found = BTreeMap::new();
        let mut rest = labels.strip_suffix('}')?;
        while let Some((label, more)) = rest.split_once("=\"") {
            let (text, after) = more.split_once('"')?;
            found.insert(label.trim_start_matches(',').to_owned(), text.to_owned());
            rest = after;
        }
        Some(Self { name: name.to_owned(), labels: found, value: value.parse().ok()? })
    }

    fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

/// Sends `bytes` on a connection of its own, and reads until the gateway closes it.
async fn exchange(gateway: &str, bytes: &[u8]) -> String {
    let mut stream = connect(gateway, bytes).await;
    let mut answer = Vec::new();
    // A reset after the answer is no error here: the answer broke off, and that is what was asked for.
    let _ = timeout(super::atoll::TIMEOUT, stream.read_to_end(&mut answer)).await.expect("the gateway is silent");
    String::from_utf8_lossy(&answer).into_owned()
}

/// A connection on which `bytes` were sent.
async fn connect(gateway: &str, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(gateway.trim_start_matches("http://")).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}
