//! How long a call and each of its tries may take, and how the remaining time is passed on.

use super::super::plain_server::{Behaviour, PlainServer};
use super::{Host, NEVER_OPENS, kind, manifest, request, route};
use std::time::{Duration, Instant};

/// Longer than a busy machine needs for what these tests await, and shorter than the timeouts that must not apply.
const SOON: Duration = Duration::from_secs(9);

async fn silent_server(keys: &str) -> (PlainServer, Host) {
    let plain = PlainServer::start("silent").await;
    plain.behave(Behaviour::Silent);
    let host = Host::of(&[&plain], &format!("{NEVER_OPENS}{keys}")).await;
    (plain, host)
}

/// A header that holds a whole number, such as the time left in milliseconds.
fn header(seen: &serde_json::Value, name: &str) -> u64 {
    seen["headers"][name].as_str().unwrap_or_else(|| panic!("{name}: {seen}")).parse().unwrap()
}

/// How many tries were ended by the service's own `timeout`, and how many by its `total`.
async fn timeouts(host: &Host) -> [f64; 2] {
    let series = |owner: &str| format!("atoll_timeouts_total{{service=\"legacy\",deadline=\"{owner}\"}}");
    [host.series(&series("timeout")).await, host.series(&series("total")).await]
}

#[tokio::test]
async fn each_try_is_bounded_by_timeout() {
    let (plain, host) = silent_server("limits = { timeout = \"300ms\", total = \"10s\" }").await;
    let began = Instant::now();
    let late = host.get("/plain/x").await;
    assert_eq!((late.status.as_u16(), kind(&late)), (504, "timeout".to_owned()));
    assert!((Duration::from_millis(600)..SOON).contains(&began.elapsed()), "{:?}", began.elapsed());
    assert_eq!(plain.requests(), 2);

    let began = Instant::now();
    assert_eq!(host.send(request("POST"), "order").await.status, 504);
    assert!((Duration::from_millis(300)..SOON).contains(&began.elapsed()), "{:?}", began.elapsed());
    assert_eq!(plain.requests(), 3, "a POST that may have had its effect must be sent once");
    assert_eq!(timeouts(&host).await, [3.0, 0.0], "each try was ended by `timeout`");
}

#[tokio::test]
async fn all_tries_together_are_bounded_by_total() {
    let (plain, host) = silent_server("limits = { timeout = \"300ms\", total = \"1s\" }\nretry = { tries = 10 }").await;
    let began = Instant::now();
    assert_eq!(host.status("/plain/x").await, 504);
    let took = began.elapsed();
    assert!((Duration::from_millis(600)..SOON).contains(&took), "{took:?}");
    // Three whole tries fit into the total, and the rest of it allows a shorter fourth one.
    assert!((2..=4).contains(&plain.requests()), "{}", plain.requests());
}

#[tokio::test]
async fn a_total_shorter_than_timeout_bounds_the_only_try() {
    let (plain, host) = silent_server("limits = { timeout = \"1m\", total = \"300ms\" }").await;
    let began = Instant::now();
    assert_eq!(host.status("/plain/x").await, 504);
    assert!((Duration::from_millis(300)..SOON).contains(&began.elapsed()), "{:?}", began.elapsed());
    assert_eq!(plain.requests(), 1, "no time is left for a second try");
    assert_eq!(timeouts(&host).await, [0.0, 1.0], "it was ended by `total`");
}

#[tokio::test]
async fn waiting_for_a_slot_counts_against_the_total() {
    let bounds = "limits = { timeout = \"1m\", total = \"500ms\", concurrency = 1, wait = \"1m\" }";
    let (plain, host) = silent_server(bounds).await;
    let began = Instant::now();
    let (first, second) = tokio::join!(host.get("/plain/x"), host.get("/plain/x"));
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    let mut kinds = [kind(&first), kind(&second)];
    kinds.sort();
    // The slot becomes free at the moment when the other call has no time left, so either error is possible.
    assert!(kinds == ["overloaded", "timeout"] || kinds == ["timeout", "timeout"], "{kinds:?}");
    assert!(plain.requests() <= 2);
}

#[tokio::test]
async fn a_plain_service_gets_the_remaining_time_and_the_depth_in_headers() {
    let plain = PlainServer::start("plain").await;
    let hostile = r#"
[service.hostile]
component = "{component:fixture-hostile}"
calls = ["legacy"]
limits = { timeout = "5s" }
"#;
    let keys = "limits = { timeout = \"8s\" }";
    let host = Host::start(&(manifest(&[&plain], keys) + hostile + &route("/hostile", "hostile"))).await;
    // A stranger's headers about time and depth are not passed on.
    let strange = request("GET").header("x-atoll-timeout-ms", "7").header("x-atoll-depth", "9");
    let seen = host.send(strange, "").await.json();
    let (left, depth) = (header(&seen, "x-atoll-timeout-ms"), header(&seen, "x-atoll-depth"));
    assert!((7001..=8000).contains(&left) && depth == 0, "{seen}");

    let relayed = host.get("/hostile/fetch?url=http://legacy.internal/below").await;
    assert_eq!(relayed.status, 200, "{relayed:?}");
    let seen = relayed.json();
    let (left, depth) = (header(&seen, "x-atoll-timeout-ms"), header(&seen, "x-atoll-depth"));
    // The caller keeps 50 ms of its five seconds for itself.
    assert!((3000..=4950).contains(&left) && depth == 1, "{seen}");
    assert_eq!(seen["headers"]["x-request-id"], relayed.header("x-request-id"));
}

#[tokio::test]
async fn each_further_try_gets_the_time_that_is_left() {
    let (plain, host) =
        silent_server("limits = { timeout = \"10s\", total = \"1m\" }\nretry = { tries = 10, backoff = \"1ms\" }")
            .await;
    plain.behave(Behaviour::Status(503));
    let forged = request("GET").header("x-atoll-timeout-ms", "7");
    assert_eq!(host.send(forged, "").await.status, 503);
    let left: Vec<_> = plain.seen().iter().map(|seen| header(seen, "x-atoll-timeout-ms")).collect();
    assert_eq!(left.len(), 11, "{left:?}");
    assert!(left.iter().all(|left| (1..=10_000).contains(left)), "no try may take longer than `timeout`: {left:?}");

    let (plain, host) = silent_server("limits = { timeout = \"10s\", total = \"10s\" }\nretry = { tries = 10 }").await;
    plain.behave(Behaviour::Status(503));
    assert_eq!(host.status("/plain/x").await, 503);
    let left: Vec<_> = plain.seen().iter().map(|seen| header(seen, "x-atoll-timeout-ms")).collect();
    assert!(
        left.is_sorted_by(|one, next| one >= next) && left[0] > left[10],
        "the time left must shrink from try to try: {left:?}"
    );
}

#[tokio::test]
async fn time_and_depth_headers_of_a_trusted_peer_are_obeyed() {
    let plain = PlainServer::start("plain").await;
    let trusting = manifest(&[&plain], "") + "\n[gateway]\ntrusted_proxies = [\"127.0.0.1\"]\n";
    let host = Host::start(&trusting).await;
    let with_headers = |left: &str, depth: &str| {
        request("GET").header("x-atoll-timeout-ms", left.to_owned()).header("x-atoll-depth", depth.to_owned())
    };
    let seen = host.send(with_headers("3000", "7"), "").await.json();
    let (left, depth) = (header(&seen, "x-atoll-timeout-ms"), header(&seen, "x-atoll-depth"));
    assert!((1..=3000).contains(&left) && depth == 8, "{seen}");
    for depth in ["31", "32", "18446744073709551615"] {
        let deep = host.send(with_headers("3000", depth), "").await;
        assert_eq!(kind(&deep), "too-deep", "{depth}");
    }
    plain.behave(Behaviour::Silent);
    let began = Instant::now();
    assert_eq!(host.send(with_headers("200", "0"), "").await.status, 504);
    assert!((Duration::from_millis(200)..SOON).contains(&began.elapsed()), "{:?}", began.elapsed());
}
