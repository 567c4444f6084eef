//! A call that is tried once more, where the manifest says that it may be.

use super::{SLEEPS, Typed, route};
use futures_util::future::join_all;
use serde_json::json;

async fn open(idempotent: &str) -> Typed {
    let mut manifest = format!(
        r#"
[gateway]
timeout = "1m"

[service.types]
component = "{{component:fixture-types}}"
isolation = "reuse"
reuse = {{ max_concurrent = 8, idle_timeout = "1h" }}
limits = {{ timeout = "1m" }}
breaker = {{ failure_threshold = 1000 }}
idempotent = {idempotent}

[service.relay]
component = "{{component:fixture-relay}}"
calls = ["types"]
limits = {{ timeout = "1m" }}
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

/// Five calls sleep in one instance, the last on behalf of a guest, when a sixth traps in it: how long, and what they were answered.
async fn trapped_neighbours(idempotent: &str) -> (Typed, u32, Vec<(u16, serde_json::Value)>) {
    for ms in SLEEPS {
        let host = open(idempotent).await;
        assert_eq!(host.value("/count").await, 1, "the instance is there, and has room for them all");
        let sleeping = join_all((0..5).map(async |at| {
            let answer = host.get(&if at == 4 { format!("/relayed/{ms}") } else { format!("/sleep/{ms}") }).await;
            (answer.status.as_u16(), answer.json())
        }));
        let met = host.meanwhile("types", 5, sleeping, host.failure("/trap")).await;
        // All six have failed, so nobody had woken up before the trap.
        if let Some((answers, trapped)) = met
            && host.metric("atoll_failures_total", "types").await >= 6.0
        {
            assert_eq!(trapped, (502, "trap".into()));
            return (host, ms, answers);
        }
    }
    panic!("{SLEEPS:?} milliseconds were too short for six calls to meet");
}

#[tokio::test]
async fn what_may_be_called_twice_survives_the_fault_of_an_instance() {
    let (host, ms, mut answers) = trapped_neighbours(r#"["sleep"]"#).await;
    assert_eq!(answers.pop(), Some((200, json!(format!("ok: {ms}")))), "a guest is none the wiser");
    assert_eq!(answers, vec![(200, json!(ms)); 4]);
    assert_eq!(host.metric("atoll_retries_total", "types").await, 5.0);
    assert_eq!(host.metric("atoll_failures_total", "types").await, 6.0);
    host.at_rest(&["relay", "types"]).await;
}

#[tokio::test]
async fn what_may_not_is_called_once() {
    let (host, _, mut answers) = trapped_neighbours("[]").await;
    assert_eq!(answers.pop(), Some((200, json!("unavailable: service `types` did not answer: trap"))));
    assert!(answers.iter().all(|(status, _)| *status == 502), "{answers:?}");
    assert_eq!(host.metric("atoll_retries_total", "types").await, 0.0);
    assert_eq!(host.metric("atoll_requests_total", "types").await, 7.0, "the first count, and one for each of six");
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
