//! What orders makes of products that are swapped, that trap, compute or hang for ever, and that are gone.
//!
//! Customers order from a shop all the while, and every answer that they get must be one of the contract of orders. Afterwards the books
//! are made: no piece is lost, none is sold twice, no key has two orders.

mod books;
mod customer;
mod inside;
mod market;

use super::super::atoll::{Atoll, Home, eventually};
use super::super::components::component;
use bytes::Bytes;
use customer::{Receipt, customer};
use futures_util::future::{join, join_all};
use host::base::ServiceName;
use http::Request;
use inside::Inside;
use market::Market;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

/// The shop. Orders have the breaker of the repository's own manifest, which products that fail must not open, and the time of a busy
/// machine.
const SHOP: &str = r#"
[gateway]
timeout = "50s"

[service.users]
component = "{component:users}"
replicas = 2
state = true
idempotent = ["get"]

[service.products]
component = "{component:products}"
replicas = 2
state = true
PRODUCTS
idempotent = ["get", "list", "reserve", "release"]

[service.orders]
component = "{component:orders}"
replicas = 2
state = true
calls = ["users", "products"]
ORDERS
limits = { timeout = "45s" }
breaker = { failure_threshold = 3, recovery_timeout = "5s" }
idempotent = ["get", "list"]

[[route]]
prefix = "/api/users"
strip_prefix = "/api"
service = "users"

[[route]]
method = "GET"
path = "/api/products"
call = "products/list"

[[route]]
method = "POST"
path = "/api/products"
call = "products/create"
location = "/api/products/{id}"

[[route]]
method = "GET"
path = "/api/orders"
call = "orders/list"

[[route]]
method = "POST"
path = "/api/orders"
call = "orders/place"
from_header = { key = "Idempotency-Key" }
location = "/api/orders/{id}"
"#;

/// Products that give each call the time of a busy machine.
const PATIENT: &str = r#"limits = { timeout = "10s" }"#;

/// Products whose circuits hardly ever open, so that each call finds out by itself.
const TRAPPING: &str = r#"
config = { mode = "trap" }
breaker = { failure_threshold = 1000, recovery_timeout = "100ms" }
isolation = "reuse"
reuse = { max_requests = 50, max_concurrent = 4 }
"#;

/// Products that are given up early, and whose circuits open as they do in the repository's own manifest.
const IMPATIENT: &str = r#"
config = { mode = "MODE" }
limits = { timeout = "300ms" }
breaker = { failure_threshold = 3, recovery_timeout = "100ms" }
"#;

/// Products that are given up in the middle of their work: what a call has done is often not known.
const HASTY: &str = r#"
limits = { timeout = "8ms" }
breaker = { failure_threshold = 1000, recovery_timeout = "100ms" }
"#;

/// Orders that are given up when they have waited for products for a while, by others who come along.
const SOON: &str = r#"config = { sweep_after = "300" }"#;

/// Orders that may be slow on a busy machine.
const LATER: &str = r#"config = { sweep_after = "1500" }"#;

/// As `SOON`, in instances that several calls share, at once and one after the other.
const SHARED: &str = r#"
config = { sweep_after = "300" }
isolation = "reuse"
reuse = { max_requests = 50, max_concurrent = 4 }
"#;

const CUSTOMERS: usize = 24;

fn shop(products: &str, orders: &str) -> String {
    SHOP.replace("PRODUCTS", products).replace("ORDERS", orders)
}

/// What a run does, and to whom.
struct Run {
    seed: u64,
    home: Home,
}

impl Run {
    #[expect(clippy::disallowed_methods, reason = "how a person repeats a run that failed")]
    fn new(products: &str, orders: &str) -> Self {
        let seed = std::env::var("ATOLL_TEST_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
        println!("seed {seed}: set ATOLL_TEST_SEED={seed} for the same customers");
        Self { seed, home: Home::new(&shop(products, orders)) }
    }

    async fn market(&self, gateway: &str, most: u64) -> Market {
        Market::open(gateway.to_owned(), &mut SmallRng::seed_from_u64(self.seed), most).await
    }

    /// Customers order at least `quota` times each, until the trouble is over.
    async fn trade(&self, market: &Market, quota: usize, trouble: impl AsyncFnOnce()) -> Vec<Receipt> {
        let busy = AtomicBool::new(true);
        let seeds = (0..CUSTOMERS as u64).map(|number| self.seed.wrapping_add(number));
        let customers = join_all(seeds.map(|seed| customer(market, seed, quota, &busy)));
        let trouble = async {
            trouble().await;
            busy.store(false, Ordering::Relaxed);
        };
        let (receipts, ()) = join(customers, trouble).await;
        receipts.into_iter().flatten().collect()
    }

    /// The books of a shop that has closed.
    async fn inspect(&self) {
        books::inspect(&self.home.folder.path().join(".atoll/state.redb")).await;
    }
}

/// Waits until `count` has grown by `more`.
async fn grows(what: &str, count: impl Fn() -> usize, more: usize) {
    let wanted = count() + more;
    eventually(what, async || (count() >= wanted).then_some(())).await;
}

async fn operate(atoll: &Atoll, market: &Market, verb: &str, body: Bytes) {
    let request = Request::post(format!("{}/v1/services/products/{verb}", atoll.admin));
    let request = if body.is_empty() { request } else { request.header("content-type", "application/wasm") };
    let answer = market.http.send(request, body).await;
    assert_eq!(answer.status, 200, "{verb}: {answer:?}");
}

/// The component of products, and the same one with another digest.
fn revisions() -> [Bytes; 2] {
    let original = fs::read(component("products")).unwrap();
    let mut other = original.clone();
    // A custom section without a name or content: its id, its size, the length of its name.
    other.extend([0, 1, 0]);
    [original.into(), other.into()]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn products_are_swapped_while_everybody_orders() {
    let run = Run::new(PATIENT, LATER);
    let atoll = run.home.start().await;
    let market = run.market(&atoll.gateway, 1_200).await;
    let revisions = revisions();
    let receipts = run
        .trade(&market, 65, async || {
            for round in 0..40 {
                operate(&atoll, &market, "swap", revisions[(round + 1) % 2].clone()).await;
                grows("orders between two swaps", || market.tally.decided(), 20).await;
            }
        })
        .await;
    println!("{} keys, {:?}", receipts.len(), market.tally);
    books::close(&market, receipts).await;
    let log = atoll.stop().await;
    let failed: Vec<_> = log.iter().filter(|line| line.contains("did not answer")).collect();
    assert!(failed.is_empty(), "a swap loses no call: {failed:?}");
    run.inspect().await;
}

/// Products that fail in this way come and go while everybody orders.
async fn disaster(products: &str, orders: &str, quota: usize) {
    let run = Run::new(products, orders);
    let atoll = run.home.start().await;
    let market = run.market(&atoll.gateway, 200).await;
    let bad: Bytes = fs::read(component("fixture-bad-products")).unwrap().into();
    let receipts = run
        .trade(&market, quota, async || {
            for _ in 0..3 {
                operate(&atoll, &market, "swap", bad.clone()).await;
                grows("refusals", || market.tally.unavailable.load(Ordering::Relaxed), 40).await;
                operate(&atoll, &market, "rollback", Bytes::new()).await;
                grows("orders after the rollback", || market.tally.decided(), 40).await;
            }
        })
        .await;
    println!("{} keys, {:?}", receipts.len(), market.tally);
    books::close(&market, receipts).await;
    atoll.stop().await;
    run.inspect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn products_trap_while_everybody_orders() {
    disaster(TRAPPING, SHARED, 25).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn products_compute_for_ever_while_everybody_orders() {
    disaster(&IMPATIENT.replace("MODE", "loop"), SOON, 10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn products_hang_while_everybody_orders() {
    disaster(&IMPATIENT.replace("MODE", "hang"), SOON, 10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn products_are_given_up_in_the_middle_while_everybody_orders() {
    let run = Run::new(PATIENT, LATER);
    let atoll = run.home.start().await;
    let mut market = run.market(&atoll.gateway, 200).await;
    atoll.stop().await;
    run.home.write(&shop(HASTY, SOON));
    let atoll = run.home.start().await;
    market.gateway.clone_from(&atoll.gateway);
    let receipts = run.trade(&market, 15, async || ()).await;
    println!("{} keys, {:?}", receipts.len(), market.tally);
    // No goodbye: what is under way is left as it is.
    atoll.kill().await;
    run.home.write(&shop(PATIENT, LATER));
    let atoll = run.home.start().await;
    market.gateway.clone_from(&atoll.gateway);
    books::close(&market, receipts).await;
    atoll.stop().await;
    run.inspect().await;
}

/// There is no verb that withdraws a service, so the host is built here, with the discovery table in hand.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn products_are_withdrawn_while_everybody_orders() {
    let run = Run::new(PATIENT, LATER);
    let inside = Inside::open(&run.home).await;
    let market = run.market(&inside.gateway, 200).await;
    let (products, revisions) = (ServiceName::new("products").unwrap(), revisions());
    let receipts = run
        .trade(&market, 15, async || {
            for round in 0..4 {
                assert!(inside.registry.withdraw(&products).is_some());
                grows("refusals", || market.tally.unavailable.load(Ordering::Relaxed), 40).await;
                // The next revision takes the empty place.
                inside.rollout.swap("products", revisions[(round + 1) % 2].clone()).await.unwrap();
                grows("orders after the return", || market.tally.decided(), 40).await;
            }
        })
        .await;
    println!("{} keys, {:?}", receipts.len(), market.tally);
    books::close(&market, receipts).await;
    inside.close().await;
    run.inspect().await;
}
