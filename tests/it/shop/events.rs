//! The events of the shop: an order is published with its data; a mail and the sales follow.

use super::super::atoll::eventually;
use super::{Shop, location};
use http::Request;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_followed_by_a_mail_and_by_the_sales_which_can_be_made_again() {
    let shop = Shop::open().await;
    let ada = shop.post("/api/users", &json!({"name": "Ada", "email": "ada@example.org"})).await.json();
    let price = json!({"amount": 1250, "currency": "EUR"});
    let mug = json!({"sku": "mug", "name": "A mug", "price": price, "stock": 10});
    let mug = shop.post("/api/products", &mug).await.json();
    let order = json!({"user": ada["id"], "lines": [{"product": mug["id"], "quantity": 2}]});
    let place = async |key: &str| {
        let request = Request::post(shop.url("/api/orders"))
            .header("content-type", "application/json")
            .header("idempotency-key", key);
        shop.http.send(request, order.to_string()).await
    };
    let first = place("one").await;
    location(&first, "/api/orders");
    // The same order again is no second one, and no second event.
    assert_eq!(place("one").await.json(), first.json());
    place("two").await;
    let mails = eventually("both orders have a mail", async || {
        Some(shop.list("/api/mails", 10).await).filter(|mails| mails.len() == 2)
    })
    .await;
    assert_eq!((&mails[0]["order"], &mails[0]["user"]), (&first.json()["id"], &ada["id"]));
    assert!(mails[0]["text"].as_str().unwrap().contains("2 x A mug (mug)"), "{mails:?}");
    let expected = json!([{"product": mug["id"], "sku": "mug", "name": "A mug", "orders": 2, "pieces": 4,
        "revenue": [{"amount": 5000, "currency": "EUR"}]}]);
    let sold = async || Value::from(shop.list("/api/sales", 10).await);
    eventually("both orders are counted", async || (sold().await == expected).then_some(())).await;
    let rebuild = ["events", "rebuild", "sales", "--yes", "--admin", &shop.atoll.admin];
    let output = shop.home.output(&rebuild).await;
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(told, "sales: its data are erased, and it gets 2 events of `orders.placed` again\n", "{output:?}");
    eventually("they are counted again", async || (sold().await == expected).then_some(())).await;
}
