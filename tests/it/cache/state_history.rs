//! Readers and writers at once over users, products and orders, with `cache = "state"` on all reads, a swap and a
//! `kill -9` in the middle: no answer is stale.
//!
//! The history is checked as that of atomic registers. A user's and a product's name is one register; one writer writes
//! the numbers 1, 2, 3, … to it, one after the other. With one writer and growing values, a history is linearizable
//! exactly if each read returns a value that is
//! - not older than the last write that was acknowledged before the read began,
//! - not older than what any read returned that ended before this one began,
//! - not newer than the last write that had begun when the read ended.
//!
//! Linearizability is local (Herlihy and Wing, 1990, theorem 1), so the registers can be checked one by one. The
//! details of an order show three of them, of two services, through a third one; its contract says that they are not
//! read at one moment.
//!
//! `./just state-cache [SECONDS]` runs the long form: 32 readers and 8 writers.

use super::by_state::{SHOP, another_revision, product, user};
use super::*;
use futures_util::future::join_all;
use http_body_util::Full;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, RwLock};
use std::time::Duration;

/// How much is done.
struct Load {
    readers: usize,
    writers: usize,
    /// How long, before the swap, between swap and crash, and after the crash.
    phase: Duration,
}

impl Load {
    /// The short form, or what the variable `ATOLL_STATE_CACHE` says: for how many seconds.
    #[expect(clippy::disallowed_methods, reason = "the recipe tells how long it shall take")]
    fn of_environment() -> Self {
        match std::env::var("ATOLL_STATE_CACHE").ok().map(|text| text.parse::<u64>().expect("whole seconds")) {
            None => Self { readers: 8, writers: 4, phase: Duration::from_millis(700) },
            Some(seconds) => Self { readers: 32, writers: 8, phase: Duration::from_secs(seconds) / 3 },
        }
    }
}

/// One register: a user's or a product's name.
struct Register {
    /// Where it is read, and where it is written.
    paths: [String; 2],
    /// The number of the user or of the product, for what is written beside the name.
    number: u64,
    is_user: bool,
    begun: AtomicU64,
    acknowledged: AtomicU64,
    /// The newest value that a read has returned which is over.
    seen: AtomicU64,
}

impl Register {
    /// The oldest value that a read may return which begins now.
    fn floor(&self) -> u64 {
        self.acknowledged.load(SeqCst).max(self.seen.load(SeqCst))
    }

    /// Checks what a read has returned that began at `floor` and has just ended.
    fn check(&self, name: &str, floor: u64, answer: &Answer) {
        let value: u64 = name.strip_prefix("n-").and_then(|text| text.parse().ok()).expect("a name of this test");
        let begun = self.begun.load(SeqCst);
        assert!((floor..=begun).contains(&value), "{value} is not within {floor} and {begun}: {answer:?}");
        self.seen.fetch_max(value, SeqCst);
    }

    fn content(&self, value: u64) -> Value {
        let name = format!("n-{value}");
        if self.is_user { user(self.number, &name) } else { product(self.number, &name) }
    }
}

/// The clients' view of a host that is killed and comes again elsewhere.
struct Clients {
    http: Http,
    gateway: RwLock<String>,
    hits: AtomicUsize,
    answers: AtomicUsize,
}

impl Clients {
    /// The answer; `None` if the host was killed meanwhile.
    async fn send(&self, method: Method, path: &str, body: &Value) -> Option<Answer> {
        let url = format!("{}{path}", self.gateway.read().unwrap());
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = Request::builder().method(method).uri(url).header("content-type", "application/json");
        let request = request.header("idempotency-key", "k").body(Full::from(body)).unwrap();
        let answer = self.http.try_send(request).await.ok()?;
        // While it stops and starts.
        if answer.status == 503 {
            return None;
        }
        assert!(answer.status.is_success(), "{path}: {answer:?}");
        Some(answer)
    }

    async fn read(&self, path: &str) -> Option<Answer> {
        let answer = self.send(Method::GET, path, &Value::Null).await?;
        let told = status(&answer);
        self.answers.fetch_add(1, SeqCst);
        if told.starts_with("atoll; hit") || told.contains("collapsed") {
            self.hits.fetch_add(1, SeqCst);
        }
        Some(answer)
    }
}

/// The shop of the test: its registers, and the orders, each of a user and of two products.
struct World {
    registers: Vec<Register>,
    /// The path of each order's details, with the registers of its user and its products.
    orders: Vec<(String, [usize; 3])>,
    /// The positions of the products' registers, in the order of the list.
    products: Vec<usize>,
}

impl World {
    /// Two users and two products for each writer, and as many orders as users.
    async fn fill(clients: &Clients, writers: usize) -> Self {
        let (mut registers, mut ids) = (Vec::new(), Vec::new());
        for number in 0..4 * writers as u64 {
            let is_user = number % 2 == 0;
            let register = |paths| Register {
                paths,
                number,
                is_user,
                begun: AtomicU64::new(0),
                acknowledged: AtomicU64::new(0),
                seen: AtomicU64::new(0),
            };
            let content = register(Default::default()).content(0);
            let path = if is_user { "/users" } else { "/new-products" };
            let made = clients.send(Method::POST, path, &content).await.expect("it runs").json();
            let id = made["id"].as_str().unwrap().to_owned();
            let paths = if is_user { ["/users", "/renamed"] } else { ["/products", "/changed-products"] };
            registers.push(register(paths.map(|path| format!("{path}/{id}"))));
            ids.push(id);
        }
        let (users, products): (Vec<_>, Vec<_>) = (0..registers.len()).partition(|at| registers[*at].is_user);
        let mut orders = Vec::new();
        for (at, user) in users.iter().enumerate() {
            let of = [*user, products[at], products[(at + 1) % products.len()]];
            let line = |at: usize| json!({ "product": ids[at], "quantity": 1 });
            let order = json!({ "user": ids[of[0]], "lines": [line(of[1]), line(of[2])] });
            let request = Request::post(format!("{}/new-orders", clients.gateway.read().unwrap()));
            let request =
                request.header("content-type", "application/json").header("idempotency-key", format!("k-{at}"));
            let placed = clients.http.send(request, order.to_string()).await;
            assert_eq!(placed.status, 200, "{placed:?}");
            orders.push((format!("/orders/{}/details", placed.json()["id"].as_str().unwrap()), of));
        }
        Self { registers, orders, products }
    }

    /// Writes to its own registers in turn, until the end.
    async fn write(&self, clients: &Clients, own: Vec<usize>, end: &AtomicUsize) -> usize {
        let mut done = 0;
        for at in own.iter().cycle() {
            let register = &self.registers[*at];
            let value = register.acknowledged.load(SeqCst) + 1;
            register.begun.store(value, SeqCst);
            // What was in doubt when the host died is written again.
            let method = if register.is_user { Method::PATCH } else { Method::PUT };
            while clients.send(method.clone(), &register.paths[1], &register.content(value)).await.is_none() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            register.acknowledged.store(value, SeqCst);
            done += 1;
            if end.load(SeqCst) == DONE {
                return done;
            }
            // So that some reads find what others have left: a write follows some dozens of reads.
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
        done
    }

    /// Reads single items, the list, and the details of orders in turn, until the end.
    async fn read(&self, clients: &Clients, first: usize, end: &AtomicUsize) {
        let mut number = first;
        while end.load(SeqCst) != DONE {
            number += 7;
            let read = match number % 3 {
                0 => self.read_one(clients, number).await,
                1 => self.read_details(clients, number).await,
                _ => self.read_list(clients).await,
            };
            if read.is_none() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }

    async fn read_one(&self, clients: &Clients, number: usize) -> Option<()> {
        let register = &self.registers[number % self.registers.len()];
        let floor = register.floor();
        let answer = clients.read(&register.paths[0]).await?;
        register.check(answer.json()["name"].as_str().unwrap(), floor, &answer);
        Some(())
    }

    async fn read_list(&self, clients: &Clients) -> Option<()> {
        let floors: Vec<u64> = self.products.iter().map(|at| self.registers[*at].floor()).collect();
        let answer = clients.read("/products?limit=100").await?;
        let page = answer.json();
        let items = page["items"].as_array().unwrap();
        assert_eq!(items.len(), self.products.len());
        for ((at, floor), item) in self.products.iter().zip(floors).zip(items) {
            self.registers[*at].check(item["name"].as_str().unwrap(), floor, &answer);
        }
        Some(())
    }

    async fn read_details(&self, clients: &Clients, number: usize) -> Option<()> {
        let (path, of) = &self.orders[number % self.orders.len()];
        let floors = of.map(|at| self.registers[at].floor());
        let answer = clients.read(path).await?;
        let details = answer.json();
        // The lines of an order stand in the order of the products' ids, and so do the registers.
        let (mut products, mut sorted) = (details["products"].as_array().unwrap().iter(), [of[1], of[2]]);
        sorted.sort_unstable();
        self.registers[of[0]].check(details["user"]["name"].as_str().unwrap(), floors[0], &answer);
        for at in sorted {
            let floor = if at == of[1] { floors[1] } else { floors[2] };
            self.registers[at].check(products.next().unwrap()["name"].as_str().unwrap(), floor, &answer);
        }
        Some(())
    }
}

const DONE: usize = 1;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_is_stale_while_many_write_through_a_swap_and_a_crash() {
    let load = Load::of_environment();
    let home = Home::new(SHOP);
    let host = home.start().await;
    let clients = Arc::new(Clients {
        http: Http::default(),
        gateway: RwLock::new(host.gateway.clone()),
        hits: AtomicUsize::new(0),
        answers: AtomicUsize::new(0),
    });
    let world = Arc::new(World::fill(&clients, load.writers).await);
    let end = Arc::new(AtomicUsize::new(0));
    let writers = (0..load.writers).map(|writer| {
        let (world, clients, end) = (Arc::clone(&world), Arc::clone(&clients), Arc::clone(&end));
        let own = (0..world.registers.len()).filter(|at| at % load.writers == writer).collect();
        tokio::spawn(async move { world.write(&clients, own, &end).await })
    });
    let readers = (0..load.readers).map(|reader| {
        let (world, clients, end) = (Arc::clone(&world), Arc::clone(&clients), Arc::clone(&end));
        tokio::spawn(async move { world.read(&clients, reader, &end).await })
    });
    let (writers, readers): (Vec<_>, Vec<_>) = (writers.collect(), readers.collect());
    tokio::time::sleep(load.phase).await;
    for service in ["products", "users"] {
        let swap = Request::post(format!("{}/v1/services/{service}/swap", host.admin));
        let swap = swap.header("content-type", "application/wasm");
        assert_eq!(clients.http.send(swap, another_revision(service)).await.status, 200);
    }
    tokio::time::sleep(load.phase).await;
    host.kill().await;
    let host = home.start().await;
    clients.gateway.write().unwrap().clone_from(&host.gateway);
    tokio::time::sleep(load.phase).await;
    end.store(DONE, SeqCst);
    let mut written = 0;
    for writes in join_all(writers).await {
        written += writes.expect("a writer has not failed");
    }
    for read in join_all(readers).await {
        read.expect("no reader has found a stale answer");
    }
    let (hits, answers) = (clients.hits.load(SeqCst), clients.answers.load(SeqCst));
    println!(
        "{written} writes, {answers} reads, none of them stale; {:.1} % hits",
        100.0 * hits as f64 / answers as f64
    );
    assert!(written > load.writers && hits > load.readers, "this has tried little: {written} writes, {hits} hits");
}
