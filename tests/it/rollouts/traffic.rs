//! What clients see while revisions come and go.

use super::STABLE;
use crate::it::atoll::{Atoll, TIMEOUT, eventually};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Request, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::Frame;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// The pieces of a body that streams, a millisecond apart.
const PIECES: usize = 24;

/// What the host does while a call is under way. The later one counts for a call that sees two of them.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(super) enum Phase {
    /// Nothing changes.
    Quiet,
    /// A revision is replaced, or a canary is under way.
    Changing,
    /// A component is compiled for another service.
    Compiling,
}

/// Clients that call until they are told to stop.
pub(super) struct Traffic {
    pub(super) shared: Arc<Shared>,
    clients: Vec<JoinHandle<Seen>>,
}

/// What the test tells its clients.
#[derive(Default)]
pub(super) struct Shared {
    stop: AtomicBool,
    phase: AtomicU8,
    /// Whether the canary is one that crashes: then calls may fail, as many as a canary may cost.
    pub(super) crashing: AtomicBool,
    /// How many calls were measured.
    measured: AtomicUsize,
    /// The revisions so far.
    pub(super) known: Mutex<BTreeSet<String>>,
}

/// What one client has seen.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) answered: usize,
    /// Calls that failed while a canary crashed.
    pub(super) failed: usize,
    /// What must not be, in words.
    pub(super) wrong: Vec<String>,
    /// The latencies of calls in each [`Phase`], in microseconds.
    latencies: [Vec<u32>; 3],
}

impl Seen {
    /// The latency of which 99 % of the calls in this phase stay below, in microseconds; `None` without calls.
    pub(super) fn p99(&mut self, phase: Phase) -> Option<u32> {
        let latencies = &mut self.latencies[phase as usize];
        latencies.sort_unstable();
        latencies.get(latencies.len().checked_sub(1)? * 99 / 100).copied()
    }
}

/// How a client calls.
#[derive(Clone, Copy, PartialEq)]
enum Conduct {
    /// It wants one word, and is measured.
    Measured,
    /// It wants one word.
    Plain,
    /// It reads an answer in pieces.
    Download,
    /// It sends a body in pieces.
    Upload,
}

impl Traffic {
    /// Two clients by HTTP, one of a typed route, and two of bodies that stream for some 24 ms, down and up.
    pub(super) fn begin(atoll: &Atoll) -> Self {
        let shared = Arc::<Shared>::default();
        shared.known.lock().unwrap().insert(STABLE.into());
        let clients = [
            ("/http", Conduct::Measured),
            ("/http", Conduct::Measured),
            ("/roll", Conduct::Plain),
            ("/http/stream", Conduct::Download),
            ("/http/upload", Conduct::Upload),
        ];
        let client = |(path, conduct)| {
            let (url, shared) = (format!("{}{path}", atoll.gateway), Arc::clone(&shared));
            tokio::spawn(async move { shared.call_on(&url, conduct).await })
        };
        Self { clients: clients.map(client).into(), shared }
    }

    /// Stops the clients, and adds up what they saw.
    pub(super) async fn end(self) -> Seen {
        self.shared.stop.store(true, Ordering::Relaxed);
        let mut all = Seen::default();
        for client in self.clients {
            let seen = tokio::time::timeout(TIMEOUT, client).await.unwrap().unwrap();
            (all.answered, all.failed) = (all.answered + seen.answered, all.failed + seen.failed);
            all.wrong.extend(seen.wrong);
            all.latencies.iter_mut().zip(seen.latencies).for_each(|(all, more)| all.extend(more));
        }
        all
    }
}

impl Shared {
    pub(super) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// Lets the clients make some calls while nothing changes, for the comparison.
    pub(super) async fn measure_quiet(&self) {
        self.enter(Phase::Quiet);
        let until = self.measured.load(Ordering::Relaxed) + 300;
        eventually("calls are made", async || (self.measured.load(Ordering::Relaxed) >= until).then_some(())).await;
    }

    async fn call_on(&self, url: &str, conduct: Conduct) -> Seen {
        let (client, mut seen) = (Client::builder(TokioExecutor::new()).build_http(), Seen::default());
        while !self.stop.load(Ordering::Relaxed) {
            let state = || (self.phase.load(Ordering::Relaxed), self.crashing.load(Ordering::Relaxed));
            let (began, before) = (Instant::now(), state());
            let answer = tokio::time::timeout(TIMEOUT, call(&client, url, conduct)).await;
            let took = u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX);
            let after = state();
            match answer {
                Ok(Ok((StatusCode::OK, body))) => {
                    seen.answered += 1;
                    if conduct == Conduct::Measured {
                        seen.latencies[usize::from(before.0.max(after.0))].push(took);
                        self.measured.fetch_add(1, Ordering::Relaxed);
                    }
                    if !self.is_of_one_revision(body.trim_matches('"'), conduct) {
                        seen.wrong.push(format!("{url} is not answered by one revision: {body}"));
                    }
                }
                _ if before.1 || after.1 => seen.failed += 1,
                other => seen.wrong.push(format!("{url} failed: {other:?}")),
            }
        }
        seen
    }

    /// Whether a body is what one of the revisions says, once or in as many pieces as a stream has.
    fn is_of_one_revision(&self, body: &str, conduct: Conduct) -> bool {
        let Some(first) = body.get(..STABLE.len()) else { return false };
        let pieces = if matches!(conduct, Conduct::Download | Conduct::Upload) { PIECES } else { 1 };
        self.known.lock().unwrap().contains(first) && body == first.repeat(pieces)
    }
}

/// One call: the status and the body of its answer, or what went wrong.
async fn call(
    client: &Client<HttpConnector, UnsyncBoxBody<Bytes, Infallible>>,
    url: &str,
    conduct: Conduct,
) -> Result<(StatusCode, String), String> {
    let request = if conduct == Conduct::Upload {
        let pieces = stream::iter(0..PIECES).then(|_| async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Ok(Frame::data(Bytes::from_static(b"x")))
        });
        Request::post(url).body(StreamBody::new(pieces).boxed_unsync())
    } else {
        Request::get(url).body(Empty::new().boxed_unsync())
    };
    let answer = client.request(request.unwrap()).await.map_err(|error| format!("{error:?}"))?;
    let (head, body) = answer.into_parts();
    let body = body.collect().await.map_err(|error| format!("the body broke off: {error}"))?.to_bytes();
    Ok((head.status, String::from_utf8_lossy(&body).into_owned()))
}
