//! The promises of `docs/events.md`, each written once and held over every log: the host's own database, JetStream,
//! RabbitMQ and the Kafka protocol, and the database on PostgreSQL and Redis, on real servers that are killed, stopped
//! and paused. Without a server (`just brokers` and `just state-backends` install them) those over it pass, and say so.

use super::super::atoll::{Atoll, Home, Http, TIMEOUT, eventually};
use super::super::state_server::StateServer;
use super::kafka_server::KafkaServer;
use super::nats_server::NatsServer;
use super::rabbit_server::RabbitServer;
use super::{Book, MANIFEST, MODES};
use http::Method;
use rand::RngExt;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Where the logs of the topics are.
pub enum TestedLog {
    Embedded,
    JetStream(Box<NatsServer>),
    RabbitMq(Box<RabbitServer>),
    Kafka(Box<KafkaServer>),
    /// The database, on a server.
    Database(StateServer),
}

/// What happens to a broker.
#[derive(Debug, Clone, Copy)]
enum BrokerTrouble {
    Killed,
    Stopped,
    Paused,
}

/// What happens to a server, whichever it is; `.await` at the end if it is waited for so.
macro_rules! trouble_of {
    ($server:ident, $trouble:ident, $away:ident $($waits:tt)*) => {{
        match $trouble {
            BrokerTrouble::Killed => $server.kill()$($waits)*,
            BrokerTrouble::Stopped => $server.stop()$($waits)*,
            BrokerTrouble::Paused => $server.pause(),
        }
        tokio::time::sleep($away).await;
        match $trouble {
            BrokerTrouble::Paused => $server.go_on(),
            _ => $server.start_again()$($waits)*,
        }
    }};
}

impl TestedLog {
    fn home(&self) -> Home {
        self.home_with("")
    }

    /// A home whose `[events]` has more keys.
    fn home_with(&self, keys: &str) -> Home {
        let address = match self {
            Self::Embedded => return Home::new(MANIFEST),
            Self::Database(server) => return server.home(&format!("{}{keys}\n{MANIFEST}", server.section())),
            Self::JetStream(server) => server.address(),
            Self::RabbitMq(server) => server.address(),
            Self::Kafka(server) => server.address(),
        };
        Home::new(&format!("[events]\nbroker = '{address}'\n{keys}\n{MANIFEST}"))
    }

    /// The time between two events of a publisher while the broker is away. RabbitMQ starts for seconds, in which all
    /// events would be more than a test can account for.
    fn pace(&self) -> Duration {
        if matches!(self, Self::RabbitMq(_)) { Duration::from_millis(100) } else { Duration::ZERO }
    }

    async fn kill(&mut self) {
        match self {
            Self::Embedded => {}
            Self::JetStream(server) => server.kill().await,
            Self::RabbitMq(server) => server.kill().await,
            Self::Kafka(server) => server.stop().await,
            Self::Database(server) => server.kill(),
        }
    }

    async fn start_again(&mut self) {
        match self {
            Self::Embedded => {}
            Self::JetStream(server) => server.start_again().await,
            Self::RabbitMq(server) => server.start_again().await,
            Self::Kafka(server) => server.start_again().await,
            Self::Database(server) => server.start_again(),
        }
    }

    /// Takes the broker away for a moment; the host's own database goes with the host alone.
    async fn trouble(&mut self, trouble: BrokerTrouble) {
        let away = Duration::from_millis(rand::rng().random_range(20..400));
        match self {
            Self::Embedded => {}
            Self::JetStream(server) => trouble_of!(server, trouble, away.await),
            Self::RabbitMq(server) => trouble_of!(server, trouble, away.await),
            Self::Kafka(server) => server.pause_for(away).await,
            Self::Database(server) => trouble_of!(server, trouble, away),
        }
    }
}

/// Makes each promise a test of one log; `None`: its server is not there.
macro_rules! over {
    ($log:ident, $start:expr, $($promise:ident)*) => {
        mod $log {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                let Some(log) = $start else { return };
                super::$promise(log).await;
            })*
        }
    };
}

/// Makes each promise a test of each log.
macro_rules! promises {
    ($($promise:ident)*) => {
        over!(embedded, Some(super::TestedLog::Embedded), $($promise)*);
        over!(jet_stream, super::NatsServer::start().await.map(Box::new).map(super::TestedLog::JetStream),
            $($promise)*);
        over!(rabbit_mq, super::RabbitServer::start().await.map(Box::new).map(super::TestedLog::RabbitMq),
            $($promise)*);
        over!(kafka, super::KafkaServer::noida().await.map(Box::new).map(super::TestedLog::Kafka), $($promise)*);
        over!(postgres, super::StateServer::postgres().map(super::TestedLog::Database), $($promise)*);
        over!(redis, super::StateServer::redis().map(super::TestedLog::Database), $($promise)*);
    };
}

promises! {
    events_of_a_key_are_handled_in_their_order
    a_dead_letter_stops_no_other_key_and_is_kept_until_it_is_handled
    data_are_made_again_from_the_first_event
    a_try_that_is_repeated_has_its_effect_once
    crashes_of_the_host_lose_nothing_and_double_nothing
    crashes_of_the_broker_lose_nothing_and_double_nothing
    a_broker_that_is_away_holds_up_nobody_until_the_outbox_is_full
}

// It has nothing any more when it was stopped.
over!(tansu, super::KafkaServer::tansu().await.map(Box::new).map(super::TestedLog::Kafka),
    events_of_a_key_are_handled_in_their_order
    a_try_that_is_repeated_has_its_effect_once
    crashes_of_the_host_lose_nothing_and_double_nothing
);

fn order(keys: usize, key: usize, events: usize) -> String {
    (0..events).filter(|n| n % keys == key).map(|n| format!("e{n} ")).collect()
}

/// All events of a topic, by their ids in its log.
async fn logged(book: &Book, topic: &str) -> Vec<String> {
    let (mut ids, mut after) = (Vec::new(), 0);
    loop {
        let page = book.admin(&format!("/v1/topics/{topic}/events?after={after}&limit=500")).await;
        for event in page["events"].as_array().unwrap() {
            ids.push(event["event"]["data"]["id"].as_str().unwrap().to_owned());
            after = event["number"].as_u64().unwrap();
        }
        if page["more"] == false {
            return ids;
        }
    }
}

/// Waits until the log has so many events, none waits for the broker, and all are settled.
async fn settled(book: &Book, topic: &str, events: usize) -> Value {
    eventually("all events are in the log and settled", async || {
        let topics = book.admin("/v1/topics").await;
        let found = topics.as_array().unwrap().iter().find(|one| one["name"] == topic).unwrap().clone();
        let one = found["subscriptions"][0].clone();
        // A broker's numbers may have gaps: the last one alone says little.
        let sent = found["outbox_bytes"].as_u64().is_none_or(|bytes| bytes == 0);
        (found["last"].as_u64() >= Some(events as u64) && sent && one["lag"] == 0).then_some(one)
    })
    .await
}

async fn events_of_a_key_are_handled_in_their_order(log: TestedLog) {
    let home = log.home();
    let host = home.start().await;
    let book = Book::of(&host);
    for n in 0..60 {
        let mode = ["", "fail-2", "trap-after", "echo"][n % 4];
        book.entry(&format!("e{n}"), &format!("k{}", n % 5), mode).await;
    }
    let end = settled(&book, "entries", 60).await;
    settled(&book, "echo", 15).await;
    assert_eq!((&end["dead"], &end["handled"]), (&json!(0), &json!(60)), "{end}");
    for key in 0..5 {
        assert_eq!(book.value("reader", &format!("order/k{key}")).await, order(5, key, 60));
    }
    assert_eq!(logged(&book, "entries").await, (0..60).map(|n| format!("e{n}")).collect::<Vec<_>>());
    host.stop().await;
}

async fn a_dead_letter_stops_no_other_key_and_is_kept_until_it_is_handled(mut log: TestedLog) {
    let home = log.home();
    let host = home.start().await;
    let book = Book::of(&host);
    for (id, key, mode) in [("bad", "a", "fail"), ("after", "a", ""), ("good", "c", "")] {
        book.entry(id, key, mode).await;
    }
    let end = settled(&book, "entries", 3).await;
    assert_eq!((&end["dead"], &end["handled"], &end["failures"]), (&json!(1), &json!(2), &json!(3)), "{end}");
    for (id, times) in [("bad", ""), ("after", "1"), ("good", "1")] {
        assert_eq!(book.value("reader", &format!("seen/{id}")).await, times, "{id}");
    }
    // Neither the end of the host nor that of the broker takes it away.
    host.kill().await;
    log.trouble(BrokerTrouble::Killed).await;
    let host = home.start().await;
    let book = Book::of(&host);
    let dead = book.dead().await;
    let [letter] = &dead[..] else { panic!("{dead:?}") };
    assert_eq!((&letter["tries"], &letter["event"]["data"]["id"]), (&json!(3), &json!("bad")));
    let sent = home.output(&["events", "retry", "entries", "reader", "--admin", &host.admin]).await;
    assert!(sent.status.success(), "{sent:?}");
    eventually("it has failed again", async || (book.dead().await[0]["tries"] == 4).then_some(())).await;
    host.stop().await;
}

async fn data_are_made_again_from_the_first_event(mut log: TestedLog) {
    let home = log.home();
    let host = home.start().await;
    let book = Book::of(&host);
    for n in 0..40 {
        book.entry(&format!("e{n}"), &format!("k{}", n % 3), "").await;
    }
    settled(&book, "entries", 40).await;
    log.trouble(BrokerTrouble::Killed).await;
    eventually("the data are made again", async || {
        let output = home.output(&["events", "rebuild", "reader", "--yes", "--admin", &host.admin]).await;
        output.status.success().then_some(())
    })
    .await;
    eventually("all events were handled again", async || {
        let one = book.subscription("entries").await;
        (one["handled"] == 80 && one["lag"] == 0).then_some(())
    })
    .await;
    for key in 0..3 {
        assert_eq!(book.value("reader", &format!("order/k{key}")).await, order(3, key, 40));
    }
    host.stop().await;
}

async fn a_try_that_is_repeated_has_its_effect_once(log: TestedLog) {
    let home = log.home();
    let host = home.start().await;
    let book = Book::of(&host);
    for n in 0..5 {
        book.entry(&format!("e{n}"), "k", "trap-after twice echo").await;
    }
    let end = settled(&book, "entries", 5).await;
    assert_eq!((&end["failures"], &end["handled"]), (&json!(5), &json!(5)), "{end}");
    settled(&book, "echo", 5).await;
    for n in 0..5 {
        for (service, key) in [("reader", "seen"), ("reader", "again"), ("echoes", "echoed")] {
            assert_eq!(book.value(service, &format!("{key}/e{n}")).await, "1", "{key}/e{n}");
        }
    }
    assert_eq!(book.value("reader", "order/k").await, "e0 e1 e2 e3 e4 ");
    host.stop().await;
}

/// Publishers at the same time, each with a key of its own.
const PUBLISHERS: usize = 4;
/// How many entries of each publisher are acknowledged at least between two troubles, however slow the machine is.
const LEAST: usize = 4;

/// What publishers know of their entries: with each id whether it was acknowledged, and what its handler does.
type Published = BTreeMap<String, (bool, &'static str)>;

/// Publishes until the host is gone, or `until` says so, or it is refused after [`LEAST`] entries. What is not
/// acknowledged is in doubt.
async fn publish(
    (book, pace): (Book, Duration),
    publisher: usize,
    first: usize,
    until: tokio::sync::watch::Receiver<bool>,
    busy: Arc<Semaphore>,
) -> Published {
    let (mut published, mut taken) = (Published::new(), 0);
    for n in first.. {
        let (id, mode) = (format!("p{publisher}-{n}"), MODES[(n + publisher) % MODES.len()]);
        let answer = book.try_entry(&id, &format!("k{publisher}"), mode).await;
        let done = answer.as_ref().is_ok_and(|answer| answer.status.is_success());
        published.insert(id, (done, mode));
        taken += usize::from(done);
        if done && taken == LEAST {
            busy.add_permits(1);
        }
        if answer.is_err() || (taken >= LEAST && (!done || *until.borrow())) {
            break;
        }
        // One that was refused does not storm.
        tokio::time::sleep(if done { pace } else { Duration::from_millis(50) }).await;
    }
    published
}

/// Publishes while `meanwhile` goes on, which begins when each publisher has had [`LEAST`] entries acknowledged.
async fn publish_while(
    (host, pace): (&Atoll, Duration),
    published: &mut Published,
    meanwhile: impl Future<Output = ()>,
) -> Vec<tokio::task::JoinHandle<Published>> {
    let (stop, until) = tokio::sync::watch::channel(false);
    let (book, busy) = (Book::of(host), Arc::new(Semaphore::new(0)));
    let first = |one: usize| published.keys().filter(|id| id.starts_with(&format!("p{one}-"))).count();
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|one| tokio::spawn(publish((book.clone(), pace), one, first(one), until.clone(), Arc::clone(&busy))))
        .collect();
    let all = busy.acquire_many(PUBLISHERS as u32);
    drop(tokio::time::timeout(TIMEOUT, all).await.expect("every publisher is served").unwrap());
    meanwhile.await;
    let _ = stop.send(true);
    publishers
}

async fn collect(publishers: Vec<tokio::task::JoinHandle<Published>>, published: &mut Published) {
    for publisher in publishers {
        published.extend(tokio::time::timeout(TIMEOUT, publisher).await.unwrap().unwrap());
    }
}

/// Looks at every entry: an acknowledged one is in the log once and has its effects once, one in doubt has all or none.
async fn account(host: &Atoll, published: &Published) {
    let book = Book::of(host);
    let mut written = BTreeSet::new();
    for (id, (acknowledged, _)) in published {
        let count = book.value("writer", &format!("written/{id}")).await;
        assert!(count == "1" || (count.is_empty() && !acknowledged), "{id}: {count}");
        written.extend((count == "1").then(|| id.clone()));
    }
    assert!(written.len() > 10 * PUBLISHERS, "this test has tried little: {}", written.len());
    let end = settled(&book, "entries", written.len()).await;
    assert_eq!(end["dead"], 0, "{end}");
    let echoing = |mode: &str| mode.contains("echo");
    settled(&book, "echo", published.iter().filter(|(id, (_, mode))| echoing(mode) && written.contains(*id)).count())
        .await;
    let mut in_log = logged(&book, "entries").await;
    let events = in_log.len();
    in_log.sort();
    assert_eq!(in_log, written.iter().cloned().collect::<Vec<_>>(), "{events} events are in the log");
    for id in &written {
        let mode = published[id].1;
        let effect = |word: &str| if mode.split(' ').any(|own| own == word) { "1" } else { "" };
        assert_eq!(book.value("reader", &format!("seen/{id}")).await, "1", "{id} {mode}");
        assert_eq!(book.value("reader", &format!("again/{id}")).await, effect("twice"), "{id} {mode}");
        assert_eq!(book.value("echoes", &format!("echoed/{id}")).await, effect("echo"), "{id} {mode}");
    }
    for one in 0..PUBLISHERS {
        let order = book.value("reader", &format!("order/k{one}")).await;
        let number = |id: &str| id.rsplit_once('-').unwrap().1.parse::<usize>().unwrap();
        assert!(order.split_whitespace().map(number).is_sorted_by(|a, b| a < b), "k{one}: {order}");
    }
}

async fn crashes_of_the_host_lose_nothing_and_double_nothing(log: TestedLog) {
    let home = log.home();
    let mut published = Published::new();
    for _ in 0..8 {
        let host = home.start().await;
        let life = Duration::from_millis(rand::rng().random_range(0..300));
        let publishers = publish_while((&host, Duration::ZERO), &mut published, tokio::time::sleep(life)).await;
        host.kill().await;
        collect(publishers, &mut published).await;
    }
    let host = home.start().await;
    account(&host, &published).await;
    host.stop().await;
}

async fn crashes_of_the_broker_lose_nothing_and_double_nothing(mut log: TestedLog) {
    let home = log.home();
    let mut published = Published::new();
    let host = home.start().await;
    for trouble in [BrokerTrouble::Killed, BrokerTrouble::Stopped, BrokerTrouble::Paused, BrokerTrouble::Killed] {
        let read = format!("{}/writer?key=none", host.gateway);
        let served = async || Http::default().get(&read).await.status.is_success().then_some(());
        eventually("the publisher is served", served).await;
        let publishers = publish_while((&host, log.pace()), &mut published, async {
            tokio::time::sleep(Duration::from_millis(150)).await;
            log.trouble(trouble).await;
            tokio::time::sleep(Duration::from_millis(150)).await;
        });
        let publishers = publishers.await;
        collect(publishers, &mut published).await;
    }
    // Publishing has gone on all the time, unless the database itself was away.
    let in_database = matches!(log, TestedLog::Database(_));
    assert!(in_database || published.values().all(|(acknowledged, _)| *acknowledged), "{published:?}");
    eventually("the host is well", async || {
        let ready = Http::default().get(&format!("{}/readyz", host.admin)).await.json();
        (ready["status"] == "ready").then_some(())
    })
    .await;
    account(&host, &published).await;
    host.stop().await;
}

async fn a_broker_that_is_away_holds_up_nobody_until_the_outbox_is_full(mut log: TestedLog) {
    if matches!(log, TestedLog::Embedded | TestedLog::Database(_)) {
        return;
    }
    let home = log.home_with("outbox = '1MiB'");
    log.kill().await;
    let host = home.start().await;
    let book = Book::of(&host);
    book.entry("first", "k", "").await;
    let publish = async |n: usize| {
        let entry = json!({ "id": format!("l{n}"), "key": "k", "mode": "x".repeat(400 << 10) });
        book.put("entries", &entry).await.status.as_u16()
    };
    let mut taken = 0;
    let refused = loop {
        match publish(taken).await {
            status if (200..300).contains(&status) => taken += 1,
            status => break status,
        }
    };
    assert_eq!((refused, taken), (503, 3));
    away(&home, &host).await;
    // One topic's outbox is full, and the other's is not.
    let event = json!({ "payload": 1 });
    let other = book.http.json(Method::POST, &format!("{}/v1/topics/untyped/events", book.admin), &event).await;
    assert!(other.status.is_success(), "{other:?}");
    log.start_again().await;
    eventually("what waited is handled", async || {
        (book.value("reader", "order/k").await == "first l0 l1 l2 ").then_some(())
    })
    .await;
    eventually("nothing waits, and nothing is wrong", async || {
        let topics = book.admin("/v1/topics").await;
        let sent = |topic: &Value| {
            topic["outbox_bytes"] == 0 && topic["outbox_events"] == 0 && topic["broker_error"].is_null()
        };
        (topics.as_array().unwrap().iter().all(sent)).then_some(())
    })
    .await;
    for topic in ["entries", "untyped"] {
        let events = book.admin(&format!("/v1/topics/{topic}/events?after=0")).await;
        assert_eq!(events["events"].as_array().unwrap().len(), if topic == "entries" { 4 } else { 1 }, "{topic}");
    }
    assert_eq!(publish(3).await / 100, 2);
    let changes = home.output(&["changes", "--admin", &host.admin]).await;
    let changes = String::from_utf8_lossy(&changes.stdout).into_owned();
    let times = |kind: &str| changes.lines().filter(|line| line.contains(kind)).count();
    assert_eq!((times("broker-lost"), times("broker-back")), (1, 1), "{changes}");
    host.stop().await;
}

/// A host whose broker is away says so wherever an operator looks.
async fn away(home: &Home, host: &Atoll) {
    let book = Book::of(host);
    let topics = eventually("the loss is seen", async || {
        let topics = book.admin("/v1/topics").await;
        topics[0]["broker_error"].as_str().is_some_and(|error| error.contains("cannot be reached")).then_some(topics)
    })
    .await;
    assert!(topics[0]["outbox_bytes"].as_u64() > Some(1 << 20), "{topics}");
    assert_eq!(topics[0]["outbox_events"], 4, "{topics}");
    assert!(topics[0]["outbox_seconds"].is_u64(), "{topics}");
    let list = home.output(&["events", "list", "--admin", &host.admin]).await;
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    assert!(list.contains("entries: 4 events wait for the broker, the oldest for "), "{list}");
    let metrics = book.http.get(&format!("{}/metrics", host.admin)).await;
    let metrics = String::from_utf8(metrics.body.to_vec()).unwrap();
    for line in [r#"atoll_outbox_events{topic="entries"} 4"#, r#"atoll_outbox_failing{topic="entries"} 1"#] {
        assert!(metrics.contains(line), "{line} is missing");
    }
    let payload = format!("{{\"id\":\"o\",\"key\":\"k\",\"mode\":\"{}\"}}", "x".repeat(100));
    let refused = home.output(&["events", "publish", "entries", &payload, "--admin", &host.admin]).await;
    let refused = String::from_utf8_lossy(&refused.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(refused.contains("the topic `entries` is full: its broker is away"), "{refused}");
    assert!(refused.contains("`atoll events list` shows what the topic waits for"), "{refused}");
}
