//! What operators do by hand, by the verbs: inject faults, and force circuits open or closed.

use crate::it::atoll::{Atoll, Home, Http};
use serde_json::{Value, json};

const MANIFEST: &str = r#"
[service.hello]
component = "{component:fixture-hello}"
replicas = 2
retry = { tries = 0 }
breaker = { failure_threshold = 1000 }

[service.calm]
component = "{component:fixture-hello}"
fault = { latency = "1ms" }

[[route]]
prefix = "/hello"
strip_prefix = "/hello"
service = "hello"

[[route]]
prefix = "/calm"
strip_prefix = "/calm"
service = "calm"
"#;

struct Host {
    home: Home,
    atoll: Atoll,
    http: Http,
}

impl Host {
    async fn start() -> Self {
        let home = Home::new(MANIFEST);
        Self { atoll: home.start().await, home, http: Http::default() }
    }

    async fn status(&self, path: &str) -> u16 {
        self.http.get(&format!("{}{path}", self.atoll.gateway)).await.status.as_u16()
    }

    /// Runs a verb, and returns what it prints.
    async fn run_verb(&self, verb: &str) -> String {
        let admin = format!("--admin={}", self.atoll.admin);
        let arguments: Vec<&str> = verb.split(' ').chain([admin.as_str()]).collect();
        let output = self.home.output(&arguments).await;
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{verb}: {complaint}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The value of the first line of the metrics that begins with `line`.
    async fn metric(&self, line: &str) -> Option<f64> {
        let metrics = self.http.get(&format!("{}/metrics", self.atoll.admin)).await;
        let text = String::from_utf8_lossy(&metrics.body).into_owned();
        text.lines().find(|own| own.starts_with(line))?.rsplit(' ').next()?.parse().ok()
    }
}

#[tokio::test]
async fn injected_faults_are_added_listed_and_cleared() {
    let host = Host::start().await;
    assert_eq!((host.status("/hello").await, host.status("/calm").await), (200, 200));
    host.run_verb("fault add hello --error 100% --for 1h").await;
    for _ in 0..5 {
        assert_eq!(host.status("/hello").await, 502);
    }
    assert_eq!(host.metric(r#"atoll_faults_injected_total{service="hello",kind="error"}"#).await, Some(5.0));
    assert_eq!(host.status("/calm").await, 200, "the fault must affect one service only");
    let listed = host.run_verb("fault list").await;
    assert!(listed.contains("hello") && listed.contains("100%") && listed.contains("calm"), "{listed}");
    assert!(host.run_verb("ps").await.contains("! hello"), "`ps` must show the active fault");
    host.run_verb("fault clear hello").await;
    assert_eq!(host.status("/hello").await, 200);
    host.run_verb("fault add hello --trap 100%").await;
    let trapped = host.http.get(&format!("{}/hello", host.atoll.gateway)).await;
    assert_eq!(trapped.problem()["type"], json!("urn:atoll:problem:trap"));
    host.run_verb("fault clear").await;
    assert_eq!(host.status("/hello").await, 200);
    assert_eq!(
        host.metric(r#"atoll_faults_standing{service="calm"}"#).await,
        None,
        "`fault clear` must also clear the fault of the manifest"
    );
    assert!(host.metric(r#"atoll_faults_injected_total{service="calm",kind="latency"}"#).await >= Some(2.0));
}

/// An operator who looks for the cause of something an hour later finds both ends in the log.
#[tokio::test]
async fn a_latency_may_be_for_a_share_of_calls_and_the_end_of_a_fault_is_a_line_of_the_log() {
    let host = Host::start().await;
    let added = host.run_verb("fault add hello --latency 1ms --latency-share 30%").await;
    assert!(added.starts_with("hello: +1ms of 30% on purpose"), "{added}");
    let slowed = r#"atoll_faults_injected_total{service="hello",kind="latency"}"#;
    // That none or all of 300 calls are slow happens in one of 10^46 runs.
    for _ in 0..300 {
        assert_eq!(host.status("/hello").await, 200);
    }
    let slow = host.metric(slowed).await.unwrap();
    assert!(slow > 0.0 && slow < 300.0, "{slow}");

    host.run_verb("fault add hello --trap 100% --for 1s").await;
    let line: Value = serde_json::from_str(&host.atoll.logged("its time is over").await).unwrap();
    assert_eq!(
        (&line["service"], &line["fault"]),
        (&json!("hello"), &json!("latency 0ns of 100%, error 0%, trap 100%"))
    );
    assert_eq!(host.status("/hello").await, 200);
    host.run_verb("fault clear hello").await;
    let line: Value = serde_json::from_str(&host.atoll.logged("it was cleared").await).unwrap();
    assert_eq!((&line["service"], &line["fault"]), (&json!("hello"), &json!("latency 1ms of 30%, error 0%, trap 0%")));
    let ends = host.atoll.log().iter().filter(|line| line.contains("a fault on purpose has ended")).count();
    assert_eq!(ends, 2, "each end once");
}

#[tokio::test]
async fn a_forced_circuit_stays_as_it_is_until_it_is_reset() {
    let host = Host::start().await;
    host.run_verb("breaker open hello hello-0").await;
    for _ in 0..4 {
        assert_eq!(host.status("/hello").await, 200, "the other replica must serve");
    }
    assert_eq!(host.metric(r#"atoll_breaker_forced{service="hello""#).await, Some(1.0));
    host.run_verb("breaker open hello").await;
    let refused = host.http.get(&format!("{}/hello", host.atoll.gateway)).await;
    let problem = refused.problem();
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, ""));
    assert_eq!(problem["type"], "urn:atoll:problem:out-of-service");
    assert_eq!(problem["detail"], "service `hello` was taken out of service by an operator");
    let shown = host.run_verb("ps").await;
    assert_eq!(shown.matches("open (forced)").count(), 2, "{shown}");
    let other = crate::it::components::component("fixture-hostile").display().to_string();
    host.run_verb(&format!("swap hello {other}")).await;
    assert_eq!(host.status("/hello/ok").await, 503, "a swap must not close a forced circuit");
    host.run_verb("breaker reset hello").await;
    assert_eq!(host.status("/hello/ok").await, 200);
    host.run_verb("breaker close hello").await;
    for _ in 0..3 {
        assert_eq!(host.status("/hello/trap").await, 502);
    }
    assert_eq!(host.run_verb("ps").await.matches("closed (forced)").count(), 2);
    host.run_verb("breaker reset hello").await;
    assert!(!host.run_verb("ps").await.contains("forced"));
}
