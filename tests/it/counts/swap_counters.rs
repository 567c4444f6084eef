//! Counters of a service through swaps and rollbacks, and what is said of those that were refused.

use super::super::atoll::hello_revision;
use super::super::components::component;
use super::Counted;
use serde_json::Value;
use std::fs;

const MANIFEST: &str = r#"
[service.hello]
component = "{component:fixture-hello}"

[service.types]
component = "{component:fixture-types}"

[[route]]
prefix = "/hello"
service = "hello"

[[route]]
method = "GET"
path = "/count"
call = "types/faults#count"
"#;

#[tokio::test]
async fn counters_live_on_through_swaps_and_rollbacks() {
    let host = Counted::start(MANIFEST).await;
    let new = fs::read(hello_revision(b"revision-001-bbb", host.home.folder.path())).unwrap();
    let url = format!("{}/hello", host.atoll.gateway);
    let revision = async || {
        let metrics = host.metrics().await;
        let all: Vec<_> = metrics.of("atoll_revision_info", &[("service", "hello")]).collect();
        assert_eq!((all.len(), all[0].value), (1, 1.0), "one revision serves");
        all[0].label("revision").to_owned()
    };
    let first = revision().await;
    let mut sent = 0.0;
    // The series of this moment, each of which must be there later, with the same value or a higher one.
    let mut before = host.metrics().await;
    for change in ["", "swap", "rollback", "swap"] {
        match change {
            "swap" => assert_eq!(host.swap("hello", new.clone()).await, 200),
            "rollback" => assert_eq!(host.roll_back("hello").await, 200),
            _ => {}
        }
        assert_eq!(revision().await == first, change != "swap");
        host.http.get(&url).await;
        sent += 1.0;
        let after = host.metrics().await;
        assert_eq!(after.service("atoll_requests_total", "hello"), sent, "after a {change}");
        assert_eq!(after.service("atoll_latency_seconds_count", "hello"), sent, "after a {change}");
        for old in before.0.iter().filter(|series| series.name.ends_with("_total") || series.name.ends_with("_count")) {
            let same = after.0.iter().find(|new| (&new.name, &new.labels) == (&old.name, &old.labels));
            let same = same.unwrap_or_else(|| panic!("{} {:?} is gone after a {change}", old.name, old.labels));
            assert!(same.value >= old.value, "{} {:?} fell after a {change}", old.name, old.labels);
        }
        before = after;
    }
    assert_eq!(before.service("atoll_swaps_total", "hello"), 2.0, "a rollback is no swap");
    assert_eq!(before.service("atoll_rollbacks_total", "hello"), 1.0);
}

/// What alerts and rates begin with exists from the start, with 0, and what has not happened to anybody does not.
#[tokio::test]
async fn the_totals_exist_from_the_start_and_kinds_come_with_their_first_event() {
    let host = Counted::start(MANIFEST).await;
    let metrics = host.metrics().await;
    for name in [
        "swaps",
        "rollbacks",
        "swap_refusals",
        "refusals",
        "deadlines_missed",
        "retries",
        "retries_denied",
        "requests",
        "failures",
    ] {
        assert_eq!(metrics.service(&format!("atoll_{name}_total"), "hello"), 0.0, "{name}");
    }
    for route in ["/hello/*", "(none)"] {
        let labels = [("route", route)];
        let all: Vec<_> = metrics.of("atoll_gateway_failures_total", &labels).collect();
        assert_eq!((all.len(), all[0].value), (1, 0.0), "{route}");
    }
    assert_eq!(metrics.of("atoll_gateway_requests_total", &[("service", "hello"), ("kind", "answer")]).count(), 1);
    for name in ["refused", "swaps_refused", "timeouts", "faults_injected"] {
        assert_eq!(metrics.of(&format!("atoll_{name}_total"), &[]).count(), 0, "{name}");
    }
    assert_eq!(metrics.of("atoll_gateway_requests_total", &[("kind", "trap")]).count(), 0);

    host.http.get(&format!("{}/nowhere", host.atoll.gateway)).await;
    let unknown = host.metrics().await.sum("atoll_gateway_requests_total", &[("kind", "no-route")]);
    assert_eq!(unknown, 1.0);
}

#[tokio::test]
async fn a_refused_swap_is_counted_and_logged_with_its_reason() {
    let host = Counted::start(MANIFEST).await;
    let old = fs::read(component("fixture-hello")).unwrap();
    let new = fs::read(hello_revision(b"revision-001-bbb", host.home.folder.path())).unwrap();
    let broken = fs::read(component("fixture-broken-start")).unwrap();
    let refused = async |service: &str, kind: &str| {
        host.metrics().await.sum("atoll_swaps_refused_total", &[("service", service), ("kind", kind)])
    };
    for (service, kind, component) in [
        ("hello", "invalid", b"garbage".to_vec()),
        ("hello", "does-not-start", broken),
        ("types", "breaks-callers", old.clone()),
    ] {
        let status = host.swap(service, component).await;
        assert!((400..500).contains(&status), "{kind}: {status}");
        assert_eq!(refused(service, kind).await, 1.0, "{kind}");
        let line = host.atoll.logged(&format!("\"kind\":\"{kind}\"")).await;
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["service"], service, "{line}");
        assert_eq!(line["message"], "a swap was refused", "{line}");
        assert!(line["error"].as_str().is_some_and(|error| error.contains("refused")), "{line}");
    }
    assert_eq!(host.roll_back("hello").await, 409);
    assert_eq!(refused("hello", "no-previous").await, 1.0);
    host.atoll.logged("a rollback was refused").await;
    assert_eq!(host.metrics().await.service("atoll_swaps_total", "hello"), 0.0, "a refused swap is no swap");

    // One form of a revision, in the log as in the metrics.
    assert_eq!(host.swap("hello", new).await, 200);
    let line: Value = serde_json::from_str(&host.atoll.logged("\"message\":\"swapped\"").await).unwrap();
    let metrics = host.metrics().await;
    let serving = metrics.of("atoll_revision_info", &[("service", "hello")]).next().unwrap().label("revision");
    assert_eq!(line["revision"], serving, "{line}");
    assert_eq!(host.swap("hello", old).await, 200);
    let is_next = |line: &String| {
        line.contains("\"message\":\"swapped\"") && line.contains(&format!("\"previous\":\"{serving}\""))
    };
    super::super::atoll::eventually("the next swap", async || host.atoll.log().iter().any(is_next).then_some(())).await;
}
