//! What opens the circuit of an address, and what closes it: the full model, and the simple one where the manifest asks for it.

use super::super::atoll::eventually;
use super::super::plain::{Manner, Plain};
use super::{Host, kind};
use serde_json::json;
use std::time::Duration;

/// A host with this breaker before one server. Nothing is tried again, so that each request is one call.
async fn guarded(breaker: &str) -> (Plain, Host) {
    let plain = Plain::start("only").await;
    let keys = format!("retry = {{ tries = 0 }}\nejection = {{ most = 0 }}\n{breaker}");
    let host = Host::of(&[&plain], &keys).await;
    (plain, host)
}

/// So many requests, which the server takes in this manner, and all of which get this status.
async fn ask(count: u32, manner: Manner, status: u16, (plain, host): &(Plain, Host)) {
    plain.behave(manner);
    for n in 0..count {
        assert_eq!(host.status("/plain/x").await, status, "request {n} of {count}, {:?}", host.atoll.log().last());
    }
}

async fn is(state: &str, (_, host): &(Plain, Host)) {
    assert_eq!(host.endpoints("legacy", "breaker").await, [state]);
}

/// How many seconds a refused call is told to wait.
async fn refused((plain, host): &(Plain, Host)) -> u64 {
    let before = plain.requests();
    let refused = host.get("/plain/x").await;
    assert_eq!((refused.status.as_u16(), kind(&refused)), (503, "circuit-open".to_owned()), "{refused:?}");
    assert_eq!(plain.requests(), before, "nobody was asked");
    refused.header("retry-after").parse().unwrap()
}

#[tokio::test]
async fn five_faults_of_the_place_in_a_row_open() {
    for (manner, status) in [(Manner::Resets, 502), (Manner::Status(503), 503), (Manner::Status(504), 504)] {
        let guarded = guarded("breaker = { open = \"1h\", open_most = \"1h\", jitter = 0 }").await;
        ask(4, manner.clone(), status, &guarded).await;
        ask(1, Manner::Works, 200, &guarded).await;
        ask(4, manner.clone(), status, &guarded).await;
        is("closed", &guarded).await;
        // What the client did wrong neither counts nor clears.
        ask(3, Manner::Status(404), 404, &guarded).await;
        is("closed", &guarded).await;
        ask(1, manner, status, &guarded).await;
        is("open", &guarded).await;
        let wait = refused(&guarded).await;
        assert!((3500..=3600).contains(&wait), "{wait}");
    }
}

#[tokio::test]
async fn a_refused_connection_and_silence_are_faults_of_the_place() {
    let keys = "breaker = { open = \"1h\", open_most = \"1h\" }\nlimits = { timeout = \"200ms\" }";
    let guarded = guarded(keys).await;
    ask(5, Manner::Holds, 504, &guarded).await;
    is("open", &guarded).await;
}

#[tokio::test]
async fn half_of_the_calls_failing_opens() {
    let guarded = guarded("breaker = { window = \"10m\", open = \"1h\", open_most = \"1h\" }").await;
    ask(10, Manner::Works, 200, &guarded).await;
    ask(9, Manner::Status(500), 500, &guarded).await;
    is("closed", &guarded).await;
    ask(1, Manner::Status(500), 500, &guarded).await;
    is("open", &guarded).await;
    assert!(refused(&guarded).await > 3000);
    assert_eq!(guarded.1.endpoints("legacy", "failures").await, [json!(10)]);
}

#[tokio::test]
async fn throttling_opens_for_as_long_as_the_service_asks() {
    let guarded = guarded("breaker = { window = \"10m\", open = \"1s\", open_most = \"5m\", jitter = 0 }").await;
    ask(19, Manner::Later(429, 120), 429, &guarded).await;
    is("closed", &guarded).await;
    ask(1, Manner::Later(429, 120), 429, &guarded).await;
    is("open", &guarded).await;
    let wait = refused(&guarded).await;
    assert!((60..=120).contains(&wait), "{wait}");
}

#[tokio::test]
async fn a_service_asks_for_no_more_than_it_may() {
    let guarded = guarded("breaker = { in_a_row = 1, open = \"1s\", open_most = \"60s\", jitter = 0 }").await;
    ask(1, Manner::Later(503, 86_400), 503, &guarded).await;
    let wait = refused(&guarded).await;
    assert!((30..=60).contains(&wait), "{wait}");
}

#[tokio::test]
async fn slow_calls_open_where_the_manifest_says_what_is_slow() {
    let keys =
        "breaker = { window = \"10m\", least_calls = 4, slow_call = \"50ms\", open = \"1h\", open_most = \"1h\" }";
    let guarded = guarded(keys).await;
    ask(4, Manner::Slow(Duration::from_millis(60)), 200, &guarded).await;
    is("open", &guarded).await;
    assert_eq!(guarded.1.endpoints("legacy", "failures").await, [json!(0)], "slow is not failed");
}

#[tokio::test]
async fn probes_decide_and_two_must_succeed() {
    let guarded = guarded("breaker = { in_a_row = 2, open = \"300ms\", jitter = 0 }").await;
    ask(2, Manner::Resets, 502, &guarded).await;
    let (plain, host) = &guarded;
    // A probe that fails opens it again, so that the server is asked again and again, and seldom.
    let probed = async || (plain.requests() >= 4).then_some(());
    let ask_on = async || {
        assert!([502, 503].contains(&host.status("/plain/x").await));
        probed().await
    };
    eventually("two probes failed", ask_on).await;
    plain.behave(Manner::Works);
    let before = plain.requests();
    eventually("a probe succeeds", async || (host.status("/plain/x").await == 200).then_some(())).await;
    assert_eq!(plain.requests(), before + 1);
    is("half-open", &guarded).await;
    ask(1, Manner::Works, 200, &guarded).await;
    is("closed", &guarded).await;
    ask(10, Manner::Works, 200, &guarded).await;
}

#[tokio::test]
async fn the_simple_breaker_counts_every_fault_in_a_row() {
    let guarded = guarded("breaker = { failure_threshold = 3, recovery_timeout = \"1h\" }").await;
    ask(2, Manner::Status(500), 500, &guarded).await;
    ask(1, Manner::Works, 200, &guarded).await;
    // Too many requests are no fault here, as in the article.
    ask(30, Manner::Later(429, 120), 429, &guarded).await;
    ask(2, Manner::Status(500), 500, &guarded).await;
    is("closed", &guarded).await;
    ask(1, Manner::Resets, 502, &guarded).await;
    is("open", &guarded).await;
    let wait = refused(&guarded).await;
    assert!((3500..=3600).contains(&wait), "{wait}");
}

#[tokio::test]
async fn poison_opens_no_circuit_as_long_as_most_calls_go_well() {
    let guarded = guarded("breaker = { window = \"10m\", open = \"1h\", open_most = \"1h\" }").await;
    ask(30, Manner::Works, 200, &guarded).await;
    ask(29, Manner::Status(500), 500, &guarded).await;
    is("closed", &guarded).await;
    ask(1, Manner::Works, 200, &guarded).await;
}
