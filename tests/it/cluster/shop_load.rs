//! Customers of the shop on three nodes, and what they have seen.

use super::super::atoll::{Http, eventually};
use super::trio::SpreadShop;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// The pieces of the product that is sold.
const STOCK: u64 = 1_000_000;
/// A customer's pause between two requests.
const PACE: Duration = Duration::from_millis(10);

/// What one customer does: at the gateway of a node that has none of it.
struct Errand {
    name: &'static str,
    /// The node that is asked.
    at: usize,
    /// All nodes that the call needs, and from which to which it goes.
    needs: &'static [usize],
    links: &'static [(usize, usize)],
}

/// `a` has users, `b` orders, `c` products.
const ERRANDS: [Errand; 4] = [
    Errand { name: "a user", at: 1, needs: &[0, 1], links: &[(1, 0)] },
    Errand { name: "a product", at: 0, needs: &[0, 2], links: &[(0, 2)] },
    Errand { name: "an order", at: 2, needs: &[1, 2], links: &[(2, 1)] },
    Errand { name: "placing", at: 2, needs: &[0, 1, 2], links: &[(2, 1), (1, 0), (1, 2)] },
];
const PLACING: usize = 3;

/// One request.
struct ErrandEnd {
    errand: usize,
    begun: Instant,
    ended: Instant,
    /// Why it failed.
    fault: Option<String>,
}

/// A time in which calls may fail that need what is not there.
pub(super) struct ShopOutage {
    pub(super) of: LostPart,
    pub(super) from: Instant,
    pub(super) to: Instant,
}

/// What is not there.
pub(super) enum LostPart {
    Node(usize),
    /// The way between two nodes, in one direction at least.
    Link(usize, usize),
}

impl Errand {
    fn needs(&self, part: &LostPart) -> bool {
        match *part {
            LostPart::Node(node) => self.needs.contains(&node),
            LostPart::Link(one, other) => self.links.contains(&(one, other)) || self.links.contains(&(other, one)),
        }
    }
}

/// What all customers share.
struct Counter {
    http: Http,
    /// Where the gateway of each node is now.
    gateways: Mutex<Vec<String>>,
    /// The user, the product and the first order.
    ids: Mutex<[String; 3]>,
    next: AtomicU64,
    ended: AtomicBool,
    ends: Mutex<Vec<ErrandEnd>>,
    /// The orders that were acknowledged.
    placed: Mutex<Vec<String>>,
}

/// The customers.
pub(super) struct ShopLoad {
    counter: Arc<Counter>,
    customers: JoinSet<()>,
}

impl ShopLoad {
    /// Opens the shop's doors, when everything is reached.
    pub(super) async fn begin(shop: &SpreadShop) -> Self {
        let counter = Counter {
            http: Http::default(),
            gateways: Mutex::default(),
            ids: Mutex::default(),
            next: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            ends: Mutex::default(),
            placed: Mutex::default(),
        };
        let mut own = Self { counter: Arc::new(counter), customers: JoinSet::new() };
        own.found_at(shop);
        own.counter.stock().await;
        for errand in 0..ERRANDS.len() {
            let counter = Arc::clone(&own.counter);
            own.customers.spawn(async move { counter.shop(errand).await });
        }
        own.is_served().await;
        own
    }

    /// The gateways are there now: a node that starts again has another port.
    pub(super) fn found_at(&self, shop: &SpreadShop) {
        let address = |node: &Option<super::RunningNode>| node.as_ref().map(|node| node.host.gateway.clone());
        *self.counter.gateways.lock().unwrap() =
            shop.nodes.iter().map(|node| address(node).unwrap_or_default()).collect();
    }

    /// Waits until each errand succeeds, ten times one after the other.
    pub(super) async fn is_served(&self) {
        let since = Instant::now();
        eventually("all customers are served", async || {
            let ends = self.counter.ends.lock().unwrap();
            let served = |errand: usize| {
                let last = ends.iter().rev().filter(|one| one.errand == errand && one.begun > since).take(10);
                last.filter(|one| one.fault.is_none()).count() == 10
            };
            (0..ERRANDS.len()).all(served).then_some(())
        })
        .await;
    }

    /// Sees that every customer was served since then, again and again, and not one without success.
    pub(super) fn was_served_since(&self, since: Instant) {
        let ends = self.counter.ends.lock().unwrap();
        for (at, errand) in ERRANDS.iter().enumerate() {
            let own: Vec<_> = ends.iter().filter(|one| one.errand == at && one.begun >= since).collect();
            let faults: Vec<_> = own.iter().filter_map(|one| one.fault.as_deref()).collect();
            assert!(own.len() >= 20 && faults.is_empty(), "{}: {} calls, {faults:?}", errand.name, own.len());
        }
    }

    /// Ends it. Returns how many calls there were, and how many failed because a node that they need was not there; no
    /// other call has failed, and no acknowledged order is lost.
    pub(super) async fn end(mut self, outages: &[ShopOutage]) -> (usize, usize) {
        self.counter.ended.store(true, Relaxed);
        while let Some(ended) = self.customers.join_next().await {
            ended.unwrap();
        }
        let ends = std::mem::take(&mut *self.counter.ends.lock().unwrap());
        let (mut failed, mut wrong, mut doubtful) = (0, Vec::new(), 0);
        for end in &ends {
            let Some(fault) = &end.fault else { continue };
            let errand = &ERRANDS[end.errand];
            let excused = |one: &ShopOutage| errand.needs(&one.of) && end.begun <= one.to && end.ended >= one.from;
            if !outages.iter().any(excused) {
                wrong.push(format!("{}: {fault}", errand.name));
            }
            failed += 1;
            doubtful += u64::from(end.errand == PLACING);
        }
        assert!(wrong.is_empty(), "{} calls between living nodes have failed: {:?}", wrong.len(), wrong.first());
        let placed = std::mem::take(&mut *self.counter.placed.lock().unwrap());
        for id in &placed {
            let (status, order) = self.counter.get(2, &format!("/api/orders/{id}")).await.unwrap();
            assert_eq!(status, 200, "an acknowledged order is lost: {order}");
        }
        let id = self.counter.ids.lock().unwrap()[1].clone();
        let (_, product) = self.counter.get(0, &format!("/api/products/{id}")).await.unwrap();
        let (sold, acknowledged) = (STOCK - product["stock"].as_u64().unwrap(), placed.len() as u64);
        assert!((acknowledged..=acknowledged + doubtful).contains(&sold), "{acknowledged} orders, {sold} sold");
        (ends.len(), failed)
    }
}

impl Counter {
    /// Makes a user, a product and a first order, by nodes that have none of it.
    async fn stock(&self) {
        let created = async |at: usize, path: &str, key: &str, body: &Value| {
            eventually(&format!("{path} is reached"), async || {
                let (status, created) = self.post(at, path, key, body).await.ok()?;
                (status == 201).then(|| created["id"].as_str().unwrap().to_owned())
            })
            .await
        };
        let user = json!({ "name": "Ada", "email": "ada@example.org" });
        let user = created(1, "/api/users", "u", &user).await;
        let price = json!({ "amount": 1250, "currency": "EUR" });
        let product = json!({ "sku": "lamp", "name": "A lamp", "price": price, "stock": STOCK });
        let product = created(0, "/api/products", "p", &product).await;
        *self.ids.lock().unwrap() = [user, product, String::new()];
        let order = created(2, "/api/orders", "o", &self.order()).await;
        self.placed.lock().unwrap().push(order.clone());
        self.ids.lock().unwrap()[2] = order;
    }

    fn order(&self) -> Value {
        let ids = self.ids.lock().unwrap();
        let [user, product, _] = &*ids;
        json!({ "user": user, "lines": [{ "product": product, "quantity": 1 }] })
    }

    /// One customer, until the end.
    async fn shop(&self, errand: usize) {
        while !self.ended.load(Relaxed) {
            let begun = Instant::now();
            let fault = self.run(errand).await.err();
            let end = ErrandEnd { errand, begun, ended: Instant::now(), fault };
            self.ends.lock().unwrap().push(end);
            tokio::time::sleep(PACE).await;
        }
    }

    async fn run(&self, errand: usize) -> Result<(), String> {
        let at = ERRANDS[errand].at;
        if errand == PLACING {
            let key = format!("k{}", self.next.fetch_add(1, Relaxed));
            let (status, placed) = self.post(at, "/api/orders", &key, &self.order()).await?;
            if status != 201 {
                return Err(format!("{status} {placed}"));
            }
            self.placed.lock().unwrap().push(placed["id"].as_str().unwrap().to_owned());
            return Ok(());
        }
        let id = self.ids.lock().unwrap()[errand].clone();
        let (status, found) = self.get(at, &format!("/api/{}/{id}", ["users", "products", "orders"][errand])).await?;
        if status == 200 { Ok(()) } else { Err(format!("{status} {found}")) }
    }

    async fn get(&self, at: usize, path: &str) -> Result<(u16, Value), String> {
        let url = format!("{}{path}", self.gateways.lock().unwrap()[at]);
        self.send(Request::get(url), String::new()).await
    }

    async fn post(&self, at: usize, path: &str, key: &str, body: &Value) -> Result<(u16, Value), String> {
        let url = format!("{}{path}", self.gateways.lock().unwrap()[at]);
        let request = Request::post(url).header("content-type", "application/json").header("idempotency-key", key);
        self.send(request, body.to_string()).await
    }

    async fn send(&self, request: http::request::Builder, body: String) -> Result<(u16, Value), String> {
        let request = request.body(Full::from(Bytes::from(body))).map_err(|error| error.to_string())?;
        let answer = self.http.try_send(request).await?;
        Ok((answer.status.as_u16(), serde_json::from_slice(&answer.body).unwrap_or_default()))
    }
}
