//! Orders through the gateway: placing and reading them, every error, and many customers at once.

use super::{Answer, Shop, id, location, pointers};
use futures_util::future::join_all;
use http::{Method, Request};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

const ORDERS: &str = "/api/orders";

/// A shop with one user and some products.
struct StockedShop {
    shop: Shop,
    /// The user's id as it is in JSON.
    ada: Value,
}

impl StockedShop {
    async fn open() -> Self {
        let shop = Shop::open().await;
        let ada = shop.post("/api/users", &json!({"name": "Ada", "email": "ada@example.org"})).await;
        assert_eq!(ada.status, 201, "{ada:?}");
        Self { shop, ada: ada.json()["id"].clone() }
    }

    /// Creates a product that costs 12.50 of `currency`. Returns its id.
    async fn product(&self, sku: &str, stock: u32, currency: &str) -> Value {
        let price = json!({"amount": 1250, "currency": currency});
        let product = json!({"sku": sku, "name": format!("A {sku}"), "price": price, "stock": stock});
        let created = self.shop.post("/api/products", &product).await;
        assert_eq!(created.status, 201, "{created:?}");
        created.json()["id"].clone()
    }

    async fn stock(&self, product: &Value) -> u64 {
        let product = self.shop.get(&format!("/api/products/{}", product.as_str().unwrap())).await;
        product.json()["stock"].as_u64().unwrap()
    }

    /// An order by Ada of these products and quantities.
    fn order(&self, lines: &[(&Value, u32)]) -> Value {
        let line = |(product, quantity): &(&Value, u32)| json!({"product": product, "quantity": quantity});
        json!({"user": self.ada, "lines": lines.iter().map(line).collect::<Vec<_>>()})
    }

    async fn send(&self, key: &str, order: &Value) -> Answer {
        let request = Request::post(self.shop.url(ORDERS))
            .header("content-type", "application/json")
            .header("idempotency-key", key);
        self.shop.http.send(request, order.to_string()).await
    }

    async fn place(&self, key: &str, lines: &[(&Value, u32)]) -> Answer {
        self.send(key, &self.order(lines)).await
    }
}

fn assert_refused(answer: &Answer, status: u16) -> String {
    assert_eq!(answer.status, status, "{answer:?}");
    answer.problem()["detail"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_order_is_placed_read_and_listed_and_survives_the_deletion_of_its_user_and_product() {
    let stocked = StockedShop::open().await;
    let (mug, cup) = (stocked.product("mug", 5, "EUR").await, stocked.product("cup", 3, "EUR").await);
    let before = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let created = stocked.place("k", &[(&mug, 1), (&cup, 3), (&mug, 1)]).await;
    let path = location(&created, ORDERS);
    let order = created.json();
    let price = json!({"amount": 1250, "currency": "EUR"});
    let mut lines = [
        json!({"product": mug, "sku": "mug", "name": "A mug", "quantity": 2, "price": price}),
        json!({"product": cup, "sku": "cup", "name": "A cup", "quantity": 3, "price": price}),
    ];
    // Products that are created within one millisecond can have ids in either order.
    lines.sort_by_key(|line| line["product"].as_str().unwrap().parse::<u64>().unwrap());
    let placed = order["placed"].as_u64().unwrap();
    assert!((before..before + 600_000).contains(&placed), "{placed} must be in milliseconds and not before {before}");
    let total = json!({"amount": 6250, "currency": "EUR"});
    assert_eq!(
        order,
        json!({"id": order["id"], "user": stocked.ada, "lines": lines, "total": total, "placed": placed})
    );
    assert_eq!((stocked.stock(&mug).await, stocked.stock(&cup).await), (3, 0));
    assert_eq!(stocked.shop.get(&path).await.json(), order);
    let head = stocked.shop.http.send(Request::head(stocked.shop.url(&path)), "").await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));

    let mut all = vec![order];
    for n in 0..3 {
        all.push(stocked.place(&format!("l{n}"), &[(&mug, 1)]).await.json());
    }
    all.sort_by_key(id);
    for limit in [1, 2, 4] {
        assert_eq!(stocked.shop.list(ORDERS, limit).await, all, "limit {limit}");
    }
    assert_eq!(stocked.shop.get(ORDERS).await.json(), json!({"items": all, "next_cursor": null}));

    // An order does not change when its products or its user are deleted.
    for gone in
        [format!("/api/products/{}", mug.as_str().unwrap()), format!("/api/users/{}", stocked.ada.as_str().unwrap())]
    {
        let removed = stocked.shop.http.send(Request::delete(stocked.shop.url(&gone)), "").await;
        assert_eq!(removed.status, 204, "{removed:?}");
    }
    assert_eq!(stocked.shop.list(ORDERS, 10).await, all);
}

#[tokio::test]
async fn order_details_show_user_and_products_as_they_are_now() {
    let stocked = StockedShop::open().await;
    let (mug, cup) = (stocked.product("mug", 5, "EUR").await, stocked.product("cup", 3, "EUR").await);
    let created = stocked.place("k", &[(&mug, 2), (&cup, 1)]).await;
    let path = format!("{}/details", location(&created, ORDERS));
    let order = created.json();
    let ada = format!("/api/users/{}", stocked.ada.as_str().unwrap());
    let mut products = Vec::new();
    for line in order["lines"].as_array().unwrap() {
        products.push(stocked.shop.get(&format!("/api/products/{}", line["product"].as_str().unwrap())).await.json());
    }
    let user = stocked.shop.get(&ada).await.json();
    let details = stocked.shop.get(&path).await;
    assert_eq!(details.json(), json!({"order": order, "user": user, "products": products}));

    // User and products are shown as they are now. The order is shown as it was placed.
    let mug = format!("/api/products/{}", mug.as_str().unwrap());
    for gone in [&ada, &mug] {
        assert_eq!(stocked.shop.send(Method::DELETE, gone, &json!(null)).await.status, 204);
    }
    for product in &mut products {
        if product["sku"] == "mug" {
            *product = json!(null);
        }
    }
    let details = stocked.shop.get(&path).await;
    assert_eq!(details.json(), json!({"order": order, "user": null, "products": products}));
    assert_refused(&stocked.shop.get(&format!("{ORDERS}/1/details")).await, 404);
}

#[tokio::test]
async fn an_idempotency_key_places_at_most_one_order() {
    let stocked = StockedShop::open().await;
    let (mug, cup) = (stocked.product("mug", 5, "EUR").await, stocked.product("cup", 5, "EUR").await);
    let first = stocked.place("k", &[(&mug, 2), (&cup, 1)]).await;
    assert_eq!(first.status, 201, "{first:?}");
    for lines in [&[(&mug, 2), (&cup, 1)][..], &[(&cup, 1), (&mug, 2)], &[(&mug, 1), (&cup, 1), (&mug, 1)]] {
        let again = stocked.place("k", lines).await;
        assert_eq!(
            (again.status, &again.body),
            (first.status, &first.body),
            "equal quantities must be the same order, however they are listed"
        );
        assert_eq!(again.header("location"), first.header("location"));
    }
    let other = stocked.place("k", &[(&mug, 2)]).await;
    assert!(assert_refused(&other, 409).contains("another order"), "{other:?}");
    assert_eq!((stocked.stock(&mug).await, stocked.stock(&cup).await), (3, 4));
    assert_eq!(stocked.place("l", &[(&mug, 2), (&cup, 1)]).await.status, 201, "another key must place another order");
    assert_eq!((stocked.stock(&mug).await, stocked.stock(&cup).await), (1, 3));
}

#[tokio::test]
async fn a_refused_order_takes_no_stock_and_leaves_its_key_unused() {
    let stocked = StockedShop::open().await;
    let (mug, cup) = (stocked.product("mug", 5, "EUR").await, stocked.product("cup", 1, "EUR").await);
    let sake = stocked.product("sake", 5, "JPY").await;
    let sold_out = stocked.place("k", &[(&mug, 2), (&cup, 2)]).await;
    assert!(assert_refused(&sold_out, 409).contains("cup"), "{sold_out:?}");
    let currencies = stocked.place("k", &[(&mug, 2), (&sake, 1)]).await;
    assert!(assert_refused(&currencies, 409).contains("JPY"), "{currencies:?}");
    assert_eq!(pointers(&stocked.place("k", &[(&mug, 1), (&json!("7"), 1)]).await), ["/lines"]);
    let nobody = json!({"user": "7", "lines": [{"product": mug, "quantity": 1}]});
    assert_eq!(pointers(&stocked.send("k", &nobody).await), ["/user"]);
    assert_eq!(pointers(&stocked.place("k", &[]).await), ["/lines"]);
    assert_eq!(
        pointers(&stocked.place("k", &[(&mug, 0), (&cup, 0)]).await),
        ["/lines/0/quantity", "/lines/1/quantity"]
    );
    assert_eq!(pointers(&stocked.place(&"k".repeat(201), &[(&mug, 1)]).await), ["/key"]);
    let stocks = [stocked.stock(&mug).await, stocked.stock(&cup).await, stocked.stock(&sake).await];
    assert_eq!((stocks, stocked.shop.list(ORDERS, 10).await), ([5, 1, 5], vec![]));
    assert_eq!(
        stocked.place("k", &[(&mug, 5), (&cup, 1)]).await.status,
        201,
        "a refused call must leave the key unused"
    );
}

#[tokio::test]
async fn an_order_that_does_not_fit_the_contract_names_every_wrong_field() {
    let stocked = StockedShop::open().await;
    let mug = stocked.product("mug", 5, "EUR").await;
    let wrong = json!({"user": "Ada", "lines": [{"product": mug, "quantity": -1}, {"product": -1}, 3], "gift": true});
    let named = ["/gift", "/lines/0/quantity", "/lines/1/product", "/lines/1/quantity", "/lines/2", "/user"];
    assert_eq!(pointers(&stocked.send("k", &wrong).await), named);
    assert_eq!(pointers(&stocked.send("k", &json!({})).await), ["/lines", "/user"]);
    assert_eq!(pointers(&stocked.send("k", &json!([])).await), [""]);

    let order = stocked.order(&[(&mug, 1)]);
    let keyless = stocked.shop.post(ORDERS, &order).await;
    assert!(assert_refused(&keyless, 400).contains("Idempotency-Key"), "{keyless:?}");
    let request = |media_type| {
        let request = Request::post(stocked.shop.url(ORDERS)).header("idempotency-key", "k");
        request.header("content-type", media_type)
    };
    assert_refused(&stocked.shop.http.send(request("application/json"), "{").await, 400);
    let text = stocked.shop.http.send(request("text/plain"), order.to_string()).await;
    assert_refused(&text, 415);
    assert!(text.header("accept").contains("application/json"), "{text:?}");
    let picky = request("application/json").header("accept", "text/html");
    assert_refused(&stocked.shop.http.send(picky, order.to_string()).await, 406);

    let path = location(&stocked.send("k", &order).await, ORDERS);
    for (method, path, allow) in [
        (Method::DELETE, ORDERS, "GET, HEAD, POST"),
        (Method::PUT, &path, "GET, HEAD"),
        (Method::POST, &path, "GET, HEAD"),
    ] {
        let answer = stocked.shop.send(method.clone(), path, &order).await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, allow), "{method} {path}");
        answer.problem();
    }
    for wrong in ["x", "0", "007", "1", "18446744073709551616", "-1"] {
        assert_refused(&stocked.shop.get(&format!("{ORDERS}/{wrong}")).await, 404);
    }
    for (query, status) in
        [("limit=0", 422), ("limit=101", 422), ("limit=x", 400), ("cursor=x", 422), ("colour=red", 400)]
    {
        assert_refused(&stocked.shop.get(&format!("{ORDERS}?{query}")).await, status);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_orders_sell_all_stock_once_and_place_one_order_per_key() {
    let stocked = StockedShop::open().await;
    let (mug, cup) = (stocked.product("mug", 30, "EUR").await, stocked.product("cup", 20, "EUR").await);
    // Twice as many orders as there is stock for, each sent twice at the same time.
    let send = async |n: usize| {
        let lines = [(&mug, 3), (&cup, 2)];
        (n % 20, stocked.place(&format!("order-{}", n % 20), &lines).await)
    };
    let answers = join_all((0..40).map(send)).await;
    let mut placed: BTreeSet<(usize, String)> = BTreeSet::new();
    for (n, answer) in &answers {
        match answer.status.as_u16() {
            201 => _ = placed.insert((*n, answer.json()["id"].as_str().unwrap().to_owned())),
            409 | 503 => _ = answer.problem(),
            _ => panic!("{answer:?}"),
        }
    }
    // A customer whose order got a 503 sends it again, one after the other. Then all stock is sold.
    for n in 0..20 {
        let again = stocked.place(&format!("order-{n}"), &[(&mug, 3), (&cup, 2)]).await;
        match again.status.as_u16() {
            201 => _ = placed.insert((n, again.json()["id"].as_str().unwrap().to_owned())),
            _ => _ = assert_refused(&again, 409),
        }
    }
    assert_eq!(placed.len(), 10, "each key must place one order, and all stock must be sold");
    assert_eq!((stocked.stock(&mug).await, stocked.stock(&cup).await), (0, 0));
    let listed: BTreeSet<_> =
        stocked.shop.list(ORDERS, 3).await.iter().map(|order| order["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(listed, placed.into_iter().map(|(_, id)| id).collect());
}
