//! How the service `orders` behaves while `products` is swapped, traps, computes or hangs for ever, or is withdrawn.
//!
//! Customers order from the shop all the time, and every answer must be one of the contract of `orders`. Afterwards
//! the stored data is compared with the answers: no stock is lost, none is sold twice, and no key has two orders.

mod customer;
mod in_process_host;
mod reconcile;
mod shop_client;

use super::super::atoll::{Atoll, Home, eventually};
use super::super::components::component;
use bytes::Bytes;
use customer::{Receipt, customer};
use futures_util::future::{join, join_all};
use host::base::ServiceName;
use http::Request;
use in_process_host::InProcessHost;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use shop_client::ShopClient;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

/// The shop. `orders` has the breaker of the repository's own manifest, which failures of `products` must not open,
/// and timeouts for a busy machine.
const SHOP: &str = r#"
[gateway]
timeout = "50s"

[topic."orders.placed"]

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
publish = ["orders.placed"]
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

/// `products` with a timeout for a busy machine.
const LONG_TIMEOUT: &str = r#"limits = { timeout = "10s" }"#;

/// `products` that traps. Its circuits hardly ever open, so that each call fails by itself.
const TRAPPING: &str = r#"
config = { mode = "trap" }
breaker = { failure_threshold = 1000, recovery_timeout = "100ms" }
isolation = "reuse"
reuse = { max_requests = 50, max_concurrent = 4 }
"#;

/// `products` with a short timeout. Its circuits open as in the repository's own manifest.
const SHORT_TIMEOUT: &str = r#"
config = { mode = "MODE" }
limits = { timeout = "300ms" }
breaker = { failure_threshold = 3, recovery_timeout = "100ms" }
"#;

/// `products` with a timeout that ends calls in the middle of their work: often it is unknown what a call has done.
const ENDS_MID_WORK: &str = r#"
limits = { timeout = "8ms" }
breaker = { failure_threshold = 1000, recovery_timeout = "100ms" }
"#;

/// `orders` whose placements other calls may give up when they have waited for `products` for a short while.
const SWEEPS_EARLY: &str = r#"config = { sweep_after = "300" }"#;

/// `orders` with a sweep delay for a busy machine.
const SWEEPS_LATE: &str = r#"config = { sweep_after = "1500" }"#;

/// As `SWEEPS_EARLY`, with instances that serve several calls, at once and one after the other.
const SWEEPS_EARLY_SHARED_INSTANCES: &str = r#"
config = { sweep_after = "300" }
isolation = "reuse"
reuse = { max_requests = 50, max_concurrent = 4 }
"#;

const CUSTOMERS: usize = 24;

fn manifest(products: &str, orders: &str) -> String {
    SHOP.replace("PRODUCTS", products).replace("ORDERS", orders)
}

/// One run: its seed and its home folder.
struct Run {
    seed: u64,
    home: Home,
}

impl Run {
    #[expect(clippy::disallowed_methods, reason = "a developer sets the seed to repeat a failed run")]
    fn new(products: &str, orders: &str) -> Self {
        let seed = std::env::var("ATOLL_TEST_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
        println!("set ATOLL_TEST_SEED={seed} to repeat the same customers");
        Self { seed, home: Home::new(&manifest(products, orders)) }
    }

    async fn shop(&self, gateway: &str, most: u64) -> ShopClient {
        ShopClient::open(gateway.to_owned(), &mut SmallRng::seed_from_u64(self.seed), most).await
    }

    /// Customers order at least `quota` times each, and continue until `trouble` is over.
    async fn trade(&self, shop: &ShopClient, quota: usize, trouble: impl AsyncFnOnce()) -> Vec<Receipt> {
        let busy = AtomicBool::new(true);
        let seeds = (0..CUSTOMERS as u64).map(|number| self.seed.wrapping_add(number));
        let customers = join_all(seeds.map(|seed| customer(shop, seed, quota, &busy)));
        let trouble = async {
            trouble().await;
            busy.store(false, Ordering::Relaxed);
        };
        let (receipts, ()) = join(customers, trouble).await;
        receipts.into_iter().flatten().collect()
    }

    /// Checks the stored data after the shop has stopped.
    async fn inspect(&self) {
        reconcile::inspect(&self.home.folder.path().join(".atoll/state.redb")).await;
    }
}

/// Waits until `count` has grown by `more`.
async fn grows(what: &str, count: impl Fn() -> usize, more: usize) {
    let wanted = count() + more;
    eventually(what, async || (count() >= wanted).then_some(())).await;
}

async fn operate(atoll: &Atoll, shop: &ShopClient, verb: &str, body: Bytes) {
    let request = Request::post(format!("{}/v1/services/products/{verb}", atoll.admin));
    let request = if body.is_empty() { request } else { request.header("content-type", "application/wasm") };
    let answer = shop.http.send(request, body).await;
    assert_eq!(answer.status, 200, "{verb}: {answer:?}");
}

/// The component of `products`, and the same component with another digest.
fn revisions() -> [Bytes; 2] {
    let original = fs::read(component("products")).unwrap();
    let mut other = original.clone();
    // A custom section without a name or content: its id, its size, the length of its name.
    other.extend([0, 1, 0]);
    [original.into(), other.into()]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_lose_nothing_while_products_is_swapped() {
    let run = Run::new(LONG_TIMEOUT, SWEEPS_LATE);
    let atoll = run.home.start().await;
    let shop = run.shop(&atoll.gateway, 1_200).await;
    let revisions = revisions();
    let receipts = run
        .trade(&shop, 65, async || {
            for round in 0..40 {
                operate(&atoll, &shop, "swap", revisions[(round + 1) % 2].clone()).await;
                grows("orders between two swaps", || shop.counts.decided(), 20).await;
            }
        })
        .await;
    println!("{} keys, {:?}", receipts.len(), shop.counts);
    reconcile::reconcile(&shop, receipts).await;
    let log = atoll.stop().await;
    let failed: Vec<_> = log.iter().filter(|line| line.contains("did not answer")).collect();
    assert!(failed.is_empty(), "a swap must lose no call: {failed:?}");
    run.inspect().await;
}

/// `products` is swapped to a failing component and back, three times, while customers order.
async fn order_while_products_fail(products: &str, orders: &str, quota: usize) {
    let run = Run::new(products, orders);
    let atoll = run.home.start().await;
    let shop = run.shop(&atoll.gateway, 200).await;
    let bad: Bytes = fs::read(component("fixture-bad-products")).unwrap().into();
    let receipts = run
        .trade(&shop, quota, async || {
            for _ in 0..3 {
                operate(&atoll, &shop, "swap", bad.clone()).await;
                grows("refusals", || shop.counts.unavailable.load(Ordering::Relaxed), 40).await;
                operate(&atoll, &shop, "rollback", Bytes::new()).await;
                grows("orders after the rollback", || shop.counts.decided(), 40).await;
            }
        })
        .await;
    println!("{} keys, {:?}", receipts.len(), shop.counts);
    reconcile::reconcile(&shop, receipts).await;
    atoll.stop().await;
    run.inspect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_lose_no_stock_while_products_traps() {
    order_while_products_fail(TRAPPING, SWEEPS_EARLY_SHARED_INSTANCES, 25).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_lose_no_stock_while_products_computes_for_ever() {
    order_while_products_fail(&SHORT_TIMEOUT.replace("MODE", "loop"), SWEEPS_EARLY, 10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_lose_no_stock_while_products_hangs() {
    order_while_products_fail(&SHORT_TIMEOUT.replace("MODE", "hang"), SWEEPS_EARLY, 10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_lose_no_stock_while_calls_of_products_end_mid_work_and_the_host_is_killed() {
    let run = Run::new(LONG_TIMEOUT, SWEEPS_LATE);
    let atoll = run.home.start().await;
    let mut shop = run.shop(&atoll.gateway, 200).await;
    atoll.stop().await;
    run.home.write(&manifest(ENDS_MID_WORK, SWEEPS_EARLY));
    let atoll = run.home.start().await;
    shop.gateway.clone_from(&atoll.gateway);
    let receipts = run.trade(&shop, 15, async || ()).await;
    println!("{} keys, {:?}", receipts.len(), shop.counts);
    // A kill without a drain, so that calls in flight stay unfinished.
    atoll.kill().await;
    run.home.write(&manifest(LONG_TIMEOUT, SWEEPS_LATE));
    let atoll = run.home.start().await;
    shop.gateway.clone_from(&atoll.gateway);
    reconcile::reconcile(&shop, receipts).await;
    atoll.stop().await;
    run.inspect().await;
}

/// No verb withdraws a service, so the host runs inside the test, which changes the discovery table itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_lose_no_stock_while_products_is_withdrawn() {
    let run = Run::new(LONG_TIMEOUT, SWEEPS_LATE);
    let host = InProcessHost::open(&run.home).await;
    let shop = run.shop(&host.gateway, 200).await;
    let (products, revisions) = (ServiceName::new("products").unwrap(), revisions());
    let receipts = run
        .trade(&shop, 15, async || {
            for round in 0..4 {
                assert!(host.registry.withdraw(&products).is_some());
                grows("refusals", || shop.counts.unavailable.load(Ordering::Relaxed), 40).await;
                // The next revision is published where the service was withdrawn.
                host.rollout.swap("products", revisions[(round + 1) % 2].clone()).await.unwrap();
                grows("orders after the return", || shop.counts.decided(), 40).await;
            }
        })
        .await;
    println!("{} keys, {:?}", receipts.len(), shop.counts);
    reconcile::reconcile(&shop, receipts).await;
    host.close().await;
    run.inspect().await;
}
