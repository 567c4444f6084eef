//! Compares the customers' answers with the stored orders and stock after the faults: what was sold is what is gone.

use super::super::super::atoll::eventually;
use super::customer::Receipt;
use super::shop_client::{OrderOutcome, ShopClient};
use futures_util::StreamExt;
use futures_util::stream::iter;
use host::base::ServiceName;
use host::state::{Bucket, Settings, Store};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// How many orders are settled at the same time.
const SETTLING_AT_ONCE: usize = 12;

/// Every customer without a definite answer asks until there is one; every other customer asks once more. Then orders
/// and stock must be what the customers know of.
pub async fn reconcile(shop: &ShopClient, receipts: Vec<Receipt>) {
    let receipts: Vec<Receipt> =
        iter(receipts).map(|receipt| settle(shop, receipt)).buffered(SETTLING_AT_ONCE).collect().await;
    let orders = shop.orders().await;
    let mut listed: BTreeMap<&str, &Value> =
        orders.iter().map(|order| (order["id"].as_str().unwrap(), order)).collect();
    assert_eq!(listed.len(), orders.len(), "each order must be listed once");
    for Receipt { wanted, order, .. } in &receipts {
        let Some(order) = order else { continue };
        // Removed, so that no other key can claim the same order.
        assert_eq!(listed.remove(order["id"].as_str().unwrap()), Some(order), "{wanted:?}");
    }
    assert!(listed.is_empty(), "there are orders that no customer knows of, though all have asked: {listed:?}");
    balance(shop).await;
}

/// Sends an order again: until it is certain whether it was placed, or once more if it was placed.
async fn settle(shop: &ShopClient, mut receipt: Receipt) -> Receipt {
    if receipt.open || receipt.order.is_some() {
        let what = format!("a definite answer to {receipt:?}");
        let outcome = eventually(&what, async || {
            Some(shop.place(&receipt.wanted).await).filter(|outcome| *outcome != OrderOutcome::Unavailable) //
        })
        .await;
        receipt.note(outcome);
        receipt.open = false;
    }
    receipt
}

/// Waits until sweeps have released every reservation without an order. Then stock plus orders equals the first
/// stock.
async fn balance(shop: &ShopClient) {
    let accounts = eventually("sweeps have released all reservations without an order", async || {
        let orders = shop.orders().await;
        let mut sold: BTreeMap<String, u64> = BTreeMap::new();
        for line in orders.iter().flat_map(|order| order["lines"].as_array().unwrap()) {
            let product = line["product"].as_str().unwrap().to_owned();
            *sold.entry(product).or_default() += line["quantity"].as_u64().unwrap();
        }
        let mut even = true;
        for (product, left) in shop.products.iter().zip(shop.stocks().await) {
            let sold = sold.get(&product.id).copied().unwrap_or(0);
            assert!(left + sold <= product.stock, "sold twice: {left} left, {sold} sold, {} to sell", product.stock);
            even &= left + sold == product.stock;
        }
        even.then_some(sold)
    })
    .await;
    assert!(!accounts.is_empty(), "nothing was sold, so this test has shown nothing");
}

/// Reads the store of a stopped host. The held reservations must be those of the orders, one for each. What still
/// waits for a sweep must hold nothing. Each order must have one key.
pub async fn inspect(path: &Path) {
    let settings = Settings { path: path.to_owned(), ..Settings::default() };
    let store = tokio::task::spawn_blocking(move || Store::open(&settings).unwrap()).await.unwrap();
    let bucket = |name| store.bucket(&ServiceName::new(name).unwrap());
    let (orders, products) = (bucket("orders"), bucket("products"));

    let kept = entries(&orders, "order/").await;
    let reservations: BTreeSet<_> = kept.iter().map(|(_, order)| order["reservation"].as_str().unwrap()).collect();
    assert_eq!(reservations.len(), kept.len(), "two orders must not share a reservation");
    let taken = entries(&products, "reservation/").await;
    let held: BTreeSet<_> =
        taken.iter().filter(|(_, state)| state.get("OpenExchange").is_some()).map(|(key, _)| key.as_str()).collect();
    assert_eq!(held, reservations, "exactly the reservations of orders must hold stock");

    let ids: BTreeSet<u64> = kept.iter().map(|(id, _)| id.parse().unwrap()).collect();
    let pending: BTreeSet<u64> = entries(&orders, "pending/").await.iter().map(|(id, _)| id.parse().unwrap()).collect();
    let keys = entries(&orders, "key/").await;
    let named: BTreeSet<u64> = keys.iter().map(|(_, holder)| holder["id"].as_u64().unwrap()).collect();
    assert_eq!(named.len(), keys.len(), "an order must not have two keys");
    assert!(ids.is_subset(&named), "every order must have a key");
    assert!(named.difference(&ids).all(|id| pending.contains(id)), "a key without an order must have a pending record");
    tokio::task::spawn_blocking(move || store.close()).await.unwrap();
}

/// The entries whose keys begin with `prefix`, with the rest of each key.
async fn entries(bucket: &Bucket, prefix: &str) -> Vec<(String, Value)> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = bucket.scan(prefix.as_bytes().to_vec(), after, 1000).await.unwrap();
        found.extend(page.items.into_iter().map(|entry| {
            let key = String::from_utf8(entry.key[prefix.len()..].to_vec()).unwrap();
            (key, serde_json::from_slice(&entry.value.value).unwrap())
        }));
        match page.next {
            Some(next) => after = Some(next),
            None => return found,
        }
    }
}
