//! Swaps, canaries and rollbacks while calls of all kinds go on, and kills at any moment.

use super::*;
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::time::Instant;

/// How many file descriptors the host has.
fn descriptors(atoll: &Atoll) -> usize {
    fs::read_dir(format!("/proc/{}/fd", atoll.pid())).unwrap().count()
}

/// What clients see while revisions come and go.
struct Traffic {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<Seen>>,
}

/// What the test tells its clients.
#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    /// Whether a revision is being replaced, or a canary is under way.
    changing: AtomicBool,
    /// Whether the canary is one that crashes: then calls may fail, as many as a canary may cost.
    crashing: AtomicBool,
    /// How many calls were measured.
    measured: AtomicUsize,
    /// The revisions so far.
    known: Mutex<BTreeSet<String>>,
}

/// What one client has seen.
#[derive(Default)]
struct Seen {
    answered: usize,
    /// Calls that failed while a canary crashed.
    failed: usize,
    /// What must not be, in words.
    wrong: Vec<String>,
    /// The latencies of calls during changes and between them, in microseconds.
    changing: Vec<u32>,
    quiet: Vec<u32>,
}

impl Traffic {
    /// Two clients by HTTP, one of a typed route, and one of bodies that stream for some 24 ms.
    fn begin(atoll: &Atoll) -> Self {
        let shared = Arc::<Shared>::default();
        shared.known.lock().unwrap().insert(STABLE.into());
        let client = |path: &str| {
            let (url, shared) = (format!("{}{path}", atoll.gateway), Arc::clone(&shared));
            tokio::spawn(async move { shared.call_on(&url).await })
        };
        Self { clients: ["/http", "/roll", "/http", "/http/stream"].map(client).into(), shared }
    }

    async fn end(self) -> Seen {
        self.shared.stop.store(true, Ordering::Relaxed);
        let mut all = Seen::default();
        for client in self.clients {
            let seen = tokio::time::timeout(TIMEOUT, client).await.unwrap().unwrap();
            (all.answered, all.failed) = (all.answered + seen.answered, all.failed + seen.failed);
            all.wrong.extend(seen.wrong);
            all.changing.extend(seen.changing);
            all.quiet.extend(seen.quiet);
        }
        all
    }
}

impl Shared {
    /// Lets the clients make some calls while nothing changes, for the comparison.
    async fn measure_quiet(&self) {
        self.changing.store(false, Ordering::Relaxed);
        let until = self.measured.load(Ordering::Relaxed) + 300;
        eventually("calls are made", async || (self.measured.load(Ordering::Relaxed) >= until).then_some(())).await;
    }

    async fn call_on(&self, url: &str) -> Seen {
        let (http, mut seen, is_measured) = (Http::default(), Seen::default(), url.ends_with("/http"));
        while !self.stop.load(Ordering::Relaxed) {
            let (begun, began) =
                (Instant::now(), [&self.changing, &self.crashing].map(|flag| flag.load(Ordering::Relaxed)));
            let answer = http.try_send(Request::get(url).body(Full::default()).unwrap()).await;
            let took = u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX);
            let [changing, crashing] = [(&self.changing, began[0]), (&self.crashing, began[1])]
                .map(|(flag, before)| before || flag.load(Ordering::Relaxed));
            match answer {
                Ok(answer) if answer.status == 200 => {
                    seen.answered += 1;
                    if is_measured {
                        let latencies = if changing { &mut seen.changing } else { &mut seen.quiet };
                        latencies.push(took);
                        self.measured.fetch_add(1, Ordering::Relaxed);
                    }
                    let body = String::from_utf8_lossy(&answer.body).into_owned();
                    if !self.is_of_one_revision(body.trim_matches('"'), url.ends_with("/stream")) {
                        seen.wrong.push(format!("{url} is not answered by one revision: {body}"));
                    }
                }
                _ if crashing => seen.failed += 1,
                other => seen.wrong.push(format!("{url} failed: {other:?}")),
            }
        }
        seen
    }

    /// Whether a body is what one of the revisions says, once or in as many pieces as a stream has.
    fn is_of_one_revision(&self, body: &str, streams: bool) -> bool {
        let Some(first) = body.get(..STABLE.len()) else { return false };
        let pieces = if streams { 24 } else { 1 };
        self.known.lock().unwrap().contains(first) && body == first.repeat(pieces)
    }
}

/// The latency of which 99 % of the calls stay below.
fn p99(latencies: &mut [u32]) -> u32 {
    latencies.sort_unstable();
    latencies[(latencies.len() - 1) * 99 / 100]
}

/// `ATOLL_ROLLOUT_SWAPS=1000`: the whole proof, with 100 canaries and 50 rollbacks. `ATOLL_ROLLOUT_P99=150`: the 99th
/// percentile of the latency while revisions change is at most 1.5 times that between; it says something of a release
/// build alone, which `ATOLL_TEST_BINARY` may name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swaps_canaries_and_rollbacks_fail_no_request_of_the_stable_revision() {
    let swaps = number("ATOLL_ROLLOUT_SWAPS", 20);
    let home =
        Home::new(&manifest("rollout = { canary = [\"50%\"], step = \"1s\", calls = 5 }\nretry = { tries = 0 }"));
    let (atoll, http) = (home.start().await, Http::default());
    let traffic = Traffic::begin(&atoll);
    let (mut rollbacks, mut before) = (0, (0, 0));
    for swap in 0..swaps {
        // Of ten, one is a canary; of twenty, one is a canary that crashes.
        let (is_canary, crashes) = (swap % 10 == 9, swap % 20 == 19);
        // The time that it takes tells revisions apart, and 0 to 2 ms slow nobody down; so does the letter.
        let mark = char::from(b'a' + u8::try_from(swap % 24).unwrap() + 1);
        let (conduct, component) = revision(if crashes { 100 } else { 0 }, u32::try_from(swap / 24 % 3).unwrap(), mark);
        traffic.shared.known.lock().unwrap().insert(conduct);
        traffic.shared.crashing.store(crashes, Ordering::Relaxed);
        traffic.shared.changing.store(true, Ordering::Relaxed);
        let begun = begin(&http, &atoll, &component, if is_canary { "" } else { "?now=true" }).await;
        assert_eq!(begun.status, 200, "{:?}", begun.body);
        if is_canary {
            let phase = ended(&http, &atoll).await["phase"].clone();
            assert_eq!(phase, if crashes { "rolled-back" } else { "promoted" });
            rollbacks += usize::from(crashes);
            traffic.shared.measure_quiet().await;
        }
        // Once all that is made once is there, and some of the revisions have been here before.
        if swap == (swaps / 5).max(10).min(swaps - 1) {
            before = (descriptors(&atoll), atoll.resident());
        }
    }
    let after = (descriptors(&atoll), atoll.resident());
    let mut seen = traffic.end().await;
    let (changing, quiet) = (p99(&mut seen.changing), p99(&mut seen.quiet));
    println!(
        "{} calls, {} failed of {rollbacks} canaries that crash; p99 {changing} us while revisions change, {quiet} us \
         between; (descriptors, KiB) {before:?} became {after:?}",
        seen.answered, seen.failed
    );
    assert!(seen.wrong.is_empty(), "{} are wrong: {:?}", seen.wrong.len(), &seen.wrong[..seen.wrong.len().min(5)]);
    // A canary that crashes is out after 12 failed calls at a share of 50 %, and those under way.
    assert!(seen.failed <= rollbacks * 20, "{} of {} failed", seen.failed, seen.answered);
    assert!(after.0 <= before.0 + 16, "{before:?} became {after:?}");
    // What an allocator holds in reserve varies: a revision that stayed would have a megabyte and more.
    assert!(after.1 <= before.1 + before.1 / 4 + (64 << 10), "{before:?} KiB became {after:?}");
    let most = number("ATOLL_ROLLOUT_P99", usize::MAX);
    assert!(changing as usize * 100 / quiet as usize <= most, "{changing} us while revisions change, {quiet} between");
}

/// `ATOLL_ROLLOUT_KILLS=200`: more moments.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_moment_leaves_what_the_record_explains() {
    let kills = number("ATOLL_ROLLOUT_KILLS", 5);
    let home = Home::new(&manifest("rollout = { canary = [\"10%\", \"50%\"], step = \"1h\" }\n[history]"));
    let http = Http::default();
    let mut atoll = home.start().await;
    let mut aborted = BTreeSet::new();
    for kill in 0..kills {
        let (conduct, component) =
            revision(0, u32::try_from(kill / 24 % 5).unwrap(), char::from(b'b' + u8::try_from(kill % 24).unwrap()));
        let orders = {
            let (admin, component) = (atoll.admin.clone(), component.clone());
            tokio::spawn(async move {
                let http = Http::default();
                let url = |rest: &str| format!("{admin}/v1/services/fickle/rollouts{rest}");
                let begin = Request::post(url("")).header("content-type", "application/wasm");
                let begun = http.try_send(begin.body(Full::from(component)).unwrap()).await;
                let how = if kill % 2 == 0 { "abort" } else { "promote" };
                let end = Request::post(url(&format!("/current/{how}"))).body(Full::default()).unwrap();
                let ended = http.try_send(end).await;
                (begun.is_ok_and(|answer| answer.status == 200), ended.is_ok_and(|answer| answer.status == 200))
            })
        };
        // The more probes, the later: from before the first write of the record to after the last one.
        for _ in 0..kill * 3 % 60 {
            let _ =
                http.try_send(Request::get(format!("{}/healthz", atoll.admin)).body(Full::default()).unwrap()).await;
        }
        atoll.kill().await;
        let (_, ended) = orders.await.unwrap();
        if ended && kill % 2 == 0 {
            aborted.insert(conduct.clone());
        }
        atoll = home.start().await;
        let last = last(&http, &atoll).await;
        let body = String::from_utf8(http.get(&format!("{}/http", atoll.gateway)).await.body.to_vec()).unwrap();
        assert!(!aborted.contains(&body), "what was aborted serves: {last}");
        if ended && kill % 2 == 1 {
            assert_eq!((body.as_str(), &last["phase"]), (conduct.as_str(), &"promoted".into()), "{last}");
        }
        if last["phase"] == "canary" {
            assert_eq!(end(&http, &atoll, "abort").await.status, 200);
            aborted.insert(conduct);
        }
    }
}
