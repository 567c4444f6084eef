//! The books after the chaos: what was sold is what is gone, and nobody was told otherwise.

use super::super::super::atoll::eventually;
use super::customer::Receipt;
use super::market::{Market, Told};
use futures_util::StreamExt;
use futures_util::stream::iter;
use host::base::ServiceName;
use host::state::{Bucket, Settings, Store};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// How many ask at once while the books are made.
const CLERKS: usize = 12;

/// Everybody who does not know yet asks until he does, and everybody else asks once more; then the orders and the stock are what they
/// were told.
pub async fn close(market: &Market, receipts: Vec<Receipt>) {
    let receipts: Vec<Receipt> = iter(receipts).map(|receipt| settle(market, receipt)).buffered(CLERKS).collect().await;
    let orders = market.orders().await;
    let mut listed: BTreeMap<&str, &Value> =
        orders.iter().map(|order| (order["id"].as_str().unwrap(), order)).collect();
    assert_eq!(listed.len(), orders.len(), "an order is listed once");
    for Receipt { wanted, order, .. } in &receipts {
        let Some(order) = order else { continue };
        // Removed, so that it is the order of no other key.
        assert_eq!(listed.remove(order["id"].as_str().unwrap()), Some(order), "{wanted:?}");
    }
    assert!(listed.is_empty(), "orders that nobody was told of, though everybody has asked: {listed:?}");
    balance(market).await;
}

/// Asks for an order that may or may not be there, until one of both is certain; or once more for one that is there.
async fn settle(market: &Market, mut receipt: Receipt) -> Receipt {
    if receipt.open || receipt.order.is_some() {
        let what = format!("a definite answer to {receipt:?}");
        let told = eventually(&what, async || {
            Some(market.place(&receipt.wanted).await).filter(|told| *told != Told::Unavailable) //
        })
        .await;
        receipt.note(told);
        receipt.open = false;
    }
    receipt
}

/// Waits until the sweeps have given back what no order stands for: then stock and orders are the stock of the beginning.
async fn balance(market: &Market) {
    let accounts = eventually("a sweep of all that was given up", async || {
        let orders = market.orders().await;
        let mut sold: BTreeMap<String, u64> = BTreeMap::new();
        for line in orders.iter().flat_map(|order| order["lines"].as_array().unwrap()) {
            let product = line["product"].as_str().unwrap().to_owned();
            *sold.entry(product).or_default() += line["quantity"].as_u64().unwrap();
        }
        let mut even = true;
        for (product, left) in market.products.iter().zip(market.stocks().await) {
            let sold = sold.get(&product.id).copied().unwrap_or(0);
            assert!(left + sold <= product.stock, "sold twice: {left} left, {sold} sold, {} to sell", product.stock);
            even &= left + sold == product.stock;
        }
        even.then_some(sold)
    })
    .await;
    assert!(!accounts.is_empty(), "something was sold");
}

/// Looks into the store of a host that has stopped: the reservations that hold stock are those of the orders, one for each; what still
/// waits to be swept holds nothing; and each order has one key.
pub async fn inspect(path: &Path) {
    let settings = Settings { path: path.to_owned(), ..Settings::default() };
    let store = tokio::task::spawn_blocking(move || Store::open(&settings).unwrap()).await.unwrap();
    let bucket = |name| store.bucket(&ServiceName::new(name).unwrap());
    let (orders, products) = (bucket("orders"), bucket("products"));

    let kept = entries(&orders, "order/").await;
    let reservations: BTreeSet<_> = kept.iter().map(|(_, order)| order["reservation"].as_str().unwrap()).collect();
    assert_eq!(reservations.len(), kept.len(), "no two orders share their pieces");
    let taken = entries(&products, "reservation/").await;
    let held: BTreeSet<_> =
        taken.iter().filter(|(_, state)| state.get("Held").is_some()).map(|(key, _)| key.as_str()).collect();
    assert_eq!(held, reservations, "stock is held for orders, and for all of them");

    let ids: BTreeSet<u64> = kept.iter().map(|(id, _)| id.parse().unwrap()).collect();
    let pending: BTreeSet<u64> = entries(&orders, "pending/").await.iter().map(|(id, _)| id.parse().unwrap()).collect();
    let keys = entries(&orders, "key/").await;
    let named: BTreeSet<u64> = keys.iter().map(|(_, holder)| holder["id"].as_u64().unwrap()).collect();
    assert_eq!(named.len(), keys.len(), "no order has two keys");
    assert!(ids.is_subset(&named), "every order has its key, so no key has two");
    assert!(named.difference(&ids).all(|id| pending.contains(id)), "no key hangs");
    tokio::task::spawn_blocking(move || store.close()).await.unwrap();
}

/// What stands below `prefix`, with the rest of each key.
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
