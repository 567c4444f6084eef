//! The checkout of the shop as its manifest has it.

use super::super::atoll::{Answer, Home};
use super::super::components::shop_manifest;
use super::Shop;
use http::{Method, Request};
use serde_json::{Value, json};

/// Buys two pieces under a key.
async fn buy(shop: &Shop, key: &str, user: &Value, product: &Value) -> Answer {
    let input = json!({ "user": user, "lines": [{ "product": product, "quantity": 2 }] });
    let request = Request::post(format!("{}/api/checkout", shop.gateway)).header("idempotency-key", key);
    shop.http.send(request.header("content-type", "application/json"), input.to_string()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkout_needs_a_customer_takes_a_key_and_says_by_its_status_that_nothing_was_done() {
    let home = Home::new(&shop_manifest());
    let host = home.start().await;
    let shop = Shop::of(&host);
    let create = async |path: &str, body: Value| {
        let answer = shop.http.json(Method::POST, &format!("{}{path}", shop.gateway), &body).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["id"].clone()
    };
    let ada = create("/api/users", json!({ "name": "Ada", "email": "ada@example.org" })).await;
    let price = json!({ "amount": 100, "currency": "EUR" });
    let mug = create("/api/products", json!({ "sku": "mug", "name": "Mug", "price": price, "stock": 9 })).await;
    let stock = async || {
        let url = format!("{}/api/products/{}", shop.gateway, mug.as_str().unwrap());
        shop.http.get(&url).await.json()["stock"].clone()
    };
    // Nobody has this id: nothing is reserved.
    let nobody = buy(&shop, "a", &json!("9999999"), &mug).await;
    assert_eq!((nobody.status.as_u16(), nobody.problem()["state"].clone()), (409, json!("compensated")));
    assert_eq!(stock().await, 9);
    // The same key and input is the same checkout.
    let first = buy(&shop, "b", &ada, &mug).await;
    assert_eq!((first.status.as_u16(), first.json()["state"].clone()), (200, json!("completed")));
    let again = buy(&shop, "b", &ada, &mug).await;
    assert_eq!((again.status.as_u16(), &again.json()["id"]), (200, &first.json()["id"]));
    assert_eq!(stock().await, 7);
    // The payments can be told to decline.
    let mode = Request::put(format!("{}/api/payments/mode?mode=declines&percent=100", shop.gateway));
    assert!(shop.http.send(mode, "").await.status.is_success());
    let declined = buy(&shop, "c", &ada, &mug).await;
    assert_eq!(declined.status, 409, "{declined:?}");
    assert_eq!(stock().await, 7);
    host.stop().await;
}
