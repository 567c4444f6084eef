//! Fresh instances, shared instances, and what ends a shared instance.

use super::{SLEEPS, Typed, eventually, route};
use futures_util::future::join_all;
use serde_json::json;
use std::collections::BTreeSet;

/// `types` with these lines in its section.
async fn open(lines: &str) -> Typed {
    let mut manifest = format!(
        r#"
[gateway]
timeout = "1m"

[service.types]
limits = {{ timeout = "1m" }}
component = "{{component:fixture-types}}"
breaker = {{ failure_threshold = 1000 }}
{lines}

[service.relay]
component = "{{component:fixture-relay}}"
calls = ["types"]
"#
    );
    for function in ["count", "trap", "spin", "sleep/{ms}"] {
        let name = function.split('/').next().unwrap();
        manifest += &route(&format!("/{function}"), &format!("types/faults#{name}"), "");
        manifest += &route(&format!("/short/{function}"), &format!("types/faults#{name}"), "timeout = \"500ms\"");
    }
    manifest += &route("/relayed", "relay/reports#count", "");
    Typed::start(&manifest).await
}

#[tokio::test]
async fn without_reuse_every_call_gets_a_fresh_instance() {
    let host = open("").await;
    for path in ["/count", "/relayed", "/count", "/relayed"] {
        assert_eq!(host.value(path).await, 1, "{path}");
    }
    assert!(join_all((0..20).map(|_| host.value("/count"))).await.iter().all(|count| *count == 1));
}

#[tokio::test]
async fn a_shared_instance_serves_max_requests_calls_of_gateway_and_services() {
    let host = open("isolation = \"reuse\"\nreuse = { max_requests = 3, idle_timeout = \"1h\" }").await;
    let mut counts = Vec::new();
    for turn in 0..8 {
        // An instance made for a call of the gateway serves calls of services too.
        counts.push(host.value(if turn % 3 == 0 { "/count" } else { "/relayed" }).await);
    }
    assert_eq!(json!(counts), json!([1, 2, 3, 1, 2, 3, 1, 2]));
}

#[tokio::test]
async fn a_shared_instance_idle_for_longer_than_idle_timeout_is_given_up() {
    let host = open("isolation = \"reuse\"\nreuse = { idle_timeout = \"5ms\" }").await;
    assert_eq!(host.value("/count").await, 1);
    // Between two polls the instance is idle for longer than its `idle_timeout`.
    eventually("a fresh instance", async || (host.value("/count").await == 1).then_some(())).await;
}

#[tokio::test]
async fn a_fault_ends_the_instance_and_the_next_call_has_a_fresh_one() {
    let host = open("isolation = \"reuse\"\nreuse = { idle_timeout = \"1h\" }").await;
    let late = (504, "timeout");
    for (path, failure) in [("/trap", (502, "trap")), ("/short/spin", late), ("/short/sleep/60000", late)] {
        assert_eq!(host.value("/count").await, 1, "before {path}");
        assert_eq!(host.value("/count").await, 2, "before {path}");
        assert_eq!(host.failure(path).await, (failure.0, failure.1.to_owned()));
        host.at_rest(&["types"]).await;
    }
    assert_eq!(host.value("/count").await, 1);
}

#[tokio::test]
async fn with_max_concurrent_1_concurrent_calls_get_an_instance_each() {
    for ms in SLEEPS {
        let host = open("isolation = \"reuse\"\nreuse = { idle_timeout = \"1h\" }").await;
        let sleep = |count| join_all((0..count).map(async |_| host.value(&format!("/sleep/{ms}")).await));
        if host.meanwhile("types", 4, sleep(4), async {}).await.is_none() {
            continue;
        }
        host.at_rest(&["types"]).await;
        // All four instances are idle again, and each has served one call.
        let count = async { (host.value("/count").await, host.metric("atoll_in_flight", "types").await) };
        let Some((_, (count, still))) = host.meanwhile("types", 3, sleep(3), count).await else { continue };
        if still >= 3.0 {
            assert_eq!(count, 2, "the fourth instance must serve this call");
            return;
        }
    }
    panic!("{SLEEPS:?} milliseconds were too short to have four calls in flight at once");
}

#[tokio::test]
async fn with_max_concurrent_4_one_instance_serves_four_calls_at_once() {
    for ms in SLEEPS {
        let host = open("isolation = \"reuse\"\nreuse = { max_concurrent = 4, idle_timeout = \"1h\" }").await;
        assert_eq!(host.value("/count").await, 1, "the first call must make the instance");
        let sleeping = join_all((0..3).map(async |_| host.value(&format!("/sleep/{ms}")).await));
        let counts = async {
            let counts = [host.value("/count").await, host.value("/count").await];
            (counts, host.metric("atoll_in_flight", "types").await)
        };
        let Some((_, (counts, still))) = host.meanwhile("types", 3, sleeping, counts).await else { continue };
        if still < 3.0 {
            continue;
        }
        assert_eq!(
            counts,
            [5, 6].map(|count| json!(count)),
            "these calls must run in the instance where the others sleep"
        );
        let counts = join_all((0..4).map(|_| host.value("/count"))).await;
        let counts: BTreeSet<_> = counts.iter().map(|count| count.as_u64().unwrap()).collect();
        assert_eq!(counts, BTreeSet::from([7, 8, 9, 10]));
        return;
    }
    panic!("{SLEEPS:?} milliseconds were too short to have four calls in flight at once");
}
