//! Which requests are retried, how often, and which never.

use super::super::atoll::eventually;
use super::super::plain_server::{Behaviour, DeadAddress, PlainServer};
use super::{Host, NEVER_OPENS, kind, request, route};
use futures_util::future::join_all;
use http::{Method, Request};
use std::collections::BTreeSet;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const KIB: usize = 1024;

/// A failing server, a working one, and a host that calls them in turn.
async fn ill_and_well(keys: &str) -> (PlainServer, PlainServer, Host) {
    let (ill, well) = (PlainServer::start("ill").await, PlainServer::start("well").await);
    ill.behave(Behaviour::ResetsAfterRequest);
    let host = Host::of(&[&ill, &well], &format!("{NEVER_OPENS}balance = \"round-robin\"\n{keys}")).await;
    (ill, well, host)
}

async fn retries(host: &Host) -> f64 {
    host.metric("atoll_retries_total", "legacy").await
}

#[tokio::test]
async fn an_idempotent_request_is_retried_at_another_address() {
    let (ill, well, host) = ill_and_well("").await;
    for behaviour in
        [Behaviour::ResetsAfterRequest, Behaviour::Status(502), Behaviour::Status(503), Behaviour::Status(504)]
    {
        ill.behave(behaviour.clone());
        let before = ill.requests();
        for method in ["GET", "HEAD", "OPTIONS", "DELETE", "PUT"].into_iter().cycle().take(10) {
            let answer = host.send(request(method), "").await;
            assert_eq!((answer.status.as_u16(), answer.header("x-method")), (200, method), "{behaviour:?}");
        }
        assert!(ill.requests() > before, "{behaviour:?}: the failing server was never called");
    }
    assert_eq!(retries(&host).await, f64::from(u32::try_from(ill.requests()).unwrap()));
    assert_eq!(well.requests(), 40, "the working server must answer each call once");
}

#[tokio::test]
async fn a_status_that_is_an_answer_of_the_service_is_not_retried() {
    let (ill, _well, host) = ill_and_well("").await;
    for status in [400, 404, 429, 500, 501] {
        ill.behave(Behaviour::Status(status));
        let before = ill.requests();
        let mut answered = 0;
        for _ in 0..10 {
            answered += usize::from(host.status("/plain/x").await == status);
        }
        assert!(answered > 0 && answered == ill.requests() - before, "{status}: {answered}");
    }
    assert_eq!(retries(&host).await, 0.0);
}

#[tokio::test]
async fn a_post_or_patch_that_reached_a_server_is_not_retried() {
    let (ill, well, host) = ill_and_well("").await;
    let mut failed = 0;
    for n in 0..10 {
        let answer = host.send(request("POST"), format!("order {n}")).await;
        if answer.status != 200 {
            assert_eq!((answer.status.as_u16(), kind(&answer)), (502, "reset".to_owned()));
            failed += 1;
        }
    }
    assert!(failed > 0 && failed == ill.requests(), "{failed}");
    let seen = [ill.seen(), well.seen()].concat();
    let orders: BTreeSet<_> = seen.iter().map(|request| request["body"].as_str().unwrap()).collect();
    assert_eq!((orders.len(), seen.len()), (10, 10), "each order must be sent once: {orders:?}");
    assert_eq!(retries(&host).await, 0.0);

    ill.behave(Behaviour::Status(503));
    let statuses = join_all((0..10).map(|_| host.send(request("PATCH"), "change"))).await;
    let refused = statuses.iter().filter(|answer| answer.status == 503).count();
    assert!(refused > 0 && refused + failed == ill.requests(), "{refused}");
    assert_eq!(retries(&host).await, 0.0);
}

#[tokio::test]
async fn a_post_or_patch_with_an_idempotency_key_is_retried() {
    let (ill, _well, host) = ill_and_well("").await;
    for (method, n) in [Method::POST, Method::PATCH].into_iter().cycle().zip(0..10) {
        let order = request(method).header("idempotency-key", n);
        let answer = host.send(order, format!("order {n}")).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["body"]), (200, &format!("order {n}").into()));
        assert_eq!(answer.json()["headers"]["idempotency-key"], n.to_string());
    }
    assert!(ill.requests() > 0, "the failing server was never called");
}

#[tokio::test]
async fn a_request_is_retried_only_if_its_body_fits_the_retry_buffer() {
    let (ill, well, host) = ill_and_well("").await;
    let put = async |length: usize| host.send(request("PUT"), "x".repeat(length)).await;
    for _ in 0..6 {
        let answer = put(64 * KIB).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["body"].as_str().map(str::len), Some(64 * KIB));
    }
    let before = ill.requests();
    assert!(before > 0 && ill.seen().iter().all(|seen| seen["body"].as_str().unwrap().len() == 64 * KIB));
    let mut failed = 0;
    for _ in 0..6 {
        let answer = put(64 * KIB + 1).await;
        if answer.status != 200 {
            assert_eq!((answer.status.as_u16(), kind(&answer)), (502, "reset".to_owned()));
            failed += 1;
        }
    }
    assert!(failed > 0 && failed == ill.requests() - before, "{failed}");
    assert_eq!(well.requests(), 12 - failed);
}

#[tokio::test]
async fn a_body_still_arriving_is_continued_at_the_next_address() {
    let (ill, well, host) = ill_and_well("").await;
    ill.behave(Behaviour::ResetsAfterHead);
    for n in 1..=6 {
        let mut client = TcpStream::connect(host.atoll.gateway.trim_start_matches("http://")).await.unwrap();
        // Of a body whose length is known, the gateway would read the beginning first.
        let head = "PUT /plain/x HTTP/1.1\r\nhost: shop\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
        client.write_all(format!("{head}5\r\nfirst\r\n").as_bytes()).await.unwrap();
        // The working server has the head only after the failing one had it. The rest of the body is sent later.
        let reached = async || (well.requests() == n).then_some(());
        eventually("the first half has reached the working server", reached).await;
        client.write_all(b"7\r\n second\r\n0\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"body\":\"first second\""), "{answer}");
    }
    assert!(ill.requests() > 0);
}

#[tokio::test]
async fn a_request_that_could_not_connect_is_sent_elsewhere_whatever_its_method_or_size() {
    let (dead, well) = (DeadAddress::new(), PlainServer::start("well").await);
    let urls = [format!("http://{}", dead.address()), format!("http://{}", well.address)];
    let service = format!("[service.legacy]\nurls = {urls:?}\n{NEVER_OPENS}balance = \"round-robin\"\n");
    let host = Host::start(&(service + &route("/plain", "legacy"))).await;
    for _ in 0..6 {
        let answer = host.send(request("POST"), "x".repeat(1024 * KIB)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["body"].as_str().map(str::len), Some(1024 * KIB));
    }
    assert_eq!(well.requests(), 6);
    assert!(retries(&host).await > 0.0);
}

#[tokio::test]
async fn with_tries_0_nothing_is_retried() {
    let (ill, _well, host) = ill_and_well("retry = { tries = 0 }").await;
    let mut failed = 0;
    for _ in 0..10 {
        failed += usize::from(host.status("/plain/x").await == 502);
    }
    assert!(failed > 0 && failed == ill.requests(), "{failed}");
    assert_eq!(retries(&host).await, 0.0);
}

#[tokio::test]
async fn the_retry_budget_bounds_retries_when_every_server_fails() {
    let (ill, well, host) =
        ill_and_well("retry = { tries = 3, budget = 20, budget_floor = 1, backoff = \"1ms\", backoff_most = \"1ms\" }")
            .await;
    ill.behave(Behaviour::Status(503));
    well.behave(Behaviour::Status(503));
    let began = Instant::now();
    for _ in 0..10 {
        let answers = join_all((0..30).map(|_| host.get("/plain/x"))).await;
        assert!(answers.iter().all(|answer| answer.status == 503), "{answers:?}");
    }
    let (sent, seconds) = (ill.requests() + well.requests(), began.elapsed().as_secs() + 1);
    let again = sent - 300;
    // A fifth of the calls, plus one retry for each second of the window and of the time that the test took.
    assert!(
        (60..=70 + usize::try_from(seconds).unwrap()).contains(&again),
        "there were {again} retries in {seconds} s"
    );
    assert_eq!(retries(&host).await, f64::from(u32::try_from(again).unwrap()));
}

#[tokio::test]
async fn an_answer_that_breaks_off_midway_is_not_retried() {
    let (ill, well, host) = ill_and_well("").await;
    ill.behave(Behaviour::Works);
    for sent in 1..=4 {
        let request = Request::get(host.url("/plain/broken")).body(Default::default()).unwrap();
        assert!(host.http.try_send(request).await.is_err());
        assert_eq!(ill.requests() + well.requests(), sent);
    }
    assert_eq!(retries(&host).await, 0.0);
    assert_eq!(host.metric("atoll_failures_total", "legacy").await, 4.0);
}
