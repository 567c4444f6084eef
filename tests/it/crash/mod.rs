//! `kill -9` at random moments while clients write to the shop. One state lives through all crashes.
//!
//! Each writer sends one write after the other and keeps a ledger of the acknowledged ones. So at most one write of
//! each writer is in doubt when the host dies. The host starts again on the same state, and every ledger must be
//! found there: complete, and with nothing beside it except the write in doubt. What happens to the file itself when
//! the power fails is tested in the room `state`.

mod product_writer;
mod user_writer;

use super::atoll::{Answer, Atoll, Home, Http};
use super::components::shop_manifest;
use futures_util::future::join_all;
use http::{Method, Request};
use http_body_util::Full;
use product_writer::{ProductWriter, SharedProducts};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use user_writer::UserWriter;

const CRASHES: usize = 50;
/// How many writers there are of each kind. Several, so that their commits share a sync and are lost together.
const WRITERS: usize = 4;
/// How long the writers write before a crash, in milliseconds. This reaches from the first commits to some hundreds.
const LIFE: std::ops::Range<u64> = 50..300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_write_survives_a_kill_at_any_moment() {
    let seed = seed();
    println!("set ATOLL_TEST_SEED={seed} to repeat the same writers and the same crashes");
    let mut random = SmallRng::seed_from_u64(seed);
    let home = Home::new(&shop_manifest());
    let mut host = home.start().await;
    let (users, products) = (Ids::default(), Ids::default());
    let shared = Arc::new(SharedProducts::fill(&Client::of(&host), &products).await);
    let mut user_writers: Vec<_> = (0..WRITERS).map(|n| UserWriter::new(n, random.random(), users.clone())).collect();
    let mut product_writers: Vec<_> =
        (0..WRITERS).map(|n| ProductWriter::new(n, random.random(), products.clone(), shared.clone())).collect();
    for _ in 0..CRASHES {
        (user_writers, product_writers) =
            write_until_killed(host, user_writers, product_writers, random.random_range(LIFE)).await;
        host = home.start().await;
        check(&Client::of(&host), &mut user_writers, &mut product_writers, &shared).await;
    }
    shared.check_sequence(&product_writers);
    let acknowledged = user_writers.iter().map(|m| m.acknowledged).sum::<usize>()
        + product_writers.iter().map(|t| t.acknowledged).sum::<usize>();
    let doubts = user_writers.iter().map(|m| m.doubts).chain(product_writers.iter().map(|t| t.doubts));
    let (happened, lost) = doubts.fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
    println!("{acknowledged} writes acknowledged; of those in doubt, {happened} were stored and {lost} were not");
    assert!(
        acknowledged > CRASHES * WRITERS,
        "the writers wrote less than once for each crash, so this test has tried little"
    );
}

/// Lets all writers write for `life` milliseconds, and then kills the host while they write.
async fn write_until_killed(
    host: Atoll,
    user_writers: Vec<UserWriter>,
    product_writers: Vec<ProductWriter>,
    life: u64,
) -> (Vec<UserWriter>, Vec<ProductWriter>) {
    let spawn_user_writers = user_writers.into_iter().map(|mut writer| {
        let client = Client::of(&host);
        tokio::spawn(async move {
            writer.write(&client).await;
            writer
        })
    });
    let user_writers: Vec<_> = spawn_user_writers.collect();
    let spawn_product_writers = product_writers.into_iter().map(|mut writer| {
        let client = Client::of(&host);
        tokio::spawn(async move {
            writer.write(&client).await;
            writer
        })
    });
    let product_writers: Vec<_> = spawn_product_writers.collect();
    tokio::time::sleep(Duration::from_millis(life)).await;
    host.kill().await;
    let user_writers = join_all(user_writers).await.into_iter().map(Result::unwrap).collect();
    let product_writers = join_all(product_writers).await.into_iter().map(Result::unwrap).collect();
    (user_writers, product_writers)
}

/// Compares the restarted host's data with the ledgers, and settles the writes in doubt.
async fn check(
    client: &Client,
    user_writers: &mut [UserWriter],
    product_writers: &mut [ProductWriter],
    shared: &SharedProducts,
) {
    let (users, products) = tokio::join!(client.list("/api/users"), client.list("/api/products"));
    unique(&users, "email");
    unique(&products, "sku");
    assert_eq!(
        users.len(),
        user_writers.iter_mut().map(|writer| writer.settle(&users)).sum::<usize>(),
        "there is a user that no writer has created"
    );
    shared.check_bounds(&products, product_writers);
    let own = product_writers.iter_mut().map(|writer| writer.settle(&products)).sum::<usize>();
    assert_eq!(products.len(), own + shared.len(), "there is a product that no writer has created");
    join_all(user_writers.iter_mut().map(|writer| writer.check_emails(client))).await;
    join_all(product_writers.iter_mut().map(|writer| writer.check_reservations(client))).await;
    shared.check_stock(&client.list("/api/products").await, product_writers);
}

/// No two of `items` share an id or the field `name`.
fn unique(items: &[Value], name: &str) {
    for field in ["id", name] {
        let values: BTreeSet<_> = items.iter().map(|item| item[field].as_str().unwrap().to_lowercase()).collect();
        assert_eq!(values.len(), items.len(), "two items share their {field}: {items:?}");
    }
}

#[expect(clippy::disallowed_methods, reason = "a developer sets the seed to repeat a failed run")]
fn seed() -> u64 {
    std::env::var("ATOLL_TEST_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap())
}

/// All ids that a service has given, through all crashes.
#[derive(Clone, Default)]
struct Ids(Arc<Mutex<BTreeSet<u64>>>);

impl Ids {
    /// Records the id of a new item.
    fn note(&self, id: u64) {
        assert!(self.0.lock().unwrap().insert(id), "the id {id} was given twice");
    }
}

/// A client of a host that may die at any moment.
struct Client {
    http: Http,
    gateway: String,
}

impl Client {
    fn of(host: &Atoll) -> Self {
        Self { http: Http::default(), gateway: host.gateway.clone() }
    }

    /// Sends a request. `None` if no complete answer came: then nobody knows whether the request was executed.
    async fn send(&self, method: &Method, path: &str, key: Option<&str>, body: &Value) -> Option<Answer> {
        let url = format!("{}{path}", self.gateway);
        let mut request = Request::builder().method(method).uri(url).header("content-type", "application/json");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        self.http.try_send(request.body(Full::from(body.to_string())).unwrap()).await.ok()
    }

    /// Sends a request to a host that is not about to be killed.
    async fn send_expecting_answer(&self, method: &Method, path: &str, key: Option<&str>, body: &Value) -> Answer {
        self.send(method, path, key, body).await.expect("the host is not being killed, so it must answer")
    }

    /// Every item of a list.
    async fn list(&self, path: &str) -> Vec<Value> {
        let (mut items, mut cursor) = (Vec::new(), String::new());
        loop {
            let answer = self
                .send_expecting_answer(&Method::GET, &format!("{path}?limit=100{cursor}"), None, &Value::Null)
                .await;
            assert_eq!(answer.status, 200, "{answer:?}");
            let page = answer.json();
            items.extend(page["items"].as_array().unwrap().iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return items,
            }
        }
    }
}

/// The id of a user or a product: in JSON a string of digits.
fn id(item: &Value) -> u64 {
    item["id"].as_str().unwrap().parse().unwrap()
}
