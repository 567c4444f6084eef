//! How many calls a service has at a time, who waits, and who is refused; behind `urls` as with a component.

use super::super::atoll::{Answer, eventually};
use super::super::held::{Held, in_flight};
use super::super::plain::{Manner, Plain};
use super::{Host, NEVER_OPENS, kind, route};
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// A host whose service `legacy` is the fixture `hostile`, or plain servers; both have an `/echo` and answer `/ok`.
async fn hosts(limits: &str) -> [(Host, Option<Plain>); 2] {
    let plain = Plain::start("plain").await;
    let component = start("component = \"{component:fixture-hostile}\"", limits).await;
    let urls = start(&format!("urls = [\"http://{}\"]", plain.address), limits).await;
    [(component, None), (urls, Some(plain))]
}

/// Nothing ends by itself but what the limits end.
async fn start(places: &str, limits: &str) -> Host {
    let limits = format!("limits = {{ timeout = \"10m\", {limits} }}");
    let service = format!("[gateway]\ntimeout = \"10m\"\n[service.legacy]\n{places}\n{NEVER_OPENS}{limits}\n");
    Host::start(&(service + &route("/plain", "legacy"))).await
}

async fn hold(host: &Host) -> Held {
    Held::begin(&host.atoll, "/plain/echo").await
}

fn assert_refused(answer: &Answer) {
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "1"), "{answer:?}");
    assert_eq!(kind(answer), "overloaded");
}

#[tokio::test]
async fn some_are_served_some_wait_and_the_rest_are_refused_at_once() {
    for (host, _plain) in hosts("concurrency = 2, waiting = 1, wait = \"10m\"").await {
        let held = [hold(&host).await, hold(&host).await];
        let mut asked: FuturesUnordered<_> = (0..4).map(|_| host.get("/plain/ok")).collect();
        for _ in 0..3 {
            assert_refused(&asked.next().await.unwrap());
        }
        for held in held {
            assert!(held.finish().await, "who is served is not disturbed");
        }
        assert_eq!(asked.next().await.unwrap().status, 200, "who waits is served");
        assert_eq!(host.metric("atoll_refused_total", "legacy").await, 3.0);
        assert_eq!(host.metric("atoll_requests_total", "legacy").await, 3.0, "a refused call asks nobody");
        assert_eq!(host.metric("atoll_failures_total", "legacy").await, 0.0);
    }
}

#[tokio::test]
async fn a_wait_ends() {
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
async fn a_client_that_goes_away_gives_its_slot_back() {
    for (host, plain) in hosts("concurrency = 2, waiting = 0").await {
        if let Some(plain) = &plain {
            plain.behave(Manner::Holds);
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
            plain.behave(Manner::Works);
        }
        assert_eq!(host.status("/plain/ok").await, 200);
        assert_eq!(host.metric("atoll_failures_total", "legacy").await, 0.0, "that was nobody's fault");
    }
}

#[tokio::test]
async fn a_client_that_goes_away_gives_its_seat_back() {
    for (host, _plain) in hosts("concurrency = 1, waiting = 1, wait = \"10m\"").await {
        let held = hold(&host).await;
        let mut asked: FuturesUnordered<_> = (0..2).map(|_| host.get("/plain/ok")).collect();
        assert_refused(&asked.next().await.unwrap());
        // The other one waits, and goes away.
        drop(asked);
        let waits = eventually("the seat is free", async || {
            let (http, url) = (host.http.clone(), host.url("/plain/ok"));
            let waits = tokio::spawn(async move { http.get(&url).await });
            // Who is refused is so at once; who is not waits for longer than this test.
            tokio::time::sleep(Duration::from_millis(300)).await;
            (!waits.is_finished()).then_some(waits)
        });
        let waits = waits.await;
        assert!(held.finish().await);
        assert_eq!(waits.await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn slots_come_back_after_whatever_end() {
    for (host, plain) in hosts("concurrency = 1, waiting = 0").await {
        let ways = if plain.is_some() { ["/broken", "/status/500"] } else { ["/panic-mid-stream", "/trap"] };
        for way in ways.iter().cycle().take(6) {
            let request = http::Request::get(host.url(&format!("/plain{way}"))).body(Default::default()).unwrap();
            let ended = host.http.try_send(request).await;
            assert!(!ended.is_ok_and(|answer| answer.status == 200 || answer.status == 503), "{way}");
            in_flight(&host.atoll, "legacy", 0).await;
            let again = async || (host.status("/plain/ok").await == 200).then_some(());
            eventually("the slot is back", again).await;
        }
    }
}

#[tokio::test]
async fn each_address_and_each_replica_has_its_own_bound() {
    let servers = [Plain::start("one").await, Plain::start("other").await];
    let urls = servers.iter().map(|server| format!("http://{}", server.address)).collect::<Vec<_>>();
    let two = [format!("urls = {urls:?}"), "component = \"{component:fixture-hostile}\"\nreplicas = 2".to_owned()];
    for places in two {
        // By chance alone both would go to one of them half of the time.
        let host = start(&format!("{places}\nbalance = \"random\""), "concurrency = 1, waiting = 0").await;
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
    assert_eq!(servers.each_ref().map(Plain::requests), [8, 8]);
}
