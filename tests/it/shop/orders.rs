//! Orders through the gateway: placing, reading, every error, and everybody at once.

use super::{Answer, Shop, id, location, pointers};
use futures_util::future::join_all;
use http::{Method, Request};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

const ORDERS: &str = "/api/orders";

/// A shop with one user and some products.
struct Counter {
    shop: Shop,
    /// The user's id, as JSON has it.
    ada: Value,
}

impl Counter {
    async fn open() -> Self {
        let shop = Shop::open().await;
        let ada = shop.post("/api/users", &json!({"name": "Ada", "email": "ada@example.org"})).await;
        assert_eq!(ada.status, 201, "{ada:?}");
        Self { shop, ada: ada.json()["id"].clone() }
    }

    /// A new product that costs 12.50 of `currency`; its id.
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

    /// Ada's order of these products and quantities.
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

fn refused(answer: &Answer, status: u16) -> String {
    assert_eq!(answer.status, status, "{answer:?}");
    answer.problem()["detail"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_order_is_placed_and_read() {
    let counter = Counter::open().await;
    let (mug, cup) = (counter.product("mug", 5, "EUR").await, counter.product("cup", 3, "EUR").await);
    let before = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let created = counter.place("k", &[(&mug, 1), (&cup, 3), (&mug, 1)]).await;
    let path = location(&created, ORDERS);
    let order = created.json();
    let price = json!({"amount": 1250, "currency": "EUR"});
    let mut lines = [
        json!({"product": mug, "sku": "mug", "name": "A mug", "quantity": 2, "price": price}),
        json!({"product": cup, "sku": "cup", "name": "A cup", "quantity": 3, "price": price}),
    ];
    // Products that are made within one millisecond have ids in any order.
    lines.sort_by_key(|line| line["product"].as_str().unwrap().parse::<u64>().unwrap());
    let placed = order["placed"].as_u64().unwrap();
    assert!((before..before + 600_000).contains(&placed), "{placed} is in milliseconds, and not before {before}");
    let total = json!({"amount": 6250, "currency": "EUR"});
    assert_eq!(
        order,
        json!({"id": order["id"], "user": counter.ada, "lines": lines, "total": total, "placed": placed})
    );
    assert_eq!((counter.stock(&mug).await, counter.stock(&cup).await), (3, 0));
    assert_eq!(counter.shop.get(&path).await.json(), order);
    let head = counter.shop.http.send(Request::head(counter.shop.url(&path)), "").await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));

    let mut all = vec![order];
    for n in 0..3 {
        all.push(counter.place(&format!("l{n}"), &[(&mug, 1)]).await.json());
    }
    all.sort_by_key(id);
    for limit in [1, 2, 4] {
        assert_eq!(counter.shop.list(ORDERS, limit).await, all, "limit {limit}");
    }
    assert_eq!(counter.shop.get(ORDERS).await.json(), json!({"items": all, "next_cursor": null}));

    // An order stays what it was, whatever becomes of what it names.
    for gone in
        [format!("/api/products/{}", mug.as_str().unwrap()), format!("/api/users/{}", counter.ada.as_str().unwrap())]
    {
        let removed = counter.shop.http.send(Request::delete(counter.shop.url(&gone)), "").await;
        assert_eq!(removed.status, 204, "{removed:?}");
    }
    assert_eq!(counter.shop.list(ORDERS, 10).await, all);
}

#[tokio::test]
async fn an_order_is_read_with_its_user_and_products() {
    let counter = Counter::open().await;
    let (mug, cup) = (counter.product("mug", 5, "EUR").await, counter.product("cup", 3, "EUR").await);
    let created = counter.place("k", &[(&mug, 2), (&cup, 1)]).await;
    let path = format!("{}/details", location(&created, ORDERS));
    let order = created.json();
    let ada = format!("/api/users/{}", counter.ada.as_str().unwrap());
    let mut products = Vec::new();
    for line in order["lines"].as_array().unwrap() {
        products.push(counter.shop.get(&format!("/api/products/{}", line["product"].as_str().unwrap())).await.json());
    }
    let user = counter.shop.get(&ada).await.json();
    let details = counter.shop.get(&path).await;
    assert_eq!(details.json(), json!({"order": order, "user": user, "products": products}));

    // They are shown as they are now; the order is what it was.
    let mug = format!("/api/products/{}", mug.as_str().unwrap());
    for gone in [&ada, &mug] {
        assert_eq!(counter.shop.send(Method::DELETE, gone, &json!(null)).await.status, 204);
    }
    for product in &mut products {
        if product["sku"] == "mug" {
            *product = json!(null);
        }
    }
    let details = counter.shop.get(&path).await;
    assert_eq!(details.json(), json!({"order": order, "user": null, "products": products}));
    refused(&counter.shop.get(&format!("{ORDERS}/1/details")).await, 404);
}

#[tokio::test]
async fn a_key_places_one_order() {
    let counter = Counter::open().await;
    let (mug, cup) = (counter.product("mug", 5, "EUR").await, counter.product("cup", 5, "EUR").await);
    let first = counter.place("k", &[(&mug, 2), (&cup, 1)]).await;
    assert_eq!(first.status, 201, "{first:?}");
    for lines in [&[(&mug, 2), (&cup, 1)][..], &[(&cup, 1), (&mug, 2)], &[(&mug, 1), (&cup, 1), (&mug, 1)]] {
        let again = counter.place("k", lines).await;
        assert_eq!((again.status, &again.body), (first.status, &first.body), "the same pieces are the same order");
        assert_eq!(again.header("location"), first.header("location"));
    }
    let other = counter.place("k", &[(&mug, 2)]).await;
    assert!(refused(&other, 409).contains("another order"), "{other:?}");
    assert_eq!((counter.stock(&mug).await, counter.stock(&cup).await), (3, 4));
    assert_eq!(counter.place("l", &[(&mug, 2), (&cup, 1)]).await.status, 201, "another key is another order");
    assert_eq!((counter.stock(&mug).await, counter.stock(&cup).await), (1, 3));
}

#[tokio::test]
async fn what_is_refused_takes_nothing() {
    let counter = Counter::open().await;
    let (mug, cup) = (counter.product("mug", 5, "EUR").await, counter.product("cup", 1, "EUR").await);
    let sake = counter.product("sake", 5, "JPY").await;
    let sold_out = counter.place("k", &[(&mug, 2), (&cup, 2)]).await;
    assert!(refused(&sold_out, 409).contains("cup"), "{sold_out:?}");
    let currencies = counter.place("k", &[(&mug, 2), (&sake, 1)]).await;
    assert!(refused(&currencies, 409).contains("JPY"), "{currencies:?}");
    assert_eq!(pointers(&counter.place("k", &[(&mug, 1), (&json!("7"), 1)]).await), ["/lines"]);
    let nobody = json!({"user": "7", "lines": [{"product": mug, "quantity": 1}]});
    assert_eq!(pointers(&counter.send("k", &nobody).await), ["/user"]);
    assert_eq!(pointers(&counter.place("k", &[]).await), ["/lines"]);
    assert_eq!(
        pointers(&counter.place("k", &[(&mug, 0), (&cup, 0)]).await),
        ["/lines/0/quantity", "/lines/1/quantity"]
    );
    assert_eq!(pointers(&counter.place(&"k".repeat(201), &[(&mug, 1)]).await), ["/key"]);
    let stocks = [counter.stock(&mug).await, counter.stock(&cup).await, counter.stock(&sake).await];
    assert_eq!((stocks, counter.shop.list(ORDERS, 10).await), ([5, 1, 5], vec![]));
    assert_eq!(counter.place("k", &[(&mug, 5), (&cup, 1)]).await.status, 201, "a refused call left the key unused");
}

#[tokio::test]
async fn what_does_not_fit_the_contract() {
    let counter = Counter::open().await;
    let mug = counter.product("mug", 5, "EUR").await;
    let wrong = json!({"user": "Ada", "lines": [{"product": mug, "quantity": -1}, {"product": -1}, 3], "gift": true});
    let named = ["/gift", "/lines/0/quantity", "/lines/1/product", "/lines/1/quantity", "/lines/2", "/user"];
    assert_eq!(pointers(&counter.send("k", &wrong).await), named);
    assert_eq!(pointers(&counter.send("k", &json!({})).await), ["/lines", "/user"]);
    assert_eq!(pointers(&counter.send("k", &json!([])).await), [""]);

    let order = counter.order(&[(&mug, 1)]);
    let keyless = counter.shop.post(ORDERS, &order).await;
    assert!(refused(&keyless, 400).contains("Idempotency-Key"), "{keyless:?}");
    let request = |media_type| {
        let request = Request::post(counter.shop.url(ORDERS)).header("idempotency-key", "k");
        request.header("content-type", media_type)
    };
    refused(&counter.shop.http.send(request("application/json"), "{").await, 400);
    let text = counter.shop.http.send(request("text/plain"), order.to_string()).await;
    refused(&text, 415);
    assert!(text.header("accept").contains("application/json"), "{text:?}");
    let picky = request("application/json").header("accept", "text/html");
    refused(&counter.shop.http.send(picky, order.to_string()).await, 406);

    let path = location(&counter.send("k", &order).await, ORDERS);
    for (method, path, allow) in [
        (Method::DELETE, ORDERS, "GET, HEAD, POST"),
        (Method::PUT, &path, "GET, HEAD"),
        (Method::POST, &path, "GET, HEAD"),
    ] {
        let answer = counter.shop.send(method.clone(), path, &order).await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, allow), "{method} {path}");
        answer.problem();
    }
    for wrong in ["x", "0", "007", "1", "18446744073709551616", "-1"] {
        refused(&counter.shop.get(&format!("{ORDERS}/{wrong}")).await, 404);
    }
    for (query, status) in
        [("limit=0", 422), ("limit=101", 422), ("limit=x", 400), ("cursor=x", 422), ("colour=red", 400)]
    {
        refused(&counter.shop.get(&format!("{ORDERS}?{query}")).await, status);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rush_sells_every_piece_once() {
    let counter = Counter::open().await;
    let (mug, cup) = (counter.product("mug", 30, "EUR").await, counter.product("cup", 20, "EUR").await);
    // Twice the orders that there are pieces for, and each is sent twice at the same time.
    let send = async |n: usize| {
        let lines = [(&mug, 3), (&cup, 2)];
        (n % 20, counter.place(&format!("order-{}", n % 20), &lines).await)
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
    // Who was told to ask again asks again, one after the other, and then the pieces are gone.
    for n in 0..20 {
        let again = counter.place(&format!("order-{n}"), &[(&mug, 3), (&cup, 2)]).await;
        match again.status.as_u16() {
            201 => _ = placed.insert((n, again.json()["id"].as_str().unwrap().to_owned())),
            _ => _ = refused(&again, 409),
        }
    }
    assert_eq!(placed.len(), 10, "one order for each key, and all that there were pieces for");
    assert_eq!((counter.stock(&mug).await, counter.stock(&cup).await), (0, 0));
    let listed: BTreeSet<_> =
        counter.shop.list(ORDERS, 3).await.iter().map(|order| order["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(listed, placed.into_iter().map(|(_, id)| id).collect());
}
