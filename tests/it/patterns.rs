//! The examples of patterns, `examples/patterns`: what the first lines of each manifest say.

use super::atoll::{Answer, Atoll, Home, Http, eventually};
use super::components::{component, workspace};
use http::Request;
use serde_json::{Value, json};
use std::fs;

/// A host with the manifest of an example.
struct Example {
    host: Atoll,
    http: Http,
    home: Home,
}

impl Example {
    async fn start(name: &str) -> Self {
        let text = fs::read_to_string(workspace().join("examples/patterns").join(name)).unwrap();
        let text = text.lines().map(|line| match line.strip_prefix("component = \"../../components/dist/") {
            Some(file) => format!("component = \"{}\"", component(file.trim_end_matches(".wasm\"")).display()),
            None => line.to_owned(),
        });
        let home = Home::new(&text.collect::<Vec<_>>().join("\n"));
        Self { host: home.start().await, http: Http::default(), home }
    }

    async fn post(&self, path: &str, key: &str, body: &Value) -> Answer {
        let request = Request::post(format!("{}{path}", self.host.gateway)).header("idempotency-key", key);
        self.http.send(request.header("content-type", "application/json"), body.to_string()).await
    }

    async fn get(&self, path: &str) -> Value {
        self.http.get(&format!("{}{path}", self.host.gateway)).await.json()
    }

    async fn create(&self, path: &str, body: &Value) -> Value {
        let answer = self.post(path, "create", body).await;
        assert!(answer.status.is_success(), "{answer:?}");
        answer.json()["id"].clone()
    }

    async fn mug(&self) -> Value {
        let price = json!({ "amount": 900, "currency": "EUR" });
        self.create("/products", &json!({ "sku": "mug", "name": "Mug", "price": price, "stock": 5 })).await
    }

    /// A customer, and what orders two mugs.
    async fn order(&self) -> Value {
        let user = self.create("/users", &json!({ "name": "Ada", "email": "ada@example.org" })).await;
        json!({ "user": user, "lines": [{ "product": self.mug().await, "quantity": 2 }] })
    }

    async fn placed(&self, key: &str, order: &Value) {
        let answer = self.post("/orders", key, order).await;
        assert!(answer.status.is_success(), "{answer:?}");
    }

    /// What the admin shows.
    async fn admin(&self, path: &str) -> Value {
        self.http.get(&format!("{}{path}", self.host.admin)).await.json()
    }

    /// What an operator does.
    async fn verb(&self, words: &[&str]) {
        let output = self.home.output(&[words, &["--admin", &self.host.admin]].concat()).await;
        assert!(output.status.success(), "{output:?}");
    }

    /// Waits until a list has so many items.
    async fn items(&self, path: &str, count: usize) -> Vec<Value> {
        eventually("the items are there", async || {
            let items = self.get(path).await["items"].as_array().cloned().unwrap_or_default();
            (items.len() == count).then_some(items)
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_of_a_saga_is_done_whole_or_undone() {
    let example = Example::start("saga.toml").await;
    let mug = example.mug().await;
    let stock = async || example.get(&format!("/products/{}", mug.as_str().unwrap())).await["stock"].clone();
    let wanted = json!({ "user": "7", "lines": [{ "product": mug, "quantity": 2 }] });
    let bought = example.post("/checkout", "a", &wanted).await;
    assert_eq!((bought.status.as_u16(), &bought.json()["state"], stock().await), (200, &json!("completed"), json!(3)));
    let mode = Request::put(format!("{}/payments/mode?mode=declines&percent=100", example.host.gateway));
    assert!(example.http.send(mode, "").await.status.is_success());
    let declined = example.post("/checkout", "b", &wanted).await;
    assert_eq!((declined.status.as_u16(), stock().await), (409, json!(3)));
    // The routes to sagas are in the gateway's description, and in the list of routes.
    let document = example.get("/openapi.json").await;
    let start = &document["paths"]["/checkout"]["post"];
    assert_eq!(start["operationId"], "checkout_start", "{document}");
    assert!(document["paths"]["/checkout/{id}"]["get"]["responses"]["200"].is_object(), "{document}");
    let routes = example.admin("/v1/routes").await;
    let of = |verb: &str| routes.as_array().unwrap().iter().find(|route| route["call"] == verb).cloned();
    assert_eq!(of("show").unwrap()["matches"], "GET,HEAD /checkout/{id}", "{routes}");
    assert_eq!(of("start").unwrap()["answer"], "saga checkout", "{routes}");
    example.host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_of_an_outbox_has_an_event_for_each_order() {
    let example = Example::start("outbox.toml").await;
    let order = example.order().await;
    example.placed("a", &order).await;
    let page = example.admin("/v1/topics/orders.placed/events").await;
    assert_eq!(page["events"].as_array().unwrap().len(), 1, "{page}");
    assert_eq!(page["events"][0]["event"]["data"]["user"], order["user"], "{page}");
    example.host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_of_eventual_consistency_mails_for_an_order_that_the_mailer_has_missed() {
    let example = Example::start("eventual-consistency.toml").await;
    let order = example.order().await;
    example.placed("a", &order).await;
    example.items("/mails", 1).await;
    example.verb(&["breaker", "open", "mailer"]).await;
    example.placed("b", &order).await;
    let topics = example.admin("/v1/topics").await;
    assert_eq!(topics[0]["subscriptions"][0]["lag"], 1, "{topics}");
    example.verb(&["breaker", "reset", "mailer"]).await;
    example.items("/mails", 2).await;
    example.host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_of_a_read_model_counts_and_counts_again() {
    let example = Example::start("read-model.toml").await;
    let order = example.order().await;
    example.placed("a", &order).await;
    let counted = example.items("/sales", 1).await;
    example.verb(&["events", "rebuild", "sales", "--yes"]).await;
    assert_eq!(example.items("/sales", 1).await, counted);
    example.host.stop().await;
}
