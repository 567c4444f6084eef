//! `kill -9` at random moments while clients write to the shop, and one state that lives through all of it.
//!
//! Each writer does one thing after the other and keeps a ledger of what was acknowledged, so that at most one deed of each is in doubt
//! when the host dies. The host starts again on the same state, and every ledger must be found there: whole, with nothing beside
//! it but what was in doubt. What happens to the file itself when the power fails is tested in the room `state`.

mod goods;
mod members;

use super::atoll::{Answer, Atoll, Home, Http};
use super::components::shop_manifest;
use futures_util::future::join_all;
use goods::{Shelf, Trader};
use http::{Method, Request};
use http_body_util::Full;
use members::Members;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const CRASHES: usize = 50;
/// Writers of each kind; several, so that commits share a sync and die together.
const WRITERS: usize = 4;
/// How long the writers write before a crash, in milliseconds: from the first commits to some hundreds.
const LIFE: std::ops::Range<u64> = 50..300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_a_kill_at_any_moment() {
    let seed = seed();
    println!("seed {seed}: set ATOLL_TEST_SEED={seed} for the same writers and the same moments");
    let mut random = SmallRng::seed_from_u64(seed);
    let home = Home::new(&shop_manifest());
    let mut host = home.start().await;
    let (users, products) = (Ids::default(), Ids::default());
    let shelf = Arc::new(Shelf::fill(&Door::of(&host), &products).await);
    let mut members: Vec<_> = (0..WRITERS).map(|n| Members::new(n, random.random(), users.clone())).collect();
    let mut traders: Vec<_> =
        (0..WRITERS).map(|n| Trader::new(n, random.random(), products.clone(), shelf.clone())).collect();
    for _ in 0..CRASHES {
        (members, traders) = write_until_killed(host, members, traders, random.random_range(LIFE)).await;
        host = home.start().await;
        check(&Door::of(&host), &mut members, &mut traders, &shelf).await;
    }
    shelf.check_order(&traders);
    let acknowledged =
        members.iter().map(|m| m.acknowledged).sum::<usize>() + traders.iter().map(|t| t.acknowledged).sum::<usize>();
    let doubts = members.iter().map(|m| m.doubts).chain(traders.iter().map(|t| t.doubts));
    let (happened, lost) = doubts.fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
    println!("{acknowledged} writes acknowledged; of those in doubt {happened} had happened and {lost} had not");
    assert!(acknowledged > CRASHES * WRITERS, "the writers had no time to write");
}

/// Lets everybody write for `life` milliseconds, and kills the host in the midst of it.
async fn write_until_killed(
    host: Atoll,
    members: Vec<Members>,
    traders: Vec<Trader>,
    life: u64,
) -> (Vec<Members>, Vec<Trader>) {
    let spawn_members = members.into_iter().map(|mut writer| {
        let door = Door::of(&host);
        tokio::spawn(async move {
            writer.write(&door).await;
            writer
        })
    });
    let members: Vec<_> = spawn_members.collect();
    let spawn_traders = traders.into_iter().map(|mut writer| {
        let door = Door::of(&host);
        tokio::spawn(async move {
            writer.write(&door).await;
            writer
        })
    });
    let traders: Vec<_> = spawn_traders.collect();
    tokio::time::sleep(Duration::from_millis(life)).await;
    host.kill().await;
    let members = join_all(members).await.into_iter().map(Result::unwrap).collect();
    let traders = join_all(traders).await.into_iter().map(Result::unwrap).collect();
    (members, traders)
}

/// Compares what the host has found with the ledgers, and settles what was in doubt.
async fn check(door: &Door, members: &mut [Members], traders: &mut [Trader], shelf: &Shelf) {
    let (users, products) = tokio::join!(door.list("/api/users"), door.list("/api/products"));
    unique(&users, "email");
    unique(&products, "sku");
    assert_eq!(users.len(), members.iter_mut().map(|writer| writer.settle(&users)).sum::<usize>(), "a user of nobody");
    shelf.check_bounds(&products, traders);
    let own = traders.iter_mut().map(|writer| writer.settle(&products)).sum::<usize>();
    assert_eq!(products.len(), own + shelf.len(), "a product of nobody");
    join_all(members.iter_mut().map(|writer| writer.check_emails(door))).await;
    join_all(traders.iter_mut().map(|writer| writer.check_reservations(door))).await;
    shelf.check_stock(&door.list("/api/products").await, traders);
}

/// No two of `items` share an id or the field `name`.
fn unique(items: &[Value], name: &str) {
    for field in ["id", name] {
        let values: BTreeSet<_> = items.iter().map(|item| item[field].as_str().unwrap().to_lowercase()).collect();
        assert_eq!(values.len(), items.len(), "two share their {field}: {items:?}");
    }
}

#[expect(clippy::disallowed_methods, reason = "how a person repeats a run that failed")]
fn seed() -> u64 {
    std::env::var("ATOLL_TEST_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap())
}

/// The ids that a service has ever given, through all crashes.
#[derive(Clone, Default)]
struct Ids(Arc<Mutex<BTreeSet<u64>>>);

impl Ids {
    /// Notes the id of something new.
    fn note(&self, id: u64) {
        assert!(self.0.lock().unwrap().insert(id), "the id {id} was given twice");
    }
}

/// The way to a host that may die at any moment.
struct Door {
    http: Http,
    gateway: String,
}

impl Door {
    fn of(host: &Atoll) -> Self {
        Self { http: Http::default(), gateway: host.gateway.clone() }
    }

    /// Sends a request; `None` when no whole answer came, and so nobody knows whether it was done.
    async fn send(&self, method: &Method, path: &str, key: Option<&str>, body: &Value) -> Option<Answer> {
        let url = format!("{}{path}", self.gateway);
        let mut request = Request::builder().method(method).uri(url).header("content-type", "application/json");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        self.http.try_send(request.body(Full::from(body.to_string())).unwrap()).await.ok()
    }

    /// Sends a request to a host that nobody is about to kill.
    async fn ask(&self, method: &Method, path: &str, key: Option<&str>, body: &Value) -> Answer {
        self.send(method, path, key, body).await.expect("the host lives")
    }

    /// Every item of a list.
    async fn list(&self, path: &str) -> Vec<Value> {
        let (mut items, mut cursor) = (Vec::new(), String::new());
        loop {
            let answer = self.ask(&Method::GET, &format!("{path}?limit=100{cursor}"), None, &Value::Null).await;
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
