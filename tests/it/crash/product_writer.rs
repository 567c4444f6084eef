//! A writer that creates products and makes reservations, and the products from which all writers reserve.

use super::{Client, Ids, id};
use bytes::Bytes;
use http::Method;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// More stock than all writers can take.
const STOCK: u64 = 1_000_000;
/// Few products, so that the writers compete for them.
const SHARED: usize = 2;
/// How many earlier reservations each writer repeats after a crash, besides its last one.
const REPEATS: usize = 3;

/// The products from which all writers reserve.
pub(super) struct SharedProducts(Vec<u64>);

/// One writer, the products that it has created, and what it has reserved.
pub(super) struct ProductWriter {
    number: usize,
    random: SmallRng,
    ids: Ids,
    shared: Arc<SharedProducts>,
    known: BTreeMap<u64, Value>,
    reserved: Vec<(Reservation, Bytes)>,
    /// How many writes it has sent. The names and keys of its writes are made from this count.
    count: usize,
    /// The write that was sent and not answered yet.
    open: Option<Write>,
    pub(super) acknowledged: usize,
    /// Writes that were in doubt after a crash: how many were stored, and how many were not.
    pub(super) doubts: (usize, usize),
}

#[derive(Debug, Clone)]
enum Write {
    Create(Value),
    Reserve(Reservation),
}

#[derive(Debug, Clone)]
struct Reservation {
    key: String,
    product: u64,
    quantity: u64,
}

impl SharedProducts {
    /// Creates its products.
    pub(super) async fn fill(client: &Client, ids: &Ids) -> Self {
        let mut products = Vec::new();
        for n in 0..SHARED {
            let answer = client
                .send_expecting_answer(&Method::POST, "/api/products", None, &product(&format!("shared-{n}"), STOCK))
                .await;
            assert_eq!(answer.status, 201, "{answer:?}");
            products.push(id(&answer.json()));
        }
        products.iter().for_each(|id| ids.note(*id));
        Self(products)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Right after a crash: every acknowledged reservation is taken from the stock, and a reservation in doubt may be
    /// or not.
    pub(super) fn check_bounds(&self, listed: &[Value], product_writers: &[ProductWriter]) {
        for product in &self.0 {
            let most = STOCK - taken(product_writers, *product);
            let doubt = product_writers.iter().filter_map(|writer| match &writer.open {
                Some(Write::Reserve(open)) if open.product == *product => Some(open.quantity),
                _ => None,
            });
            let least = most - doubt.sum::<u64>();
            let stock = stock(listed, *product);
            assert!((least..=most).contains(&stock), "the stock is {stock} and must be {least} to {most}");
        }
    }

    /// Checks the stock when no write is in doubt.
    pub(super) fn check_stock(&self, listed: &[Value], product_writers: &[ProductWriter]) {
        for product in &self.0 {
            assert_eq!(stock(listed, *product), STOCK - taken(product_writers, *product));
        }
    }

    /// The reservations of a product form one sequence: each begins with the stock that the one before left.
    pub(super) fn check_sequence(&self, product_writers: &[ProductWriter]) {
        for product in &self.0 {
            let own =
                product_writers.iter().flat_map(|writer| &writer.reserved).filter(|(made, _)| made.product == *product);
            let left = |answer: &Bytes| serde_json::from_slice::<Value>(answer).unwrap()["stock"].as_u64().unwrap();
            let mut line: Vec<_> = own.map(|(made, answer)| (left(answer), made.quantity)).collect();
            line.sort_unstable_by(|a, b| b.cmp(a));
            let end = line.iter().fold(STOCK, |before, (left, quantity)| {
                assert_eq!(before, left + quantity, "two reservations have taken the same items");
                *left
            });
            assert!(end < STOCK, "no writer has reserved anything");
        }
    }
}

impl ProductWriter {
    pub(super) fn new(number: usize, seed: u64, ids: Ids, shared: Arc<SharedProducts>) -> Self {
        Self {
            number,
            random: SmallRng::seed_from_u64(seed),
            ids,
            shared,
            known: BTreeMap::new(),
            reserved: Vec::new(),
            count: 0,
            open: None,
            acknowledged: 0,
            doubts: (0, 0),
        }
    }

    /// Writes until the host dies.
    pub(super) async fn write(&mut self, client: &Client) {
        loop {
            let write = self.next();
            self.open = Some(write.clone());
            let answer = match &write {
                Write::Create(body) => client.send(&Method::POST, "/api/products", None, body).await,
                Write::Reserve(made) => client.send(&Method::POST, &made.path(), Some(&made.key), &made.body()).await,
            };
            let Some(answer) = answer else { return };
            self.open = None;
            self.acknowledged += 1;
            match write {
                Write::Create(body) => {
                    assert_eq!(answer.status, 201, "{body}: {answer:?}");
                    let id = id(&answer.json());
                    self.ids.note(id);
                    self.known.insert(id, body);
                }
                Write::Reserve(made) => {
                    assert_eq!(answer.status, 200, "{made:?}: {answer:?}");
                    self.reserved.push((made, answer.body));
                }
            }
        }
    }

    /// Compares this writer's products among `listed` with its ledger, takes over a product that was in doubt, and
    /// returns how many there are. A reservation in doubt stays in doubt until [`ProductWriter::check_reservations`].
    pub(super) fn settle(&mut self, listed: &[Value]) -> usize {
        let own = listed.iter().filter(|item| item["sku"].as_str().unwrap().starts_with(&format!("w{}-", self.number)));
        let found: BTreeMap<u64, Value> = own.map(|item| (id(item), without_id(item))).collect();
        if let Some(Write::Create(body)) = self.open.take_if(|open| matches!(open, Write::Create(_))) {
            if let Some(id) = found.keys().find(|id| !self.known.contains_key(id)) {
                self.ids.note(*id);
                self.known.insert(*id, body);
                self.doubts.0 += 1;
            } else {
                self.doubts.1 += 1;
            }
        }
        assert_eq!(
            found, self.known,
            "the stored products differ from the acknowledged ones of writer {}",
            self.number
        );
        found.len()
    }

    /// Repeats the reservation in doubt, which settles it. Then repeats some answered reservations, which must get
    /// the same answer.
    pub(super) async fn check_reservations(&mut self, client: &Client) {
        if let Some(Write::Reserve(made)) = self.open.take() {
            let before = stock(&client.list("/api/products").await, made.product);
            let answer = client.send_expecting_answer(&Method::POST, &made.path(), Some(&made.key), &made.body()).await;
            assert_eq!(answer.status, 200, "{made:?}: {answer:?}");
            // Stock only falls. A reservation that was stored before the crash has left at least as much as there is
            // now; a new one leaves less.
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
            let answer = client.send_expecting_answer(&Method::POST, &made.path(), Some(&made.key), &made.body()).await;
            assert_eq!(
                (answer.status.as_u16(), &answer.body),
                (200, first),
                "the repeated reservation {made:?} got another answer"
            );
        }
    }

    fn next(&mut self) -> Write {
        self.count += 1;
        let name = format!("w{}-{}", self.number, self.count);
        if self.random.random_bool(0.2) {
            return Write::Create(product(&name, self.random.random_range(0..100)));
        }
        let product = self.shared.0[self.random.random_range(0..SHARED)];
        Write::Reserve(Reservation { key: name, product, quantity: self.random.random_range(1..5) })
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
    listed.iter().find(|item| id(item) == product).expect("every shared product is listed")["stock"].as_u64().unwrap()
}

/// How many pieces of `product` were reserved and acknowledged.
fn taken(product_writers: &[ProductWriter], product: u64) -> u64 {
    let all = product_writers.iter().flat_map(|writer| &writer.reserved);
    all.filter(|(made, _)| made.product == product).map(|(made, _)| made.quantity).sum()
}
