//! The shop as its customers see it: what it sells, and which answers an order may get.

use super::super::{Answer, Http, pointers};
use http::{Method, Request};
use rand::RngExt;
use rand::rngs::SmallRng;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

const ORDERS: &str = "/api/orders";
const PRODUCTS: &str = "/api/products";
/// How many products the shop sells.
const PRODUCT_COUNT: u64 = 12;

/// A shop with one user and with products of limited stock.
pub struct ShopClient {
    pub http: Http,
    pub gateway: String,
    user: Value,
    pub products: Vec<Product>,
    pub counts: OutcomeCounts,
}

/// A product of the shop.
pub struct Product {
    /// The id as it is in JSON.
    pub id: String,
    sku: String,
    /// The stock at the beginning.
    pub stock: u64,
    amount: u64,
}

/// How many answers of each kind the customers got.
#[derive(Debug, Default)]
pub struct OutcomeCounts {
    pub placed: AtomicUsize,
    pub sold_out: AtomicUsize,
    pub unavailable: AtomicUsize,
}

impl OutcomeCounts {
    /// How many orders the service `products` has decided about.
    pub fn decided(&self) -> usize {
        self.placed.load(Ordering::Relaxed) + self.sold_out.load(Ordering::Relaxed)
    }
}

/// An order that a customer wants to place.
#[derive(Debug, Clone)]
pub struct OrderRequest {
    pub key: String,
    /// Whether the user exists.
    known: bool,
    /// The index of each product and its quantity. A product may occur twice.
    lines: Vec<(usize, u32)>,
}

/// The answers that an order may get.
#[derive(Debug, PartialEq)]
pub enum OrderOutcome {
    Placed(Value),
    SoldOut,
    /// The user does not exist.
    UnknownUser,
    Unavailable,
}

impl OrderRequest {
    /// A random order of one to four lines. One of forty orders has a user that does not exist.
    pub fn any(dice: &mut SmallRng, key: String, shop: &ShopClient) -> Self {
        let lines = (0..dice.random_range(1..=4))
            .map(|_| (dice.random_range(0..shop.products.len()), dice.random_range(1..=3)))
            .collect();
        Self { key, known: dice.random_range(0..40) > 0, lines }
    }
}

impl ShopClient {
    /// Creates the user and the products in the shop behind `gateway`. Each product has a stock of 50 to `most`.
    pub async fn open(gateway: String, dice: &mut SmallRng, most: u64) -> Self {
        let ada = json!({"name": "Ada", "email": "ada@example.org"});
        let http = Http::default();
        let ada = http.json(Method::POST, &format!("{gateway}/api/users"), &ada).await;
        assert_eq!(ada.status, 201, "{ada:?}");
        let user = ada.json()["id"].clone();
        let mut products = Vec::new();
        for number in 0..PRODUCT_COUNT {
            let (sku, stock, amount) = (format!("mug-{number}"), dice.random_range(50..=most), 100 + number);
            let price = json!({"amount": amount, "currency": "EUR"});
            let new = json!({"sku": sku, "name": "A mug", "price": price, "stock": stock});
            let created = http.json(Method::POST, &format!("{gateway}{PRODUCTS}"), &new).await;
            assert_eq!(created.status, 201, "{created:?}");
            products.push(Product { id: created.json()["id"].as_str().unwrap().to_owned(), sku, stock, amount });
        }
        Self { http, gateway, user, products, counts: OutcomeCounts::default() }
    }

    /// Sends the order once. However products fail, the answer must be one of the contract's.
    pub async fn place(&self, wanted: &OrderRequest) -> OrderOutcome {
        let line = |(index, quantity): &(usize, u32)| {
            json!({"product": self.products[*index].id, "quantity": quantity}) //
        };
        let user = if wanted.known { self.user.clone() } else { json!("7") };
        let order = json!({"user": user, "lines": wanted.lines.iter().map(line).collect::<Vec<_>>()});
        let request = Request::post(format!("{}{ORDERS}", self.gateway))
            .header("content-type", "application/json")
            .header("idempotency-key", &wanted.key);
        let answer = self.http.send(request, order.to_string()).await;
        let outcome = self.read(wanted, &answer);
        let count = match outcome {
            OrderOutcome::Placed(_) => &self.counts.placed,
            OrderOutcome::SoldOut => &self.counts.sold_out,
            OrderOutcome::Unavailable => &self.counts.unavailable,
            OrderOutcome::UnknownUser => return outcome,
        };
        count.fetch_add(1, Ordering::Relaxed);
        outcome
    }

    fn read(&self, wanted: &OrderRequest, answer: &Answer) -> OrderOutcome {
        let case = || answer.problem()["case"].clone();
        match answer.status.as_u16() {
            201 => {
                let order = answer.json();
                assert_eq!(
                    order,
                    self.expected(wanted, &order),
                    "the placed order differs from the wanted one: {wanted:?}"
                );
                OrderOutcome::Placed(order)
            }
            409 => {
                assert_eq!(case(), "conflict", "{wanted:?}: {answer:?}");
                OrderOutcome::SoldOut
            }
            422 => {
                assert!(!wanted.known && pointers(answer) == ["/user"], "{wanted:?}: {answer:?}");
                OrderOutcome::UnknownUser
            }
            503 => {
                // On a machine that is busy `orders` may fail so often that its own circuit opens.
                let is_open = answer.problem()["type"] == "urn:atoll:problem:circuit-open";
                assert!(is_open || case() == "unavailable", "{wanted:?}: {answer:?}");
                OrderOutcome::Unavailable
            }
            _ => panic!("{wanted:?}: {answer:?}"),
        }
    }

    /// The order that `wanted` must become, with the id and the time of `order`.
    fn expected(&self, wanted: &OrderRequest, order: &Value) -> Value {
        let mut pieces = BTreeMap::new();
        for (index, quantity) in &wanted.lines {
            let product = self.products[*index].id.parse::<u64>().unwrap();
            pieces.entry(product).or_insert((*index, 0)).1 += quantity;
        }
        let price = |amount: u64| json!({"amount": amount, "currency": "EUR"});
        let lines: Vec<_> = pieces
            .values()
            .map(|(index, quantity)| {
                let Product { id, sku, amount, .. } = &self.products[*index];
                json!({"product": id, "sku": sku, "name": "A mug", "quantity": quantity, "price": price(*amount)})
            })
            .collect();
        let total = pieces.values().map(|(index, quantity)| self.products[*index].amount * u64::from(*quantity)).sum();
        json!({"id": order["id"], "user": self.user, "lines": lines, "total": price(total), "placed": order["placed"]})
    }

    /// All orders of the shop, in the order of the list. Each page is one call, and each call sweeps pending records.
    pub async fn orders(&self) -> Vec<Value> {
        let (mut items, mut cursor) = (Vec::new(), String::new());
        loop {
            let answer = self.http.get(&format!("{}{ORDERS}?limit=100{cursor}", self.gateway)).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            let page = answer.json();
            items.extend(page["items"].as_array().unwrap().iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return items,
            }
        }
    }

    /// The stock that is left of each product.
    pub async fn stocks(&self) -> Vec<u64> {
        let answer = self.http.get(&format!("{}{PRODUCTS}?limit=100", self.gateway)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let page = answer.json();
        let stocks: BTreeMap<_, _> = page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|product| (product["id"].as_str().unwrap(), product["stock"].as_u64().unwrap()))
            .collect();
        self.products.iter().map(|product| stocks[product.id.as_str()]).collect()
    }
}
