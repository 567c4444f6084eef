//! Instances of one's own, instances that are shared, and what ends them.

use super::{Typed, eventually, route};
use futures_util::future::join_all;
use serde_json::json;
use std::collections::BTreeSet;

/// `types` with these lines in its section.
async fn open(lines: &str) -> Typed {
    let mut manifest = format!(
        r#"
[service.types]
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
        manifest += &route(&format!("/{function}"), &format!("types/faults#{name}"), "timeout = \"1s\"");
    }
    manifest += &route("/relayed", "relay/reports#count", "");
    Typed::start(&manifest).await
}

#[tokio::test]
async fn an_instance_of_ones_own_has_served_nobody() {
    let host = open("").await;
    for path in ["/count", "/relayed", "/count", "/relayed"] {
        assert_eq!(host.value(path).await, 1, "{path}");
    }
    assert!(join_all((0..20).map(|_| host.value("/count"))).await.iter().all(|count| *count == 1));
}

#[tokio::test]
async fn a_shared_instance_serves_so_many_and_no_more() {
    let host = open("isolation = \"reuse\"\nreuse = { max_requests = 3, idle_timeout = \"1h\" }").await;
    let mut counts = Vec::new();
    for turn in 0..8 {
        // Callers of every kind share it.
        counts.push(host.value(if turn % 2 == 0 { "/count" } else { "/relayed" }).await);
    }
    assert_eq!(json!(counts), json!([1, 2, 3, 1, 2, 3, 1, 2]));
}

#[tokio::test]
async fn whoever_rests_for_too_long_is_given_up() {
    let host = open("isolation = \"reuse\"\nreuse = { idle_timeout = \"5ms\" }").await;
    assert_eq!(host.value("/count").await, 1);
    // Between two looks it rests for longer than it may.
    eventually("a fresh instance", async || (host.value("/count").await == 1).then_some(())).await;
}

#[tokio::test]
async fn a_fault_ends_the_instance_and_the_next_call_has_a_fresh_one() {
    let host = open("isolation = \"reuse\"\nreuse = { idle_timeout = \"1h\" }").await;
    for (path, failure) in [("/trap", (502, "trap")), ("/spin", (504, "timeout")), ("/sleep/60000", (504, "timeout"))] {
        assert_eq!(host.value("/count").await, 1, "before {path}");
        assert_eq!(host.value("/count").await, 2, "before {path}");
        assert_eq!(host.failure(path).await, (failure.0, failure.1.to_owned()));
        host.at_rest(&["types"]).await;
    }
    assert_eq!(host.value("/count").await, 1);
}

#[tokio::test]
async fn instances_of_one_call_at_a_time_are_as_many_as_there_are_calls() {
    let host = open("isolation = \"reuse\"\nreuse = { idle_timeout = \"1h\" }").await;
    join_all((0..4).map(|_| host.value("/sleep/200"))).await;
    // All four are there again, and each has served one.
    let sleeping = join_all((0..3).map(|_| host.value("/sleep/200")));
    let (_, count) = tokio::join!(sleeping, async {
        host.until("atoll_in_flight", "types", 3).await;
        host.value("/count").await
    });
    assert_eq!(count, 2, "the fourth");
}

#[tokio::test]
async fn a_shared_instance_serves_several_at_a_time() {
    let host = open("isolation = \"reuse\"\nreuse = { max_concurrent = 4, idle_timeout = \"1h\" }").await;
    let sleeping = join_all((0..3).map(|_| host.value("/sleep/300")));
    let (_, counts) = tokio::join!(sleeping, async {
        host.until("atoll_in_flight", "types", 3).await;
        [host.value("/count").await, host.value("/count").await]
    });
    assert_eq!(counts, [4, 5].map(|count| json!(count)), "while the others sleep in the same memory");
    let counts = join_all((0..4).map(|_| host.value("/count"))).await;
    let counts: BTreeSet<_> = counts.iter().map(|count| count.as_u64().unwrap()).collect();
    assert_eq!(counts, BTreeSet::from([6, 7, 8, 9]));
}
