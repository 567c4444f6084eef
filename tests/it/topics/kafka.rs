//! What only the Kafka protocol has: topics with other settings, prefixes, and others who publish and read.

use super::super::atoll::{Home, eventually};
use super::kafka_server::KafkaServer;
use super::{Book, MANIFEST, refused};
use std::io::{Read, Write};
use std::net::TcpListener;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_publish_and_read_on_a_topic_with_a_prefix() {
    let Some(server) = KafkaServer::tansu().await else { return };
    let home = Home::new(&format!("[events]\nbroker = '{}/shop.eu'\n{MANIFEST}", server.address()));
    let host = home.start().await;
    let book = Book::of(&host);
    book.entry("ours", "ke y", "").await;
    eventually("it is handled", async || (book.value("reader", "order/ke y").await == "ours ").then_some(())).await;
    let mut client = server.client().await;
    let read = client.read("shop.eu.entries").await;
    for part in ["ke y", "ce_id", "ce_specversion", "ce_publisher", "writer", r#"{"id":"ours","key":"ke y","mode":""}"#]
    {
        assert!(read.contains(part), "{part}: {read:?}");
    }
    // Without any header of ours.
    client.publish("shop.eu.entries", "k", r#"{"id":"theirs","key":"k","mode":""}"#).await;
    // What does not fit is a dead letter, and holds up nobody.
    client.publish("shop.eu.entries", "other", "no JSON").await;
    client.publish("shop.eu.entries", "k", r#"{"id":"last","key":"k","mode":""}"#).await;
    eventually("their events are handled in order", async || {
        (book.value("reader", "order/k").await == "theirs last ").then_some(())
    })
    .await;
    eventually("the wrong one is a dead letter", async || book.dead().await.pop()).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_would_drop_events_or_has_more_partitions_is_refused_by_name() {
    let Some(server) = KafkaServer::noida().await else { return };
    let mut client = server.client().await;
    client.create("a.entries", 1, &[("retention.ms", "3600000"), ("cleanup.policy", "delete")]).await;
    client.create("b.entries", 3, &[]).await;
    let complaint = refused(&format!("{}/a", server.address()), "", &[]).await;
    assert!(complaint.contains("the topic `a.entries` has `retention.ms=3600000`"), "{complaint}");
    let complaint = refused(&format!("{}/b", server.address()), "", &[]).await;
    assert!(complaint.contains("the topic `b.entries` has 3 partitions"), "{complaint}");
}

/// A server that knows `ApiVersions` alone, as one of long ago.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_too_old_is_refused_by_name_and_no_secret_is_printed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("kafka://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut length = [0; 4];
            let Ok(()) = stream.read_exact(&mut length) else { continue };
            let mut request = vec![0; i32::from_be_bytes(length) as usize];
            stream.read_exact(&mut request).unwrap();
            // The number of the request, no error, and one kind of request: Produce 0 to 2.
            let answer = [&request[4..8], &[0, 0], &1_i32.to_be_bytes(), &[0, 0, 0, 0, 0, 2]].concat();
            stream.write_all(&[&(answer.len() as i32).to_be_bytes()[..], &answer].concat()).unwrap();
        }
    });
    let keys = "user = 'atoll'\npassword = { from_env = 'KAFKA_PASSWORD' }";
    let variables = [("KAFKA_PASSWORD", "s3cret-of-kafka"), ("ATOLL_LOG", "trace")];
    let complaint = refused(&address, keys, &variables).await;
    assert!(
        complaint.contains("does not know these versions of requests of the Kafka protocol: Produce 3"),
        "{complaint}"
    );
    assert!(complaint.contains("SaslHandshake 1"), "{complaint}");
    assert!(!complaint.contains("s3cret-of-kafka"), "{complaint}");
}
