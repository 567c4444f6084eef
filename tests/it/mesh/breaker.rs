//! What opens and closes the circuit of an address: with the full breaker, and with the simple one if the manifest
//! asks for it.

use super::super::atoll::eventually;
use super::super::plain_server::{Behaviour, PlainServer};
use super::{Host, kind, manifest, request};
use serde_json::json;
use std::time::Duration;

/// A host with one server behind this breaker. Nothing is retried, so each request is one call.
async fn guarded(breaker: &str) -> (PlainServer, Host) {
    let plain = PlainServer::start("only").await;
    let keys = format!("retry = {{ tries = 0 }}\nejection = {{ most = 0 }}\n{breaker}");
    let host = Host::of(&[&plain], &keys).await;
    (plain, host)
}

/// Sends `count` requests, to which the server behaves in this way. Each must get this status.
async fn send(count: u32, behaviour: Behaviour, status: u16, (plain, host): &(PlainServer, Host)) {
    plain.behave(behaviour);
    for n in 0..count {
        assert_eq!(host.status("/plain/x").await, status, "request {n} of {count}, {:?}", host.atoll.log().last());
    }
}

async fn assert_breaker_is(state: &str, (_, host): &(PlainServer, Host)) {
    assert_eq!(host.endpoints("legacy", "breaker").await, [state]);
}

/// Sends a call that must be refused. Returns the seconds in `Retry-After`.
async fn refused((plain, host): &(PlainServer, Host)) -> u64 {
    let before = plain.requests();
    let refused = host.get("/plain/x").await;
    assert_eq!((refused.status.as_u16(), kind(&refused)), (503, "circuit-open".to_owned()), "{refused:?}");
    assert_eq!(plain.requests(), before, "a refused call must not reach the server");
    refused.header("retry-after").parse().unwrap()
}

#[tokio::test]
async fn five_endpoint_faults_in_a_row_open_the_circuit_and_a_4xx_neither_counts_nor_clears() {
    for (behaviour, status) in
        [(Behaviour::ResetsAfterRequest, 502), (Behaviour::Status(503), 503), (Behaviour::Status(504), 504)]
    {
        let guarded = guarded("breaker = { open = \"1h\", open_most = \"1h\", jitter = 0 }").await;
        send(4, behaviour.clone(), status, &guarded).await;
        send(1, Behaviour::Works, 200, &guarded).await;
        send(4, behaviour.clone(), status, &guarded).await;
        assert_breaker_is("closed", &guarded).await;
        // A 4xx neither counts nor clears the streak.
        send(3, Behaviour::Status(404), 404, &guarded).await;
        assert_breaker_is("closed", &guarded).await;
        send(1, behaviour, status, &guarded).await;
        assert_breaker_is("open", &guarded).await;
        let wait = refused(&guarded).await;
        assert!((3500..=3600).contains(&wait), "{wait}");
    }
}

/// Its service gets a GET. What nobody reads of the answer must not cost the service its success.
#[tokio::test]
async fn a_head_that_is_served_as_a_get_clears_the_streak() {
    let plain = PlainServer::start("only").await;
    let keys = "retry = { tries = 0 }\nbreaker = { in_a_row = 2, open = \"1h\", open_most = \"1h\" }";
    let host = Host::start(&manifest(&[&plain], keys).replace("[[route]]", "[[route]]\nmethod = \"GET\"")).await;
    for _ in 0..2 {
        assert_eq!(host.status("/plain/status/503").await, 503, "{:?}", host.atoll.log().last());
        let answer = host.http.send(request("HEAD").uri(host.url("/plain/large/100000")), "").await;
        assert_eq!((answer.status.as_u16(), answer.header("content-length")), (200, "100000"));
    }
    assert_eq!(host.endpoints("legacy", "breaker").await, ["closed"]);
}

#[tokio::test]
async fn timeouts_are_endpoint_faults_that_open_the_circuit() {
    let keys = "breaker = { open = \"1h\", open_most = \"1h\" }\nlimits = { timeout = \"200ms\" }";
    let guarded = guarded(keys).await;
    send(5, Behaviour::Silent, 504, &guarded).await;
    assert_breaker_is("open", &guarded).await;
}

#[tokio::test]
async fn a_failure_rate_of_half_opens_the_circuit() {
    let guarded = guarded("breaker = { window = \"10m\", open = \"1h\", open_most = \"1h\" }").await;
    send(10, Behaviour::Works, 200, &guarded).await;
    send(9, Behaviour::Status(500), 500, &guarded).await;
    assert_breaker_is("closed", &guarded).await;
    send(1, Behaviour::Status(500), 500, &guarded).await;
    assert_breaker_is("open", &guarded).await;
    assert!(refused(&guarded).await > 3000);
    assert_eq!(guarded.1.endpoints("legacy", "failures").await, [json!(10)]);
}

#[tokio::test]
async fn throttling_opens_the_circuit_for_as_long_as_retry_after_asks() {
    let guarded = guarded("breaker = { window = \"10m\", open = \"1s\", open_most = \"5m\", jitter = 0 }").await;
    send(19, Behaviour::RetryAfter(429, 120), 429, &guarded).await;
    assert_breaker_is("closed", &guarded).await;
    send(1, Behaviour::RetryAfter(429, 120), 429, &guarded).await;
    assert_breaker_is("open", &guarded).await;
    let wait = refused(&guarded).await;
    assert!((60..=120).contains(&wait), "{wait}");
}

#[tokio::test]
async fn retry_after_opens_the_circuit_for_at_most_open_most() {
    let guarded = guarded("breaker = { in_a_row = 1, open = \"1s\", open_most = \"60s\", jitter = 0 }").await;
    send(1, Behaviour::RetryAfter(503, 86_400), 503, &guarded).await;
    let wait = refused(&guarded).await;
    assert!((30..=60).contains(&wait), "{wait}");
}

#[tokio::test]
async fn slow_calls_open_the_circuit_if_the_manifest_sets_slow_call() {
    let keys =
        "breaker = { window = \"10m\", least_calls = 4, slow_call = \"50ms\", open = \"1h\", open_most = \"1h\" }";
    let guarded = guarded(keys).await;
    send(4, Behaviour::Slow(Duration::from_millis(60)), 200, &guarded).await;
    assert_breaker_is("open", &guarded).await;
    assert_eq!(guarded.1.endpoints("legacy", "failures").await, [json!(0)], "a slow call must not count as a failure");
}

#[tokio::test]
async fn two_successful_probes_close_an_open_circuit() {
    let guarded = guarded("breaker = { in_a_row = 2, open = \"300ms\", jitter = 0 }").await;
    send(2, Behaviour::ResetsAfterRequest, 502, &guarded).await;
    let (plain, host) = &guarded;
    // A failed probe opens the circuit again, so the server is called again and again, but seldom.
    let probed = async || (plain.requests() >= 4).then_some(());
    let send_and_check = async || {
        assert!([502, 503].contains(&host.status("/plain/x").await));
        probed().await
    };
    eventually("two probes have failed", send_and_check).await;
    plain.behave(Behaviour::Works);
    let before = plain.requests();
    eventually("a probe succeeds", async || (host.status("/plain/x").await == 200).then_some(())).await;
    assert_eq!(plain.requests(), before + 1);
    assert_breaker_is("half-open", &guarded).await;
    send(1, Behaviour::Works, 200, &guarded).await;
    assert_breaker_is("closed", &guarded).await;
    send(10, Behaviour::Works, 200, &guarded).await;
}

#[tokio::test]
async fn the_simple_breaker_counts_every_failure_but_a_429_in_its_streak() {
    let guarded = guarded("breaker = { failure_threshold = 3, recovery_timeout = \"1h\" }").await;
    send(2, Behaviour::Status(500), 500, &guarded).await;
    send(1, Behaviour::Works, 200, &guarded).await;
    // The simple breaker does not count 429 as a failure, as in the article that describes it.
    send(30, Behaviour::RetryAfter(429, 120), 429, &guarded).await;
    send(2, Behaviour::Status(500), 500, &guarded).await;
    assert_breaker_is("closed", &guarded).await;
    send(1, Behaviour::ResetsAfterRequest, 502, &guarded).await;
    assert_breaker_is("open", &guarded).await;
    let wait = refused(&guarded).await;
    assert!((3500..=3600).contains(&wait), "{wait}");
}

#[tokio::test]
async fn request_faults_below_the_failure_rate_open_no_circuit() {
    let guarded = guarded("breaker = { window = \"10m\", open = \"1h\", open_most = \"1h\" }").await;
    send(30, Behaviour::Works, 200, &guarded).await;
    send(29, Behaviour::Status(500), 500, &guarded).await;
    assert_breaker_is("closed", &guarded).await;
    send(1, Behaviour::Works, 200, &guarded).await;
}
