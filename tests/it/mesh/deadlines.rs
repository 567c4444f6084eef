//! How long a call may take, with each of its tries, and how that is passed on.

use super::super::plain::{Manner, Plain};
use super::{Host, NEVER_OPENS, kind, manifest, request, route};
use std::time::{Duration, Instant};

/// Longer than any busy machine takes for what is waited for here, shorter than what would be waited for otherwise.
const SOON: Duration = Duration::from_secs(9);

async fn silent(keys: &str) -> (Plain, Host) {
    let plain = Plain::start("silent").await;
    plain.behave(Manner::Holds);
    let host = Host::of(&[&plain], &format!("{NEVER_OPENS}{keys}")).await;
    (plain, host)
}

/// What one try may take, and what the whole of the call, in milliseconds.
fn header(seen: &serde_json::Value, name: &str) -> u64 {
    seen["headers"][name].as_str().unwrap_or_else(|| panic!("{name}: {seen}")).parse().unwrap()
}

#[tokio::test]
async fn each_try_has_its_time() {
    let (plain, host) = silent("limits = { timeout = \"300ms\", total = \"10s\" }").await;
    let began = Instant::now();
    let late = host.get("/plain/x").await;
    assert_eq!((late.status.as_u16(), kind(&late)), (504, "timeout".to_owned()));
    assert!((Duration::from_millis(600)..SOON).contains(&began.elapsed()), "{:?}", began.elapsed());
    assert_eq!(plain.requests(), 2);

    let began = Instant::now();
    assert_eq!(host.send(request("POST"), "order").await.status, 504);
    assert!((Duration::from_millis(300)..SOON).contains(&began.elapsed()), "{:?}", began.elapsed());
    assert_eq!(plain.requests(), 3, "an order that may have had its effect is sent once");
}

#[tokio::test]
async fn all_tries_together_have_theirs() {
    let (plain, host) = silent("limits = { timeout = \"300ms\", total = \"1s\" }\nretry = { tries = 10 }").await;
    let began = Instant::now();
    assert_eq!(host.status("/plain/x").await, 504);
    let took = began.elapsed();
    assert!((Duration::from_millis(600)..SOON).contains(&took), "{took:?}");
    // Three whole ones fit in, and what is left of a fourth one.
    assert!((2..=4).contains(&plain.requests()), "{}", plain.requests());
}

#[tokio::test]
async fn the_whole_may_be_shorter_than_a_try() {
    let (plain, host) = silent("limits = { timeout = \"1m\", total = \"300ms\" }").await;
    let began = Instant::now();
    assert_eq!(host.status("/plain/x").await, 504);
    assert!((Duration::from_millis(300)..SOON).contains(&began.elapsed()), "{:?}", began.elapsed());
    assert_eq!(plain.requests(), 1, "no time is left for another one");
}

#[tokio::test]
async fn a_wait_for_ones_turn_is_part_of_it() {
    let bounds = "limits = { timeout = \"1m\", total = \"500ms\", concurrency = 1, wait = \"1m\" }";
    let (plain, host) = silent(bounds).await;
    let began = Instant::now();
    let (first, second) = tokio::join!(host.get("/plain/x"), host.get("/plain/x"));
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    let mut kinds = [kind(&first), kind(&second)];
    kinds.sort();
    // The slot comes free at the moment at which the other one has no time left.
    assert!(kinds == ["overloaded", "timeout"] || kinds == ["timeout", "timeout"], "{kinds:?}");
    assert!(plain.requests() <= 2);
}

#[tokio::test]
async fn a_plain_service_learns_what_is_left() {
    let plain = Plain::start("plain").await;
    let hostile = r#"
[service.hostile]
component = "{component:fixture-hostile}"
calls = ["legacy"]
limits = { timeout = "5s" }
"#;
    let keys = "limits = { timeout = \"8s\" }";
    let host = Host::start(&(manifest(&[&plain], keys) + hostile + &route("/hostile", "hostile"))).await;
    // A stranger's word about it is not passed on.
    let strange = request("GET").header("x-atoll-timeout-ms", "7").header("x-atoll-depth", "9");
    let seen = host.send(strange, "").await.json();
    let (left, depth) = (header(&seen, "x-atoll-timeout-ms"), header(&seen, "x-atoll-depth"));
    assert!((7001..=8000).contains(&left) && depth == 0, "{seen}");

    let relayed = host.get("/hostile/fetch?url=http://legacy.internal/below").await;
    assert_eq!(relayed.status, 200, "{relayed:?}");
    let seen = relayed.json();
    let (left, depth) = (header(&seen, "x-atoll-timeout-ms"), header(&seen, "x-atoll-depth"));
    // The caller keeps 50 ms of its five seconds.
    assert!((3000..=4950).contains(&left) && depth == 1, "{seen}");
    assert_eq!(seen["headers"]["x-request-id"], relayed.header("x-request-id"));
}

#[tokio::test]
async fn each_further_try_has_less() {
    let (plain, host) =
        silent("limits = { timeout = \"10s\", total = \"1m\" }\nretry = { tries = 10, backoff = \"1ms\" }").await;
    plain.behave(Manner::Status(503));
    let asked = request("GET").header("x-atoll-timeout-ms", "7");
    assert_eq!(host.send(asked, "").await.status, 503);
    let left: Vec<_> = plain.seen().iter().map(|seen| header(seen, "x-atoll-timeout-ms")).collect();
    assert_eq!(left.len(), 11, "{left:?}");
    assert!(left.iter().all(|left| (1..=10_000).contains(left)), "no try has more than a try: {left:?}");

    let (plain, host) = silent("limits = { timeout = \"10s\", total = \"10s\" }\nretry = { tries = 10 }").await;
    plain.behave(Manner::Status(503));
    assert_eq!(host.status("/plain/x").await, 503);
    let left: Vec<_> = plain.seen().iter().map(|seen| header(seen, "x-atoll-timeout-ms")).collect();
    assert!(left.is_sorted_by(|one, next| one >= next) && left[0] > left[10], "what is left shrinks: {left:?}");
}

#[tokio::test]
async fn a_trusted_peer_is_believed() {
    let plain = Plain::start("plain").await;
    let trusting = manifest(&[&plain], "") + "\n[gateway]\ntrusted_proxies = [\"127.0.0.1\"]\n";
    let host = Host::start(&trusting).await;
    let told = |left: &str, depth: &str| {
        request("GET").header("x-atoll-timeout-ms", left.to_owned()).header("x-atoll-depth", depth.to_owned())
    };
    let seen = host.send(told("3000", "7"), "").await.json();
    let (left, depth) = (header(&seen, "x-atoll-timeout-ms"), header(&seen, "x-atoll-depth"));
    assert!((1..=3000).contains(&left) && depth == 8, "{seen}");
    for depth in ["31", "32", "18446744073709551615"] {
        let deep = host.send(told("3000", depth), "").await;
        assert_eq!(kind(&deep), "too-deep", "{depth}");
    }
    plain.behave(Manner::Holds);
    let began = Instant::now();
    assert_eq!(host.send(told("200", "0"), "").await.status, 504);
    assert!((Duration::from_millis(200)..SOON).contains(&began.elapsed()), "{:?}", began.elapsed());
}
