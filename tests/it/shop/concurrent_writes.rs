//! Many clients write at once: ids, emails, SKUs and the last item must stay unique.

use super::{Shop, id};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn statuses(answers: &[super::Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_users_created_at_once_have_different_ids() {
    let shop = Shop::open().await;
    let create = async |n: usize| {
        shop.post("/api/users", &json!({"name": format!("User {n}"), "email": format!("u{n}@example.org")})).await
    };
    let answers = join_all((0..64).map(create)).await;
    assert_eq!(statuses(&answers, 201), 64);
    let users: Vec<Value> = answers.iter().map(super::Answer::json).collect();
    let ids: BTreeSet<u64> = users.iter().map(id).collect();
    assert_eq!(ids.len(), 64);
    let listed: Vec<u64> = shop.list("/api/users", 10).await.iter().map(id).collect();
    assert_eq!(listed, Vec::from_iter(ids), "all users must be listed, in the order of their ids");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_concurrent_creations_with_one_email_exactly_one_succeeds() {
    let shop = Shop::open().await;
    let create = async |n: usize| {
        let email = if n.is_multiple_of(2) { "one@example.org" } else { "ONE@example.org" };
        shop.post("/api/users", &json!({"name": format!("User {n}"), "email": email})).await
    };
    let answers = join_all((0..32).map(create)).await;
    assert_eq!((statuses(&answers, 201), statuses(&answers, 409)), (1, 31));
    let winner = answers.iter().find(|answer| answer.status == 201).unwrap();
    assert_eq!(shop.list("/api/users", 100).await, [winner.json()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_concurrent_creations_with_one_sku_exactly_one_succeeds() {
    let shop = Shop::open().await;
    let mug = json!({"sku": "mug", "name": "Mug", "price": {"amount": 1250, "currency": "EUR"}, "stock": 3});
    let answers = join_all((0..32).map(|_| shop.post("/api/products", &mug))).await;
    assert_eq!((statuses(&answers, 201), statuses(&answers, 409)), (1, 31));
    assert_eq!(shop.list("/api/products", 100).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_reservations_never_take_more_than_the_stock() {
    let shop = Shop::open().await;
    let mug = json!({"sku": "mug", "name": "Mug", "price": {"amount": 1250, "currency": "EUR"}, "stock": 10});
    let created = shop.post("/api/products", &mug).await;
    let path = super::location(&created, "/api/products");
    let answers = join_all((0..50).map(async |n| shop.reserve(&path, &format!("order-{n}"), &json!(1)).await)).await;
    assert_eq!((statuses(&answers, 200), statuses(&answers, 409)), (10, 40));
    let sold = answers.iter().filter(|answer| answer.status == 200);
    let left: BTreeSet<u64> = sold.map(|answer| answer.json()["stock"].as_u64().unwrap()).collect();
    assert_eq!(left, BTreeSet::from_iter(0..10), "each successful reservation must have left another stock");
    assert_eq!(shop.get(&path).await.json()["stock"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_reservations_with_one_key_take_stock_once() {
    let shop = Shop::open().await;
    let mug = json!({"sku": "mug", "name": "Mug", "price": {"amount": 1250, "currency": "EUR"}, "stock": 10});
    let path = super::location(&shop.post("/api/products", &mug).await, "/api/products");
    let answers = join_all((0..20).map(async |_| shop.reserve(&path, "order", &json!(4)).await)).await;
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.body == answers[0].body), "{answers:?}");
    assert_eq!(shop.get(&path).await.json()["stock"], 6);
}
