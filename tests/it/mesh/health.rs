//! Active checks: who does not pass them gets no calls, and stays where it is.

use super::super::atoll::{Home, eventually};
use super::super::components::component;
use super::super::plain::{Manner, Plain};
use super::{Host, NEVER_OPENS, kind, manifest, route, says};
use http::Request;
use std::fs;

/// Often enough for a test, and patient enough for a busy machine.
const OFTEN: &str = "interval = \"250ms\", timeout = \"250ms\", down = 3, up = 2";

#[tokio::test]
async fn an_address_that_is_not_well_gets_no_calls_until_it_is() {
    let (sick, well) = (Plain::start("sick").await, Plain::start("well").await);
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
    assert_eq!(sick.requests(), before, "the other one answers all");
    assert_eq!(host.endpoints("legacy", "place").await.len(), 2, "it stays in the table");
    assert_eq!(host.endpoints("legacy", "breaker").await, ["closed", "closed"]);
    assert_eq!(host.endpoints("legacy", "requests").await, [1, 21], "a check is no call");
    sick.health(302);
    let line = host.atoll.logged("ready again").await;
    assert!(line.contains("legacy-url-0"), "{line}");
    let again = async || {
        assert_eq!(host.status("/plain/x").await, 200);
        (sick.requests() > before).then_some(())
    };
    eventually("it gets calls again", again).await;
    assert!(sick.checks() >= 5, "{}", sick.checks());
}

#[tokio::test]
async fn where_nobody_is_well_the_gateway_says_so() {
    let only = Plain::start("only").await;
    only.health(500);
    let host = Host::of(&[&only], &format!("health = {{ path = \"/healthz\", {OFTEN} }}")).await;
    host.atoll.logged("not ready: it gets no calls").await;
    let nobody = host.get("/plain/x").await;
    assert_eq!((nobody.status.as_u16(), kind(&nobody)), (503, "no-endpoint".to_owned()));
    let asked = only.requests();
    assert_eq!(host.status("/plain/x").await, 503);
    assert_eq!(only.requests(), asked);
}

#[tokio::test]
async fn a_component_is_asked_by_http_as_well() {
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
    // A trap during a check is no fault that a breaker learns of.
    let host = Host::start(&service("/trap")).await;
    host.atoll.logged("not ready: it gets no calls").await;
    assert_eq!(host.endpoints("hostile", "breaker").await, ["closed"]);
    assert_eq!(host.endpoints("hostile", "failures").await, [0]);
}

#[tokio::test]
async fn one_that_is_busy_is_not_ill() {
    let limits = "limits = { concurrency = 1 }\nhealth = { path = \"/ok\", interval = \"200ms\", timeout = \"200ms\", down = 1 }";
    let service = format!("[service.hostile]\ncomponent = \"{{component:fixture-hostile}}\"\n{limits}\n");
    let host = Host::start(&(service + &route("/h", "hostile"))).await;
    assert_eq!(host.status("/h/sleep?ms=3000").await, 200);
    assert_eq!(host.status("/h/ok").await, 200);
    let log = host.atoll.log();
    assert!(!log.iter().any(|line| line.contains("not ready")), "{log:?}");
}

/// The fixture `types`, which is as well as the service `judge` says.
fn judged(call: &str, judge: &Plain) -> String {
    let types = format!(
        r#"
[service.types]
component = "{{component:fixture-types}}"
calls = ["legacy"]
health = {{ call = "{call}", {OFTEN} }}
"#
    );
    // The fixture asks for it by this name.
    manifest(&[judge], NEVER_OPENS).replace("legacy", "judge")
        + &types.replace("legacy", "judge")
        + &route("/types", "types")
}

#[tokio::test]
async fn a_function_says_whether_a_component_is_well() {
    for call in ["health#check", "healthy"] {
        let judge = Plain::start("judge").await;
        let host = Host::start(&judged(call, &judge)).await;
        assert_eq!(host.status("/types").await, 200);
        judge.behave(Manner::Status(404));
        let line = host.atoll.logged("not ready: it gets no calls").await;
        assert!(line.contains("types-0"), "{line}");
        assert_eq!(host.status("/types").await, 503);
        judge.behave(Manner::Works);
        host.atoll.logged("ready again").await;
        assert_eq!(host.status("/types").await, 200);
        assert_eq!(host.endpoints("types", "failures").await, [0]);
        assert_eq!(host.endpoints("types", "requests").await, [2], "a check is no call");
    }
}

#[tokio::test]
async fn what_no_check_can_ask_is_told_at_its_place() {
    let judge = Plain::start("judge").await;
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
        let place = format!("atoll.toml:{line}:19");
        assert!(says(&complaint, &place) && says(&complaint, why), "{place} {why}: {complaint}");
    }
}

#[tokio::test]
async fn no_swap_takes_the_check_away() {
    let judge = Plain::start("judge").await;
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
    assert_eq!(swap("fixture-types").await.status, 200, "one that has it is not");
    assert_eq!(host.status("/types").await, 200);
}
