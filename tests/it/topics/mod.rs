//! Topics through the real binary: events that a component publishes together with its data reach those that subscribe,
//! and what goes wrong with one event stays with it. `crash` kills the host meanwhile.

mod bridges;
mod crash;
pub mod jet_stream;
mod kafka;
mod kafka_cuts;
mod kafka_server;
mod manifest_errors;
pub mod nats_server;
mod promises;
mod rabbit_mq;
mod rabbit_server;
mod rebuilds;
mod schedules;
mod secured;
mod traced;

use super::atoll::{Answer, Atoll, Home, Http, ended, eventually};
use http::Method;
use serde_json::{Value, json};

/// `writer` publishes, `reader` handles, and `echoes` handles what `reader` publishes.
const MANIFEST: &str = r#"
[topic.entries]
payload = "atoll:fixture-events/types#entry"
[topic.echo]
payload = "atoll:fixture-events/types#entry"
[topic.untyped]
[service.writer]
component = "{component:fixture-events}"
state = true
publish = ["entries"]
[service.reader]
component = "{component:fixture-events}"
state = true
publish = ["echo"]
subscribe = [{ topic = "entries", call = "reader/handle", tries = 3, backoff = "5ms", backoff_most = "20ms" }]
breaker = { failure_threshold = 1000, recovery_timeout = "10ms" }
[service.echoes]
component = "{component:fixture-events}"
state = true
publish = ["echo"]
subscribe = [{ topic = "echo", call = "echoes/echoed" }]
[[route]]
method = "POST"
path = "/put/{topic}"
call = "writer/put"
[[route]]
method = "POST"
path = "/publish/{topic}"
call = "writer/publish"
[[route]]
method = "GET"
path = "/writer"
call = "writer/get"
[[route]]
method = "GET"
path = "/reader"
call = "reader/get"
[[route]]
method = "GET"
path = "/echoes"
call = "echoes/get"
"#;

/// What the handlers do with entries that many publish: most succeed, some fail or trap first, and some publish.
const MODES: [&str; 6] = ["", "echo", "trap-after", "twice", "fail-2", "trap-after twice echo"];

/// Starts a host with this broker, and further keys of `[events]`, that must not start. Returns what it says.
async fn refused(broker: &str, keys: &str, variables: &[(&str, &str)]) -> String {
    let home = Home::new(&format!("[events]\nbroker = '{broker}'\n{keys}\n{MANIFEST}"));
    home.link_cache();
    let mut command = home.command(&["run", "atoll.toml"]);
    let output = ended(command.envs(variables.iter().copied())).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8_lossy(&output.stderr).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A client of a host with the topics of [`MANIFEST`].
#[derive(Clone)]
struct Book {
    http: Http,
    gateway: String,
    admin: String,
}

impl Book {
    fn of(host: &Atoll) -> Self {
        Self { http: Http::default(), gateway: host.gateway.clone(), admin: host.admin.clone() }
    }

    async fn put(&self, topic: &str, entry: &Value) -> Answer {
        self.http.json(Method::POST, &format!("{}/put/{topic}", self.gateway), entry).await
    }

    /// Publishes an entry of the topic `entries`.
    async fn entry(&self, id: &str, key: &str, mode: &str) {
        let answer = self.put("entries", &json!({ "id": id, "key": key, "mode": mode })).await;
        assert!(answer.status.is_success(), "{answer:?}");
    }

    /// As [`Book::entry`], at a host that may refuse it or be gone.
    async fn try_entry(&self, id: &str, key: &str, mode: &str) -> Result<Answer, String> {
        let entry = json!({ "id": id, "key": key, "mode": mode });
        self.http.try_json(Method::POST, &format!("{}/put/entries", self.gateway), &entry).await
    }

    /// A value of a service's own data; empty if it is absent.
    async fn value(&self, service: &str, key: &str) -> String {
        let key = key.replace(' ', "%20");
        let answer = self.http.get(&format!("{}/{service}?key={key}", self.gateway)).await;
        assert!(answer.status.is_success(), "{answer:?}");
        answer.json().as_str().unwrap_or_default().to_owned()
    }

    async fn admin(&self, path: &str) -> Value {
        let answer = self.http.get(&format!("{}{path}", self.admin)).await;
        assert!(answer.status.is_success(), "{answer:?}");
        answer.json()
    }

    /// The subscription of `reader` to `entries`, or of `echoes` to `echo`, as the admin shows it.
    async fn subscription(&self, topic: &str) -> Value {
        let topics = self.admin("/v1/topics").await;
        let found = topics.as_array().unwrap().iter().find(|one| one["name"] == topic).unwrap();
        found["subscriptions"][0].clone()
    }

    /// Waits until the subscription to `topic` has settled everything.
    async fn settled(&self, topic: &str) -> Value {
        eventually("everything is settled", async || {
            let one = self.subscription(topic).await;
            (one["lag"] == 0).then_some(one)
        })
        .await
    }

    async fn dead(&self) -> Vec<Value> {
        let letters = self.admin("/v1/topics/entries/subscriptions/reader/dead").await;
        letters.as_array().unwrap().clone()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_published_with_the_data_and_handled_in_the_order_of_its_key() {
    let home = Home::new(MANIFEST);
    let host = home.start().await;
    let book = Book::of(&host);
    for n in 0..30 {
        book.entry(&format!("e{n}"), &format!("k{}", n % 3), "echo").await;
    }
    book.settled("entries").await;
    book.settled("echo").await;
    for key in 0..3 {
        let expected: String = (0..30).filter(|n| n % 3 == key).map(|n| format!("e{n} ")).collect();
        assert_eq!(book.value("reader", &format!("order/k{key}")).await, expected);
    }
    for n in 0..30 {
        let id = format!("e{n}");
        assert_eq!(book.value("writer", &format!("written/{id}")).await, "1");
        assert_eq!(book.value("reader", &format!("seen/{id}")).await, "1");
        assert_eq!(book.value("echoes", &format!("echoed/{id}")).await, "1");
    }
    let page = book.admin("/v1/topics/entries/events?after=28&limit=1").await;
    assert_eq!((&page["events"][0]["number"], &page["more"]), (&json!(29), &json!(true)));
    let event = &page["events"][0]["event"];
    assert_eq!(event["data"], json!({ "id": "e28", "key": "k1", "mode": "echo" }));
    for (name, value) in [("specversion", "1.0"), ("type", "entries"), ("id", "29"), ("publisher", "writer")] {
        assert_eq!(event[name], value, "{event}");
    }
    let metrics = book.http.get(&format!("{}/metrics", book.admin)).await;
    let metrics = String::from_utf8(metrics.body.to_vec()).unwrap();
    for line in [
        r#"atoll_delivery_lag{topic="entries",service="reader"} 0"#,
        r#"atoll_delivery_tries_total{topic="entries",service="reader",outcome="handled"} 30"#,
        r#"atoll_topic_events_total{topic="echo"} 30"#,
        r#"atoll_delivery_dead_letters{topic="entries",service="reader"} 0"#,
    ] {
        assert!(metrics.lines().any(|own| own == line), "{line} is missing in\n{metrics}");
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_event_is_a_dead_letter_and_stops_no_other_key() {
    let home = Home::new(MANIFEST);
    let host = home.start().await;
    let book = Book::of(&host);
    book.entry("bad", "a", "fail").await;
    book.entry("after", "a", "").await;
    book.entry("twice-failed", "b", "fail-2").await;
    book.entry("good", "c", "").await;
    let end = book.settled("entries").await;
    assert_eq!((&end["dead"], &end["failures"], &end["handled"]), (&json!(1), &json!(5), &json!(3)));
    for (id, times) in [("bad", ""), ("after", "1"), ("twice-failed", "1"), ("good", "1")] {
        assert_eq!(book.value("reader", &format!("seen/{id}")).await, times, "{id}");
    }
    let dead = book.dead().await;
    let [letter] = &dead[..] else { panic!("{dead:?}") };
    assert_eq!((&letter["number"], &letter["tries"]), (&json!(1), &json!(3)));
    assert_eq!(letter["event"]["data"]["id"], "bad");
    let reason = letter["failures"][2]["reason"].as_str().unwrap();
    assert!(reason.contains("told to fail at try 3"), "{reason}");
    // A dead letter is kept through a restart, and stays one if it fails again.
    host.stop().await;
    let host = home.start().await;
    let book = Book::of(&host);
    assert_eq!(book.dead().await.len(), 1);
    let output = home.output(&["events", "retry", "entries", "reader", "1", "--admin", &host.admin]).await;
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(text, "entries: 1 dead letter is sent to `reader` again\n", "{output:?}");
    eventually("it has failed again", async || (book.dead().await[0]["tries"] == 4).then_some(())).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_traps_after_its_commit_has_its_effect_once() {
    let home = Home::new(MANIFEST);
    let host = home.start().await;
    let book = Book::of(&host);
    for n in 0..5 {
        book.entry(&format!("e{n}"), "k", "trap-after twice echo").await;
    }
    let end = book.settled("entries").await;
    assert_eq!((&end["failures"], &end["handled"], &end["dead"]), (&json!(5), &json!(5), &json!(0)));
    book.settled("echo").await;
    for n in 0..5 {
        let id = format!("e{n}");
        for (service, key) in [("reader", "seen"), ("reader", "again"), ("echoes", "echoed")] {
            assert_eq!(book.value(service, &format!("{key}/{id}")).await, "1", "{key}/{id}");
        }
    }
    assert_eq!(book.value("reader", "order/k").await, "e0 e1 e2 e3 e4 ");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_not_be_published_is_refused_and_writes_nothing() {
    let home = Home::new(MANIFEST);
    let host = home.start().await;
    let book = Book::of(&host);
    let answer = book.put("echo", &json!({ "id": "x", "key": "k", "mode": "" })).await;
    assert!(answer.problem()["detail"].as_str().unwrap().contains("`echo` is none of the topics"), "{answer:?}");
    assert_eq!(book.value("writer", "written/x").await, "");
    let publish = async |topic: &str, json: Value| {
        book.http.json(Method::POST, &format!("{}/publish/{topic}", book.gateway), &json).await
    };
    let wrong = publish("entries", json!([r#"{"id":"a","key":"k","mode":""}"#, r#"{"id":7,"key":"k"}"#])).await;
    let detail = wrong.problem()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("/id must be") && detail.contains("/mode"), "{detail}");
    // Neither of the two was published.
    assert_eq!(book.admin("/v1/topics").await[0]["last"], 0);
    let order = home.output(&["events", "publish", "entries", r#"{"id":1}"#, "--admin", &host.admin]).await;
    let complaint = String::from_utf8_lossy(&order.stderr);
    assert!(complaint.contains("/id must be") && order.status.code() == Some(1), "{complaint}");
    let order =
        home.output(&["events", "publish", "untyped", r#"{"any":[1.50]}"#, "--key", "k", "--admin", &host.admin]).await;
    assert_eq!(String::from_utf8_lossy(&order.stdout), "untyped: event 1 is published\n", "{order:?}");
    let tail = home.output(&["events", "tail", "untyped", "--admin", &host.admin]).await;
    let line = String::from_utf8_lossy(&tail.stdout).into_owned();
    assert!(line.contains(r#""partitionkey":"k","data":{"any":[1.50]}}"#) && line.lines().count() == 1, "{line}");
    let list = home.output(&["events", "list", "--admin", &host.admin]).await;
    let table = String::from_utf8_lossy(&list.stdout).into_owned();
    assert!(table.starts_with("TOPIC") && table.contains("untyped"), "{table}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_that_is_out_of_service_or_swapped_loses_nothing() {
    let home = Home::new(MANIFEST);
    let host = home.start().await;
    let book = Book::of(&host);
    let wasm = super::components::component("fixture-events").display().to_string();
    let verb = async |arguments: &[&str]| {
        let output = home.output(&[arguments, &["--admin", &host.admin]].concat()).await;
        assert!(output.status.success(), "{output:?}");
    };
    verb(&["breaker", "open", "reader"]).await;
    for n in 0..20 {
        book.entry(&format!("e{n}"), &format!("k{}", n % 4), "").await;
    }
    let waiting = book.subscription("entries").await;
    assert_eq!((&waiting["lag"], &waiting["dead"], &waiting["failures"]), (&json!(20), &json!(0), &json!(0)));
    verb(&["breaker", "reset", "reader"]).await;
    for n in 20..40 {
        book.entry(&format!("e{n}"), &format!("k{}", n % 4), "").await;
        if n % 5 == 0 {
            verb(&["swap", "reader", &wasm]).await;
        }
    }
    let end = book.settled("entries").await;
    assert_eq!((&end["dead"], &end["failures"]), (&json!(0), &json!(0)));
    for key in 0..4 {
        let expected: String = (0..40).filter(|n| n % 4 == key).map(|n| format!("e{n} ")).collect();
        assert_eq!(book.value("reader", &format!("order/k{key}")).await, expected);
    }
    // A component without the function is refused, and names the subscription.
    let other = super::components::component("fixture-hello").display().to_string();
    let refused = home.output(&["swap", "reader", &other, "--admin", &host.admin]).await;
    let complaint = String::from_utf8_lossy(&refused.stderr);
    assert!(complaint.contains("the subscription of `reader` to `entries`"), "{complaint}");
    host.stop().await;
}
