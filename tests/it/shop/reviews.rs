//! The services that `examples/languages` adds to the shop: reviews in Python, which call products in JavaScript, and a
//! storefront in Rust, which calls both. `just languages-shop` runs these beside the shop's other tests.

use super::super::components::component;
use super::{Shop, location, pointers};
use http::{Method, Request};
use serde_json::{Value, json};
use std::fs;

const PRODUCTS: &str = "/api/products";

async fn user(shop: &Shop, name: &str) -> Value {
    let created = shop.post("/api/users", &json!({"name": name, "email": format!("{name}@example.org")})).await;
    assert_eq!(created.status, 201, "{created:?}");
    created.json()["id"].clone()
}

/// The path of a new product.
async fn product(shop: &Shop, sku: &str) -> String {
    let price = json!({"amount": 1250, "currency": "EUR"});
    let created = shop.post(PRODUCTS, &json!({"sku": sku, "name": sku, "price": price, "stock": 3})).await;
    location(&created, PRODUCTS)
}

fn review(user: &Value, stars: i32, text: &str) -> Value {
    json!({"user": user, "stars": stars, "text": text})
}

#[tokio::test]
#[ignore = "its services are those of examples/languages, which `just languages-shop` builds"]
async fn a_product_is_reviewed_by_users_of_the_shop_once_each() {
    let shop = Shop::open().await;
    let (mug, reviews) = {
        let mug = product(&shop, "mug").await;
        (mug.clone(), format!("{mug}/reviews"))
    };
    let (ada, bob) = (user(&shop, "Ada").await, user(&shop, "Bob").await);
    assert_eq!(shop.get(&format!("{mug}/rating")).await.json(), json!({"count": 0, "average": 0.0}));

    let created = shop.post(&reviews, &review(&ada, 4, " Keeps the tea warm. ")).await;
    assert_eq!(created.status, 200, "{created:?}");
    let first = created.json();
    assert_eq!(
        first,
        json!({
            "id": first["id"], "product": mug.rsplit_once('/').unwrap().1, "user": ada, "stars": 4,
            "text": "Keeps the tea warm.",
        })
    );
    let again = shop.post(&reviews, &review(&ada, 1, "no")).await;
    assert_eq!((again.status.as_u16(), &again.problem()["case"]), (409, &json!("conflict")));
    let second = shop.post(&reviews, &review(&bob, 1, "\u{1f375} too small")).await.json();
    assert_eq!(shop.list(&reviews, 1).await, [first.clone(), second.clone()]);
    assert_eq!(shop.list(&reviews, 10).await, [first, second]);
    assert_eq!(shop.get(&format!("{mug}/rating")).await.json(), json!({"count": 2, "average": 2.5}));

    // A service in Rust calls the two others.
    let page = shop.get(&format!("{mug}/page")).await;
    assert_eq!(
        page.json(),
        json!({
            "name": "mug", "amount": 1250, "currency": "EUR", "in_stock": true, "reviews": 2, "average": 2.5,
        })
    );

    // The product takes its reviews along: JavaScript calls Python.
    assert_eq!(shop.send(Method::DELETE, &mug, &json!(null)).await.status, 204);
    for path in [&reviews, &format!("{mug}/rating"), &format!("{mug}/page")] {
        assert_eq!(shop.get(path).await.problem()["status"], 404, "{path}");
    }
}

#[tokio::test]
#[ignore = "its services are those of examples/languages, which `just languages-shop` builds"]
async fn a_review_that_breaks_a_rule_has_its_status_and_names_every_wrong_field() {
    let shop = Shop::open().await;
    let reviews = format!("{}/reviews", product(&shop, "mug").await);
    let ada = user(&shop, "Ada").await;
    assert_eq!(pointers(&shop.post(&reviews, &review(&ada, 6, " ")).await), ["/stars", "/text"]);
    assert_eq!(pointers(&shop.post(&reviews, &review(&ada, 0, &"x".repeat(2001))).await), ["/stars", "/text"]);
    assert_eq!(pointers(&shop.post(&reviews, &review(&json!("7"), 5, "good")).await), ["/user"]);
    assert_eq!(pointers(&shop.post(&reviews, &review(&ada, 256, "good")).await), ["/stars"], "the host knows a u8");
    let gone = shop.post(&format!("{PRODUCTS}/7/reviews"), &review(&ada, 5, "good")).await;
    assert_eq!(gone.problem()["status"], 404);
    for (query, status) in [("limit=0", 422), ("limit=101", 422), ("cursor=x", 422), ("colour=red", 400)] {
        assert_eq!(shop.get(&format!("{reviews}?{query}")).await.problem()["status"], status, "{query}");
    }
    assert_eq!(shop.list(&reviews, 10).await, Vec::<Value>::new());
}

/// More reviews than one commit removes, written at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "its services are those of examples/languages, which `just languages-shop` builds"]
async fn all_reviews_of_a_product_are_counted_and_all_are_forgotten() {
    let shop = Shop::open().await;
    let (mug, cup) = (product(&shop, "mug").await, product(&shop, "cup").await);
    for n in 0..60 {
        let one = user(&shop, &format!("user-{n}")).await;
        let path = if n == 0 { &cup } else { &mug };
        let written = shop.post(&format!("{path}/reviews"), &review(&one, 3, "fine")).await;
        assert_eq!(written.status, 200, "{written:?}");
    }
    assert_eq!(shop.get(&format!("{mug}/rating")).await.json(), json!({"count": 59, "average": 3.0}));
    assert_eq!(shop.list(&format!("{mug}/reviews"), 25).await.len(), 59);
    assert_eq!(shop.send(Method::DELETE, &mug, &json!(null)).await.status, 204);
    assert_eq!(shop.get(&format!("{cup}/rating")).await.json(), json!({"count": 1, "average": 3.0}), "the other's");
}

/// What one of them has stored the other reads, above 2^53 too.
#[tokio::test]
#[ignore = "its services are those of examples/languages, which `just languages-shop` builds"]
async fn products_in_javascript_and_in_rust_are_swapped_with_their_data() {
    let shop = Shop::open().await;
    let mug = product(&shop, "mug").await;
    let before = shop.get(&mug).await.json();
    let reserved = shop.reserve(&mug, "k", &json!(1)).await;
    let operate = async |verb: &str, component: Vec<u8>| {
        let request = Request::post(format!("{}/v1/services/products/{verb}", shop.atoll.admin));
        let answer = shop.http.send(request.header("content-type", "application/wasm"), component).await;
        assert_eq!(answer.status, 200, "{verb}: {answer:?}");
    };
    operate("swap", fs::read(component("products")).unwrap()).await;
    let cup = product(&shop, "cup").await;
    let cups = shop.reserve(&cup, "l", &json!(2)).await;
    assert_eq!(shop.reserve(&mug, "k", &json!(1)).await.body, reserved.body, "Rust reads what JavaScript has reserved");
    operate("rollback", Vec::new()).await;
    assert_eq!(shop.reserve(&cup, "l", &json!(2)).await.body, cups.body, "JavaScript reads what Rust has reserved");
    let mut after = before.clone();
    after["stock"] = json!(2);
    assert_eq!((shop.get(&mug).await.json(), shop.list(PRODUCTS, 5).await.len()), (after, 2));
}
