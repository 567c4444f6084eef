//! How many calls a service runs at a time, which calls wait, and which are refused: the same for `urls` and
//! components.

use super::super::atoll::{Answer, eventually};
use super::super::open_exchange::{OpenExchange, in_flight};
use super::super::plain_server::{Behaviour, PlainServer};
use super::{Host, NEVER_OPENS, kind, route};
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Two hosts: in one the service `legacy` is the fixture `hostile`, in the other a plain server. Both have an `/echo`
/// and answer `/ok`.
async fn hosts(limits: &str) -> [(Host, Option<PlainServer>); 2] {
    let plain = PlainServer::start("plain").await;
    let component = start("component = \"{component:fixture-hostile}\"", limits).await;
    let urls = start(&format!("urls = [\"http://{}\"]", plain.address), limits).await;
    [(component, None), (urls, Some(plain))]
}

/// The timeouts are long, so that only the tested limits end a call.
async fn start(endpoints: &str, limits: &str) -> Host {
    let limits = format!("limits = {{ timeout = \"10m\", {limits} }}");
    let service = format!("[gateway]\ntimeout = \"10m\"\n[service.legacy]\n{endpoints}\n{NEVER_OPENS}{limits}\n");
    Host::start(&(service + &route("/plain", "legacy"))).await
}

async fn hold(host: &Host) -> OpenExchange {
    OpenExchange::begin(&host.atoll, "/plain/echo").await
}

fn assert_refused(answer: &Answer) {
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "1"), "{answer:?}");
    assert_eq!(kind(answer), "overloaded");
}

#[tokio::test]
async fn calls_beyond_concurrency_wait_and_calls_beyond_waiting_are_refused_at_once() {
    for (host, _plain) in hosts("concurrency = 2, waiting = 1, wait = \"10m\"").await {
        let held = [hold(&host).await, hold(&host).await];
        let mut requests: FuturesUnordered<_> = (0..4).map(|_| host.get("/plain/ok")).collect();
        for _ in 0..3 {
            assert_refused(&requests.next().await.unwrap());
        }
        for held in held {
            assert!(held.finish().await, "a call that is served must not be disturbed");
        }
        assert_eq!(requests.next().await.unwrap().status, 200, "the waiting call must be served");
        assert_eq!(host.metric("atoll_refused_total", "legacy").await, 3.0);
        assert_eq!(
            host.metric("atoll_requests_total", "legacy").await,
            3.0,
            "a refused call must not reach the service"
        );
        assert_eq!(host.metric("atoll_failures_total", "legacy").await, 0.0);
    }
}

#[tokio::test]
async fn a_waiting_call_is_refused_when_its_wait_is_over() {
    for (host, _plain) in hosts("concurrency = 1, waiting = 8, wait = \"200ms\"").await {
        let held = hold(&host).await;
        let began = Instant::now();
        for refused in join_all((0..4).map(|_| host.get("/plain/ok"))).await {
            assert_refused(&refused);
        }
        assert!(began.elapsed() >= Duration::from_millis(200), "{:?}", began.elapsed());
        assert!(held.finish().await);
        assert_eq!(host.status("/plain/ok").await, 200);
    }
}

#[tokio::test]
async fn a_client_that_disconnects_while_served_gives_its_slot_back() {
    for (host, plain) in hosts("concurrency = 2, waiting = 0").await {
        if let Some(plain) = &plain {
            plain.behave(Behaviour::Silent);
        }
        for _ in 0..3 {
            let mut clients = Vec::new();
            for _ in 0..2 {
                let mut stream = TcpStream::connect(host.atoll.gateway.trim_start_matches("http://")).await.unwrap();
                let request = b"GET /plain/sleep?ms=3600000 HTTP/1.1\r\nhost: shop\r\n\r\n";
                stream.write_all(request).await.unwrap();
                clients.push(stream);
            }
            in_flight(&host.atoll, "legacy", 2).await;
            assert_refused(&host.get("/plain/ok").await);
            drop(clients);
            in_flight(&host.atoll, "legacy", 0).await;
        }
        if let Some(plain) = &plain {
            plain.behave(Behaviour::Works);
        }
        assert_eq!(host.status("/plain/ok").await, 200);
        assert_eq!(
            host.metric("atoll_failures_total", "legacy").await,
            0.0,
            "a client that disconnects must not count as a failure"
        );
    }
}

#[tokio::test]
async fn a_client_that_disconnects_while_waiting_leaves_the_queue() {
    for (host, _plain) in hosts("concurrency = 1, waiting = 1, wait = \"10m\"").await {
        let held = hold(&host).await;
        let mut requests: FuturesUnordered<_> = (0..2).map(|_| host.get("/plain/ok")).collect();
        assert_refused(&requests.next().await.unwrap());
        // The other request waits in the queue. Now its client disconnects.
        drop(requests);
        let waits = eventually("the place in the queue is free", async || {
            let (http, url) = (host.http.clone(), host.url("/plain/ok"));
            let waits = tokio::spawn(async move { http.get(&url).await });
            // A refused request is answered at once. A request that is not refused waits for longer than this test.
            tokio::time::sleep(Duration::from_millis(300)).await;
            (!waits.is_finished()).then_some(waits)
        });
        let waits = waits.await;
        assert!(held.finish().await);
        assert_eq!(waits.await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn a_slot_is_given_back_after_a_trap_an_error_or_a_broken_answer() {
    for (host, plain) in hosts("concurrency = 1, waiting = 0").await {
        let failing_paths = if plain.is_some() { ["/broken", "/status/500"] } else { ["/panic-mid-stream", "/trap"] };
        for path in failing_paths.iter().cycle().take(6) {
            let request = http::Request::get(host.url(&format!("/plain{path}"))).body(Default::default()).unwrap();
            let ended = host.http.try_send(request).await;
            assert!(!ended.is_ok_and(|answer| answer.status == 200 || answer.status == 503), "{path}");
            in_flight(&host.atoll, "legacy", 0).await;
            let again = async || (host.status("/plain/ok").await == 200).then_some(());
            eventually("the slot is given back", again).await;
        }
    }
}

#[tokio::test]
async fn the_concurrency_limit_holds_for_each_address_and_each_replica() {
    let servers = [PlainServer::start("one").await, PlainServer::start("other").await];
    let urls = servers.iter().map(|server| format!("http://{}", server.address)).collect::<Vec<_>>();
    let two = [format!("urls = {urls:?}"), "component = \"{component:fixture-hostile}\"\nreplicas = 2".to_owned()];
    for endpoints in two {
        // By random choice alone, both calls would go to the same endpoint half of the time.
        let host = start(&format!("{endpoints}\nbalance = \"random\""), "concurrency = 1, waiting = 0").await;
        for _ in 0..8 {
            let held = [hold(&host).await, hold(&host).await];
            assert_eq!(host.endpoints("legacy", "in_flight").await, [1, 1]);
            assert_refused(&host.get("/plain/ok").await);
            for held in held {
                assert!(held.finish().await);
            }
            in_flight(&host.atoll, "legacy", 0).await;
        }
    }
    assert_eq!(servers.each_ref().map(PlainServer::requests), [8, 8]);
}
