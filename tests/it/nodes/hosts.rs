//! Two real hosts, one real `nats-server`, and the example shop split between them, so that its calls cross. Without a
//! server the tests say so and pass; `just cluster` installs it.

use super::Authority;
use crate::it::atoll::{Atoll, Home, Http, eventually};
use crate::it::components::shop_manifest;
use crate::it::open_exchange::OpenExchange;
use crate::it::topics::nats_server::NatsServer;
use host::peer::PeerTls;
use http::{Method, Request};
use rustix::process::Signal;
use serde_json::{Value, json};

/// The shop on two nodes: `users`, an HTTP service, and `products`, which has typed routes and is imported by `orders`,
/// stand on `b`; all else on `a`.
struct SplitShop {
    _homes: [Home; 2],
    a: Atoll,
    b: Option<Atoll>,
    http: Http,
}

impl SplitShop {
    async fn open(server: &NatsServer) -> Self {
        let authority = Authority::new();
        // The steps of a saga stay on its node.
        let of_sagas = |part: &&str| ["[saga.", "[[saga.", "\nsaga = "].iter().any(|word| part.contains(word));
        let shop: Vec<_> = shop_manifest().split("\n\n").filter(|part| !of_sagas(part)).map(str::to_owned).collect();
        let shop = shop.join("\n\n");
        let shop = shop.replace("[service.users]\n", "[service.users]\nnodes = [\"node=b\"]\n");
        let shop = shop.replace("[service.products]\n", "[service.products]\nnodes = [\"node=b\"]\n");
        let home = |node: &str| {
            let files = authority.files(node);
            let [authority, certificate, key] = [files.authority, files.certificate, files.key];
            Home::new(&format!(
                "[cluster]\nnats = '{}'\nnode = '{node}'\nlisten = '127.0.0.1:0'\nlease = '2s'\nauthority = \
                 {authority:?}\ncertificate = {certificate:?}\nkey = {key:?}\n{shop}",
                server.address()
            ))
        };
        let homes = ["a", "b"].map(home);
        let (a, b) = (homes[0].start().await, homes[1].start().await);
        let own = Self { _homes: homes, a, b: Some(b), http: Http::default() };
        own.reached(200).await;
        super::keep(authority);
        own
    }

    /// Waits until the products answer with this status.
    async fn reached(&self, status: u16) {
        eventually(&format!("the products answer {status}"), async || {
            (self.get("/api/products").await.0 == status).then_some(())
        })
        .await;
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let answer = self.http.get(&format!("{}{path}", self.a.gateway)).await;
        (answer.status.as_u16(), serde_json::from_slice(&answer.body).unwrap_or_default())
    }

    async fn post(&self, path: &str, key: &str, body: Value) -> (u16, Value) {
        let request = Request::builder().method(Method::POST).uri(format!("{}{path}", self.a.gateway));
        let request = request.header("content-type", "application/json").header("idempotency-key", key);
        let answer = self.http.send(request, body.to_string()).await;
        (answer.status.as_u16(), serde_json::from_slice(&answer.body).unwrap_or_default())
    }

    /// Creates a user and a product with ten pieces. Returns their ids.
    async fn stocked(&self) -> (Value, Value) {
        let (status, user) = self.post("/api/users", "u", json!({ "name": "Ada", "email": "ada@example.org" })).await;
        assert_eq!(status, 201, "{user}");
        let price = json!({ "amount": 1250, "currency": "EUR" });
        let product = json!({ "sku": "lamp", "name": "A lamp", "price": price, "stock": 10 });
        let (status, product) = self.post("/api/products", "p", product).await;
        assert_eq!(status, 201, "{product}");
        (user["id"].clone(), product["id"].clone())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shop_sells_over_two_nodes_and_says_so_when_one_is_gone() {
    let Some(server) = NatsServer::start().await else { return };
    let mut shop = SplitShop::open(&server).await;
    let (user, product) = shop.stocked().await;
    let order = json!({ "user": user, "lines": [{ "product": product, "quantity": 3 }] });
    let (status, placed) = shop.post("/api/orders", "o", order.clone()).await;
    assert_eq!(status, 201, "{placed}");
    // Whoever buys, and what is left, is on the other node.
    let (status, left) = shop.get(&format!("/api/products/{}", product.as_str().unwrap())).await;
    assert_eq!((status, &left["stock"]), (200, &json!(7)), "{left}");
    let ps = shop.http.get(&format!("{}/v1/services", shop.a.admin)).await;
    let ps = String::from_utf8_lossy(&ps.body).into_owned();
    assert!(ps.contains("products@b") && ps.contains("node `b` at 127.0.0.1:"), "{ps}");

    // The node dies: what needs it fails at once, by name, and all else goes on.
    shop.b.take().unwrap().kill().await;
    let (status, problem) = shop.get("/api/products").await;
    assert!((500..600).contains(&status), "{status} {problem}");
    assert_eq!(shop.get("/api/orders").await.0, 200);
    // It comes back with its data, under another address.
    shop.b = Some(shop._homes[1].start().await);
    shop.reached(200).await;
    let (status, placed) = shop.post("/api/orders", "o-2", order).await;
    assert_eq!(status, 201, "{placed}");
}

/// One of two hosts: `hello` stands on `a` alone, and what is in flight has ten minutes.
fn home(server: &NatsServer, authority: &Authority, node: &str) -> Home {
    let PeerTls { authority, certificate, key } = authority.files(node);
    Home::new(&format!(
        r#"
        [gateway]
        drain = "10m"
        timeout = "10m"
        min_upload_rate = 0

        [cluster]
        nats = "{}"
        node = "{node}"
        listen = "127.0.0.1:0"
        lease = "2s"
        authority = {authority:?}
        certificate = {certificate:?}
        key = {key:?}

        [service.hello]
        component = "{{component:fixture-hello}}"
        nodes = ["node=a"]

        [service.hostile]
        component = "{{component:fixture-hostile}}"
        limits = {{ timeout = "10m" }}

        [[route]]
        prefix = "/hello"
        strip_prefix = "/hello"
        service = "hello"

        [[route]]
        prefix = "/hostile"
        strip_prefix = "/hostile"
        service = "hostile"
        "#,
        server.address()
    ))
}

/// What is under way on a node may need a call that comes back to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_told_to_stop_takes_calls_back_until_its_own_requests_have_ended() {
    let Some(server) = NatsServer::start().await else { return };
    let authority = Authority::new();
    let homes = ["a", "b"].map(|node| home(&server, &authority, node));
    let (mut a, b) = (homes[0].start().await, homes[1].start().await);
    let http = Http::default();
    let hello = async || http.get(&format!("{}/hello/", b.gateway)).await.status;
    eventually("`b` calls `a`", async || (hello().await == 200).then_some(())).await;
    let held = OpenExchange::begin(&a, "/hostile/echo").await;
    a.signal(Signal::TERM);
    eventually("`b` knows that `a` drains", async || {
        let nodes = http.get(&format!("{}/v1/nodes", b.admin)).await.json();
        (nodes["nodes"][0]["standing"] == "draining").then_some(())
    })
    .await;
    for _ in 0..5 {
        assert_eq!(hello().await, 200, "no other node has it");
    }
    assert!(held.finish().await);
    assert_eq!(a.wait().await.code(), Some(0));
    eventually("`a` is gone", async || hello().await.is_server_error().then_some(())).await;
}
