//! The answers for a function's result: JSON, a problem, or a failed call.

use super::shop::{FunctionOutcome, Shop, error, failure, ok, product, string, u32};
use crate::base::ErrorKind;
use crate::contract::Value as _;
use crate::contract::testing::SampleValue;
use crate::gateway::tests::{Log, assert_problem, json};
use crate::listen::wire_client::WireClient;
use serde_json::{Value, json};

#[tokio::test]
async fn a_success_has_its_status_and_its_json() {
    let shop = Shop::answering(ok(Some(product(1 << 60)))).await;
    let answer = shop.request("GET /products/7\nAccept: application/json", "").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(json(&answer), json!({"id": "1152921504606846976", "unit_price": 250}));
    assert_eq!(answer.header("location"), None);
    let length = answer.header("content-length").expect("a length").to_owned();
    assert_eq!(length, answer.body.len().to_string());

    let mut wire = WireClient::connect(shop.addr).await;
    wire.send("HEAD /products/7 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    let head = wire.head().await;
    assert_eq!((head.status, head.header("content-length")), (200, Some(length.as_str())));
    assert_eq!((head.header("content-type"), wire.closed().await.as_str()), (Some("application/json"), ""));

    let answer = shop.send_json("POST /products", r#"{"sku": "a", "unit_price": 1}"#).await;
    assert_eq!((answer.status, answer.header("location")), (201, Some("/products/1152921504606846976")));
}

#[tokio::test]
async fn a_success_without_a_value_has_no_body() {
    let shop = Shop::answering(ok(None)).await;
    let mut wire = WireClient::connect(shop.addr).await;
    for _ in 0..2 {
        let answer = wire.request("DELETE /products/7 HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!((answer.status, answer.header("content-type")), (204, None));
        assert_eq!(answer.header("content-length"), None);
    }
    let answer = shop.request("PUT /notes/a%20b%3F", "").await;
    assert_eq!((answer.status, answer.header("location")), (204, Some("/notes/a%20b%3F")));
}

#[tokio::test]
async fn a_function_without_an_error_type_answers_its_value() {
    let answer = Shop::answering(Some(string("hello"))).await.request("GET /greeting", "").await;
    assert_eq!((answer.status, answer.text()), (200, "\"hello\""));
    let answer = Shop::answering(None).await.request("POST /greeting", "").await;
    assert_eq!((answer.status, answer.header("content-type")), (204, None));
}

#[tokio::test]
async fn each_case_of_the_error_has_its_status() {
    let violations = SampleValue::list(vec![SampleValue::record(vec![
        ("pointer".into(), string("/sku")),
        ("detail".into(), string("must be new")),
    ])]);
    let rest = SampleValue::record(vec![("pieces-left".into(), u32(3))]);
    let violations_json = json!([{"pointer": "/sku", "detail": "must be new"}]);
    let listed = "service `products` answers `invalid`: `errors` lists what is wrong";
    let cases = [
        ("not-found", None, 404, "Not found", "service `products` answers `not-found`", Value::Null),
        ("conflict", Some(string("it is taken")), 409, "Conflict", "it is taken", json!("it is taken")),
        ("conflict", Some(string("")), 409, "Conflict", "service `products` answers `conflict`", json!("")),
        ("invalid", Some(violations), 422, "Invalid", listed, Value::Null),
        ("unauthorized", None, 401, "Unauthorized", "service `products` answers `unauthorized`", Value::Null),
        ("forbidden", None, 403, "Forbidden", "service `products` answers `forbidden`", Value::Null),
        ("sold-out", Some(rest), 409, "Sold out", "service `products` answers `sold-out`", json!({"pieces_left": 3})),
    ];
    for (case, payload, status, title, detail, payload_json) in cases {
        let answer = Shop::answering(error(case, payload)).await.request("GET /products/7", "").await;
        assert_problem(&answer, status, case);
        let problem = json(&answer);
        assert_eq!((&problem["title"], &problem["detail"]), (&json!(title), &json!(detail)));
        assert_eq!((&problem["case"], &problem["service"]), (&json!(case.replace('-', "_")), &json!("products")));
        assert_eq!(problem.get("payload"), Some(&payload_json).filter(|json| !json.is_null()), "{case}");
        assert_eq!(problem.get("errors"), Some(&violations_json).filter(|_| case == "invalid"), "{case}");
        assert_eq!(answer.header("www-authenticate"), (status == 401).then_some("Bearer"));
    }
}

#[tokio::test]
async fn what_a_service_says_about_its_own_failures_is_logged_and_not_sent() {
    let mut log = Log::open();
    for (case, status, retry_after) in [("unavailable", 503, Some("1")), ("internal", 500, None)] {
        let shop = Shop::answering(error(case, Some(string("the inside")))).await;
        let answer = shop.request("GET /products/7", "").await;
        assert_problem(&answer, status, case);
        assert!(!answer.text().contains("inside"), "{}", answer.text());
        let problem = json(&answer);
        assert_eq!((&problem["case"], problem.get("payload")), (&json!(case), None));
        assert_eq!(answer.header("retry-after"), retry_after);
        let line = log.line(|line| line["case"] == case).await;
        assert_eq!((line["level"].as_str(), line["error"].as_str()), (Some("WARN"), Some("\"the inside\"")));
        assert_eq!(
            (line["service"].as_str(), line["request_id"].as_str()),
            (Some("products"), answer.header("x-request-id"))
        );
    }

    let huge = error("internal", Some(string(&"é".repeat(10_000))));
    Shop::answering(huge).await.request("GET /products/7", "").await;
    let line = log.line(|line| line["case"] == "internal").await;
    assert!(line["error"].as_str().expect("text").len() < 3_000);
}

#[tokio::test]
async fn a_failed_call_is_answered_with_the_status_of_its_kind() {
    for (kind, status) in [
        (ErrorKind::Trap, 502),
        (ErrorKind::Timeout, 504),
        (ErrorKind::CircuitOpen, 503),
        (ErrorKind::Starting, 503),
        (ErrorKind::Overloaded, 503),
        (ErrorKind::TooDeep, 508),
        (ErrorKind::Host, 500),
    ] {
        let answer = Shop::open(move || failure(kind)).await.request("GET /products/7", "").await;
        assert_problem(&answer, status, kind.as_str());
        assert!(!answer.text().contains("the inside"));
    }
}

#[tokio::test]
async fn a_result_that_is_not_of_its_type_is_answered_with_502() {
    let wrong = [
        None,
        Some(product(7)),
        ok(None),
        ok(Some(string("a"))),
        error("no-such-case", None),
        error("conflict", None),
        error("not-found", Some(string("a"))),
        Some(SampleValue::result(Err(None))),
        Some(SampleValue::result(Err(Some(string("a"))))),
    ];
    for value in wrong {
        let outcome: FunctionOutcome = Ok(value.clone());
        let answer = Shop::open(move || Ok(value.clone())).await.request("GET /products/7", "").await;
        assert_eq!(answer.status, 502, "{outcome:?}");
        assert_problem(&answer, 502, "bad-answer");
    }
}

#[tokio::test]
async fn a_typed_call_leaves_one_line_in_the_access_log() {
    let mut log = Log::open();
    let shop = Shop::answering(ok(Some(product(7)))).await;
    let answer = shop.request("GET /products/7", "").await;
    // Tests beside this one write into the same log.
    let id = answer.header("x-request-id");
    let line = log.line(|line| line["target"] == "access" && line["request_id"].as_str() == id).await;
    assert_eq!((line["service"].as_str(), line["status"].as_u64()), (Some("products"), Some(200)));
    assert_eq!((line["bytes"].as_u64(), line["end"].as_str()), (Some(answer.body.len() as u64), Some("whole")));
}
