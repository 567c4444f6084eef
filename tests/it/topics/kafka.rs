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

/// The address of a server that answers each request by what this function gives for its key and its body.
fn fake(answer: impl Fn(i16, &[u8]) -> Vec<u8> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("kafka://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut length) = (stream.unwrap(), [0; 4]);
            while stream.read_exact(&mut length).is_ok() {
                let mut request = vec![0; i32::from_be_bytes(length) as usize];
                stream.read_exact(&mut request).unwrap();
                let answer = [&request[4..8], &answer(i16::from_be_bytes([request[0], request[1]]), &request)].concat();
                stream.write_all(&[&(answer.len() as i32).to_be_bytes()[..], &answer].concat()).unwrap();
            }
        }
    });
    address
}

/// What a server knows that knows these versions of requests: no error, and each with its key.
fn versions(known: &[(i16, i16, i16)]) -> Vec<u8> {
    let one = |(key, low, high): &(i16, i16, i16)| [key.to_be_bytes(), low.to_be_bytes(), high.to_be_bytes()].concat();
    let all: Vec<_> = known.iter().flat_map(one).collect();
    [&[0, 0][..], &(known.len() as i32).to_be_bytes(), &all].concat()
}

const KEYS: &str = "user = 'atoll'\npassword = { from_env = 'KAFKA_PASSWORD' }";
const VARIABLES: [(&str, &str); 2] = [("KAFKA_PASSWORD", "s3cret-of-kafka"), ("ATOLL_LOG", "trace")];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_too_old_is_refused_by_name() {
    let address = fake(|_, _| versions(&[(0, 0, 2), (1, 0, 4), (18, 0, 0)]));
    let complaint = refused(&address, KEYS, &VARIABLES).await;
    assert!(complaint.contains("not know these versions of requests of the Kafka protocol: Produce 3"), "{complaint}");
    assert!(complaint.contains("SaslHandshake 1") && !complaint.contains("Fetch"), "{complaint}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_is_not_let_in_is_refused_and_no_secret_is_printed() {
    let address = fake(|key, request| match key {
        18 => versions(&(0..40).map(|key| (key, 0, 9)).collect::<Vec<_>>()),
        // No error, and one mechanism.
        17 => [&[0, 0, 0, 0, 0, 1, 0, 5][..], b"PLAIN"].concat(),
        _ => {
            assert!(key == 36 && request.ends_with(b"\0atoll\0s3cret-of-kafka"), "{key}");
            // Error 58, without a text, and no bytes.
            vec![0, 58, 0xff, 0xff, 0, 0, 0, 0]
        }
    });
    let complaint = refused(&address, KEYS, &VARIABLES).await;
    assert!(
        complaint.contains("the broker refuses the connection: the login: the user or the password"),
        "{complaint}"
    );
    assert!(!complaint.contains("s3cret-of-kafka"), "{complaint}");
}
