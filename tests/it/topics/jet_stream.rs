//! What only a broker has: servers that will not do, an outbox, and others who publish on the same subjects.

use super::super::atoll::{Home, eventually};
use super::nats_server::NatsServer;
use super::{Book, MANIFEST};
use http::Method;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

/// A server that answers what `answer` says to each line that it gets.
pub async fn fake_server(answer: fn(&str) -> Option<String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("nats://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                let hello = r#"INFO {"server_id":"S","server_name":"s","version":"2.10.26","go":"go1","host":"h",
                    "port":1,"headers":true,"max_payload":1048576,"proto":1,"client_id":1}"#;
                let hello = hello.replace('\n', "") + "\r\n";
                let mut sent = stream.write_all(hello.as_bytes()).await;
                let mut line = String::new();
                while sent.is_ok() && stream.read_line(&mut line).await.is_ok_and(|length| length > 0) {
                    if let Some(answer) = answer(line.trim()) {
                        sent = stream.write_all(answer.as_bytes()).await;
                    }
                    line.clear();
                }
            });
        }
    });
    address
}

/// Starts a host that must not start. Returns what it says.
async fn refused(broker: &str, keys: &str, variables: &[(&str, &str)]) -> String {
    let home = Home::new(&format!("[events]\nbroker = '{broker}'\n{keys}\n{MANIFEST}"));
    home.link_cache();
    let mut command = home.command(&["run", "atoll.toml"]);
    command.envs(variables.iter().copied());
    let output = command.output().await.unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_too_old_is_refused_by_name() {
    let address = fake_server(|line| {
        let words: Vec<_> = line.split(' ').collect();
        match words[..] {
            ["PING", ..] => Some("PONG\r\n".to_owned()),
            ["PUB" | "HPUB", "$JS.API.INFO", inbox, ..] => {
                // 2.10 knows no levels. The client's subscription for answers has the number 0.
                let body = r#"{"type":"io.nats.jetstream.api.v1.account_info_response","api":{"total":1}}"#;
                Some(format!("MSG {inbox} 0 {}\r\n{body}\r\n", body.len()))
            }
            _ => None,
        }
    });
    let complaint = refused(&address.await, "", &[]).await;
    assert!(complaint.contains("connecting to the broker of the events"), "{complaint}");
    assert!(complaint.contains("2.10.26 has JetStream API level 0, and Atoll needs level 1"), "{complaint}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_is_not_let_in_does_not_start_and_does_not_print_its_secret() {
    let address =
        fake_server(|line| line.starts_with("CONNECT").then(|| "-ERR 'Authorization Violation'\r\n".to_owned()));
    let keys = "user = 'atoll'\npassword = { from_env = 'NATS_PASSWORD' }";
    let variables = [("NATS_PASSWORD", "s3cret-of-nats"), ("ATOLL_LOG", "trace")];
    let complaint = refused(&address.await, keys, &variables).await;
    assert!(complaint.contains("the broker refuses the connection: authorization violation"), "{complaint}");
    assert!(!complaint.contains("s3cret-of-nats"), "{complaint}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_broker_a_host_starts_and_takes_events_until_the_outbox_is_full() {
    let Some(mut server) = NatsServer::start().await else { return };
    let home = Home::new(&format!("[events]\nbroker = '{}'\noutbox = '1MiB'\n{MANIFEST}", server.address()));
    server.kill().await;
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
    let topics = book.admin("/v1/topics").await;
    assert!(topics[0]["outbox_bytes"].as_u64() > Some(1 << 20), "{topics}");
    // One topic's outbox is full, and the other's is not.
    let other = json!({ "payload": 1 });
    let other = book.http.json(Method::POST, &format!("{}/v1/topics/untyped/events", book.admin), &other).await;
    assert!(other.status.is_success(), "{other:?}");
    server.start_again().await;
    eventually("what waited is handled", async || {
        (book.value("reader", "order/k").await == "first l0 l1 l2 ").then_some(())
    })
    .await;
    eventually("the outbox is empty", async || {
        let topics = book.admin("/v1/topics").await;
        let sent = |at: usize, last: u64| topics[at]["last"] == last && topics[at]["outbox_bytes"] == 0;
        (sent(0, 4) && sent(2, 1)).then_some(())
    })
    .await;
    assert_eq!(publish(3).await / 100, 2);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_publish_and_read_on_the_subject_of_a_topic() {
    let Some(server) = NatsServer::start().await else { return };
    let home = Home::new(&format!("[events]\nbroker = '{}'\n{MANIFEST}", server.address()));
    let host = home.start().await;
    let book = Book::of(&host);
    book.entry("ours", "ke y", "").await;
    book.settled("entries").await;
    let mut client = server.client().await;
    eventually("the event is there", async || {
        (client.stream("ATOLL_entries").await["state"]["messages"] == 1).then_some(())
    })
    .await;
    let found = client.ask("$JS.API.DIRECT.GET.ATOLL_entries", r#"{"seq":1}"#).await.unwrap();
    for header in ["ce-specversion: 1.0", "ce-type: entries", "ce-partitionkey: ke%20y", "ce-publisher: writer"] {
        assert!(found.contains(header), "{header} is missing in {found}");
    }
    assert!(found.ends_with(r#"{"id":"ours","key":"ke y","mode":""}"#), "{found}");
    client.publish("entries", r#"{"id":"theirs","key":"k","mode":""}"#).await;
    // What does not fit is a dead letter, and holds up nobody.
    client.publish("entries", "no JSON").await;
    client.publish("entries", r#"{"id":"last","key":"k","mode":""}"#).await;
    // Without `ce-partitionkey` they have no key, and so no order.
    eventually("their events are handled", async || {
        let order = book.value("reader", "order/k").await;
        ["theirs last ", "last theirs "].contains(&&*order).then_some(())
    })
    .await;
    let dead = eventually("the wrong one is a dead letter", async || book.dead().await.pop()).await;
    assert_eq!(dead["number"], 3);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_would_drop_events_is_refused_by_name() {
    let Some(server) = NatsServer::start().await else { return };
    let config = r#"{"name":"ATOLL_entries","subjects":["entries"],"allow_direct":true,"max_msgs":10}"#;
    let made = server.client().await.ask("$JS.API.STREAM.CREATE.ATOLL_entries", config).await.unwrap();
    assert!(made.contains("did_create"), "{made}");
    let complaint = refused(&server.address(), "", &[]).await;
    assert!(complaint.contains("the stream `ATOLL_entries` has `max_msgs`"), "{complaint}");
}
