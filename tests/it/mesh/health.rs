//! Active health checks: an endpoint that fails them gets no calls, and stays in the table.

use super::super::atoll::{Home, eventually};
use super::super::components::component;
use super::super::plain_server::{Behaviour, PlainServer};
use super::{Host, NEVER_OPENS, kind, manifest, route, says};
use http::Request;
use std::fs;

/// Often enough for a test, with a timeout that suits a busy machine.
const OFTEN: &str = "interval = \"250ms\", timeout = \"250ms\", down = 3, up = 2";

#[tokio::test]
async fn an_unhealthy_address_gets_no_calls_until_it_is_healthy_again() {
    let (sick, well) = (PlainServer::start("sick").await, PlainServer::start("well").await);
    let keys = format!("{NEVER_OPENS}balance = \"round-robin\"\nhealth = {{ path = \"/healthz\", {OFTEN} }}");
    let host = Host::of(&[&sick, &well], &keys).await;
    for _ in 0..2 {
        assert_eq!(host.status("/plain/x").await, 200);
    }
    assert_eq!((sick.requests(), well.requests()), (1, 1));
    sick.health(503);
    let line = host.atoll.logged("not ready: it gets no calls").await;
    assert!(line.contains("legacy-url-0") && line.contains("503"), "{line}");
    let before = sick.requests();
    for _ in 0..20 {
        assert_eq!(host.status("/plain/x").await, 200);
    }
    assert_eq!(sick.requests(), before, "the healthy server must answer all calls");
    assert_eq!(host.endpoints("legacy", "place").await.len(), 2, "an unhealthy endpoint must stay in the table");
    assert_eq!(host.endpoints("legacy", "breaker").await, ["closed", "closed"]);
    assert_eq!(host.endpoints("legacy", "requests").await, [1, 21], "a health check must not count as a call");
    sick.health(302);
    let line = host.atoll.logged("ready again").await;
    assert!(line.contains("legacy-url-0"), "{line}");
    let again = async || {
        assert_eq!(host.status("/plain/x").await, 200);
        (sick.requests() > before).then_some(())
    };
    eventually("the server that recovered gets calls again", again).await;
    assert!(sick.checks() >= 5, "{}", sick.checks());
}

#[tokio::test]
async fn a_service_without_a_healthy_endpoint_answers_503_no_endpoint() {
    let only = PlainServer::start("only").await;
    only.health(500);
    let host = Host::of(&[&only], &format!("health = {{ path = \"/healthz\", {OFTEN} }}")).await;
    host.atoll.logged("not ready: it gets no calls").await;
    let unavailable = host.get("/plain/x").await;
    assert_eq!((unavailable.status.as_u16(), kind(&unavailable)), (503, "no-endpoint".to_owned()));
    let requests_before = only.requests();
    assert_eq!(host.status("/plain/x").await, 503);
    assert_eq!(only.requests(), requests_before);
}

#[tokio::test]
async fn a_component_is_health_checked_by_http_and_a_trap_there_counts_no_failure() {
    let service = |path: &str| {
        let health = format!("health = {{ path = \"{path}\", {OFTEN} }}");
        format!(
            "[service.hostile]\ncomponent = \"{{component:fixture-hostile}}\"\n{health}\n{}",
            route("/h", "hostile")
        )
    };
    let host = Host::start(&service("/status/503")).await;
    host.atoll.logged("not ready: it gets no calls").await;
    assert_eq!(host.status("/h/ok").await, 503);
    // A trap during a health check must not reach the breaker.
    let host = Host::start(&service("/trap")).await;
    host.atoll.logged("not ready: it gets no calls").await;
    assert_eq!(host.endpoints("hostile", "breaker").await, ["closed"]);
    assert_eq!(host.endpoints("hostile", "failures").await, [0]);
}

#[tokio::test]
async fn a_busy_component_is_not_taken_for_unhealthy() {
    let limits = "limits = { concurrency = 1 }\n\
                  health = { path = \"/ok\", interval = \"1s\", timeout = \"1s\", down = 1 }";
    let service = format!("[service.hostile]\ncomponent = \"{{component:fixture-hostile}}\"\n{limits}\n");
    let host = Host::start(&(service + &route("/h", "hostile"))).await;
    assert_eq!(host.status("/h/sleep?ms=4000").await, 200);
    assert_eq!(host.status("/h/ok").await, 200);
    let log = host.atoll.log();
    assert!(!log.iter().any(|line| line.contains("not ready")), "{log:?}");
}

/// A manifest of the fixture `types`, whose health checks end as the service `judge` answers.
fn judged(call: &str, judge: &PlainServer) -> String {
    let types = format!(
        r#"
[service.types]
component = "{{component:fixture-types}}"
calls = ["legacy"]
health = {{ call = "{call}", {OFTEN} }}
"#
    );
    // The fixture calls the service by this name.
    manifest(&[judge], NEVER_OPENS).replace("legacy", "judge")
        + &types.replace("legacy", "judge")
        + &route("/types", "types")
}

#[tokio::test]
async fn a_health_function_decides_whether_a_component_gets_calls() {
    for call in ["health#check", "healthy"] {
        let judge = PlainServer::start("judge").await;
        let host = Host::start(&judged(call, &judge)).await;
        assert_eq!(host.status("/types").await, 200);
        judge.behave(Behaviour::Status(404));
        let line = host.atoll.logged("not ready: it gets no calls").await;
        assert!(line.contains("types-0"), "{line}");
        assert_eq!(host.status("/types").await, 503);
        judge.behave(Behaviour::Works);
        host.atoll.logged("ready again").await;
        assert_eq!(host.status("/types").await, 200);
        assert_eq!(host.endpoints("types", "failures").await, [0]);
        assert_eq!(host.endpoints("types", "requests").await, [2], "a health check must not count as a call");
    }
}

#[tokio::test]
async fn a_function_that_cannot_be_a_health_check_is_reported_at_its_position() {
    let judge = PlainServer::start("judge").await;
    for (call, why) in [
        ("nothing-of-the-sort", "nothing-of-the-sort"),
        ("check-of", "it must take nothing"),
        ("faults#count", "answer nothing, a bool or a result"),
    ] {
        let manifest = judged(call, &judge);
        let line = manifest.lines().position(|line| line.starts_with("health")).unwrap() + 1;
        let home = Home::new(&manifest);
        home.link_cache();
        let refused = home.output(&["check"]).await;
        let complaint = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(1), "{complaint}");
        let position = format!("atoll.toml:{line}:19");
        assert!(says(&complaint, &position) && says(&complaint, why), "{position} {why}: {complaint}");
    }
}

#[tokio::test]
async fn a_swap_to_a_component_without_the_health_check_is_refused() {
    let judge = PlainServer::start("judge").await;
    let host = Host::start(&judged("health#check", &judge)).await;
    let swap = async |name: &str| {
        let request = Request::post(format!("{}/v1/services/types/swap", host.atoll.admin));
        let bytes = fs::read(component(name)).unwrap();
        host.http.send(request.header("content-type", "application/wasm"), bytes).await
    };
    let refused = swap("fixture-hello").await;
    assert_eq!(refused.status, 422, "{refused:?}");
    let detail = refused.problem()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("the health check of `types`") && detail.contains("health"), "{detail}");
    assert_eq!(swap("fixture-types").await.status, 200, "a component that has the check must be accepted");
    assert_eq!(host.status("/types").await, 200);
}
