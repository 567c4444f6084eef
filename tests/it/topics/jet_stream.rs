//! What only NATS has: servers that will not do, and others who publish on the same subjects.

use super::super::atoll::{Home, eventually};
use super::nats_server::NatsServer;
use super::{Book, MANIFEST, refused};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

/// A server that answers what `answer` says to each line that it gets.
async fn fake_server(answer: fn(&str) -> Option<String>) -> String {
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

/// A server of version 2.10, which knows no levels of its API.
pub async fn old_server() -> String {
    let answer = |line: &str| {
        let words: Vec<_> = line.split(' ').collect();
        match words[..] {
            ["PING", ..] => Some("PONG\r\n".to_owned()),
            ["PUB" | "HPUB", "$JS.API.INFO", inbox, ..] => {
                // The client's subscription for answers has the number 0.
                let body = r#"{"type":"io.nats.jetstream.api.v1.account_info_response","api":{"total":1}}"#;
                Some(format!("MSG {inbox} 0 {}\r\n{body}\r\n", body.len()))
            }
            _ => None,
        }
    };
    fake_server(answer).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_too_old_is_refused_by_name() {
    let complaint = refused(&old_server().await, "", &[]).await;
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
