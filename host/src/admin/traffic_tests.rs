//! The resources for traffic, in memory: circuits, faults on purpose, outside hosts.

use super::fake::FAULTS;
use super::tests::{Answer, LOOPBACK, admin, get, read, request, send, streamed};
use super::*;
use crate::base::{Body, full_body};
use crate::telemetry::{ChangeKind, note_change};
use bytes::Bytes;
use http::StatusCode;
use std::task::Poll;

const JSON: (&str, &str) = ("content-type", "application/json");

async fn post(admin: &Admin, target: &str, headers: &[(&str, &str)], body: Body) -> Answer {
    let mut headers = headers.to_vec();
    headers.push(("host", LOOPBACK));
    read(admin.handle(request("POST", target, &headers, body)).await).await
}

async fn order(admin: &Admin, target: &str, body: &str) -> Answer {
    post(admin, target, &[JSON], full_body(body.to_owned())).await
}

async fn delete(admin: &Admin, target: &str) -> Answer {
    send(admin, "DELETE", target, &[("host", LOOPBACK)]).await
}

fn problem(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.problem())
}

fn cleared(answer: &Answer) -> usize {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    serde_json::from_str::<ClearedView>(&answer.text).expect("a count").cleared
}

#[tokio::test]
async fn an_order_changes_one_circuit_or_all_circuits_of_a_service() {
    let (admin, fake) = admin(LOOPBACK, None);
    let target = "/v1/services/users/breaker";
    let circuits = |answer: &Answer| {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        let view: ServiceView = serde_json::from_str(&answer.text).expect("a service");
        view.endpoints.iter().map(|one| (one.breaker, one.forced)).collect::<Vec<_>>()
    };
    let one = order(&admin, target, r#"{"order":"open","endpoint":"users-0"}"#).await;
    assert_eq!(circuits(&one), [(BreakerView::Open, true), (BreakerView::HalfOpen, false)]);
    let all = order(&admin, target, r#"{"order":"close"}"#).await;
    assert_eq!(circuits(&all), [(BreakerView::Closed, true); 2]);
    let reset = order(&admin, target, r#"{"order":"reset","endpoint":null}"#).await;
    assert_eq!(circuits(&reset), [(BreakerView::Closed, false); 2]);
    assert!(!fake.circuits.lock().expect("free").contains_key("legacy-0"));

    let unknown = order(&admin, "/v1/services/nobody/breaker", r#"{"order":"open"}"#).await;
    assert_eq!(problem(&unknown), (404, "no-such-service".to_owned()));
    let unknown = order(&admin, target, r#"{"order":"open","endpoint":"users-7"}"#).await;
    assert_eq!(problem(&unknown), (404, "no-such-endpoint".to_owned()));
}

#[tokio::test]
async fn a_fault_is_listed_until_it_is_cleared() {
    let (admin, _) = admin(LOOPBACK, None);
    let full = r#"{"latency_ms":200,"latency_share":"30%","error":"10.0%","trap":"1%","for_seconds":300}"#;
    let added = order(&admin, "/v1/services/users/faults", full).await;
    assert_eq!(added.status, StatusCode::CREATED, "{}", added.text);
    let start = r#"{"id":1,"service":"users","latency_ms":200,"latency_share":"30%","#;
    let end = r#""error":"10%","trap":"1%","seconds_left":300,"origin":"operator"}"#;
    assert_eq!(added.text, format!("{start}{end}"));
    let small = order(&admin, "/v1/services/legacy/faults", r#"{"trap":"0.5%"}"#).await;
    let small: FaultView = serde_json::from_str(&small.text).expect("a fault");
    assert_eq!((small.latency_ms, small.error.as_str(), small.seconds_left), (0, "0%", None));

    let listed: Vec<FaultView> = serde_json::from_str(&get(&admin, "/v1/faults").await.text).expect("faults");
    assert_eq!(listed.iter().map(|fault| fault.id).collect::<Vec<_>>(), [1, 2]);
    let users: ServiceView = serde_json::from_str(&get(&admin, "/v1/services/users").await.text).expect("a service");
    assert_eq!(users.faults, listed[..1]);

    assert_eq!(problem(&delete(&admin, "/v1/services/users/faults/2").await), (404, "no-such-fault".to_owned()));
    assert_eq!(cleared(&delete(&admin, "/v1/services/users/faults/1").await), 1);
    assert_eq!(problem(&delete(&admin, "/v1/faults/1").await), (404, "no-such-fault".to_owned()));
    assert_eq!(cleared(&delete(&admin, "/v1/services/users/faults").await), 0);
    assert_eq!(cleared(&delete(&admin, "/v1/faults/2").await), 1);

    for _ in 0..FAULTS {
        assert_eq!(order(&admin, "/v1/services/users/faults", r#"{"error":"100%"}"#).await.status, StatusCode::CREATED);
    }
    let full = order(&admin, "/v1/services/users/faults", r#"{"error":"1%"}"#).await;
    assert_eq!(problem(&full), (409, "conflict".to_owned()));
    assert_eq!(cleared(&delete(&admin, "/v1/faults").await), FAULTS);
    assert_eq!(cleared(&delete(&admin, "/v1/faults").await), 0, "to clear nothing is no mistake");
    assert_eq!(get(&admin, "/v1/faults").await.text, "[]");
}

#[tokio::test]
async fn a_fault_id_that_does_not_exist_is_a_problem() {
    let (admin, _) = admin(LOOPBACK, None);
    for (target, kind) in [
        ("/v1/faults/1", "no-such-fault"),
        ("/v1/faults/one", "no-such-fault"),
        ("/v1/faults/%ff", "no-such-fault"),
        ("/v1/faults/-1", "no-such-fault"),
        ("/v1/services/users/faults/x", "no-such-fault"),
        ("/v1/services/%ff/faults/1", "no-such-fault"),
        ("/v1/services/nobody/faults/1", "no-such-service"),
        ("/v1/services/nobody/faults", "no-such-service"),
        ("/v1/services/%ff/faults", "no-such-service"),
    ] {
        assert_eq!(problem(&delete(&admin, target).await), (404, kind.to_owned()), "{target}");
    }
    let unknown = order(&admin, "/v1/services/nobody/faults", r#"{"error":"1%"}"#).await;
    assert_eq!(problem(&unknown), (404, "no-such-service".to_owned()));
    for (method, target, allow) in [
        ("GET", "/v1/services/users/breaker", "POST"),
        ("POST", "/v1/faults", "DELETE"),
        ("POST", "/v1/outside", "GET,HEAD"),
        ("GET", "/v1/services/users/faults", "DELETE"),
    ] {
        let answer = send(&admin, method, target, &[("host", LOOPBACK)]).await;
        assert_eq!(problem(&answer), (405, "wrong-method".to_owned()), "{method} {target}");
        assert!(answer.header("allow").contains(allow), "{target}: {}", answer.header("allow"));
    }
}

#[tokio::test]
async fn the_refusal_of_a_wrong_order_names_the_member_and_nothing_changes() {
    let (admin, fake) = admin(LOOPBACK, None);
    let fault = "/v1/services/users/faults";
    let breaker = "/v1/services/users/breaker";
    for (target, body, message) in [
        (fault, r#"{"latency_ms":"200"}"#, "`latency_ms` is a whole number from 0 to 3600000"),
        (fault, r#"{"latency_ms":-1}"#, "`latency_ms` is"),
        (fault, r#"{"latency_ms":1.5}"#, "`latency_ms` is"),
        (fault, r#"{"latency_ms":3600001}"#, "`latency_ms` is"),
        (fault, r#"{"latency_ms":200,"latency_share":"101%"}"#, "`latency_share`: "),
        (fault, r#"{"latency_ms":200,"latency_share":"0%"}"#, "at least one of"),
        (fault, r#"{"latency_share":"30%","trap":"1%"}"#, "`latency_share` is of no use"),
        (fault, r#"{"error":"10"}"#, "`error`: `10` is no share of calls"),
        (fault, r#"{"error":10}"#, "`error` is a text"),
        (fault, r#"{"trap":"101%"}"#, "`trap`: `101%`"),
        (fault, r#"{"error":"60%","trap":"41%"}"#, "`error` and `trap`: error 60% and trap 41% are more than 100%"),
        (fault, r#"{"error":"1%","for_seconds":0}"#, "`for_seconds` is a whole number from 1 to 2592000"),
        (fault, r#"{"error":"1%","for_seconds":2592001}"#, "`for_seconds` is"),
        (fault, r#"{"error":"1%","latncy_ms":5}"#, "unknown field `latncy_ms`"),
        (fault, r#"{"error":"1%","error":"2%"}"#, "duplicate field `error`"),
        (fault, "{}", "at least one of `latency_ms`, `error` and `trap`"),
        (fault, r#"{"latency_ms":0,"error":"0%","for_seconds":5}"#, "at least one of"),
        (fault, r#"[200,"1%",null,null]"#, "is a JSON object"),
        (fault, "", "is a JSON object"),
        (fault, r#"{"error":"1%"} {}"#, "trailing characters"),
        (fault, r#"{"error":"1%""#, "EOF"),
        (breaker, r#"{"order":"opened"}"#, "`order` is one of \"open\", \"close\" and \"reset\""),
        (breaker, r#"{"order":1}"#, "`order` is a text"),
        (breaker, r#"{"endpoint":"users-0"}"#, "`order` is one of"),
        (breaker, r#"{"order":"open","endpoint":0}"#, "`endpoint` is a text"),
        (breaker, r#"{"order":"open","endpont":"users-0"}"#, "unknown field `endpont`"),
    ] {
        let answer = order(&admin, target, body).await;
        assert_eq!(problem(&answer), (400, "wrong-order".to_owned()), "{body}");
        let view: ProblemView = serde_json::from_str(&answer.text).expect("a problem");
        assert!(view.detail.contains(message), "{body}: {}", view.detail);
    }
    assert!(fake.faults.lock().expect("free").is_empty());
    assert!(fake.circuits.lock().expect("free").is_empty());
}

#[tokio::test]
async fn an_order_with_a_media_type_that_a_web_form_can_send_is_refused() {
    let (admin, fake) = admin(LOOPBACK, None);
    let types = ["text/plain", "application/x-www-form-urlencoded", "text/plain; application/json", "application/wasm"];
    let single = types.map(|value| vec![("content-type", value)]);
    for headers in single.into_iter().chain([vec![], vec![JSON, ("content-type", "text/plain")]]) {
        for (target, body) in
            [("/v1/services/users/faults", r#"{"error":"1%"}"#), ("/v1/services/users/breaker", r#"{"order":"open"}"#)]
        {
            let answer = post(&admin, target, &headers, full_body(body)).await;
            assert_eq!(problem(&answer), (415, "not-json".to_owned()), "{target} {headers:?}");
        }
    }
    assert!(fake.faults.lock().expect("free").is_empty() && fake.circuits.lock().expect("free").is_empty());
    let parameter = [("content-type", "Application/JSON; charset=utf-8")];
    let answer = post(&admin, "/v1/services/users/faults", &parameter, full_body(r#"{"error":"1%"}"#)).await;
    assert_eq!(answer.status, StatusCode::CREATED);
}

#[tokio::test(start_paused = true)]
async fn an_order_that_is_too_long_or_too_slow_is_refused() {
    let (admin, fake) = admin(LOOPBACK, None);
    let target = "/v1/services/users/faults";
    let long = |spaces: usize| format!("{{\"error\":\"1%\"{}}}", " ".repeat(spaces - 14));
    assert_eq!(order(&admin, target, &long(4096)).await.status, StatusCode::CREATED);
    assert_eq!(problem(&order(&admin, target, &long(4097)).await), (413, "order-too-large".to_owned()));
    let piece = Bytes::from(vec![b' '; 1024]);
    let endless = streamed(move || Poll::Ready(Some(Ok(piece.clone()))));
    assert_eq!(problem(&post(&admin, target, &[JSON], endless).await), (413, "order-too-large".to_owned()));
    let silent = streamed(|| Poll::Pending);
    assert_eq!(problem(&post(&admin, target, &[JSON], silent).await), (408, "order-stalled".to_owned()));
    assert_eq!(fake.faults.lock().expect("free").len(), 1);
}

#[tokio::test]
async fn an_order_of_a_foreign_page_or_without_the_token_changes_nothing() {
    let (guarded, fake) = admin(LOOPBACK, Some("s3cret"));
    let (method, body) = ("POST", r#"{"order":"open"}"#);
    for (headers, kind) in [
        (vec![("host", LOOPBACK), JSON], "unauthorized"),
        (vec![("host", LOOPBACK), JSON, ("origin", "http://evil.example")], "foreign-origin"),
        (vec![("host", "evil.example"), JSON], "foreign-host"),
    ] {
        let sent = request(method, "/v1/services/users/breaker", &headers, full_body(body));
        assert_eq!(read(guarded.handle(sent).await).await.problem(), kind);
        assert_eq!(send(&guarded, "DELETE", "/v1/faults", &headers).await.problem(), kind);
        assert_eq!(send(&guarded, "GET", "/v1/outside", &headers).await.problem(), kind);
    }
    assert!(fake.circuits.lock().expect("free").is_empty());
}

#[tokio::test]
async fn a_service_that_is_not_there_is_no_filter_unless_something_is_remembered_of_it() {
    let (admin, fake) = admin(LOOPBACK, None);
    *fake.traces.lock().expect("free") = Some(Vec::new());
    for resource in ["/v1/changes", "/v1/traps", "/v1/traces"] {
        assert_eq!(get(&admin, &format!("{resource}?service=users")).await.status, StatusCode::OK, "{resource}");
        let unknown = get(&admin, &format!("{resource}?service=usres")).await;
        assert_eq!(problem(&unknown), (404, "no-such-service".to_owned()), "{resource}");
    }
    // One that an apply has taken away.
    note_change(ChangeKind::Swapped, "gone-by-an-apply", None, "of this test");
    let changes = get(&admin, "/v1/changes?service=gone-by-an-apply").await;
    assert!(changes.status == StatusCode::OK && changes.text.contains("of this test"), "{}", changes.text);
    let kind = get(&admin, "/v1/changes?kind=swaped").await;
    assert_eq!(problem(&kind), (400, "wrong-query".to_owned()));
    assert!(kind.text.contains("one of host-started, ") && kind.text.contains(", rolled-back, "), "{}", kind.text);
}

#[tokio::test]
async fn outside_hosts_that_were_called_are_listed() {
    let (admin, fake) = admin(LOOPBACK, None);
    assert_eq!(get(&admin, "/v1/outside").await.text, "[]");
    let (service, host) = ("users".to_owned(), "https://api.example.com".to_owned());
    let one = OutsideView { service, host, breaker: BreakerView::Open, requests: 5, failures: 2, in_flight: 1 };
    fake.outside.lock().expect("free").push(one.clone());
    let listed: Vec<OutsideView> = serde_json::from_str(&get(&admin, "/v1/outside").await.text).expect("hosts");
    assert_eq!(listed, [one]);
}
