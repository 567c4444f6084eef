//! `cache = "state"`: answers that are kept without a time, until something changes that their calls have read.

use super::*;
use crate::it::components::component;
use serde_json::{Value, json};

/// The shop with functions alone, each GET of which is kept by state.
pub(super) const SHOP: &str = r#"
[topic."orders.placed"]

[service.users]
component = "{component:users}"
state = true

[service.products]
component = "{component:products}"
state = true

[service.orders]
component = "{component:orders}"
state = true
publish = ["orders.placed"]
calls = ["users", "products"]
limits = { timeout = "14s" }

[[route]]
method = "GET"
path = "/users/{id}"
call = "users/get"
cache = "state"

[[route]]
method = "POST"
path = "/users"
call = "users/create"

[[route]]
method = "PATCH"
path = "/renamed/{id}"
call = "users/update"

[[route]]
method = "DELETE"
path = "/removed/{id}"
call = "users/remove"

[[route]]
method = "GET"
path = "/products"
call = "products/list"
cache = "state"

[[route]]
method = "GET"
path = "/products/{id}"
call = "products/get"
cache = "state"

[[route]]
method = "POST"
path = "/new-products"
call = "products/create"

[[route]]
method = "PUT"
path = "/changed-products/{id}"
call = "products/replace"

[[route]]
method = "GET"
path = "/orders"
call = "orders/list"
cache = "state"

[[route]]
method = "POST"
path = "/new-orders"
call = "orders/place"
from_header = { key = "Idempotency-Key" }

[[route]]
method = "GET"
path = "/orders/{id}/details"
call = "orders/details"
cache = "state"
"#;

/// A running shop.
pub(super) struct StateShop {
    pub(super) atoll: Atoll,
    pub(super) http: Http,
}

impl StateShop {
    async fn start(home: &Home) -> Self {
        Self { atoll: home.start().await, http: Http::default() }
    }

    async fn get(&self, path: &str) -> Answer {
        let answer = self.http.get(&format!("{}{path}", self.atoll.gateway)).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer
    }

    async fn write(&self, method: Method, path: &str, body: &Value) -> Value {
        let request = Request::builder().method(method).uri(format!("{}{path}", self.atoll.gateway));
        let request = request.header("content-type", "application/json").header("idempotency-key", "k-1");
        let answer = self.http.send(request, body.to_string()).await;
        assert!(answer.status.is_success(), "{path}: {answer:?}");
        if answer.body.is_empty() { Value::Null } else { answer.json() }
    }

    /// The answer to a GET, which must come from the cache.
    async fn hit(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(status(&answer), "atoll; hit; detail=state", "{path}");
        answer.json()
    }

    /// The answer to a GET, which must not come from the cache, and must be kept now.
    async fn miss(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        let told = status(&answer);
        assert!(told.starts_with("atoll; fwd=") && told.ends_with("; stored"), "{path}: {told}");
        answer.json()
    }

    async fn unkept(&self, path: &str) -> String {
        status(&self.get(path).await)
    }
}

pub(super) fn user(number: u64, name: &str) -> Value {
    json!({ "name": name, "email": format!("u{number}@example.com") })
}

pub(super) fn product(number: u64, name: &str) -> Value {
    json!({
        "sku": format!("sku-{number}"), "name": name,
        "price": { "amount": 900, "currency": "EUR" }, "stock": 1_000_000,
    })
}

fn id(item: &Value) -> &str {
    item["id"].as_str().expect("an id")
}

#[tokio::test]
async fn an_answer_lives_until_what_its_call_has_read_changes_through_all_services() {
    let home = Home::new(SHOP);
    let shop = StateShop::start(&home).await;
    let ada = shop.write(Method::POST, "/users", &user(1, "Ada")).await;
    let bob = shop.write(Method::POST, "/users", &user(2, "Bob")).await;
    let cup = shop.write(Method::POST, "/new-products", &product(1, "Cup")).await;
    let order = json!({ "user": id(&ada), "lines": [{ "product": id(&cup), "quantity": 1 }] });
    let order = shop.write(Method::POST, "/new-orders", &order).await;
    let (of_ada, of_bob) = (format!("/users/{}", id(&ada)), format!("/users/{}", id(&bob)));
    let details = format!("/orders/{}/details", id(&order));
    for path in [&of_ada, &of_bob, &details] {
        assert_eq!(shop.miss(path).await, shop.hit(path).await);
    }
    let both = "/products?limit=1";
    assert_eq!(shop.miss(both).await, shop.hit(both).await);

    shop.write(Method::PATCH, &format!("/renamed/{}", id(&ada)), &user(1, "Countess")).await;
    assert_eq!(shop.miss(&of_ada).await["name"], "Countess");
    assert_eq!(shop.hit(&of_bob).await["name"], "Bob", "nobody has touched what it rests on");
    assert_eq!(shop.miss(&details).await["user"]["name"], "Countess", "the callee's reads are the caller's");
    shop.write(Method::PUT, &format!("/changed-products/{}", id(&cup)), &product(1, "Mug")).await;
    assert_eq!(shop.miss(&details).await["products"][0]["name"], "Mug");
    assert_eq!(shop.miss(both).await["items"][0]["name"], "Mug");
    shop.hit(&of_bob).await;

    // A page ends at its last entry: what comes after it changes nothing of it, unless the page was not full.
    let first = shop.write(Method::POST, "/new-products", &product(2, "Pot")).await;
    assert_eq!(shop.miss(both).await["items"].as_array().map(Vec::len), Some(1), "it has a next page now");
    shop.hit(both).await;
    shop.write(Method::POST, "/new-products", &product(3, "Pan")).await;
    shop.hit(both).await;
    let all = shop.miss("/products").await;
    assert_eq!(all["items"].as_array().map(Vec::len), Some(3));
    assert_eq!(all["items"][1]["id"], first["id"]);
    shop.write(Method::DELETE, &format!("/removed/{}", id(&ada)), &Value::Null).await;
    assert_eq!(shop.miss(&details).await["user"], Value::Null, "the key is absent");
    assert_eq!(shop.hit(&details).await["user"], Value::Null);
}

/// The fixture `inputs`: `front` calls `back` and may ask outside, `mixed` calls `kept`, whose instances serve several
/// calls.
const INPUTS: &str = r#"
[service.front]
component = "{component:fixture-inputs}"
state = true
calls = ["back", "plain"]
env = { INPUT = "of the manifest" }
egress = [{ to = "http://ORIGIN", private = true }]

[service.back]
component = "{component:fixture-inputs}"
state = true
calls = ["back"]

[service.mixed]
component = "{component:fixture-inputs}"
state = true
calls = ["kept"]

[service.kept]
component = "{component:fixture-inputs}"
state = true
calls = ["kept"]
isolation = "reuse"

[service.plain]
urls = ["http://ORIGIN"]

[[route]]
method = "GET"
path = "/front"
call = "front/take"
cache = "state"

[[route]]
method = "GET"
path = "/mixed"
call = "mixed/take"
cache = "state"
"#;

#[tokio::test]
async fn whatever_a_call_takes_beside_state_is_told_by_name_and_counted() {
    let origin = Origin::start(|_, before| numbered(&[], before)).await;
    let home = Home::new(&INPUTS.replace("ORIGIN", &origin.address.to_string()));
    let shop = StateShop::start(&home).await;
    let outside = format!("outside:{}", origin.address);
    let cases = [
        ("get:a", None),
        ("get:a,get:b,scan:c/", None),
        ("scan:c/", None),
        ("map", None),
        ("environment", None),
        ("caller", None),
        // The memory of an instance that is this call's own.
        ("remember", None),
        ("call:get:a", None),
        ("call:call:scan:c/", None),
        ("http:back", None),
        // An answer of the callee's own.
        ("call:nonsense", None),
        ("wall", Some("clock")),
        ("monotonic", Some("clock")),
        ("sleep", Some("clock")),
        ("wait", Some("clock")),
        ("random", Some("random")),
        ("insecure", Some("random")),
        ("request", Some("request-id")),
        ("scan:", Some("unbounded-scan")),
        ("put:a", Some("write")),
        ("get:a,wall,put:a", Some("clock")),
        ("call:wall", Some("clock")),
        ("call:put:b", Some("write")),
        ("call:trap", Some("failed-call")),
        ("http:plain", Some("outside")),
        (outside.as_str(), Some("outside")),
    ];
    for (what, reason) in cases {
        let first = shop.get(&format!("/front?what={what}")).await;
        let again = shop.get(&format!("/front?what={what}")).await;
        match reason {
            None => {
                assert_eq!(status(&first), "atoll; fwd=uri-miss; stored", "{what}");
                assert_eq!(status(&again), "atoll; hit; detail=state", "{what}");
                assert_eq!(first.body, again.body, "{what}");
            }
            Some(reason) => {
                assert_eq!(status(&first), format!("atoll; fwd=uri-miss; detail={reason}"), "{what}");
                assert_eq!(status(&again), format!("atoll; fwd=bypass; detail={reason}"), "{what}");
            }
        }
    }
    let answer = async |what: &str| shop.get(&format!("/front?what={what}")).await.json().as_str().map(str::to_owned);
    assert_eq!(answer("environment").await.as_deref(), Some("of the manifest"));
    let (order, other) = (answer("map").await, answer("map,get:z").await);
    assert!(other.zip(order).is_some_and(|(other, order)| other.starts_with(&order)), "one seed for all watched calls");
    assert_eq!(answer("http:back").await.as_deref(), Some("absent "), "no id is in the head of its request");
    assert_eq!(answer("call:trap").await.as_deref(), Some("no answer"));

    assert_eq!(shop.unkept("/mixed?what=call:remember").await, "atoll; fwd=uri-miss; stored", "its first call");
    // Each asks for another key: an answer that is kept would say nothing of the next instance.
    let mut asked = 0;
    eventually("an instance that has served before", async || {
        asked += 1;
        let told = shop.unkept(&format!("/mixed?what=call:remember,get:{asked}")).await;
        told.contains("detail=kept-memory").then_some(())
    })
    .await;
    assert_reasons_are_counted(&shop).await;
}

async fn assert_reasons_are_counted(shop: &StateShop) {
    let metrics = shop.http.get(&format!("{}/metrics", shop.atoll.admin)).await;
    for (route, service, reason, count) in [
        ("GET,HEAD /front", "front", "clock", 12),
        ("GET,HEAD /front", "front", "failed-call", 3),
        ("GET,HEAD /front", "front", "write", 4),
    ] {
        let labels = format!("route=\"{route}\",service=\"{service}\",reason=\"{reason}\"");
        let line = format!("atoll_cache_unkept_total{{{labels}}} {count}");
        assert!(text(&metrics).lines().any(|own| own == line), "{line} in {}", text(&metrics));
    }
}

#[tokio::test]
async fn an_answer_of_another_revision_or_of_another_life_is_not_given() {
    let home = Home::new(SHOP);
    let shop = StateShop::start(&home).await;
    let ada = shop.write(Method::POST, "/users", &user(1, "Ada")).await;
    let cup = shop.write(Method::POST, "/new-products", &product(1, "Cup")).await;
    let order = json!({ "user": id(&ada), "lines": [{ "product": id(&cup), "quantity": 1 }] });
    let order = shop.write(Method::POST, "/new-orders", &order).await;
    let details = format!("/orders/{}/details", id(&order));
    shop.miss(&details).await;
    shop.hit(&details).await;
    // A swap of a service that is two calls away.
    let other = another_revision("products");
    let swap = Request::post(format!("{}/v1/services/products/swap", shop.atoll.admin));
    let swapped = shop.http.send(swap.header("content-type", "application/wasm"), other).await;
    assert_eq!(swapped.status, 200, "{swapped:?}");
    shop.miss(&details).await;
    shop.hit(&details).await;
    let back = Request::post(format!("{}/v1/services/products/rollback", shop.atoll.admin));
    assert_eq!(shop.http.send(back, "").await.status, 200);
    shop.miss(&details).await;
    shop.hit(&details).await;
    shop.atoll.kill().await;

    let shop = StateShop::start(&home).await;
    assert_eq!(shop.miss(&details).await["user"]["name"], "Ada");
    shop.hit(&details).await;
    let usage = shop.http.get(&format!("{}/v1/cache", shop.atoll.admin)).await.json();
    assert_eq!(usage["answers"], 1, "{usage}");
    let purge = format!("{}/v1/cache/purge", shop.atoll.admin);
    let purged = shop.http.json(Method::POST, &purge, &json!({ "prefix": "/orders" })).await;
    assert_eq!((purged.status.as_u16(), &purged.json()["purged"]), (200, &json!(1)), "{purged:?}");
    shop.miss(&details).await;
}

/// The same component under another digest: with a custom section, which means nothing.
pub(super) fn another_revision(service: &str) -> Vec<u8> {
    let mut component = std::fs::read(component(service)).unwrap();
    component.extend(b"\x00\x06\x05other");
    component
}
