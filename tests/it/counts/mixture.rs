//! A known mixture of requests under load, while a service is swapped: the gateway's counters must equal what the
//! clients counted.

use super::super::atoll::{Atoll, TIMEOUT, eventually, hello_revision};
use super::super::components::component;
use super::super::plain_server::{DeadAddress, PlainServer};
use super::{Counted, Metrics, connect, exchange};
use futures_util::future::join_all;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// What ends a request, as the client sees it: route, status, kind.
type End = (&'static str, u16, &'static str);
/// How many requests there were of each end.
type Ledger = BTreeMap<(String, String, String), u64>;

/// One kind of request in the mixture.
struct Item {
    /// The request, without its last line. `{path}` and the rest are as they are sent.
    sent: String,
    end: End,
}

const CLIENTS: usize = 6;
const ROUNDS: usize = 8;

fn manifest(plain: &PlainServer, dead: &DeadAddress) -> String {
    format!(
        r#"
[gateway]
header_timeout = "300ms"
body_memory = "1MiB"

[service.hello]
component = "{{component:fixture-hello}}"
replicas = 2

[service.hostile]
component = "{{component:fixture-hostile}}"
breaker = {{ failure_threshold = 1000 }}
limits = {{ timeout = "5s", total = "5s" }}

[service.sleeper]
component = "{{component:fixture-hostile}}"
limits = {{ timeout = "10m", total = "10m" }}

[service.types]
component = "{{component:fixture-types}}"
breaker = {{ failure_threshold = 1000 }}

[service.legacy]
urls = ["http://{}", "http://{}"]
breaker = {{ failure_threshold = 1000 }}
balance = "round-robin"
ejection = {{ most = 0 }}
retry = {{ tries = 2, budget_floor = 10000 }}

[[route]]
prefix = "/hello"
strip_prefix = "/hello"
service = "hello"

[[route]]
prefix = "/hostile"
strip_prefix = "/hostile"
service = "hostile"

[[route]]
prefix = "/late"
strip_prefix = "/late"
service = "hostile"
timeout = "100ms"

[[route]]
prefix = "/sleeper"
strip_prefix = "/sleeper"
service = "sleeper"
timeout = "10m"

[[route]]
method = "POST"
path = "/points"
call = "types/echo#echo-points"

[[route]]
method = "GET"
path = "/refuse"
call = "types/faults#refuse"

[[route]]
prefix = "/legacy"
strip_prefix = "/legacy"
service = "legacy"
"#,
        dead.address(),
        plain.address
    )
}

fn get(path: &str, end: End) -> Item {
    Item { sent: format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"), end }
}

fn post(fields: &str, body: &str, end: End) -> Item {
    let length = body.len();
    let head = format!("POST /points HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {length}\r\n{fields}");
    Item { sent: format!("{head}\r\n{body}"), end }
}

fn raw(sent: impl Into<String>, end: End) -> Item {
    Item { sent: sent.into(), end }
}

/// Every kind of end that one request on a connection of its own can have.
fn items() -> Vec<Item> {
    const JSON: &str = "content-type: application/json\r\n";
    let points = "POST /points";
    let fields = |count: usize| (0..count).map(|at| format!("x-{at}: 1\r\n")).collect::<String>();
    let with = |fields: String| format!("GET /hello HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{fields}\r\n");
    vec![
        get("/hello", ("/hello/*", 200, "answer")),
        get("/hello/slow?ms=20", ("/hello/*", 200, "answer")),
        get("/hello/body?chunks=4&ms=5", ("/hello/*", 200, "answer")),
        get("/hostile/status/404", ("/hostile/*", 404, "answer")),
        get("/hostile/status/503", ("/hostile/*", 503, "answer")),
        get("/hostile/status/299", ("/hostile/*", 299, "answer")),
        get("/hostile/trap", ("/hostile/*", 502, "trap")),
        get("/hostile/panic-mid-stream", ("/hostile/*", 200, "broken-off")),
        get("/late/sleep?ms=60000", ("/late/*", 504, "timeout")),
        get("/legacy/status/202", ("/legacy/*", 202, "answer")),
        get("/refuse", ("GET,HEAD /refuse", 500, "function-error")),
        post(JSON, r#"[{"x":1,"y":2}]"#, (points, 200, "answer")),
        post(JSON, "[{", (points, 400, "bad-json")),
        post(JSON, r#"[{"x":"a","y":2}]"#, (points, 422, "invalid")),
        post("content-type: text/plain\r\n", "[]", (points, 415, "unsupported-media-type")),
        post("content-type: application/json\r\naccept: text/html\r\n", "[]", (points, 406, "not-acceptable")),
        post(JSON, &format!("[{}]", " ".repeat(3 << 19)), (points, 503, "overloaded")),
        raw(
            "POST /points HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 3000000\r\n\r\n",
            (points, 413, "body-too-large"),
        ),
        get("/nowhere", ("(none)", 404, "no-route")),
        get("/openapi.json", ("(none)", 200, "answer")),
        raw("DELETE /points HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", ("(none)", 405, "method-not-allowed")),
        raw("GET /hello HTTP/1.1\r\nconnection: close\r\n\r\n", ("(none)", 400, "bad-host")),
        raw(with(fields(101)), ("(none)", 431, "headers-too-large")),
        get(&format!("/{}", "a".repeat(9000)), ("(none)", 414, "target-too-long")),
        raw(with(fields(200)), ("(unparsed)", 431, "headers-too-large")),
        raw("\u{1}\u{2} raw garbage\r\n\r\n", ("(unparsed)", 400, "malformed")),
        raw(
            "POST /hello HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
            ("(unparsed)", 400, "malformed"),
        ),
        raw("GET /hello HTTP/1.1\r\nhost: a\r\n", ("(unparsed)", 408, "slow-headers")),
    ]
}

/// Sends one request on a connection of its own, and returns the end that the client saw. Where the status alone does
/// not tell the kind, it is the one that the item names; a problem of the gateway must name it too.
async fn send(gateway: &str, item: &Item) -> (String, String, String) {
    let answer = exchange(gateway, item.sent.as_bytes()).await;
    let (route, status, kind) = item.end;
    let got: u16 = answer.get(9..12).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{answer:?}"));
    assert_eq!(got, status, "{:?}: {answer}", &item.sent[..item.sent.len().min(60)]);
    if !["answer", "broken-off", "function-error", "malformed"].contains(&kind) && answer.contains("urn:atoll") {
        assert!(answer.contains(&format!("urn:atoll:problem:{kind}\"")), "{kind}: {answer}");
    }
    let status = if status == 299 { "2xx".into() } else { status.to_string() };
    (route.into(), status, kind.into())
}

/// Sends a request whose answer does not end, and goes away by a reset: before the head of the answer, or after it.
async fn go_away(host: &Counted, with_head: bool) -> (String, String, String) {
    let path = if with_head { "stall-mid-stream" } else { "sleep?ms=3600000" };
    let request = format!("GET /sleeper/{path} HTTP/1.1\r\nhost: a\r\n\r\n");
    let mut stream: TcpStream = connect(&host.atoll.gateway, request.as_bytes()).await;
    if with_head {
        timeout(TIMEOUT, stream.read_u8()).await.unwrap().unwrap();
    }
    eventually("the request is under way", async || {
        (host.metrics().await.service("atoll_in_flight", "sleeper") > 0.0).then_some(())
    })
    .await;
    stream.set_zero_linger().unwrap();
    drop(stream);
    eventually("the host has noticed", async || {
        (host.metrics().await.service("atoll_in_flight", "sleeper") == 0.0).then_some(())
    })
    .await;
    ("/sleeper/*".into(), if with_head { "200" } else { "499" }.into(), "client-gone".into())
}

/// What the gateway has counted, without zeros.
fn counted(metrics: &Metrics) -> Ledger {
    let ended = metrics.of("atoll_gateway_requests_total", &[]).filter(|series| series.value > 0.0);
    let key = |label: &dyn Fn(&str) -> String| (label("route"), label("status"), label("kind"));
    ended.map(|series| (key(&|name| series.label(name).to_owned()), series.value as u64)).collect()
}

fn total(ledger: &Ledger) -> u64 {
    ledger.values().sum()
}

/// Swaps `hello` back and forth, rolls back, and is refused, until the load has ended. Returns the swaps, rollbacks and
/// refusals that it was told of.
async fn change_revisions(host: &Counted, loaded: &AtomicBool) -> (f64, f64, f64) {
    let old = fs::read(component("fixture-hello")).unwrap();
    let new = fs::read(hello_revision(b"revision-001-bbb", host.home.folder.path())).unwrap();
    let (mut swaps, mut rollbacks, mut refusals) = (0.0, 0.0, 0.0);
    while loaded.load(Ordering::Relaxed) || rollbacks < 2.0 {
        assert_eq!(host.swap("hello", new.clone()).await, 200);
        assert_eq!(host.swap("hello", new.clone()).await, 200, "the same revision again: no swap");
        assert_eq!(host.roll_back("hello").await, 200);
        assert_ne!(host.swap("hello", b"no component".to_vec()).await, 200);
        assert_eq!(host.swap("hello", new.clone()).await, 200);
        assert_eq!(host.swap("hello", old.clone()).await, 200);
        (swaps, rollbacks, refusals) = (swaps + 3.0, rollbacks + 1.0, refusals + 1.0);
    }
    (swaps, rollbacks, refusals)
}

/// All clients send all items, each in an order of its own.
async fn load(atoll: &Atoll, seed: u64) -> Ledger {
    let items = items();
    let clients = (0..CLIENTS).map(async |client| {
        let mut rng = SmallRng::seed_from_u64(seed.wrapping_add(client as u64));
        let mut own = Ledger::new();
        for _ in 0..ROUNDS {
            let mut order: Vec<_> = items.iter().collect();
            order.shuffle(&mut rng);
            for item in order {
                *own.entry(send(&atoll.gateway, item).await).or_default() += 1;
            }
        }
        own
    });
    let mut all = Ledger::new();
    for (end, count) in join_all(clients).await.into_iter().flatten() {
        *all.entry(end).or_default() += count;
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gateway_counts_exactly_what_its_clients_saw() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let (plain, dead) = (PlainServer::start("plain").await, DeadAddress::new());
    let host = Counted::start(&manifest(&plain, &dead)).await;
    assert_eq!(counted(&host.metrics().await), Ledger::new());

    let loaded = AtomicBool::new(true);
    let traffic = async {
        let mut sent = load(&host.atoll, seed).await;
        for with_head in [false, true, false] {
            *sent.entry(go_away(&host, with_head).await).or_default() += 1;
        }
        loaded.store(false, Ordering::Relaxed);
        sent
    };
    let (sent, (swaps, rollbacks, refusals)) = tokio::join!(traffic, change_revisions(&host, &loaded));

    // A request is counted when its answer has ended, which may be just after the client has read it.
    eventually("all requests are counted", async || {
        (total(&counted(&host.metrics().await)) >= total(&sent)).then_some(())
    })
    .await;
    let metrics = host.metrics().await;
    assert_eq!(counted(&metrics), sent);

    // Each request of a route has a duration, and there are no others.
    let durations = metrics.sum("atoll_gateway_duration_seconds_count", &[]) as u64;
    let unparsed: u64 = sent.iter().filter(|((route, ..), _)| route == "(unparsed)").map(|(_, count)| count).sum();
    assert_eq!(durations + unparsed, total(&sent));

    // The services' own counters, over all swaps: each call is a try, and a retry is one more.
    let of = |route: &str| sent.iter().filter(|((own, ..), _)| own == route).map(|(_, count)| *count as f64).sum();
    let tries = |service| metrics.service("atoll_requests_total", service);
    let retries = |service| metrics.service("atoll_retries_total", service);
    let (hello, hostile, late, legacy): (f64, f64, f64, f64) =
        (of("/hello/*"), of("/hostile/*"), of("/late/*"), of("/legacy/*"));
    assert_eq!((tries("hello"), retries("hello")), (hello, 0.0));
    assert_eq!(tries("hostile") - retries("hostile"), hostile + late);
    assert_eq!(tries("legacy") - retries("legacy"), legacy);
    assert!(retries("legacy") > 0.0, "the dead address was never tried first: there were no retries");
    let labels = [("service", "hello")];
    assert_eq!(metrics.sum("atoll_swaps_total", &labels), swaps);
    assert_eq!(metrics.sum("atoll_rollbacks_total", &labels), rollbacks);
    assert_eq!(metrics.sum("atoll_swaps_refused_total", &labels), refusals);
    assert_eq!(metrics.sum("atoll_swap_refusals_total", &labels), refusals);
    assert_eq!(metrics.sum("atoll_swaps_refused_total", &[("service", "hello"), ("kind", "invalid")]), refusals);

    // Each has a line in the access log too, also what could not be parsed.
    let log = host.atoll.stop().await;
    let lines = log.iter().filter(|line| line.contains("\"target\":\"access\"")).count() as u64;
    assert_eq!(lines, total(&sent));
}
