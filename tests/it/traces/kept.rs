//! Which traces are kept, and how an operator finds them.

use super::super::atoll::eventually;
use super::TracedHost;
use serde_json::Value;

/// Requests to `/hostile` can trap; requests to `/dead` meet no server. None of the sample is kept.
const MANIFEST: &str = r#"
[telemetry]
sample = 0
keep = "256KiB"

[service.hostile]
component = "{component:fixture-hostile}"
breaker = { failure_threshold = 1000 }
retry = { tries = 0 }

[service.hello]
component = "{component:fixture-hello}"

[service.fragile]
component = "{component:fixture-hostile}"
breaker = { failure_threshold = 1, recovery_timeout = "1h" }
retry = { tries = 0 }

[[route]]
prefix = "/hostile"
strip_prefix = "/hostile"
service = "hostile"

[[route]]
prefix = "/fragile"
strip_prefix = "/fragile"
service = "fragile"

[[route]]
prefix = "/hello"
strip_prefix = "/hello"
service = "hello"
"#;

/// The rules by which traces are kept, the newest first.
async fn rules(host: &TracedHost, query: &str) -> Vec<String> {
    let traces = host.admin(&format!("/v1/traces?{query}")).await;
    let rule = |trace: &Value| trace["rule"].as_str().unwrap().to_owned();
    traces.as_array().unwrap().iter().map(rule).collect()
}

#[tokio::test]
async fn what_failed_is_kept_and_the_access_line_leads_to_it() {
    let host = TracedHost::start(MANIFEST).await;
    assert_eq!(host.get("/hello/").await.status, 200);
    let trapped = host.get("/hostile/trap").await;
    assert_eq!(trapped.status, 502);
    assert_eq!(host.get("/fragile/trap").await.status, 502);
    let refused = host.get("/fragile/trap").await;
    assert_eq!(refused.status, 503);
    assert_eq!(rules(&host, "").await, ["circuit-open", "trapped", "trapped"]);
    assert_eq!(rules(&host, "service=fragile").await, ["trapped"], "an open circuit lets nobody work");
    assert_eq!(rules(&host, "error=false").await, [""; 0]);
    assert_eq!(rules(&host, "min_ms=600000").await, [""; 0]);

    // From the line in the log, and from the id that the client got.
    let id = trapped.header("x-request-id");
    let line: Value = serde_json::from_str(&host.atoll.logged(&format!("\"request_id\":\"{id}\",\"trace_id\"")).await)
        .expect("a line of JSON");
    let trace = host.admin(&format!("/v1/traces/{}", line["trace_id"].as_str().unwrap())).await;
    assert_eq!(trace, host.admin(&format!("/v1/traces/{id}")).await);
    assert_eq!(
        (&trace["name"], &trace["status"], &trace["error"]),
        (&"GET /hostile/*".into(), &502.into(), &"trap".into())
    );
    let spans = trace["spans"].as_array().unwrap().iter().map(|span| (&span["name"], &span["error"]));
    // The first call of a service waits for its code.
    let spans: Vec<_> = spans.filter(|(name, _)| *name != "wait for an instance").collect();
    assert_eq!(
        spans.iter().map(|(name, _)| name.as_str().unwrap()).collect::<Vec<_>>(),
        ["GET /hostile/*", "hostile", "handle"]
    );
    assert!(spans.iter().all(|(_, error)| *error == "trap"), "{trace}");

    let missing = host.http.get(&format!("{}/v1/traces/nobody", host.atoll.admin)).await;
    assert_eq!(
        (missing.status.as_u16(), missing.problem()["type"].as_str()),
        (404, Some("urn:atoll:problem:no-such-trace"))
    );

    // In the terminal.
    let admin = host.atoll.admin.as_str();
    let list = host.home.output(&["trace", "--errors", "--admin", admin]).await;
    let text = String::from_utf8(list.stdout).unwrap();
    assert_eq!(text.lines().count(), 4, "{text}");
    assert!(text.contains("GET /hostile/*") && text.contains("circuit-open"), "{text}");
    let one = host.home.output(&["trace", id, "--admin", admin]).await;
    let text = String::from_utf8(one.stdout).unwrap();
    for part in ["gateway: GET /hostile/*", "└ gateway: hostile", "  └ hostile: handle", "! trap", "█"] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    assert_eq!(host.home.output(&["trace", "nobody", "--admin", admin]).await.status.code(), Some(1));
}

#[tokio::test]
async fn a_flood_of_errors_is_counted_whole_and_kept_in_a_fixed_memory() {
    const FLOOD: u32 = 600;
    let host = TracedHost::start(MANIFEST).await;
    for _ in 0..FLOOD / 20 {
        let flood: Vec<_> = (0..20).map(|_| host.get("/hostile/trap")).collect();
        let answers = futures_util::future::join_all(flood).await;
        assert!(answers.iter().all(|answer| answer.status == 502));
    }
    let newest = host.get("/hostile/trap").await.header("x-request-id").to_owned();
    // The client has its answer a little before the request has ended.
    let kept = "atoll_traces_kept_total{rule=\"trapped\"}";
    let all = f64::from(FLOOD) + 1.0;
    eventually("all traces of failures are kept", async || (host.metric(kept).await >= all).then_some(())).await;
    assert!((host.metric(kept).await - all).abs() < 0.1);
    let bytes = host.metric("atoll_trace_memory_bytes").await;
    assert!(bytes > 128.0 * 1024.0 && bytes <= 256.0 * 1024.0, "{bytes}");
    assert_eq!(host.admin(&format!("/v1/traces/{newest}")).await["request_id"], newest);
}
