//! Swaps, canaries and rollbacks while calls of all kinds go on, and kills at any moment.

use super::traffic::{Phase, Traffic};
use super::*;
use std::collections::BTreeSet;
use std::time::Instant;

/// How many file descriptors the host has.
fn descriptors(atoll: &Atoll) -> usize {
    fs::read_dir(format!("/proc/{}/fd", atoll.pid())).unwrap().count()
}

/// The component's file with a mark at its end, in a custom section: another digest, so it is compiled again.
fn marked(component: &[u8], mark: u8) -> Bytes {
    [component, &[0, 6, 4], b"mark", &[mark]].concat().into()
}

/// `ATOLL_ROLLOUT_SWAPS=1000`: the whole proof, with 100 canaries and 50 rollbacks. `ATOLL_ROLLOUT_BESIDE=FILE`: this
/// component, as a large one in Python, is compiled for another service three times after the swaps.
/// `ATOLL_ROLLOUT_P99=150`: the 99th percentile of the latency while revisions change, or the other is compiled, is at
/// most 1.5 times that between; it says something of a release build alone, which `ATOLL_TEST_BINARY` may name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swaps_canaries_and_rollbacks_fail_no_request_of_the_stable_revision() {
    let swaps = number("ATOLL_ROLLOUT_SWAPS", 20);
    let beside = beside();
    let other = beside.as_ref().map_or(String::new(), |file| {
        format!("\n[service.beside]\ncomponent = {file:?}\nlimits = {{ memory = \"512MiB\" }}\n")
    });
    let plan = "rollout = { canary = [\"50%\"], step = \"1s\", calls = 5 }\nretry = { tries = 0 }";
    let home = Home::new(&(manifest(plan) + &other));
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
        traffic.shared.enter(Phase::Changing);
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
    if let Some(file) = &beside {
        compile_beside(&atoll, &http, &traffic, &fs::read(file).unwrap()).await;
    }
    let mut seen = traffic.end().await;
    let [quiet, changing, compiling] = [Phase::Quiet, Phase::Changing, Phase::Compiling].map(|phase| seen.p99(phase));
    println!(
        "{} calls, {} failed of {rollbacks} canaries that crash; p99 in us: {changing:?} while revisions change, \
         {compiling:?} while another component is compiled, {quiet:?} between; (descriptors, KiB) {before:?} became \
         {after:?}",
        seen.answered, seen.failed
    );
    assert!(seen.wrong.is_empty(), "{} are wrong: {:?}", seen.wrong.len(), &seen.wrong[..seen.wrong.len().min(5)]);
    // A canary that crashes is out after 12 failed calls at a share of 50 %, and those under way.
    assert!(seen.failed <= rollbacks * 20, "{} of {} failed", seen.failed, seen.answered);
    assert!(after.0 <= before.0 + 16, "{before:?} became {after:?}");
    // What an allocator holds in reserve varies: a revision that stayed would have a megabyte and more.
    assert!(after.1 <= before.1 + before.1 / 4 + (64 << 10), "{before:?} KiB became {after:?}");
    let (most, quiet) = (number("ATOLL_ROLLOUT_P99", usize::MAX / 100), quiet.unwrap() as usize);
    for slowest in [changing, compiling].into_iter().flatten() {
        assert!(slowest as usize * 100 <= most.saturating_mul(quiet), "{slowest} us, and {quiet} between");
    }
}

/// The component that is to be compiled for another service meanwhile, if whoever runs the test names one.
#[expect(clippy::disallowed_methods, reason = "whoever runs the test says which component")]
fn beside() -> Option<String> {
    std::env::var("ATOLL_ROLLOUT_BESIDE").ok().filter(|file| !file.is_empty())
}

/// Deploys a component to the service `beside`, three times, each of which compiles it.
async fn compile_beside(atoll: &Atoll, http: &Http, traffic: &Traffic, component: &[u8]) {
    traffic.shared.crashing.store(false, Ordering::Relaxed);
    for mark in 0..3 {
        traffic.shared.measure_quiet().await;
        traffic.shared.enter(Phase::Compiling);
        let url = format!("{}/v1/services/beside/rollouts?now=true", atoll.admin);
        let request = Request::post(url).header("content-type", "application/wasm");
        let began = Instant::now();
        let deployed = http.try_send(request.body(Full::from(marked(component, mark))).unwrap()).await.unwrap();
        assert_eq!(deployed.status, 200, "{:?}", deployed.body);
        println!("another component of {} bytes was compiled in {:?}", component.len(), began.elapsed());
    }
    traffic.shared.measure_quiet().await;
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
