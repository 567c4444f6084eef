//! The example shop behind the gateway: the manifest that `just run` starts, with its services.

mod chaos;
mod concurrent_writes;
mod events;
mod orders;
mod products;
mod reviews;
mod typed_route_errors;
mod users;

use super::atoll::{Answer, Atoll, Home, Http};
use super::components::shop_manifest;
use http::{Method, Request};
use serde_json::Value;

/// The running shop.
struct Shop {
    atoll: Atoll,
    http: Http,
    home: Home,
}

impl Shop {
    /// Starts the shop with the repository's own manifest and an empty store.
    async fn open() -> Self {
        let home = Home::new(&shop_manifest());
        Self { atoll: home.start().await, http: Http::default(), home }
    }

    /// The address of `path` at the gateway.
    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.atoll.gateway)
    }

    async fn get(&self, path: &str) -> Answer {
        self.http.get(&self.url(path)).await
    }

    async fn send(&self, method: Method, path: &str, body: &Value) -> Answer {
        self.http.json(method, &self.url(path), body).await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, body).await
    }

    /// Reserves `quantity` of the product at `path` under `key`.
    async fn reserve(&self, path: &str, key: &str, quantity: &Value) -> Answer {
        let request = Request::post(self.url(&format!("{path}/reserve")))
            .header("content-type", "application/json")
            .header("idempotency-key", key);
        self.http.send(request, serde_json::json!({ "quantity": quantity }).to_string()).await
    }

    /// Reads all items of a list in pages of `limit`. Only the last page may have fewer items.
    async fn list(&self, path: &str, limit: usize) -> Vec<Value> {
        let mut items = Vec::new();
        let mut cursor = String::new();
        loop {
            let answer = self.get(&format!("{path}?limit={limit}{cursor}")).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            let page = answer.json();
            let part = page["items"].as_array().unwrap();
            items.extend(part.iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return items,
            }
            assert_eq!(part.len(), limit, "only the last page may have fewer items than the limit");
        }
    }
}

/// The path of a new item, from the `location` header of the answer. The item's id must agree with it.
fn location(created: &Answer, collection: &str) -> String {
    assert_eq!(created.status, 201, "{created:?}");
    let id = id(&created.json()).to_string();
    assert_eq!(created.header("location"), format!("{collection}/{id}"));
    format!("{collection}/{id}")
}

/// The id of a user, a product or an order: in JSON a string of digits.
fn id(item: &Value) -> u64 {
    item["id"].as_str().unwrap().parse().unwrap()
}

/// The JSON pointers of the fields that a 422 names, sorted.
fn pointers(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 422, "{answer:?}");
    let problem = answer.problem();
    let errors = problem["errors"].as_array().unwrap();
    assert!(errors.iter().all(|error| !error["detail"].as_str().unwrap().is_empty()), "{errors:?}");
    let mut pointers: Vec<_> = errors.iter().map(|error| error["pointer"].as_str().unwrap().to_owned()).collect();
    pointers.sort_unstable();
    pointers
}
