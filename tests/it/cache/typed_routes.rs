//! Typed routes and routes to components with a cache.

use super::*;
use serde_json::json;

const SHOP: &str = r#"
[service.products]
component = "{component:products}"
state = true

[service.hello]
component = "{component:fixture-hello}"

[[route]]
method = "GET"
path = "/api/products/{id}"
call = "products/get"
cache = { ttl = "1h" }

[[route]]
method = "POST"
path = "/api/products"
call = "products/create"
location = "/api/products/{id}"

[[route]]
method = "DELETE"
path = "/api/products/{id}"
call = "products/remove"

[[route]]
prefix = "/hello"
service = "hello"
cache = { ttl = "1h" }
"#;

#[tokio::test]
async fn a_functions_answer_is_kept_until_a_request_changes_it() {
    let home = Home::new(SHOP);
    let (atoll, http) = (home.start().await, Http::default());
    let url = |path: &str| format!("{}{path}", atoll.gateway);
    let product = json!({ "sku": "cup-1", "name": "Cup", "price": { "amount": 900, "currency": "EUR" }, "stock": 3 });
    let created = http.json(Method::POST, &url("/api/products"), &product).await;
    assert_eq!(created.status, 201, "{created:?}");
    let location = url(created.header("location"));
    let first = http.get(&location).await;
    assert_eq!((first.status.as_u16(), status(&first).as_str()), (200, "atoll; fwd=uri-miss; stored"));
    let again = http.get(&location).await;
    assert!(status(&again).starts_with("atoll; hit"), "{again:?}");
    assert_eq!((again.json(), again.header("content-type")), (first.json(), "application/json"));
    let wrong = http.send(Request::get(&location).header("accept", "text/plain"), "").await;
    assert_eq!(wrong.status, 406, "a kept answer is JSON, too");
    let removed = http.send(Request::delete(&location), "").await;
    assert!(removed.status.is_success(), "{removed:?}");
    for _ in 0..2 {
        assert_eq!(http.get(&location).await.status, 404, "an error of the function is not kept");
    }
}

#[tokio::test]
async fn a_components_answer_is_kept_by_the_routes_ttl() {
    let home = Home::new(SHOP);
    let (atoll, http) = (home.start().await, Http::default());
    let url = format!("{}/hello", atoll.gateway);
    let (first, again) = (http.get(&url).await, http.get(&url).await);
    assert_eq!(status(&first), "atoll; fwd=uri-miss; stored");
    assert!(status(&again).starts_with("atoll; hit; ttl="), "{again:?}");
    assert_eq!(first.body, again.body);
    let cookie = http.send(Request::get(&url).header("cookie", "a=b"), "").await;
    assert_eq!(
        status(&cookie),
        "atoll; fwd=bypass",
        "it may be somebody's own, and only the route says that it is not"
    );
}
