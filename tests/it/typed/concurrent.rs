//! Many calls at once on shared instances, and callers that disconnect.

use super::{SLEEPS, Typed, route, runtime, seed};
use futures_util::future::join_all;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use std::pin::pin;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// All calls of `relay` share one instance.
async fn open() -> Typed {
    let mut manifest = r#"
[gateway]
timeout = "1m"

[service.types]
component = "{component:fixture-types}"
isolation = "reuse"
limits = { timeout = "1m" }
breaker = { failure_threshold = 1000 }

[service.relay]
component = "{component:fixture-relay}"
calls = ["types"]
isolation = "reuse"
reuse = { max_requests = 1000000, max_concurrent = 16, idle_timeout = "1h" }
limits = { timeout = "1m" }
breaker = { failure_threshold = 1000 }
"#
    .to_owned();
    for ms in [300, 600, 900, 1_200] {
        manifest += &route(&format!("/held-for-{ms}"), "relay/reports#held", &format!("timeout = \"{ms}ms\""));
    }
    for path in ["held", "quick", "trap-result", "own-count"] {
        manifest += &route(&format!("/{path}"), &format!("relay/reports#{path}"), "");
    }
    manifest += &route("/bench/{count}", "relay/bench#bench", "");
    manifest += &route("/bench-http/{service}/{count}", "relay/bench#bench-http", "");
    // A test looks for the line of each failure.
    manifest += "\n[log]\nrepeats = 1_000\n";
    Typed::start(&manifest).await
}

#[tokio::test]
async fn calls_that_wait_for_an_import_do_not_block_their_instance() {
    let host = open().await;
    assert_eq!(host.value("/quick").await, 0);
    for ms in SLEEPS {
        let held = join_all((0..5).map(async |_| host.value(&format!("/held?ms={ms}")).await));
        // All calls are in one instance, and it answers while they wait in it.
        let outcome = host.meanwhile("relay", 5, held, host.value("/quick")).await;
        assert_eq!(host.value("/quick").await, 0);
        if let Some((held, seen)) = outcome
            && seen == 5
        {
            assert_eq!(held, vec![json!(ms); 5]);
            return;
        }
    }
    panic!("{SLEEPS:?} milliseconds were too short to have six calls in flight at once");
}

#[tokio::test]
async fn each_call_of_a_shared_instance_has_its_own_deadline() {
    let host = open().await;
    let call = async |ms: u64| {
        let started = Instant::now();
        let answer = host.get(&format!("/held-for-{ms}?ms=60000")).await;
        assert!([503, 504].contains(&answer.status.as_u16()), "{answer:?}");
        (ms, started.elapsed())
    };
    // The last call has the shortest deadline, the longest, and one between.
    for order in [[1_200, 900, 600, 300], [300, 600, 900, 1_200], [600, 1_200, 300, 900]] {
        for (ms, took) in join_all(order.map(call)).await {
            // The callee's deadline is earlier than the caller's, by a twentieth of the time.
            let (own, next) = (Duration::from_millis(ms * 19 / 20 - 20), Duration::from_millis(ms + 30_000));
            assert!(took >= own && took < next, "{ms} ms: {took:?} in {order:?}");
        }
        host.at_rest(&["relay", "types"]).await;
    }
}

#[tokio::test]
async fn a_call_past_its_deadline_does_not_shorten_another_call_of_its_instance() {
    let host = open().await;
    let (typed, http) = (("/bench", 5_000), ("/bench-http/types", 300));
    for (late_first, (path, mut count)) in [(true, typed), (false, typed), (true, http), (false, http)] {
        loop {
            let started = Instant::now();
            let busy = async {
                if late_first {
                    host.until("atoll_in_flight", "types", 1).await;
                }
                (host.value(&format!("{path}/{count}")).await, started.elapsed())
            };
            let late = async { (host.get("/held-for-300?ms=60000").await.status, started.elapsed()) };
            let ((_, busy), (status, late)) = tokio::join!(busy, late);
            assert!([503, 504].contains(&status.as_u16()), "{status}");
            // The neighbour continued to call after the other call's deadline, on behalf of its own request.
            if busy > late + Duration::from_millis(50) {
                break;
            }
            count *= 4;
        }
        host.at_rest(&["relay", "types"]).await;
    }
}

#[tokio::test]
async fn each_call_of_a_shared_instance_carries_its_own_request_id() {
    let host = open().await;
    assert_eq!(host.value("/own-count").await, 1);
    let answers = join_all((0..16).map(|_| host.get("/trap-result"))).await;
    for answer in &answers {
        assert_eq!(answer.json(), "unavailable: service `types` did not answer: trap");
        let id = answer.header("x-request-id");
        let of = |line: &&String| line.contains(id) && line.contains("\"service\":\"types\"");
        super::eventually("its trap is in the log", async || {
            let log = host.atoll.log();
            (log.iter().filter(of).filter(|line| line.contains("the instance failed")).count() == 1).then_some(())
        })
        .await;
    }
    assert_eq!(host.value("/own-count").await, 2, "all calls must have run in one instance");
}

/// The pool has a hundred slots, and in the end the test needs all of them: a slot that is not given back is missed.
#[tokio::test]
async fn callers_that_disconnect_leave_no_slot_or_instance_in_use() {
    let service = r#"
[gateway]
timeout = "1m"

[service.types]
component = "{component:fixture-types}"
isolation = "reuse"
reuse = { max_requests = 20, max_concurrent = 4, idle_timeout = "50ms" }
limits = { waiting = 10000, wait = "1m", timeout = "1m" }
breaker = { failure_threshold = 1000 }

[service.relay]
component = "{component:fixture-relay}"
calls = ["types"]
isolation = "reuse"
reuse = { max_requests = 50, max_concurrent = 8, idle_timeout = "50ms" }
limits = { waiting = 10000, wait = "1m", timeout = "1m" }
breaker = { failure_threshold = 1000 }

[service.alone]
component = "{component:fixture-types}"
limits = { waiting = 10000, wait = "1m", timeout = "1m" }
"#;
    let mut manifest = service.to_owned() + &runtime("instances = 100");
    for (path, function) in [
        ("/held", "relay/reports#held"),
        ("/go-on", "relay/reports#trap-and-go-on"),
        ("/bytes/{count}", "relay/probes#pipe-bytes"),
        ("/taken/{count}/{rest}", "relay/probes#taken"),
        ("/together/{count}/{ms}", "relay/bench#concurrent-sleep"),
        ("/alone/{ms}", "alone/faults#sleep"),
    ] {
        manifest += &route(path, function, "");
    }
    let host = Typed::start(&manifest).await;
    let seed = seed();
    let mut random = SmallRng::seed_from_u64(seed);
    let paths = ["/held?ms=40", "/go-on", "/bytes/300000", "/taken/50/20", "/together/5/30", "/alone/20"];
    let calls = (0..400).map(|_| {
        let path = paths[random.random_range(0..paths.len())];
        // One caller in three waits for its answer. The others disconnect before the answer, during it, or just after
        // it.
        let timeout = if random.random_range(0..3) == 0 { 60_000 } else { random.random_range(0..80) };
        let later = random.random_range(0..1_500);
        (path, Duration::from_millis(later), Duration::from_millis(timeout))
    });
    let address = host.atoll.gateway.trim_start_matches("http://").to_owned();
    let answers =
        join_all(calls.map(|(path, later, timeout)| call_and_disconnect(&address, path, later, timeout))).await;
    let answered = answers.iter().flatten().count();
    for (path, answer) in answers.iter().flatten() {
        // A trap ends the other calls of the same instance, and no others.
        let is_allowed =
            answer.starts_with("HTTP/1.1 200") || *path == "/held?ms=40" && answer.starts_with("HTTP/1.1 503");
        let log =
            || host.atoll.log().into_iter().filter(|line| line.contains("\"WARN\"")).collect::<Vec<_>>().join("\n");
        assert!(is_allowed, "ATOLL_TEST_SEED={seed}: {path}: {answer}\n{}", log());
    }
    assert!(answered > 50, "ATOLL_TEST_SEED={seed}: only {answered} of 400 calls were answered");
    host.at_rest(&["relay", "types", "alone"]).await;
    // All slots are free again: none of these calls has to wait for another.
    assert!(all_at_once(&host).await, "ATOLL_TEST_SEED={seed}");
    assert_eq!(host.value("/held?ms=1").await, 1, "ATOLL_TEST_SEED={seed}");
    host.at_rest(&["relay", "types", "alone"]).await;
}

/// Whether the most calls from outside that a pool of a hundred allows one service can be in flight at once, each in
/// its own instance. A slot is kept apart for each of the three services, and three eighths of the others for calls
/// that services make.
async fn all_at_once(host: &Typed) -> bool {
    const MOST: u32 = 97 - 3 * (97 / 8) + 1;
    for ms in SLEEPS {
        let mut together = pin!(join_all((0..MOST).map(async |_| host.value(&format!("/alone/{ms}")).await)));
        tokio::select! {
            _ = &mut together => {}
            () = host.until("atoll_instances", "alone", MOST) => {
                assert_eq!(together.await, vec![json!(ms); MOST as usize]);
                return true;
            }
        }
    }
    false
}

/// Sends a GET for `path` after `later`, and disconnects after `timeout`. Returns the path and the answer, if the
/// answer came completely.
async fn call_and_disconnect<'a>(
    address: &str,
    path: &'a str,
    later: Duration,
    timeout: Duration,
) -> Option<(&'a str, String)> {
    tokio::time::sleep(later).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: atoll\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let whole = tokio::time::timeout(timeout, stream.read_to_string(&mut answer)).await;
    assert!(whole.is_ok() || timeout < Duration::from_secs(1), "a caller that waits was never answered: {path}");
    whole.ok().map(|_| (path, answer))
}

#[tokio::test]
async fn call_chains_in_a_pool_of_eight_slots_do_not_deadlock() {
    let service = r#"
[service.types]
component = "{component:fixture-types}"
limits = { wait = "1m" }

[service.relay]
component = "{component:fixture-relay}"
calls = ["types"]
limits = { timeout = "1m", wait = "1m" }
"#;
    let manifest = service.to_owned()
        + &runtime("instances = 8")
        + &route("/sleep/{ms}", "relay/reports#sleep", "timeout = \"50s\"");
    let host = Typed::start(&manifest).await;
    let started = Instant::now();
    // Each caller holds one slot and needs another. If callers could take all eight, none would ever get a second
    // one. The calls last long enough that all have come before the first is answered.
    let answers = join_all((0..40).map(async |_| host.value("/sleep/100").await)).await;
    assert_eq!(answers, vec![json!("ok: 100"); 40]);
    assert!(
        started.elapsed() < Duration::from_secs(40),
        "the chains took {:?}: they waited for each other",
        started.elapsed()
    );
}
