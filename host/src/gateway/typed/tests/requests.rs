//! What a request becomes: the arguments of a call, or a refusal that names what is wrong.

use super::shop::{Shop, ok, product, string, u32, u64};
use crate::contract::Value as _;
use crate::contract::testing::SampleValue;
use crate::gateway::tests::{assert_problem, json};
use crate::listen::wire_client::{WireAnswer, WireClient};
use serde_json::json;

/// The pointers of the `errors` of a problem.
fn pointers(answer: &WireAnswer) -> Vec<String> {
    let problem = json(answer);
    let errors = problem["errors"].as_array().cloned().unwrap_or_default();
    assert!(errors.iter().all(|error| error["detail"].is_string()), "{problem}");
    errors.iter().map(|error| error["pointer"].as_str().expect("a pointer").to_owned()).collect()
}

#[tokio::test]
async fn arguments_come_from_the_sources_of_the_binding() {
    let shop = Shop::answering(ok(None)).await;
    let list = |text: &[&str]| SampleValue::list(text.iter().map(|text| string(text)).collect());
    let cases = [
        ("DELETE /products/18446744073709551615", "remove", vec![u64(u64::MAX)]),
        ("DELETE /products/%37", "remove", vec![u64(7)]),
        (
            "PUT /notes/a+b%20%C3%A9?text=c+d%2Be",
            "note",
            vec![string("a+b é"), SampleValue::option(Some(string("c d+e")))],
        ),
        ("PUT /notes/a?text=", "note", vec![string("a"), SampleValue::option(Some(string("")))]),
        ("PUT /notes/a?", "note", vec![string("a"), SampleValue::option(None)]),
        ("POST /products/7/reserve\nIdempotency-Key: k 1", "reserve", vec![u64(7), string("k 1")]),
    ];
    for (head, function, arguments) in cases {
        assert_eq!(shop.request(head, "").await.status, 204, "{head}");
        assert_eq!(shop.last(), (function.to_owned(), arguments), "{head}");
    }

    let shop = Shop::answering(ok(Some(u32(1)))).await;
    let cases = [
        ("GET /products?all=true", vec![SampleValue::option(None), list(&[]), SampleValue::bool(true)]),
        (
            "GET /products?kinds=b&all=false&page_size=20&kinds=a%26",
            vec![SampleValue::option(Some(u32(20))), list(&["b", "a&"]), SampleValue::bool(false)],
        ),
    ];
    for (head, arguments) in cases {
        assert_eq!(shop.request(head, "").await.status, 200, "{head}");
        assert_eq!(shop.last(), ("list".to_owned(), arguments), "{head}");
    }

    let shop = Shop::answering(ok(Some(product(7)))).await;
    let new = SampleValue::record(vec![("sku".into(), string("é")), ("unit-price".into(), u32(5))]);
    let body = r#"{"unit_price": 5, "sku": "é"}"#;
    let answer =
        shop.request("PATCH /products/7\nContent-Type: application/merge-patch+json; charset=UTF-8", body).await;
    assert_eq!((answer.status, shop.last()), (200, ("change".to_owned(), vec![new.clone(), u64(7)])));
    let mut chunked = WireClient::connect(shop.addr).await;
    chunked.send("POST /products HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n").await;
    let (first, second) = body.split_at(10);
    let chunks = format!("{:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n", first.len(), second.len());
    let answer = chunked.request(format!("Transfer-Encoding: chunked\r\n\r\n{chunks}")).await;
    assert_eq!((answer.status, shop.last()), (201, ("create".to_owned(), vec![new])));
}

#[tokio::test]
async fn bad_input_never_reaches_the_function() {
    let shop = Shop::answering(ok(None)).await;
    let json = "\nContent-Type: application/json";
    let (create, change) = (format!("POST /products{json}"), format!("PATCH /products/7{json}"));
    let compressed = format!("{create}\nContent-Encoding: gzip");
    let good = r#"{"sku": "a", "unit_price": 5}"#;
    let cases: Vec<(&str, &str, u16, &str, &[&str])> = vec![
        // The path: nothing has such a name.
        ("GET /products/x", "", 404, "not-found", &[]),
        ("GET /products/007", "", 404, "not-found", &[]),
        ("GET /products/-1", "", 404, "not-found", &[]),
        ("GET /products/18446744073709551616", "", 404, "not-found", &[]),
        ("PUT /notes/%FF", "", 404, "not-found", &[]),
        // The query and the headers, all together.
        ("GET /products", "", 400, "bad-parameter", &["/all"]),
        ("GET /products?all=1&page_size=a", "", 400, "bad-parameter", &["/page_size", "/all"]),
        ("GET /products?all=true&page_size=1&page_size=2", "", 400, "bad-parameter", &["/page_size"]),
        ("GET /products?all=true&page_size=-1", "", 400, "bad-parameter", &["/page_size"]),
        ("GET /products?all=true&page-size=1&pageSize=1", "", 400, "bad-parameter", &["/page-size", "/pageSize"]),
        ("GET /products?all=true&kinds=a&kinds=%FF", "", 400, "bad-parameter", &["/kinds"]),
        ("GET /products?all=true&%FF=1&a~/b=1", "", 400, "bad-parameter", &["/a~0~1b", "/\u{fffd}"]),
        ("GET /products/7?x=1&x=2", "", 400, "bad-parameter", &["/x"]),
        ("POST /products/7/reserve", "", 400, "bad-parameter", &["/key"]),
        ("POST /products/7/reserve\nIdempotency-Key: a\nIdempotency-Key: b", "", 400, "bad-parameter", &["/key"]),
        ("POST /products/7/reserve?key=a", "", 400, "bad-parameter", &["/key", "/key"]),
        // The media types.
        ("GET /products/7\nAccept: text/html", "", 406, "not-acceptable", &[]),
        ("POST /products", good, 415, "unsupported-media-type", &[]),
        ("POST /products\nContent-Type: text/plain", good, 415, "unsupported-media-type", &[]),
        ("POST /products\nContent-Type: application/merge-patch+json", good, 415, "unsupported-media-type", &[]),
        ("POST /products\nContent-Type: application/json; charset=latin1", good, 415, "unsupported-media-type", &[]),
        (&compressed, good, 415, "unsupported-media-type", &[]),
        // The body.
        ("POST /products/7/reserve\nIdempotency-Key: a", " ", 400, "unexpected-body", &[]),
        (&create, "", 400, "bad-json", &[]),
        (&create, "{", 400, "bad-json", &[]),
        (&create, "{} {}", 400, "bad-json", &[]),
        (&create, "[]", 422, "invalid", &[""]),
        (&create, "{}", 422, "invalid", &["/sku", "/unit_price"]),
        (&create, r#"{"sku": 1, "unit_price": -1, "tax": 1}"#, 422, "invalid", &["/sku", "/tax", "/unit_price"]),
        (&create, r#"{"sku": "a", "unit_price": 4294967294.0000000001}"#, 422, "invalid", &["/unit_price"]),
        (&create, r#"{"sku": "a", "unit_price": 1e-400}"#, 422, "invalid", &["/unit_price"]),
        (&change, r#"{"sku": "a", "unit_price": 4294967296}"#, 422, "invalid", &["/unit_price"]),
    ];
    for (head, body, status, kind, expected) in cases {
        let answer = shop.request(head, body).await;
        assert_problem(&answer, status, kind);
        let mut found = pointers(&answer);
        if status == 422 {
            found.sort_unstable();
        }
        assert_eq!(found, expected, "{head} {body}");
    }
    assert!(shop.calls.lock().expect("no test panics with it").is_empty());
}

#[tokio::test]
async fn a_refusal_says_what_would_be_accepted() {
    let shop = Shop::answering(ok(None)).await;
    let answer = shop.request("POST /products/7", "").await;
    assert_problem(&answer, 405, "method-not-allowed");
    assert_eq!(answer.header("allow"), Some("DELETE, GET, HEAD, PATCH"));

    let accepted = async |head: &str| shop.request(head, "{}").await.header("accept").map(str::to_owned);
    assert_eq!(accepted("POST /products").await.as_deref(), Some("application/json"));
    let for_patch = Some("application/json, application/merge-patch+json");
    assert_eq!(accepted("PATCH /products/7").await.as_deref(), for_patch);

    let detail = async |head: &str| json(&shop.request(head, "").await)["detail"].clone();
    assert_eq!(detail("POST /products/7/reserve").await, "the header `Idempotency-Key` is required");
    let wrong = detail("GET /products?all=yes").await;
    assert_eq!(wrong, "the query parameter `all` must be true or false, not \"yes\"");
    assert_eq!(detail("DELETE /products/7?x=1").await, "the query parameter `x` is not known");
    let wrong = detail("GET /products?all=yes&x=1").await;
    assert_eq!(wrong, "the query parameter `x` is not known; `errors` has all that is wrong");
}

#[tokio::test]
async fn a_body_is_bounded_in_size_and_time() {
    let shop = Shop::answering(ok(None)).await;
    let post = |field: &str| {
        format!("POST /products HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n{field}\r\n\r\n")
    };

    let answer = WireClient::connect(shop.addr).await.request(post("Content-Length: 65")).await;
    assert_problem(&answer, 413, "body-too-large");
    assert_eq!(answer.header("connection"), Some("close"));
    let mut chunked = WireClient::connect(shop.addr).await;
    let answer = chunked.request(post("Transfer-Encoding: chunked") + "41\r\n" + &" ".repeat(65) + "\r\n").await;
    assert_problem(&answer, 413, "body-too-large");

    let answer = WireClient::connect(shop.addr).await.request(post("Content-Length: 9") + "{").await;
    assert_problem(&answer, 408, "slow-body");
    assert_eq!(answer.header("connection"), Some("close"));
    let answer = WireClient::connect(shop.addr).await.request(post("Transfer-Encoding: chunked") + "zz\r\n").await;
    assert_problem(&answer, 400, "client-gone");

    // No `100 Continue` is sent for a request that is refused by its head.
    let answer = WireClient::connect(shop.addr)
        .await
        .request(post("Expect: 100-continue\r\nAccept: text/html\r\nContent-Length: 9"))
        .await;
    assert_problem(&answer, 406, "not-acceptable");
    assert!(shop.calls.lock().expect("no test panics with it").is_empty());
}

#[tokio::test]
async fn the_openapi_document_is_answered_at_its_path_and_only_there() {
    let shop = Shop::answering(ok(None)).await;
    let answer = shop.request("GET /openapi.json", "").await;
    assert_eq!((answer.status, json(&answer)), (200, json!({"openapi": "3.1.0"})));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let tag = answer.header("etag").expect("a tag").to_owned();
    assert_eq!(shop.request(&format!("GET /openapi.json\nIf-None-Match: {tag}"), "").await.status, 304);
    let mut wire = WireClient::connect(shop.addr).await;
    wire.send("HEAD /openapi.json HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    let head = wire.head().await;
    assert_eq!((head.status, head.header("content-length")), (200, Some("19")));
    assert_eq!(wire.closed().await, "");
    let answer = shop.request("POST /openapi.json", "").await;
    assert_problem(&answer, 405, "method-not-allowed");
    assert_eq!(answer.header("allow"), Some("GET, HEAD"));
    assert_problem(&shop.request("GET /openapi.yaml", "").await, 404, "no-route");
}
