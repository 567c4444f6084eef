//! Which endpoint gets a call.

use super::super::atoll::eventually;
use super::super::plain_server::{Behaviour, PlainServer};
use super::{Host, NEVER_OPENS, manifest, route};
use futures_util::future::join_all;
use serde_json::json;
use std::time::Duration;
use tokio::task::JoinSet;

async fn two() -> (PlainServer, PlainServer) {
    (PlainServer::start("quick").await, PlainServer::start("slow").await)
}

/// Sends `count` calls one after the other. Returns how many of them the server `quick` answered.
async fn quick_of(count: usize, host: &Host) -> usize {
    let mut quick = 0;
    for _ in 0..count {
        let answer = host.get("/plain/x").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        quick += usize::from(answer.json()["name"] == "quick");
    }
    quick
}

#[tokio::test]
async fn least_request_chooses_the_endpoint_with_fewer_calls_in_flight() {
    let (quick, slow) = two().await;
    let host = Host::of(&[&quick, &slow], &format!("{NEVER_OPENS}balance = \"least-request\"")).await;
    quick.behave(Behaviour::Silent);
    slow.behave(Behaviour::Silent);
    let mut held = JoinSet::new();
    for _ in 0..10 {
        let (http, url) = (host.http.clone(), host.url("/plain/held"));
        held.spawn(async move { http.get(&url).await.status.as_u16() });
    }
    let both = async || (quick.requests() + slow.requests() == 10).then_some(());
    eventually("all ten calls are in flight", both).await;
    assert_eq!(
        (quick.requests(), slow.requests()),
        (5, 5),
        "a server must get the next call when it has fewer in flight"
    );
    quick.behave(Behaviour::Works);
    let rest = async || (host.endpoints("legacy", "in_flight").await == [0, 5]).then_some(());
    eventually("the quick server has answered", rest).await;
    assert_eq!(quick_of(40, &host).await, 40);
    slow.behave(Behaviour::Works);
    assert_eq!(held.join_all().await, [200; 10]);
    assert_eq!(slow.requests(), 5);
}

#[tokio::test]
async fn by_default_the_faster_endpoint_gets_most_calls() {
    let (quick, slow) = two().await;
    let host = Host::of(&[&quick, &slow], NEVER_OPENS).await;
    slow.behave(Behaviour::Slow(Duration::from_secs(2)));
    // Until both servers are measured, the balancer does not know which one is slow.
    let mut sent = 0;
    while quick.requests() == 0 || slow.requests() == 0 {
        assert_eq!(host.status("/plain/x").await, 200);
        sent += 1;
        assert!(sent < 200, "{} {}", quick.requests(), slow.requests());
    }
    let quick = quick_of(40, &host).await;
    assert!(quick >= 38, "{quick} of 40");
}

#[tokio::test]
async fn calls_are_shared_in_proportion_to_weights() {
    let servers = [PlainServer::start("heavy").await, PlainServer::start("light").await];
    let [heavy, light] = servers.each_ref().map(|server| format!("http://{}", server.address));
    let urls = format!("[service.legacy]\nurls = [{{ url = {heavy:?}, weight = 3 }}, {light:?}]\n");
    let host = Host::start(
        &(urls + NEVER_OPENS + "slow_start = \"0s\"\nbalance = \"round-robin\"\n" + &route("/plain", "legacy")),
    )
    .await;
    for _ in 0..40 {
        assert_eq!(host.status("/plain/x").await, 200);
    }
    assert_eq!(servers.each_ref().map(PlainServer::requests), [30, 10]);

    // With random choice the shares hold on average: 300 of 400, give or take four standard deviations.
    let manifest = std::fs::read_to_string(host.home.manifest()).unwrap();
    let host = Host::start(&manifest.replace("round-robin", "random")).await;
    for _ in 0..20 {
        let answers = join_all((0..20).map(|_| host.get("/plain/x"))).await;
        assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    }
    let heavy = servers[0].requests() - 30;
    assert!((265..=335).contains(&heavy), "{heavy}");
}

#[tokio::test]
async fn typed_calls_go_only_to_the_component_of_a_service_with_urls() {
    let plain = PlainServer::start("plain").await;
    let keys = format!(
        "{NEVER_OPENS}slow_start = \"0s\"\nbalance = \"round-robin\"\nweight = 3\n\
         component = \"{{component:fixture-types}}\""
    );
    let typed = "\n[[route]]\nmethod = \"GET\"\npath = \"/count\"\ncall = \"legacy/faults#count\"\n";
    let host = Host::start(&(manifest(&[&plain], &keys) + typed)).await;
    for _ in 0..10 {
        assert_eq!(host.get("/count").await.json(), json!(1), "a typed call must not go to an address");
    }
    assert_eq!(plain.requests(), 0);
    let mut functions = 0;
    for _ in 0..40 {
        let answer = host.get("/plain/x").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        functions += usize::from(answer.body == "types");
    }
    assert_eq!((functions, plain.requests()), (30, 10));
    plain.behave(Behaviour::ResetsAfterRequest);
    for _ in 0..10 {
        assert_eq!(host.get("/plain/x").await.body, "types", "the component must answer when the address fails");
    }
}

#[tokio::test]
async fn an_endpoint_that_fails_more_than_the_others_is_ejected() {
    let servers = [PlainServer::start("one").await, PlainServer::start("other").await, PlainServer::start("ill").await];
    let keys = "breaker = { failure_threshold = 1000 }\nejection = { least_calls = 5, pause = \"5m\" }";
    let host = Host::of(&servers.each_ref(), &format!("{keys}\nbalance = \"round-robin\"")).await;
    // A 500 is not tried again, and is a request fault and no endpoint fault.
    servers[2].behave(Behaviour::Status(500));
    let is_ejected = async || {
        let mut failed = false;
        for _ in 0..10 {
            failed |= host.status("/plain/x").await == 500;
        }
        (!failed).then_some(())
    };
    eventually("the failing server is ejected", is_ejected).await;
    let sent = servers[2].requests();
    assert!(sent >= 5, "{sent}");
    for _ in 0..30 {
        assert_eq!(host.status("/plain/x").await, 200);
    }
    assert_eq!((servers[2].requests(), host.endpoints("legacy", "breaker").await), (sent, vec![json!("closed"); 3]));
}
