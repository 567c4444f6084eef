//! A writer of products and reservations, and the shelf that all of them take from.

use super::{Door, Ids, id};
use bytes::Bytes;
use http::Method;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// More than all writers can take.
const STOCK: u64 = 1_000_000;
/// Few, so that the writers are in each other's way.
const SHELF: usize = 2;
/// Earlier reservations that each writer repeats after a crash, besides its last.
const REPEATS: usize = 3;

/// The products from which everybody reserves.
pub(super) struct Shelf(Vec<u64>);

/// One writer, its products, and what it has reserved.
pub(super) struct Trader {
    number: usize,
    random: SmallRng,
    ids: Ids,
    shelf: Arc<Shelf>,
    known: BTreeMap<u64, Value>,
    reserved: Vec<(Reservation, Bytes)>,
    /// How many things it has asked for: names and keys follow from it.
    count: usize,
    /// Asked for, and not answered yet.
    open: Option<Deed>,
    pub(super) acknowledged: usize,
    /// What was in doubt after a crash: how often it had happened, and how often not.
    pub(super) doubts: (usize, usize),
}

#[derive(Debug, Clone)]
enum Deed {
    Create(Value),
    Reserve(Reservation),
}

#[derive(Debug, Clone)]
struct Reservation {
    key: String,
    product: u64,
    quantity: u64,
}

impl Shelf {
    /// Creates its products.
    pub(super) async fn fill(door: &Door, ids: &Ids) -> Self {
        let mut products = Vec::new();
        for n in 0..SHELF {
            let answer = door.ask(&Method::POST, "/api/products", None, &product(&format!("shelf-{n}"), STOCK)).await;
            assert_eq!(answer.status, 201, "{answer:?}");
            products.push(id(&answer.json()));
        }
        products.iter().for_each(|id| ids.note(*id));
        Self(products)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Right after a crash: all that was acknowledged is gone from the stock, and what was in doubt is gone or there.
    pub(super) fn check_bounds(&self, listed: &[Value], traders: &[Trader]) {
        for product in &self.0 {
            let most = STOCK - taken(traders, *product);
            let doubt = traders.iter().filter_map(|trader| match &trader.open {
                Some(Deed::Reserve(open)) if open.product == *product => Some(open.quantity),
                _ => None,
            });
            let least = most - doubt.sum::<u64>();
            let stock = stock(listed, *product);
            assert!((least..=most).contains(&stock), "a stock of {stock}, which must be {least} to {most}");
        }
    }

    /// When nothing is in doubt.
    pub(super) fn check_stock(&self, listed: &[Value], traders: &[Trader]) {
        for product in &self.0 {
            assert_eq!(stock(listed, *product), STOCK - taken(traders, *product));
        }
    }

    /// All reservations are one line, each beginning with the stock that the one before has left.
    pub(super) fn check_order(&self, traders: &[Trader]) {
        for product in &self.0 {
            let own = traders.iter().flat_map(|trader| &trader.reserved).filter(|(made, _)| made.product == *product);
            let left = |answer: &Bytes| serde_json::from_slice::<Value>(answer).unwrap()["stock"].as_u64().unwrap();
            let mut line: Vec<_> = own.map(|(made, answer)| (left(answer), made.quantity)).collect();
            line.sort_unstable_by(|a, b| b.cmp(a));
            let end = line.iter().fold(STOCK, |before, (left, quantity)| {
                assert_eq!(before, left + quantity, "two reservations have taken the same items");
                *left
            });
            assert!(end < STOCK, "nobody has reserved anything");
        }
    }
}

impl Trader {
    pub(super) fn new(number: usize, seed: u64, ids: Ids, shelf: Arc<Shelf>) -> Self {
        Self {
            number,
            random: SmallRng::seed_from_u64(seed),
            ids,
            shelf,
            known: BTreeMap::new(),
            reserved: Vec::new(),
            count: 0,
            open: None,
            acknowledged: 0,
            doubts: (0, 0),
        }
    }

    /// Writes until the host is gone.
    pub(super) async fn write(&mut self, door: &Door) {
        loop {
            let deed = self.next();
            self.open = Some(deed.clone());
            let answer = match &deed {
                Deed::Create(body) => door.send(&Method::POST, "/api/products", None, body).await,
                Deed::Reserve(made) => door.send(&Method::POST, &made.path(), Some(&made.key), &made.body()).await,
            };
            let Some(answer) = answer else { return };
            self.open = None;
            self.acknowledged += 1;
            match deed {
                Deed::Create(body) => {
                    assert_eq!(answer.status, 201, "{body}: {answer:?}");
                    let id = id(&answer.json());
                    self.ids.note(id);
                    self.known.insert(id, body);
                }
                Deed::Reserve(made) => {
                    assert_eq!(answer.status, 200, "{made:?}: {answer:?}");
                    self.reserved.push((made, answer.body));
                }
            }
        }
    }

    /// Compares its products among `listed` with its ledger, goes on from what is there, and says how many they are. A reservation that
    /// is in doubt stays so until [`Trader::check_reservations`].
    pub(super) fn settle(&mut self, listed: &[Value]) -> usize {
        let own = listed.iter().filter(|item| item["sku"].as_str().unwrap().starts_with(&format!("w{}-", self.number)));
        let found: BTreeMap<u64, Value> = own.map(|item| (id(item), without_id(item))).collect();
        if let Some(Deed::Create(body)) = self.open.take_if(|open| matches!(open, Deed::Create(_))) {
            if let Some(id) = found.keys().find(|id| !self.known.contains_key(id)) {
                self.ids.note(*id);
                self.known.insert(*id, body);
                self.doubts.0 += 1;
            } else {
                self.doubts.1 += 1;
            }
        }
        assert_eq!(found, self.known, "what is there and what writer {} was told differ", self.number);
        found.len()
    }

    /// Repeats the reservation that is in doubt, which then is none, and some that were answered, which get the same answer.
    pub(super) async fn check_reservations(&mut self, door: &Door) {
        if let Some(Deed::Reserve(made)) = self.open.take() {
            let before = stock(&door.list("/api/products").await, made.product);
            let answer = door.ask(&Method::POST, &made.path(), Some(&made.key), &made.body()).await;
            assert_eq!(answer.status, 200, "{made:?}: {answer:?}");
            // Stock only falls: one that happened before the crash has left as much as there is now, or more; a fresh one leaves less.
            let happened = answer.json()["stock"].as_u64().unwrap() >= before;
            if happened {
                self.doubts.0 += 1
            } else {
                self.doubts.1 += 1
            }
            self.reserved.push((made, answer.body));
        }
        let last = self.reserved.len().checked_sub(1);
        let earlier = (0..REPEATS).filter_map(|_| last.map(|last| self.random.random_range(0..=last)));
        let again: Vec<_> = last.into_iter().chain(earlier.collect::<Vec<_>>()).collect();
        for (made, first) in again.into_iter().map(|n| &self.reserved[n]) {
            let answer = door.ask(&Method::POST, &made.path(), Some(&made.key), &made.body()).await;
            assert_eq!((answer.status.as_u16(), &answer.body), (200, first), "{made:?} again");
        }
    }

    fn next(&mut self) -> Deed {
        self.count += 1;
        let name = format!("w{}-{}", self.number, self.count);
        if self.random.random_bool(0.2) {
            return Deed::Create(product(&name, self.random.random_range(0..100)));
        }
        let product = self.shelf.0[self.random.random_range(0..SHELF)];
        Deed::Reserve(Reservation { key: name, product, quantity: self.random.random_range(1..5) })
    }
}

impl Reservation {
    fn path(&self) -> String {
        format!("/api/products/{}/reserve", self.product)
    }

    fn body(&self) -> Value {
        json!({"quantity": self.quantity})
    }
}

fn product(sku: &str, stock: u64) -> Value {
    json!({"sku": sku, "name": format!("Product {sku}"), "price": {"amount": 1250, "currency": "EUR"}, "stock": stock})
}

fn without_id(item: &Value) -> Value {
    let mut item = item.clone();
    item.as_object_mut().unwrap().remove("id");
    item
}

fn stock(listed: &[Value], product: u64) -> u64 {
    listed.iter().find(|item| id(item) == product).expect("a product of the shelf")["stock"].as_u64().unwrap()
}

/// How much of `product` was reserved and acknowledged.
fn taken(traders: &[Trader], product: u64) -> u64 {
    let all = traders.iter().flat_map(|trader| &trader.reserved);
    all.filter(|(made, _)| made.product == product).map(|(made, _)| made.quantity).sum()
}
