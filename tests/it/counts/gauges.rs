//! Gauges and waits: what serves is not what waits, a wait counts however it ends, and a latency is no penalty.

use super::super::atoll::eventually;
use super::super::open_exchange::{OpenExchange, in_flight};
use super::super::plain_server::{Behaviour, PlainServer};
use super::{Counted, connect};
use futures_util::future::join_all;
use serde_json::Value;
use tokio::net::TcpStream;

/// Two services that share a pool of two slots.
const TWO_SLOTS: &str = r#"
[runtime]
instances = 2

[service.first]
component = "{component:fixture-hostile}"
limits = { timeout = "10m", total = "10m" }

[service.second]
component = "{component:fixture-hostile}"
limits = { timeout = "10m", total = "10m" }

[[route]]
prefix = "/first"
strip_prefix = "/first"
service = "first"
timeout = "10m"

[[route]]
prefix = "/second"
strip_prefix = "/second"
service = "second"
timeout = "10m"
"#;

async fn sleeper(host: &Counted, service: &str) -> TcpStream {
    let request = format!("GET /{service}/sleep?ms=3600000 HTTP/1.1\r\nhost: a\r\n\r\n");
    connect(&host.atoll.gateway, request.as_bytes()).await
}

#[tokio::test]
async fn calls_that_wait_for_an_instance_are_no_instances() {
    let host = Counted::start(TWO_SLOTS).await;
    let mut held = Vec::new();
    // Two calls have instances at most; the others wait for one.
    for service in ["first", "first", "second", "second"] {
        held.push(sleeper(&host, service).await);
    }
    let both = ["first", "second"];
    let metrics = eventually("all calls are under way", async || {
        let metrics = host.metrics().await;
        let under_way: f64 = both.map(|service| metrics.service("atoll_in_flight", service)).iter().sum();
        let serving: f64 = both.map(|service| metrics.service("atoll_instances", service)).iter().sum();
        (under_way == 4.0 && serving > 0.0).then_some(metrics)
    })
    .await;
    let serving: f64 = both.map(|service| metrics.service("atoll_instances", service)).iter().sum();
    assert!(serving <= 2.0, "{serving} instances serve, and the pool has room for 2");
    drop(held);
}

#[tokio::test]
async fn an_instance_that_serves_several_calls_counts_once_and_an_idle_one_not() {
    let reuse = r#"
[service.shared]
component = "{component:fixture-types}"
isolation = "reuse"
reuse = { max_concurrent = 4, idle_timeout = "1h" }

[[route]]
method = "GET"
path = "/sleep/{ms}"
call = "shared/faults#sleep"
"#;
    let host = Counted::start(reuse).await;
    let url = |ms: u32| format!("{}/sleep/{ms}", host.atoll.gateway);
    host.http.get(&url(0)).await;
    let gauges = async || {
        let metrics = host.metrics().await;
        (metrics.service("atoll_in_flight", "shared"), metrics.service("atoll_instances", "shared"))
    };
    eventually("the kept instance is idle", async || (gauges().await == (0.0, 0.0)).then_some(())).await;
    for ms in [400, 1_600, 6_400] {
        let urls: Vec<_> = (0..3).map(|_| url(ms)).collect();
        let mut calls = Box::pin(join_all(urls.iter().map(|url| host.http.get(url))));
        let three = eventually_or(&mut calls, async || (gauges().await == (3.0, 1.0)).then_some(()));
        if three.await {
            calls.await;
            return;
        }
    }
    panic!("three calls never showed as one instance");
}

/// Polls until `seen`, or until `end` has ended. Whether it was seen.
async fn eventually_or<F: Future + Unpin>(end: &mut F, seen: impl AsyncFnMut() -> Option<()>) -> bool {
    tokio::select! {
        _ = end => false,
        () = eventually("the gauges", seen) => true,
    }
}

#[tokio::test]
async fn a_wait_counts_however_it_ends() {
    let manifest = r#"
[service.narrow]
component = "{component:fixture-hostile}"
limits = { concurrency = 1, waiting = 4, wait = "WAIT", timeout = "10m", total = "10m" }

[[route]]
prefix = "/narrow"
strip_prefix = "/narrow"
service = "narrow"
timeout = "10m"
"#;
    let waits =
        async |host: &Counted| host.metrics().await.sum("atoll_queue_wait_seconds_count", &[("service", "narrow")]);
    // Refused after its wait.
    let host = Counted::start(&manifest.replace("WAIT", "50ms")).await;
    let held = OpenExchange::begin(&host.atoll, "/narrow/echo").await;
    assert_eq!(waits(&host).await, 0.0, "who does not wait does not count");
    let url = format!("{}/narrow/ok", host.atoll.gateway);
    assert_eq!(host.http.get(&url).await.status, 503);
    let metrics = host.metrics().await;
    assert_eq!(metrics.service("atoll_queue_wait_seconds_count", "narrow"), 1.0);
    assert!(metrics.service("atoll_queue_wait_seconds_sum", "narrow") >= 0.05);
    held.finish().await;

    // Given up by its client, and let in.
    let host = Counted::start(&manifest.replace("WAIT", "10m")).await;
    let held = OpenExchange::begin(&host.atoll, "/narrow/echo").await;
    let waiting = async |count: f64| {
        let is = async || (host.metrics().await.service("atoll_waiting", "narrow") == count).then_some(());
        eventually("the calls wait", is).await;
    };
    let gone = sleeper(&host, "narrow").await;
    waiting(1.0).await;
    gone.set_zero_linger().unwrap();
    drop(gone);
    waiting(0.0).await;
    assert_eq!(waits(&host).await, 1.0);
    in_flight(&host.atoll, "narrow", 1).await;
    let url = format!("{}/narrow/ok", host.atoll.gateway);
    let (answer, ()) = tokio::join!(host.http.get(&url), async {
        waiting(1.0).await;
        held.finish().await;
    });
    assert_eq!((answer.status.as_u16(), waits(&host).await), (200, 2.0));
}

#[tokio::test]
async fn latency_ms_is_what_was_measured_and_the_balancers_penalty_has_a_name_of_its_own() {
    let plain = PlainServer::start("plain").await;
    let manifest = format!(
        "[service.legacy]\nurls = [\"http://{}\"]\nbreaker = {{ failure_threshold = 1000 }}\nretry = {{ tries = 0 }}\n\
         ejection = {{ most = 0 }}\n\n[[route]]\nprefix = \"/\"\nservice = \"legacy\"\n",
        plain.address
    );
    let host = Counted::start(&manifest).await;
    plain.behave(Behaviour::ResetsAfterHead);
    for _ in 0..3 {
        assert_eq!(host.http.get(&format!("{}/x", host.atoll.gateway)).await.status, 502);
    }
    let service: Value = host.http.get(&format!("{}/v1/services/legacy", host.atoll.admin)).await.json();
    let endpoint = &service["endpoints"][0];
    let metrics = host.metrics().await;
    // Each of the three failures took less than all of them together, and the average lies between them.
    let measured = metrics.service("atoll_latency_seconds_sum", "legacy") * 1000.0;
    let latency = endpoint["latency_ms"].as_f64().unwrap();
    assert!(latency > 0.0 && latency <= measured, "{latency} ms, of {measured} ms in all");
    assert!(endpoint["balancer_ms"].as_f64().unwrap() >= 1000.0, "{endpoint}");
}
