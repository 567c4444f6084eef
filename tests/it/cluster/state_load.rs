//! Clients of a service with state, at the gateway of every node: each writes, reads its own writes through another
//! node, and counts. What was acknowledged must be there, always and for everybody.

use super::super::atoll::{Http, eventually};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// A client's pause between two requests.
const PACE: Duration = Duration::from_millis(5);

/// What the clients have seen.
#[derive(Default)]
struct Seen {
    /// The keys whose writes were acknowledged; each holds its own name.
    written: Vec<String>,
    /// What acknowledged increments have answered.
    sums: Vec<u64>,
    /// How many increments are in doubt.
    doubtful: u64,
    /// When each request ended that was answered as it should be.
    served: Vec<Instant>,
    /// What has failed: when it was begun, when it ended, and how.
    failed: Vec<(Instant, Instant, String)>,
    /// Reads that lack what was acknowledged.
    lost: Vec<String>,
}

struct Clients {
    http: Http,
    /// The gateways; `None`: its node is dead, and a balancer sends nobody there.
    gateways: Mutex<Vec<Option<String>>>,
    ended: AtomicBool,
    seen: Mutex<Seen>,
}

/// The clients.
pub(super) struct StateLoad {
    clients: Arc<Clients>,
    tasks: JoinSet<()>,
}

impl StateLoad {
    /// Two for each gateway.
    pub(super) fn begin(gateways: &[String]) -> Self {
        let gateways: Vec<_> = gateways.iter().cloned().map(Some).collect();
        let (count, seen) = (gateways.len(), Mutex::default());
        let clients = Clients { http: Http::default(), gateways: gateways.into(), ended: AtomicBool::new(false), seen };
        let mut own = Self { clients: Arc::new(clients), tasks: JoinSet::new() };
        for client in 0..2 * count {
            let clients = Arc::clone(&own.clients);
            own.tasks.spawn(async move { clients.work(client).await });
        }
        own
    }

    /// A gateway is there no more, or is there again.
    pub(super) fn found_at(&self, node: usize, gateway: Option<String>) {
        self.clients.gateways.lock().unwrap()[node] = gateway;
    }

    /// Waits until so many more requests are served.
    pub(super) async fn goes_on(&self, what: &str) {
        let before = self.clients.seen.lock().unwrap().served.len();
        eventually(what, async || (self.clients.seen.lock().unwrap().served.len() > before + 200).then_some(())).await;
    }

    /// Ends it. What failed within `outage` is excused, and nothing else. Returns how many requests were served, how
    /// many failed, and for how long nobody was served, at the longest.
    pub(super) async fn end(mut self, outage: Option<(Instant, Instant)>) -> (usize, usize, Duration) {
        self.clients.ended.store(true, Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        let seen = std::mem::take(&mut *self.clients.seen.lock().unwrap());
        assert!(seen.lost.is_empty(), "{} reads lack what was acknowledged: {:?}", seen.lost.len(), seen.lost.first());
        let excused = |(begun, ended, _): &&(Instant, Instant, String)| {
            outage.is_some_and(|(from, to)| *begun <= to && *ended >= from)
        };
        let wrong: Vec<_> = seen.failed.iter().filter(|failure| !excused(failure)).collect();
        assert!(wrong.is_empty(), "{} of {} failed: {:?}", wrong.len(), seen.served.len(), wrong.first());
        let gateways = self.clients.gateways.lock().unwrap().clone();
        for (node, gateway) in gateways.iter().enumerate().filter(|(_, gateway)| gateway.is_some()) {
            for keys in seen.written.chunks(100) {
                let url = format!("{}/kv/many?keys={}", gateway.as_ref().unwrap(), keys.join(","));
                let (_, found) = self.clients.send(Method::GET, &url, "").await.unwrap();
                let found: Vec<Option<(String, String)>> = serde_json::from_str(&found).unwrap();
                let expected: Vec<_> = keys.iter().map(|key| Some((key.clone(), key.clone()))).collect();
                assert_eq!(found, expected, "an acknowledged write is lost, at node {node}");
            }
        }
        self.clients.adds_up(gateways.iter().flatten().next().unwrap(), &seen).await;
        let gaps = seen.served.windows(2).map(|pair| pair[1].saturating_duration_since(pair[0]));
        (seen.served.len(), seen.failed.len(), gaps.max().unwrap_or_default())
    }
}

impl Clients {
    async fn work(&self, client: usize) {
        for number in 0.. {
            if self.ended.load(Relaxed) {
                return;
            }
            let begun = Instant::now();
            match self.step(client, number).await {
                Ok(()) => self.seen.lock().unwrap().served.push(Instant::now()),
                Err(fault) => self.seen.lock().unwrap().failed.push((begun, Instant::now(), fault)),
            }
            tokio::time::sleep(PACE).await;
        }
    }

    /// One write, its read through another node, and one increment.
    async fn step(&self, client: usize, number: usize) -> Result<(), String> {
        let gateways = self.gateways.lock().unwrap().clone();
        let count = gateways.len();
        let Some(own) = &gateways[client % count] else { return Ok(()) };
        let key = format!("k{client}-{number}");
        let (status, text) = self.send(Method::PUT, &format!("{own}/kv/bucket/default/{key}"), &key).await?;
        if status != 204 {
            return Err(format!("a write: {status} {text}"));
        }
        self.seen.lock().unwrap().written.push(key.clone());
        let others = (1..count).filter_map(|step| gateways[(client + step) % count].as_ref());
        if let Some(other) = others.clone().nth(number % others.count().max(1)) {
            match self.read(other, &key).await? {
                (200, text) if text == key => {}
                // The host has answered for the store: this is what it has.
                (status @ (200 | 404), text) => {
                    self.seen.lock().unwrap().lost.push(format!("{key}: {status} {text}"));
                }
                (status, text) => return Err(format!("a read: {status} {text}")),
            }
        }
        let counted = self.send(Method::POST, &format!("{own}/kv/increment/n"), "").await;
        let mut seen = self.seen.lock().unwrap();
        match counted {
            Ok((200, sum)) => seen.sums.push(sum.parse().unwrap()),
            failed => {
                seen.doubtful += 1;
                return Err(format!("an increment: {failed:?}"));
            }
        }
        Ok(())
    }

    /// Each acknowledged increment had a number of its own, and none is lost.
    async fn adds_up(&self, gateway: &str, seen: &Seen) {
        let (_, sum) = self.send(Method::POST, &format!("{gateway}/kv/increment/n?delta=0"), "").await.unwrap();
        let (sum, acknowledged) = (sum.parse::<u64>().unwrap(), seen.sums.len() as u64);
        let distinct: BTreeSet<_> = seen.sums.iter().collect();
        assert_eq!(distinct.len() as u64, acknowledged, "two increments have the same sum");
        let bounds = acknowledged..=acknowledged + seen.doubtful;
        assert!(bounds.contains(&sum), "{acknowledged} increments were acknowledged, and the sum is {sum}");
    }

    async fn read(&self, gateway: &str, key: &str) -> Result<(u16, String), String> {
        self.send(Method::GET, &format!("{gateway}/kv/bucket/default/{key}"), "").await
    }

    async fn send(&self, method: Method, url: &str, body: &str) -> Result<(u16, String), String> {
        let request = Request::builder().method(method).uri(url);
        let request = request.body(Full::from(Bytes::from(body.to_owned()))).map_err(|error| error.to_string())?;
        let answer = self.http.try_send(request).await?;
        Ok((answer.status.as_u16(), String::from_utf8_lossy(&answer.body).into_owned()))
    }
}
