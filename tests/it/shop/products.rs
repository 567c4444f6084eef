//! Products through the gateway: every method, every error, and reservations.

use super::{Shop, id, location, pointers};
use http::{Method, Request};
use serde_json::{Value, json};

const PRODUCTS: &str = "/api/products";

fn mug() -> Value {
    json!({"sku": "mug-01", "name": "Mug", "price": {"amount": 1250, "currency": "EUR"}, "stock": 3})
}

fn with(mut product: Value, field: &str, value: Value) -> Value {
    product[field] = value;
    product
}

#[tokio::test]
async fn a_product_is_created_read_changed_replaced_listed_and_removed() {
    let shop = Shop::open().await;
    let created = shop.post(PRODUCTS, &mug()).await;
    let path = location(&created, PRODUCTS);
    let product = created.json();
    assert_eq!(product, with(mug(), "id", product["id"].clone()));
    assert_eq!(shop.get(&path).await.json(), product);
    let head = shop.http.send(Request::head(shop.url(&path)), "").await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));

    let patched = shop.send(Method::PATCH, &path, &json!({"price": {"amount": 999}, "stock": 7})).await;
    assert_eq!(patched.status, 200);
    let cheaper = with(product.clone(), "price", json!({"amount": 999, "currency": "EUR"}));
    assert_eq!(patched.json(), with(cheaper, "stock", json!(7)));
    let same = shop.send(Method::PATCH, &path, &json!({"name": null, "price": null})).await;
    assert_eq!((same.status.as_u16(), same.json()), (200, patched.json()), "null must mean that the field is absent");
    let put = shop.send(Method::PUT, &path, &mug()).await;
    assert_eq!((put.status.as_u16(), put.json()), (200, product.clone()));

    let mut all = vec![product];
    for n in 0..4 {
        all.push(shop.post(PRODUCTS, &with(mug(), "sku", json!(format!("cup-{n}")))).await.json());
    }
    all.sort_by_key(id);
    for limit in [1, 2, 5] {
        assert_eq!(shop.list(PRODUCTS, limit).await, all, "limit {limit}");
    }

    let removed = shop.http.send(Request::delete(shop.url(&path)), "").await;
    assert_eq!((removed.status.as_u16(), removed.body.len()), (204, 0));
    for (method, body) in [(Method::PUT, mug()), (Method::PATCH, json!({})), (Method::DELETE, Value::Null)] {
        let gone = shop.send(method.clone(), &path, &body).await;
        assert_eq!((gone.status.as_u16(), gone.problem()["status"].as_u64()), (404, Some(404)), "{method}");
    }
    assert_eq!(shop.reserve(&path, "gone", &json!(1)).await.problem()["status"], 404);
    assert_eq!(shop.post(PRODUCTS, &mug()).await.status, 201, "the SKU of a removed product must be free");
}

#[tokio::test]
async fn every_invalid_request_for_a_product_has_its_status_and_names_every_wrong_field() {
    let shop = Shop::open().await;
    let path = location(&shop.post(PRODUCTS, &mug()).await, PRODUCTS);
    let cup = location(&shop.post(PRODUCTS, &with(mug(), "sku", json!("cup"))).await, PRODUCTS);

    for (method, path) in [(Method::POST, PRODUCTS), (Method::PUT, &path)] {
        let named = pointers(&shop.send(method.clone(), path, &json!({})).await);
        assert_eq!(named, ["/name", "/price", "/sku", "/stock"], "{method}");
    }
    // The host first compares a body with the contract. Then the service applies its own rules.
    let mistyped = json!({
        "sku": 1, "name": "", "price": {"amount": -1, "currency": "euro", "tax": 1}, "stock": -1, "colour": "red",
    });
    let against_rules = json!({
        "sku": "a b", "name": "", "price": {"amount": "9007199254740992", "currency": "euro"}, "stock": 1_000_000_001,
    });
    for (method, path) in [(Method::POST, PRODUCTS), (Method::PUT, &path), (Method::PATCH, &path)] {
        let named = pointers(&shop.send(method.clone(), path, &mistyped).await);
        assert_eq!(named, ["/colour", "/price/amount", "/price/tax", "/sku", "/stock"], "{method}");
        let named = pointers(&shop.send(method.clone(), path, &against_rules).await);
        assert_eq!(named, ["/name", "/price/amount", "/price/currency", "/sku", "/stock"], "{method}");
        let request = Request::builder().method(&method).uri(shop.url(path));
        let malformed = shop.http.send(request.header("content-type", "application/json"), "{").await;
        assert_eq!((malformed.status.as_u16(), malformed.problem()["status"].as_u64()), (400, Some(400)), "{method}");
        let request = Request::builder().method(&method).uri(shop.url(path));
        let text = shop.http.send(request.header("content-type", "text/plain"), mug().to_string()).await;
        assert_eq!((text.status.as_u16(), text.problem()["status"].as_u64()), (415, Some(415)), "{method}");
    }
    for (method, path, body) in
        [(Method::POST, PRODUCTS, mug()), (Method::PUT, &cup, mug()), (Method::PATCH, &cup, json!({"sku": "mug-01"}))]
    {
        let taken = shop.send(method.clone(), path, &body).await;
        assert_eq!((taken.status.as_u16(), taken.problem()["status"].as_u64()), (409, Some(409)), "{method}");
    }
    assert_eq!(
        shop.post(PRODUCTS, &with(mug(), "sku", json!("MUG-01"))).await.status,
        201,
        "SKUs that differ in case must differ"
    );
    let reserve = format!("{path}/reserve");
    for (method, path, allow) in [
        (Method::DELETE, PRODUCTS, "GET, HEAD, POST"),
        (Method::POST, path.as_str(), "DELETE, GET, HEAD, PATCH, PUT"),
        (Method::PUT, reserve.as_str(), "POST"),
    ] {
        let answer = shop.send(method.clone(), path, &mug()).await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, allow), "{method} {path}");
        answer.problem();
    }
    for wrong in ["x", "007", "1"] {
        assert_eq!(shop.get(&format!("{PRODUCTS}/{wrong}")).await.problem()["status"], 404, "{wrong}");
    }
}

#[tokio::test]
async fn a_reservation_takes_stock_once_for_each_key() {
    let shop = Shop::open().await;
    let path = location(&shop.post(PRODUCTS, &mug()).await, PRODUCTS);
    let stock = async || shop.get(&path).await.json()["stock"].clone();
    let first = shop.reserve(&path, "order-1", &json!(2)).await;
    assert_eq!((first.status.as_u16(), &first.json()["stock"], &first.json()["quantity"]), (200, &json!(1), &json!(2)));
    for _ in 0..3 {
        let again = shop.reserve(&path, "order-1", &json!(2)).await;
        assert_eq!(
            (again.status, again.body),
            (first.status, first.body.clone()),
            "the same key must get the first answer again"
        );
    }
    assert_eq!(stock().await, 1);

    for (key, quantity, why) in [("order-1", 1, "the key has another quantity"), ("order-2", 2, "out of stock")] {
        let refused = shop.reserve(&path, key, &json!(quantity)).await;
        assert_eq!((refused.status.as_u16(), refused.problem()["status"].as_u64()), (409, Some(409)), "{why}");
    }
    assert_eq!(shop.reserve(&path, "order-2", &json!(1)).await.status, 200, "a refused call must leave its key unused");
    assert_eq!(stock().await, 0);

    for quantity in [json!(0), json!(-1), json!(1.5), json!("1"), Value::Null, json!(4_294_967_296_u64)] {
        assert_eq!(pointers(&shop.reserve(&path, "order-3", &quantity).await), ["/quantity"], "{quantity}");
    }
    let keyless = shop.post(&format!("{path}/reserve"), &json!({"quantity": 1})).await;
    assert_eq!(keyless.status, 400);
    assert!(keyless.problem()["detail"].as_str().unwrap().contains("Idempotency-Key"));
    assert_eq!(stock().await, 0);
}
