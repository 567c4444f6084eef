//! What a typed route refuses by itself, and how it reports a service that fails.

use super::super::components::{component, shop_manifest};
use super::{Answer, Home, Http, Shop, location, pointers};
use http::{Method, Request};
use serde_json::json;
use std::fs;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PRODUCTS: &str = "/api/products";
const ORDERS: &str = "/api/orders";
const MUG: &str = r#"{"sku": "mug", "name": "Mug", "price": {"amount": 1250, "currency": "EUR"}, "stock": 3}"#;

const JSON: &str = "content-type: application/json";
const KEY: &str = "idempotency-key: k";

/// A shop that sells mugs.
struct StockedShop {
    shop: Shop,
    /// The path of the mug.
    mug: String,
}

impl StockedShop {
    async fn of(shop: Shop) -> Self {
        let mut stocked = Self { shop, mug: String::new() };
        let created = stocked.send(&format!("POST {PRODUCTS}"), &[JSON], MUG).await;
        stocked.mug = location(&created, PRODUCTS);
        stocked
    }

    /// Sends a request whose parts are all given: a line such as `GET /path`, and headers such as `accept:
    /// text/html`.
    async fn send(&self, line: &str, headers: &[&str], body: impl Into<Vec<u8>>) -> Answer {
        let (method, path) = line.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(self.shop.url(path));
        for header in headers {
            let (name, value) = header.split_once(": ").unwrap();
            request = request.header(name, value);
        }
        self.shop.http.send(request, body.into()).await
    }

    /// Sends a request head byte for byte, and returns what comes back until the host closes.
    async fn send_raw(&self, head: &str) -> String {
        let mut stream = TcpStream::connect(self.shop.atoll.gateway.strip_prefix("http://").unwrap()).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// Swaps or rolls back the service `products` by the admin API.
    async fn operate(&self, verb: &str, component: Vec<u8>) {
        let request = Request::post(format!("{}/v1/services/products/{verb}", self.shop.atoll.admin));
        let request = if component.is_empty() { request } else { request.header("content-type", "application/wasm") };
        let answer = self.shop.http.send(request, component).await;
        assert_eq!(answer.status, 200, "{verb}: {answer:?}");
    }
}

/// A request by its line, headers and body, and the status and kind of the problem that it must get.
type Refused<'a> = (&'a str, &'a [&'a str], &'a [u8], u16, &'a str);

/// The status of a problem and its kind.
fn kind(answer: &Answer) -> (u16, String) {
    let problem = answer.problem();
    let kind = problem["type"].as_str().unwrap().strip_prefix("urn:atoll:problem:").unwrap();
    (answer.status.as_u16(), kind.to_owned())
}

#[tokio::test]
async fn every_refusal_of_a_typed_route_has_its_status_and_problem_type() {
    let stocked = StockedShop::of(Shop::open().await).await;
    let (mug, post) = (&stocked.mug, format!("POST {PRODUCTS}"));
    let (get, patch, reserve) = (format!("GET {mug}"), format!("PATCH {mug}"), format!("POST {mug}/reserve"));
    let list = |query: &str| format!("GET {PRODUCTS}?{query}");
    let (at, one) = (|path: &str| format!("GET {PRODUCTS}/{path}"), r#"{"quantity": 1}"#);

    let refused: [Refused; 31] = [
        (&post, &["content-type: text/plain"], MUG.as_bytes(), 415, "unsupported-media-type"),
        (&post, &[], MUG.as_bytes(), 415, "unsupported-media-type"),
        (&post, &["content-type: application/json; charset=latin1"], MUG.as_bytes(), 415, "unsupported-media-type"),
        (&post, &["content-type: application/merge-patch+json"], MUG.as_bytes(), 415, "unsupported-media-type"),
        (&post, &[JSON, "content-encoding: gzip"], MUG.as_bytes(), 415, "unsupported-media-type"),
        (&patch, &["content-type: application/json-patch+json"], b"[]", 415, "unsupported-media-type"),
        (&get, &["accept: text/html"], b"", 406, "not-acceptable"),
        (&get, &["accept: application/json;q=0, text/*"], b"", 406, "not-acceptable"),
        (&post, &[JSON, "accept: image/png"], MUG.as_bytes(), 406, "not-acceptable"),
        (&post, &[JSON], b"", 400, "bad-json"),
        (&post, &[JSON], b"{", 400, "bad-json"),
        (&post, &[JSON], b"{} {}", 400, "bad-json"),
        (&post, &[JSON], b"{\"sku\": \"\xff\"}", 400, "bad-json"),
        (&post, &[JSON], br#"{"sku": "\ud800"}"#, 400, "bad-json"),
        (&post, &[JSON], br#"{"stock": 1e400}"#, 422, "invalid"),
        (&reserve, &[JSON], one.as_bytes(), 400, "bad-parameter"),
        (&reserve, &[JSON, KEY, KEY], one.as_bytes(), 400, "bad-parameter"),
        (&list("limit=x"), &[], b"", 400, "bad-parameter"),
        (&list("limit=4294967296"), &[], b"", 400, "bad-parameter"),
        (&list("limit=1&limit=1"), &[], b"", 400, "bad-parameter"),
        (&list("colour=red"), &[], b"", 400, "bad-parameter"),
        (&list("cursor=%ff"), &[], b"", 400, "bad-parameter"),
        (&at("%2e%2e/x"), &[], b"", 400, "bad-path"),
        (&at("x"), &[], b"", 404, "not-found"),
        (&at("007"), &[], b"", 404, "not-found"),
        (&at("%ff"), &[], b"", 404, "not-found"),
        (&at("18446744073709551616"), &[], b"", 404, "not-found"),
        (&at("1"), &[], b"", 404, "not-found"),
        (&at("1/reserve/x"), &[], b"", 404, "no-route"),
        (&post, &[JSON], MUG.as_bytes(), 409, "conflict"),
        (&list("limit=0"), &[], b"", 422, "invalid"),
    ];
    for (line, headers, body, status, named) in refused {
        let answer = stocked.send(line, headers, body).await;
        assert_eq!(kind(&answer), (status, named.to_owned()), "{line} {headers:?} {}", String::from_utf8_lossy(body));
    }
    let answer = stocked.send(&patch, &["content-type: text/plain"], "{}").await;
    assert_eq!(answer.header("accept"), "application/json, application/merge-patch+json");
    let merged = stocked.send(&patch, &["content-type: application/merge-patch+json"], r#"{"stock": 4}"#).await;
    assert_eq!((merged.status.as_u16(), &merged.json()["stock"]), (200, &json!(4)));

    for path in ["/openapi.json", mug, &format!("{mug}/reserve"), PRODUCTS, ORDERS] {
        let answer = stocked.send(&format!("OPTIONS {path}"), &[], "").await;
        assert_eq!(kind(&answer), (405, "method-not-allowed".to_owned()), "{path}");
        assert!(!answer.header("allow").contains("OPTIONS") && !answer.header("allow").is_empty(), "{answer:?}");
    }
    // Refused requests must have changed nothing.
    assert_eq!(stocked.shop.list(PRODUCTS, 10).await, [merged.json()]);
}

#[tokio::test]
async fn a_refusal_points_to_every_wrong_field_parameter_or_payload() {
    let stocked = StockedShop::of(Shop::open().await).await;
    let (post, order) = (format!("POST {PRODUCTS}"), format!("POST {ORDERS}"));
    let lines = r#"{"user": "1", "lines": [{"product": "1", "quantity": 1}, {"product": "x", "quantity": 1.5}, null]}"#;
    let unsafe_number = r#"{"user": 9007199254740993, "lines": [{"product": -1, "quantity": 1}]}"#;
    for (line, body, named) in [
        (&post, r#"[{"sku": "a"}]"#, &[""][..]),
        (&post, r#"{"sku": "a", "sku": "b", "~/": 1}"#, &["/name", "/price", "/sku", "/stock", "/~0~1"]),
        (&post, &MUG.replace("3", "4294967296"), &["/stock"]),
        (&post, &MUG.replace("1250", "9007199254740992"), &["/price/amount"]),
        (&post, &MUG.replace("1250", "\"01\""), &["/price/amount"]),
        (&order, lines, &["/lines/1/product", "/lines/1/quantity", "/lines/2"]),
        (&order, unsafe_number, &["/lines/0/product", "/user"]),
    ] {
        let answer = stocked.send(line, &[JSON, KEY], body).await;
        assert_eq!(pointers(&answer), named, "{line} {body}");
        assert_eq!(answer.problem().get("case"), None, "the host itself must refuse this, and not the service");
    }
    // This nests deeper than any stack allows. The host skips the value of an unknown field without recursion.
    let deep = format!(r#"{{"colour": {}1{}}}"#, "[".repeat(200_000), "]".repeat(200_000));
    assert_eq!(pointers(&stocked.send(&post, &[JSON], deep).await), ["/colour", "/name", "/price", "/sku", "/stock"]);

    let parameters = stocked.send(&format!("GET {PRODUCTS}?limit=x&colour=red&cursor=a&cursor=b"), &[], "").await;
    let errors = parameters.problem()["errors"].as_array().unwrap().clone();
    let named: Vec<_> = errors.iter().map(|error| error["pointer"].as_str().unwrap()).collect();
    assert_eq!((parameters.status.as_u16(), &named[..]), (400, &["/colour", "/limit", "/cursor"][..]));

    // An error of the service carries its case and the payload of the case.
    let taken = stocked.send(&post, &[JSON], MUG).await.problem();
    assert_eq!((&taken["case"], &taken["service"]), (&json!("conflict"), &json!("products")));
    assert_eq!((&taken["detail"], &taken["payload"]), (&json!("the SKU mug is taken"), &taken["detail"]));
    let invalid = stocked.send(&post, &[JSON], MUG.replace("mug", "m u g")).await;
    assert_eq!((pointers(&invalid), &invalid.problem()["case"]), (vec!["/sku".to_owned()], &json!("invalid")));
    assert_eq!(invalid.problem().get("payload"), None, "the list is in `errors`");

    // The manifest allows bodies of 2 MiB. A larger body is refused from its announced length, before it is sent.
    let head = |length: &str| format!("POST {PRODUCTS} HTTP/1.1\r\nHost: a\r\n{JSON}\r\n{length}\r\n\r\n");
    for head in
        [head("Content-Length: 2097153"), head("Transfer-Encoding: chunked") + "200001\r\n" + &" ".repeat(0x20_0001)]
    {
        let answer = stocked.send_raw(&head).await;
        assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("urn:atoll:problem:body-too-large"), "{answer}");
    }
}

#[tokio::test]
async fn failing_products_get_502_or_503_and_orders_answers_by_its_own_contract() {
    let bad = fs::read(component("fixture-bad-products")).unwrap();
    // At most two failures are caused below, so the breaker stays closed.
    let manifest = shop_manifest().replacen("page_size = \"50\"", "mode = \"trap\"", 3);
    for (manifest, status, named) in [(shop_manifest(), 503, "unavailable"), (manifest, 502, "trap")] {
        let home = Home::new(&manifest);
        let shop = Shop { atoll: home.start().await, http: Http::default(), home };
        let stocked = StockedShop::of(shop).await;
        let ada = stocked.shop.post("/api/users", &json!({"name": "Ada", "email": "ada@example.org"})).await;
        let line = json!({"product": stocked.mug.rsplit_once('/').unwrap().1, "quantity": 1});
        let order = json!({"user": ada.json()["id"], "lines": [line]}).to_string();

        stocked.operate("swap", bad.clone()).await;
        let failed = stocked.shop.get(&stocked.mug).await;
        assert_eq!(kind(&failed), (status, named.to_owned()), "{failed:?}");
        assert!(
            !failed.problem().to_string().contains("as its mode says"),
            "the answer must not show the service's own text of the failure"
        );
        assert_eq!(failed.header("retry-after").is_empty(), status != 503, "{failed:?}");
        // However products fail, orders answers by its own contract.
        let refused = stocked.send(&format!("POST {ORDERS}"), &[JSON, KEY], order.clone()).await;
        assert_eq!(
            (kind(&refused), &refused.problem()["service"]),
            ((503, "unavailable".to_owned()), &json!("orders"))
        );

        stocked.operate("rollback", Vec::new()).await;
        assert_eq!(stocked.shop.get(&stocked.mug).await.json()["stock"], 3);
        let placed = stocked.send(&format!("POST {ORDERS}"), &[JSON, KEY], order).await;
        assert_eq!(placed.status, 201, "a refused call must leave its key unused: {placed:?}");
        assert_eq!(stocked.shop.send(Method::DELETE, &stocked.mug, &json!(null)).await.status, 204);
    }
}
