//! How deep a chain of calls may be, and how long it may take, from the first caller to the last callee.

use super::{Typed, route, runtime};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Longer than a busy machine needs for what these tests await, and shorter than the timeouts that must not apply.
const SOON: Duration = Duration::from_secs(30);

async fn hops(depth: &str) -> Typed {
    let service = r#"
[service.cycle]
component = "{component:fixture-cycle}"
calls = ["cycle"]
"#;
    let manifest = [service, &runtime(depth), &route("/hop/{left}", "cycle/hop", "errors = { unavailable = 409 }")];
    Typed::start(&manifest.concat()).await
}

async fn assert_too_deep(host: &Typed, left: u32) {
    let answer = host.get(&format!("/hop/{left}")).await;
    assert_eq!(answer.status, 409, "{answer:?}");
    assert_eq!(answer.problem()["payload"], json!("service `cycle` did not answer: too-deep"));
}

#[tokio::test]
async fn a_call_chain_is_at_most_thirty_two_deep_by_default() {
    let host = hops("").await;
    for left in [0, 1, 31] {
        assert_eq!(host.value(&format!("/hop/{left}")).await, left);
    }
    assert_too_deep(&host, 32).await;
    assert_too_deep(&host, 1_000_000).await;
    assert_eq!(host.value("/hop/31").await, 31, "a chain that is too deep must open no circuit");
    host.at_rest(&["cycle"]).await;
}

#[tokio::test]
async fn call_depth_in_the_manifest_bounds_a_call_chain() {
    let host = hops("call_depth = 3").await;
    assert_eq!(host.value("/hop/2").await, 2);
    assert_too_deep(&host, 3).await;
}

#[tokio::test]
async fn a_callee_is_ended_at_its_callers_deadline() {
    let mut manifest = r#"
[service.types]
component = "{component:fixture-types}"
breaker = { failure_threshold = 1000 }
limits = { timeout = "10m" }

[service.relay]
component = "{component:fixture-relay}"
calls = ["types"]
breaker = { failure_threshold = 1000 }
limits = { timeout = "10m" }
"#
    .to_owned();
    let short = "timeout = \"300ms\"";
    manifest += &route("/sleep/{ms}", "relay/reports#sleep", short);
    manifest += &route("/spin", "relay/reports#spin", short);
    manifest += &route("/held/{ms}", "relay/reports#held", short);
    manifest += &route("/concurrent/{count}/{ms}", "relay/bench#concurrent-sleep", short);
    let host = Typed::start(&manifest).await;
    for path in ["/sleep/60000", "/spin", "/held/60000", "/concurrent/20/60000"] {
        let started = Instant::now();
        // The caller keeps a twentieth of its time. Usually it can report that no answer came; on a busy machine the
        // gateway does.
        let answer = host.get(path).await;
        let took = started.elapsed();
        let answer_json: Value = answer.json();
        let failed = answer.status == 504 || answer_json.to_string().contains("unavailable");
        // `concurrent` answers with the time that its calls took, and not with an error.
        assert!(failed || path.starts_with("/concurrent"), "{path}: {answer:?}");
        assert!(took >= Duration::from_millis(270) && took < SOON, "{path}: {took:?}");
        host.at_rest(&["relay", "types"]).await;
        assert!(started.elapsed() < SOON, "{path}: an instance still runs after the deadline");
    }
    assert_eq!(host.value("/sleep/5").await, json!("ok: 5"));
}
