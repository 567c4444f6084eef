//! `kill -9` at random moments while sagas run, under load and with payments that decline, hang and lose answers. One
//! state lives through all crashes. In the end no saga is lost or half undone, and money, stock and orders add up.

use super::super::atoll::{Answer, Home, TIMEOUT, eventually};
use super::{Shop, manifest};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// How often the host is killed, if ATOLL_TEST_CRASHES does not say: what a run on every change can bear.
const CRASHES: usize = 12;
/// Clients at the same time.
const CLIENTS: usize = 6;
/// How long they buy before a crash, in milliseconds.
const LIFE: std::ops::Range<u64> = 60..600;
const STOCK: u32 = 1_000_000;
const MODES: [(&str, u32); 4] = [("works", 100), ("declines", 40), ("loses_answers", 40), ("hangs", 30)];

/// Buys one thing after the other until the host is gone. Returns the keys, each with whether the start was
/// acknowledged.
async fn buy(shop: Shop, client: usize, first: usize, product: String) -> BTreeMap<String, bool> {
    let mut keys = BTreeMap::new();
    for n in first.. {
        let (key, path) = (format!("c{client}-{n}"), if n % 2 == 0 { "/checkout" } else { "/checkout/later" });
        match shop.buy(path, &key, &product, 1).await {
            Ok(answer) if is_told(&answer) => drop(keys.insert(key, true)),
            // It may have been started.
            _ => {
                keys.insert(key, false);
                return keys;
            }
        }
    }
    keys
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_saga_is_lost_or_half_undone_and_money_stock_and_orders_add_up() {
    let seed = setting("ATOLL_TEST_SEED").unwrap_or_else(rand::random);
    println!("set ATOLL_TEST_SEED={seed} to repeat the same crashes");
    let crashes = setting("ATOLL_TEST_CRASHES").map_or(CRASHES, |crashes| usize::try_from(crashes).unwrap());
    let mut random = SmallRng::seed_from_u64(seed);
    let home = Home::new(&manifest());
    let host = home.start().await;
    let mug = Shop::of(&host).product("mug", STOCK).await;
    host.stop().await;
    let (mut keys, mut next) = (BTreeMap::new(), [0; CLIENTS]);
    for crash in 0..crashes {
        let host = home.start().await;
        let shop = Shop::of(&host);
        let (mode, percent) = MODES[crash % MODES.len()];
        shop.behave(mode, percent).await;
        let clients: Vec<_> =
            (0..CLIENTS).map(|one| tokio::spawn(buy(shop.clone(), one, next[one], mug.clone()))).collect();
        tokio::time::sleep(Duration::from_millis(random.random_range(LIFE))).await;
        host.kill().await;
        for (one, client) in clients.into_iter().enumerate() {
            let bought = tokio::time::timeout(TIMEOUT, client).await.unwrap().unwrap();
            next[one] += bought.len();
            keys.extend(bought);
        }
    }
    let host = home.start().await;
    let shop = Shop::of(&host);
    shop.behave("works", 100).await;
    // What is in doubt is started again with its key: it is the same saga, or a new one.
    let mut ends = BTreeMap::new();
    for (key, acknowledged) in &keys {
        let answer = shop.buy("/checkout/later", key, &mug, 1).await.unwrap();
        assert!(is_told(&answer), "{answer:?}");
        ends.insert(answer.json()["id"].as_str().unwrap().to_owned(), *acknowledged);
    }
    eventually("every saga has ended", async || (shop.admin("/v1/sagas").await == json!([])).then_some(())).await;
    let (mut completed, mut compensated, mut paid) = (0_u64, 0, 0);
    for id in ends.keys() {
        let state = shop.admin(&format!("/v1/sagas/{id}")).await["state"].as_str().unwrap().to_owned();
        let (order, (charged, refunded)) = (shop.order(id).await, shop.payment(id).await);
        match state.as_str() {
            "completed" => {
                let order = order.unwrap_or_else(|| panic!("{id} has completed without an order"));
                assert_eq!((charged, refunded, &order["progress"]), (true, false, &json!("shipped")), "{id}");
                (completed, paid) = (completed + 1, paid + order["total"]["amount"].as_u64().unwrap());
            }
            "compensated" => {
                assert!(order.is_none() && (!charged || refunded), "{id} is half undone: {charged} {refunded}");
                compensated += 1;
            }
            other => panic!("{id} is {other}"),
        }
    }
    println!("{completed} sagas have completed and {compensated} were undone, over {crashes} crashes");
    assert!(completed > u64::try_from(crashes).unwrap(), "this test has tried little");
    assert_eq!(shop.stock(&mug).await, u64::from(STOCK) - completed, "stock is lost, or was sold twice");
    assert_eq!(paid, 100 * completed);
    host.stop().await;
}

/// Whether the answer tells of a saga: 409 is that of one which was undone.
fn is_told(answer: &Answer) -> bool {
    answer.status.is_success() || answer.status == 409
}

/// A number from the environment.
#[expect(clippy::disallowed_methods, reason = "a test reads its settings, the host does not")]
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}
