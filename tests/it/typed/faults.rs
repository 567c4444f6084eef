//! What a caller sees of a service that fails: its function's own error, after which the caller continues.

use super::{Typed, route};
use serde_json::json;

const FUNCTIONS: [&str; 12] = [
    "trap",
    "sync-trap",
    "trap-result",
    "sync-trap-result",
    "spin",
    "sleep/{ms}",
    "abort-memory",
    "refuse",
    "be-unavailable/{reason}",
    "trap-and-go-on",
    "own-count",
    "held/{ms}",
];

/// The circuit of `types` opens after `failures` failures in a row.
async fn open(failures: u32) -> Typed {
    let mut manifest = format!(
        r#"
[service.types]
component = "{{component:fixture-types}}"
isolation = "reuse"
limits = {{ memory = "16MiB", timeout = "2s" }}
breaker = {{ failure_threshold = {failures}, recovery_timeout = "1h" }}

[service.relay]
component = "{{component:fixture-relay}}"
calls = ["types"]
isolation = "reuse"
breaker = {{ failure_threshold = 1000 }}
"#
    );
    for path in FUNCTIONS {
        let name = path.split('/').next().unwrap();
        manifest += &route(&format!("/{path}"), &format!("relay/reports#{name}"), "");
    }
    manifest += &route("/direct/trap", "types/faults#trap-result", "");
    manifest += &route("/direct/other", "types/faults#refuse", "");
    Typed::start(&manifest).await
}

#[tokio::test]
async fn a_failed_call_returns_the_functions_unavailable_case_and_the_caller_continues() {
    let host = open(1_000).await;
    let unavailable = |kind: &str| json!(format!("unavailable: service `types` did not answer: {kind}"));
    assert_eq!(host.value("/own-count").await, 1);
    for (path, report) in [
        ("/sleep/7", json!("ok: 7")),
        ("/trap-result", unavailable("trap")),
        ("/sync-trap-result", unavailable("trap")),
        ("/spin", unavailable("timeout")),
        ("/sleep/600000", unavailable("timeout")),
        ("/abort-memory", unavailable("memory-limit")),
        ("/refuse", json!("other")),
        ("/be-unavailable/closed", json!("unavailable: closed")),
        ("/trap-and-go-on", json!("unavailable: service `types` did not answer: trap, ok: 0")),
    ] {
        assert_eq!(host.value(path).await, report, "{path}");
    }
    assert_eq!(host.value("/own-count").await, 2, "all calls must have run in one instance of the caller");
    assert_eq!(
        host.metric("atoll_failures_total", "relay").await,
        0.0,
        "failures of its dependency must not count against the caller"
    );
    // Six instances failed, and one answered `unavailable` by itself. An error of another case is an answer.
    assert_eq!(host.metric("atoll_failures_total", "types").await, 7.0);
    host.at_rest(&["relay", "types"]).await;
}

#[tokio::test]
async fn a_failed_call_of_a_function_without_an_error_case_traps_its_caller() {
    let host = open(1_000).await;
    assert_eq!(host.value("/own-count").await, 1);
    for path in ["/trap", "/sync-trap"] {
        assert_eq!(host.failure(path).await, (502, "trap".into()), "{path}");
        let text = format!("fixture-types/faults@1.0.0#{} failed (trap), and its type has no error case", &path[1..]);
        let line: serde_json::Value = serde_json::from_str(&host.atoll.logged(&text).await).unwrap();
        assert!(line.to_string().contains("the caller traps"), "{line}");
        assert_eq!(host.value("/own-count").await, 1, "after the trap another instance of the caller must serve");
    }
    assert_eq!(host.metric("atoll_failures_total", "types").await, 2.0);
    assert_eq!(
        host.metric("atoll_failures_total", "relay").await,
        0.0,
        "a trap that the host caused for a failed dependency must not count against the caller"
    );
}

#[tokio::test]
async fn an_open_circuit_returns_the_functions_unavailable_case() {
    let host = open(2).await;
    for _ in 0..2 {
        assert_eq!(host.failure("/direct/trap").await, (502, "trap".into()));
    }
    assert_eq!(host.failure("/direct/trap").await, (503, "circuit-open".into()));
    for path in ["/sleep/0", "/sync-trap-result"] {
        assert_eq!(
            host.value(path).await,
            json!("unavailable: service `types` did not answer: circuit-open"),
            "{path}"
        );
    }
    let refused = host.get("/held/0").await;
    assert_eq!((refused.status.as_u16(), &refused.problem()["case"]), (503, &json!("unavailable")));
    assert_eq!(host.failure("/trap").await, (502, "trap".into()), "a function without an error case must trap");
    assert_eq!(host.metric("atoll_requests_total", "types").await, 2.0, "an open circuit must let no call through");
}

#[tokio::test]
async fn an_error_case_of_the_function_itself_counts_no_failure() {
    let host = open(2).await;
    for _ in 0..5 {
        let refused = host.get("/direct/other").await;
        assert_eq!((refused.status.as_u16(), &refused.problem()["case"]), (500, &json!("other")));
    }
    assert_eq!(host.value("/sleep/1").await, json!("ok: 1"), "an error of the function must not count for the circuit");
}
