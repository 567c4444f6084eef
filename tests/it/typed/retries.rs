//! A call that is tried once more, where the manifest says that it may be.

use super::{Typed, route};
use futures_util::future::join_all;
use serde_json::json;

async fn open(idempotent: &str) -> Typed {
    let mut manifest = format!(
        r#"
[service.types]
component = "{{component:fixture-types}}"
isolation = "reuse"
reuse = {{ max_concurrent = 8, idle_timeout = "1h" }}
limits = {{ timeout = "5s" }}
breaker = {{ failure_threshold = 1000 }}
idempotent = {idempotent}

[service.relay]
component = "{{component:fixture-relay}}"
calls = ["types"]
"#
    );
    for (path, function, more) in [
        ("/trap", "types/faults#trap", ""),
        ("/trap-result", "types/faults#trap-result", ""),
        ("/other", "types/faults#refuse", ""),
        ("/spin", "types/faults#spin", "timeout = \"300ms\""),
        ("/sleep/{ms}", "types/faults#sleep", ""),
        ("/count", "types/faults#count", ""),
        ("/relayed/{ms}", "relay/reports#sleep", ""),
        ("/breaks-reading/{count}", "relay/probes#breaks-reading", ""),
    ] {
        manifest += &route(path, function, more);
    }
    Typed::start(&manifest).await
}

/// Five calls sleep in one instance when a sixth traps in it.
async fn trapped_neighbours(host: &Typed) -> Vec<(u16, serde_json::Value)> {
    let sleeping = join_all((0..5).map(async |at| {
        let answer = host.get(if at == 4 { "/relayed/400" } else { "/sleep/400" }).await;
        (answer.status.as_u16(), answer.json())
    }));
    let trapping = async {
        host.until("atoll_in_flight", "types", 5).await;
        assert_eq!(host.failure("/trap").await, (502, "trap".into()));
    };
    tokio::join!(sleeping, trapping).0
}

#[tokio::test]
async fn what_may_be_called_twice_survives_the_fault_of_an_instance() {
    let host = open(r#"["sleep"]"#).await;
    let mut answers = trapped_neighbours(&host).await;
    assert_eq!(answers.pop(), Some((200, json!("ok: 400"))), "a guest is none the wiser");
    assert_eq!(answers, vec![(200, json!(400)); 4]);
    assert_eq!(host.metric("atoll_retries_total", "types").await, 5.0);
    assert_eq!(host.metric("atoll_failures_total", "types").await, 6.0);
    host.at_rest(&["relay", "types"]).await;
}

#[tokio::test]
async fn what_may_not_is_called_once() {
    let host = open("[]").await;
    let mut answers = trapped_neighbours(&host).await;
    assert_eq!(answers.pop(), Some((200, json!("unavailable: service `types` did not answer: trap"))));
    assert!(answers.iter().all(|(status, _)| *status == 502), "{answers:?}");
    assert_eq!(host.metric("atoll_retries_total", "types").await, 0.0);
    assert_eq!(host.metric("atoll_requests_total", "types").await, 6.0);
}

#[tokio::test]
async fn there_is_one_more_try_and_only_for_a_fault() {
    let host = open(r#"["faults#trap-result", "refuse", "spin", "breaks-reading"]"#).await;
    let retries = async || host.metric("atoll_retries_total", "types").await;
    assert_eq!(host.failure("/trap-result").await, (502, "trap".into()));
    assert_eq!((retries().await, host.metric("atoll_requests_total", "types").await), (1.0, 2.0));
    assert_eq!(host.get("/other").await.status, 500);
    assert_eq!(retries().await, 1.0, "an error of the function is its answer");
    assert_eq!(host.failure("/spin").await, (504, "timeout".into()));
    assert_eq!(retries().await, 1.0, "there is no time left");
    assert_eq!(host.failure("/breaks-reading/5").await, (502, "trap".into()));
    assert_eq!(retries().await, 1.0, "a stream is used up by one");
    assert_eq!(host.value("/count").await, 1, "a fresh instance");
}
