//! HTTP from service to service: `http://NAME.internal`.

use super::{Typed, runtime};
use crate::it::open_exchange::OpenExchange;
use http::Request;

async fn open(more: &str) -> Typed {
    let services = r#"
[service.types]
component = "{component:fixture-types}"

[service.hostile]
component = "{component:fixture-hostile}"
limits = { timeout = "2s" }
breaker = { failure_threshold = 1, recovery_timeout = "1h" }

[service.hello]
component = "{component:fixture-hello}"

[service.cycle]
component = "{component:fixture-cycle}"
calls = ["cycle"]

[service.relay]
component = "{component:fixture-relay}"
calls = ["types", "relay", "hostile", "cycle"]
limits = { body = "16MiB" }

[[route]]
prefix = "/relay"
strip_prefix = "/relay"
service = "relay"
"#;
    Typed::start(&(services.to_owned() + &runtime(more))).await
}

#[tokio::test]
async fn a_service_calls_another_by_internal_http_with_bodies_headers_and_status() {
    let host = open("").await;
    let answer = host.get("/relay/http/types/any/path").await;
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &b"types"[..]));
    assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    let body: Vec<u8> = (0..10 << 20_u32).map(|at: u32| (at ^ (at >> 8) ^ (at >> 16)).to_le_bytes()[0]).collect();
    let request = Request::post(host.url("/relay/http/types/echo")).header("content-type", "application/x-tide");
    let answer = host.http.send(request, body.clone()).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/x-tide"));
    assert!(answer.body == body, "{} bytes came back", answer.body.len());
    let refused = host.get("/relay/http/hostile/status/418").await;
    assert_eq!(refused.status, 418, "a status must be passed on unchanged");
    host.at_rest(&["relay", "types", "hostile"]).await;
}

#[tokio::test]
async fn bodies_of_internal_http_stream_in_both_directions() {
    let host = open("").await;
    let mut held = OpenExchange::begin(&host.atoll, "/relay/http/types/echo").await;
    for piece in ["one", "two", "three"] {
        held.echo(piece).await;
    }
    assert!(held.finish().await);
    // A client that disconnects midway ends both instances.
    drop(OpenExchange::begin(&host.atoll, "/relay/http/types/echo").await);
    host.at_rest(&["relay", "types"]).await;
}

#[tokio::test]
async fn the_request_id_follows_internal_http_calls_and_their_log_lines() {
    let host = open("").await;
    let answer = host.get("/relay/http/relay/http/hostile/headers").await;
    let seen = answer.json().to_string();
    assert!(seen.contains(answer.header("x-request-id")), "{answer:?}");
    let trapped = host.get("/relay/http/hostile/trap").await;
    let line = host.atoll.logged("the instance failed").await;
    assert!(line.contains(trapped.header("x-request-id")) && line.contains("hostile"), "{line}");
}

#[tokio::test]
async fn internal_http_to_a_service_outside_calls_is_denied() {
    let host = open("").await;
    for name in ["hello", "nobody", "types.internal.example"] {
        let denied = host.get(&format!("/relay/http/{name}/")).await;
        let text = String::from_utf8_lossy(&denied.body).into_owned();
        assert!(denied.status == 502 && text.contains("HttpRequestDenied"), "{name}: {denied:?}");
    }
    assert_eq!(host.metric("atoll_requests_total", "hello").await, 0.0);
    host.atoll.logged("it needs `calls = [\\\"hello\\\"]` in [service.relay]").await;
}

#[tokio::test]
async fn internal_http_to_a_service_without_http_finds_nobody_and_the_log_says_why() {
    let host = open("").await;
    let failed = host.get("/relay/http/cycle/").await;
    let text = String::from_utf8_lossy(&failed.body).into_owned();
    assert!(failed.status == 502 && text.contains("DestinationNotFound"), "{failed:?}");
    let line = host.atoll.logged("outbound HTTP to `cycle` found nobody (destination-not-found)").await;
    assert!(line.contains("no endpoint for such a call") && line.contains("relay"), "{line}");
}

#[tokio::test]
async fn a_failed_internal_http_call_is_a_wasi_http_error() {
    let host = open("").await;
    for (path, error) in [
        ("/relay/http/hostile/trap", "ConnectionTerminated"),
        ("/relay/http/hostile/ok", "DestinationUnavailable"), // one failure opens its circuit
    ] {
        let failed = host.get(path).await;
        let text = String::from_utf8_lossy(&failed.body).into_owned();
        assert!(failed.status == 502 && text.contains(error), "{path}: {failed:?}");
    }
    let impatient = open("").await;
    let late = impatient.get("/relay/http/hostile/sleep?ms=600000").await;
    assert!(String::from_utf8_lossy(&late.body).contains("HttpResponseTimeout"), "{late:?}");
    assert_eq!(host.get("/relay/").await.status, 200, "the caller must still serve");
    host.at_rest(&["relay", "hostile"]).await;
    impatient.at_rest(&["relay", "hostile"]).await;
}

#[tokio::test]
async fn call_depth_bounds_internal_http_calls_too() {
    let host = open("call_depth = 3").await;
    let path = |hops: usize| format!("/relay{}/http/types/", "/http/relay".repeat(hops));
    let answer = host.get(&path(1)).await;
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &b"types"[..]));
    let answer = host.get(&path(2)).await;
    assert!(String::from_utf8_lossy(&answer.body).contains("LoopDetected"), "{answer:?}");
}
