//! Sagas through the real binary, with the shop's components: `checkout` reserves, charges, confirms and ships.

mod by_events;
mod course;
mod crash;
mod leftover;
mod manifest_errors;
mod owners;
mod shop;
mod swaps;

use super::atoll::{Answer, Atoll, Http};
use http::Method;
use serde_json::{Value, json};

/// The services of a checkout.
const SERVICES: &str = r#"
[service.products]
component = "{component:products}"
state = true

[service.payments]
component = "{component:payments}"
state = true

[service.checkout]
component = "{component:checkout}"
state = true
"#;

/// The saga, with its routes and those by which a test looks from outside.
const SAGA: &str = r#"
[sagas]
backoff = "5ms"
backoff_most = "50ms"

[saga.checkout]
input = "shop:checkout/checkout#checkout"
deadline = "30s"

[[saga.checkout.step]]
name = "reserve"
call = "products/reserve"
with = { key = "$saga.key", lines = "$input.lines" }
undo = "products/release"

[[saga.checkout.step]]
name = "quote"
call = "checkout/quote"
with = { lines = "$reserve" }

[[saga.checkout.step]]
name = "charge"
call = "payments/charge"
with = { key = "$saga.key", user = "$input.user", amount = "$quote" }
undo = "payments/refund"
timeout = "300ms"
tries = 3

[[saga.checkout.step]]
name = "confirm"
call = "checkout/confirm"
undo = "checkout/cancel"
pivot = true

[saga.checkout.step.with]
key = "$saga.key"
order = { user = "$input.user", lines = "$reserve", total = "$quote", payment = "$charge.key" }

[[saga.checkout.step]]
name = "ship"
call = "checkout/ship"
with = { key = "$saga.key" }

[[route]]
method = "POST"
path = "/checkout"
saga = "checkout"
wait = "10s"

[[route]]
method = "POST"
path = "/checkout/later"
saga = "checkout"

[[route]]
method = "GET"
path = "/checkout/{id}"
saga = "checkout"

[[route]]
method = "POST"
path = "/products"
call = "products/create"

[[route]]
method = "GET"
path = "/products/{id}"
call = "products/get"

[[route]]
method = "GET"
path = "/payments"
call = "payments/get"

[[route]]
method = "GET"
path = "/orders"
call = "checkout/get"

[[route]]
method = "PUT"
path = "/payments/mode"
call = "payments/behave"
"#;

fn manifest() -> String {
    format!("{SERVICES}{SAGA}")
}

/// The shop as its clients see it.
#[derive(Clone)]
struct Shop {
    http: Http,
    gateway: String,
    admin: String,
}

impl Shop {
    fn of(host: &Atoll) -> Self {
        Self { http: Http::default(), gateway: host.gateway.clone(), admin: host.admin.clone() }
    }

    /// A new product with so many pieces, each for 100. Returns its id.
    async fn product(&self, sku: &str, stock: u32) -> String {
        let price = json!({ "amount": 100, "currency": "EUR" });
        let new = json!({ "sku": sku, "name": "Mug", "price": price, "stock": stock });
        let answer = self.http.json(Method::POST, &format!("{}/products", self.gateway), &new).await;
        assert!(answer.status.is_success(), "{answer:?}");
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    async fn stock(&self, product: &str) -> u64 {
        self.http.get(&format!("{}/products/{product}", self.gateway)).await.json()["stock"].as_u64().unwrap()
    }

    /// How many of 100 charges fare like this from now on.
    async fn behave(&self, mode: &str, percent: u32) {
        let url = format!("{}/payments/mode?mode={mode}&percent={percent}", self.gateway);
        let answer = self.http.send(http::Request::builder().method(Method::PUT).uri(url), "").await;
        assert!(answer.status.is_success(), "{answer:?}");
    }

    /// Starts a checkout. `Err`: no whole answer came.
    async fn buy(&self, path: &str, key: &str, product: &str, quantity: u32) -> Result<Answer, String> {
        let input = json!({ "user": "7", "lines": [{ "product": product, "quantity": quantity }] });
        let request = http::Request::builder().method(Method::POST).uri(format!("{}{path}", self.gateway));
        let request = request.header("content-type", "application/json").header("idempotency-key", key);
        self.http.try_send(request.body(input.to_string().into()).unwrap()).await
    }

    /// The payment of a saga: whether there is one, and whether it was refunded.
    async fn payment(&self, id: &str) -> (bool, bool) {
        let answer = self.http.get(&format!("{}/payments?key=checkout/{id}", self.gateway)).await;
        (answer.status == 200, answer.status == 200 && answer.json()["refunded"] == true)
    }

    /// The order of a saga, if there is one.
    async fn order(&self, id: &str) -> Option<Value> {
        let answer = self.http.get(&format!("{}/orders?key=checkout/{id}", self.gateway)).await;
        (answer.status == 200).then(|| answer.json())
    }

    async fn admin(&self, path: &str) -> Value {
        self.http.get(&format!("{}{path}", self.admin)).await.json()
    }
}
