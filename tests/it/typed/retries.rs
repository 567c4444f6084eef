//! A typed call that is retried once, if the manifest declares its function idempotent.

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

/// Five calls sleep in one instance, the last of them made by a guest, when a sixth call traps in it. Returns how
/// long they sleep, and their answers.
async fn trapped_neighbours(idempotent: &str) -> (Typed, u32, Vec<(u16, serde_json::Value)>) {
    for ms in SLEEPS {
        let host = open(idempotent).await;
        assert_eq!(host.value("/count").await, 1, "the first call must make the instance that has room for all six");
        let sleeping = join_all((0..5).map(async |at| {
            let answer = host.get(&if at == 4 { format!("/relayed/{ms}") } else { format!("/sleep/{ms}") }).await;
            (answer.status.as_u16(), answer.json())
        }));
        let outcome = host.meanwhile("types", 5, sleeping, host.failure("/trap")).await;
        // All six calls have failed, so none had woken before the trap.
        if let Some((answers, trapped)) = outcome
            && host.metric("atoll_failures_total", "types").await >= 6.0
        {
            assert_eq!(trapped, (502, "trap".into()));
            return (host, ms, answers);
        }
    }
    panic!("{SLEEPS:?} milliseconds were too short to have six calls in flight at once");
}

#[tokio::test]
async fn an_idempotent_call_is_retried_when_its_instance_traps_under_another_call() {
    let (host, ms, mut answers) = trapped_neighbours(r#"["sleep"]"#).await;
    assert_eq!(answers.pop(), Some((200, json!(format!("ok: {ms}")))), "the calling guest must see no failure");
    assert_eq!(answers, vec![(200, json!(ms)); 4]);
    assert_eq!(host.metric("atoll_retries_total", "types").await, 5.0);
    assert_eq!(host.metric("atoll_failures_total", "types").await, 6.0);
    host.at_rest(&["relay", "types"]).await;
}

#[tokio::test]
async fn a_call_that_is_not_declared_idempotent_is_never_retried() {
    let (host, _, mut answers) = trapped_neighbours("[]").await;
    assert_eq!(answers.pop(), Some((200, json!("unavailable: service `types` did not answer: trap"))));
    assert!(answers.iter().all(|(status, _)| *status == 502), "{answers:?}");
    assert_eq!(host.metric("atoll_retries_total", "types").await, 0.0);
    assert_eq!(
        host.metric("atoll_requests_total", "types").await,
        7.0,
        "there must be the first call and one try for each of the six calls"
    );
}

#[tokio::test]
async fn an_idempotent_call_is_retried_once_and_only_after_a_failure_with_time_left() {
    let host = open(r#"["faults#trap-result", "refuse", "spin", "breaks-reading"]"#).await;
    let retries = async || host.metric("atoll_retries_total", "types").await;
    assert_eq!(host.failure("/trap-result").await, (502, "trap".into()));
    assert_eq!((retries().await, host.metric("atoll_requests_total", "types").await), (1.0, 2.0));
    assert_eq!(host.get("/other").await.status, 500);
    assert_eq!(retries().await, 1.0, "an error of the function is an answer and must not be retried");
    assert_eq!(host.failure("/spin").await, (504, "timeout".into()));
    assert_eq!(retries().await, 1.0, "without time left there must be no retry");
    assert_eq!(host.failure("/breaks-reading/5").await, (502, "trap".into()));
    assert_eq!(retries().await, 1.0, "a stream can be sent only once, so there must be no retry");
    assert_eq!(host.value("/count").await, 1, "a fresh instance must serve after the traps");
}
