//! Sagas that events start and that wait for events, with locks: through the real binary, killed in the middle.

use super::super::atoll::{Answer, Atoll, Home, Http, eventually};
use http::Method;
use serde_json::{Value, json};

const TOPICS: &str = r#"
[topic.placed]
payload = "atoll:fixture-events/types#entry"
[topic.settled]
payload = "atoll:fixture-events/types#entry"
[service.book]
component = "{component:fixture-events}"
state = true
publish = ["placed", "settled"]
[[route]]
method = "GET"
path = "/book"
call = "book/get"
"#;

/// An event starts it; its first step publishes the first event that it waits for, before it waits.
const FILE: &str = r#"
[saga.file]
on = { topic = "placed" }
lock = { value = "$input.id", taken = "wait" }

[[saga.file.step]]
name = "tell"
call = "book/put"
with = { topic = "settled", entry = { id = "$saga.key", key = "$input.id", mode = "first" } }

[[saga.file.step]]
name = "first"
wait = { topic = "settled", key = "$input.id", where = { id = "$saga.key", mode = "first" } }
pivot = true

[[saga.file.step]]
name = "second"
wait = { topic = "settled", where = { key = "$input.id", mode = "second" }, timeout = "1h" }

[[saga.file.step]]
name = "end"
call = "book/put"
with = { topic = "settled", entry = { id = "$second.id", key = "$first.id", mode = "end" } }
"#;

/// A saga whose step tells what it learns of its caller.
const STEPS: &str = r#"
[service.front]
component = "{component:fixture-caller}"
calls = ["back"]
[service.back]
component = "{component:fixture-caller}"
calls = ["front"]
[saga.tell]
[[saga.tell.step]]
name = "say"
call = "front/step"
with = { note = ", said" }
[[route]]
method = "POST"
path = "/tell"
saga = "tell"
wait = "10s"
[[route]]
method = "GET"
path = "/step"
call = "front/step"
"#;

struct Book {
    http: Http,
    admin: String,
    gateway: String,
}

impl Book {
    fn of(host: &Atoll) -> Self {
        Self { http: Http::default(), admin: host.admin.clone(), gateway: host.gateway.clone() }
    }

    async fn publish(&self, topic: &str, id: &str, key: &str, mode: &str) {
        let event = json!({ "key": key, "payload": { "id": id, "key": key, "mode": mode } });
        let answer = self.http.json(Method::POST, &format!("{}/v1/topics/{topic}/events", self.admin), &event).await;
        assert_eq!(answer.status, 201, "{answer:?}");
    }

    async fn sagas(&self, query: &str) -> Vec<Value> {
        let found = self.http.get(&format!("{}/v1/sagas{query}", self.admin)).await.json();
        found.as_array().unwrap().clone()
    }

    async fn written(&self, key: &str) -> Answer {
        self.http.get(&format!("{}/book?key={key}", self.gateway)).await
    }
}

fn manifest() -> String {
    format!("{TOPICS}{FILE}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_starts_one_saga_which_waits_for_events_over_a_kill() {
    let home = Home::new(&manifest());
    let host = home.start().await;
    let book = Book::of(&host);
    book.publish("placed", "a", "k", "x").await;
    book.publish("placed", "b", "k", "x").await;
    // The same order again: its saga waits for the lock of the first one.
    book.publish("placed", "a", "k", "x").await;
    let live = eventually("two sagas wait for their second event, and one for its lock", async || {
        let live = book.sagas("").await;
        let waiting = live.iter().filter(|saga| saga["step"] == "second").count();
        (waiting == 2 && live.len() == 3).then_some(live)
    })
    .await;
    let lock = |saga: &Value| (saga["lock"]["value"].clone(), saga["lock"]["until"].is_u64());
    let locks: Vec<_> = live.iter().map(lock).collect();
    assert_eq!(locks.iter().filter(|lock| **lock == (json!("\"a\""), true)).count(), 1, "{locks:?}");
    assert_eq!(locks.iter().filter(|lock| **lock == (json!("\"a\""), false)).count(), 1, "{locks:?}");
    let shown = home.output(&["saga", "list", "--admin", &host.admin]).await;
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("settled") && shown.contains("file \"a\""), "{shown}");
    host.kill().await;

    let host = home.start().await;
    let book = Book::of(&host);
    book.publish("settled", "paid-a", "a", "second").await;
    book.publish("settled", "paid-b", "b", "second").await;
    eventually("two have ended, and the third has its lock", async || {
        let live = book.sagas("").await;
        (live.len() == 1 && live[0]["step"] == "second").then_some(())
    })
    .await;
    // An event ends one wait: the third saga began before, but it is the second event of that order.
    book.publish("settled", "paid-again", "a", "second").await;
    let ended = eventually("all have ended", async || {
        let ended = book.sagas("?state=ended").await;
        (ended.len() == 3).then_some(ended)
    })
    .await;
    assert!(ended.iter().all(|saga| saga["state"] == "completed"), "{ended:?}");
    for id in ["paid-a", "paid-b"] {
        assert_eq!(book.written(&format!("written/{id}")).await.status, 200, "{id}");
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_learns_the_key_of_the_step_that_calls_it() {
    let home = Home::new(STEPS);
    let host = home.start().await;
    let http = Http::default();
    let told = http.json(Method::POST, &format!("{}/tell", host.gateway), &json!({})).await;
    assert_eq!(told.status, 200, "{told:?}");
    let (id, result) = (told.json()["id"].clone(), told.json()["result"].clone());
    assert_eq!(result, format!("tell/{}/say action, said", id.as_str().unwrap()));
    // No saga calls it here.
    let told = http.get(&format!("{}/step?note=alone", host.gateway)).await;
    assert_eq!((told.status.as_u16(), told.json()), (200, json!("alone")));
    host.stop().await;
}

/// What is wrong with the saga, by a change of its text, and what `atoll check` says.
const CASES: [(&str, &str, &str); 9] = [
    (r#"on = { topic = "placed" }"#, r#"on = { topic = "place" }"#, "there is no topic `place`"),
    (r#"taken = "wait""#, r#"taken = "refuse""#, "an event cannot be refused"),
    (r#"value = "$input.id""#, r#"value = "$first.id""#, "the value of a lock is a part of the input"),
    (r#"value = "$input.id""#, r#"value = "$input.name""#, "there is no field `name` among"),
    (r#", timeout = "1h""#, "", "comes after the pivot, and would wait for ever"),
    (r#"mode = "second""#, r#"mood = "second""#, "`$event.mood`: there is no field `mood`"),
    (r#"mode = "second""#, "mode = 2", "`mode` cannot be 2"),
    (r#"key = "$input.id", where"#, r#"key = 7, where"#, "`key` cannot be 7"),
    (r#"where = { key = "$input.id", mode = "second" }, "#, "", "any event would end this wait"),
];

#[tokio::test]
async fn each_mistake_of_a_wait_or_a_lock_is_told() {
    for (right, wrong, message) in CASES {
        let text = manifest();
        assert!(text.contains(right), "{right}");
        let home = Home::new(&text.replacen(right, wrong, 1));
        home.link_cache();
        let output = home.output(&["check"]).await;
        let complaint = String::from_utf8_lossy(&output.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(output.status.code(), Some(1), "{wrong}: {complaint}");
        assert!(complaint.contains(message), "{message}:\n{complaint}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_host_starts_without_the_topic_or_the_type_that_a_saga_waits_for() {
    let home = Home::new(&manifest());
    let host = home.start().await;
    let book = Book::of(&host);
    book.publish("placed", "a", "k", "x").await;
    let waits = async || book.sagas("").await.iter().any(|saga| saga["step"] == "second").then_some(());
    eventually("it waits", waits).await;
    host.stop().await;
    let entry = "[topic.settled]\npayload = \"atoll:fixture-events/types#entry\"\n";
    let other = "[topic.settled]\npayload = \"atoll:fixture-events/other#message\"\n";
    let reads = "publish = [\"placed\"]\nsubscribe = [{ topic = \"settled\", call = \"book/other#read\" }]";
    let of = |topic: &str, uses: &str| {
        TOPICS.replacen(entry, topic, 1).replacen("publish = [\"placed\", \"settled\"]", uses, 1)
    };
    let gone = of("", "publish = [\"placed\"]");
    for (manifest, message) in [(gone, "is no topic"), (of(other, reads), "there is no field `")] {
        home.write(&manifest);
        let refused = home.output(&["run", "atoll.toml"]).await;
        let told = String::from_utf8_lossy(&refused.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(!refused.status.success(), "{told}");
        assert!(
            told.contains("sagas `file` of an earlier manifest have not ended") && told.contains(message),
            "{told}"
        );
    }
}
