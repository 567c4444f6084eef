//! What only RabbitMQ has: streams with limits, users, and others who publish and read on the streams of topics.

use super::super::atoll::{Home, eventually};
use super::rabbit_server::RabbitServer;
use super::{Book, MANIFEST, refused};
use futures_util::StreamExt;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};

/// A client that is not the host's.
async fn client(server: &RabbitServer) -> (Connection, Channel) {
    let connection = Connection::connect(&server.address(), ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    (connection, channel)
}

async fn send(channel: &Channel, payload: &str, properties: BasicProperties) {
    let options = BasicPublishOptions::default();
    let sent = channel.basic_publish("".into(), "entries".into(), options, payload.as_bytes(), properties);
    sent.await.unwrap().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_publish_and_read_on_the_stream_of_a_topic() {
    let Some(server) = RabbitServer::start().await else { return };
    let home = Home::new(&format!("[events]\nbroker = '{}'\n{MANIFEST}", server.address()));
    let host = home.start().await;
    let book = Book::of(&host);
    book.entry("ours", "ke y", "").await;
    eventually("it is handled", async || (book.value("reader", "order/ke y").await == "ours ").then_some(())).await;
    let (_connection, channel) = client(&server).await;
    channel.basic_qos(10, BasicQosOptions::default()).await.unwrap();
    let mut from = FieldTable::default();
    from.insert("x-stream-offset".into(), AMQPValue::LongString("first".into()));
    let read = channel.basic_consume("entries".into(), "".into(), BasicConsumeOptions::default(), from).await;
    let mut read = read.unwrap();
    // Before the first event there is the mark of the start.
    let found = loop {
        let delivery = read.next().await.unwrap().unwrap();
        delivery.acker.ack(BasicAckOptions::default()).await.unwrap();
        if delivery.properties.kind().as_ref().is_none_or(|kind| kind.as_str() != "atoll.mark") {
            break delivery;
        }
    };
    let headers = found.properties.headers().clone().unwrap();
    for (name, value) in
        [("specversion", "1.0"), ("type", "entries"), ("partitionkey", "ke y"), ("publisher", "writer")]
    {
        let found = headers.inner().get(&*format!("cloudEvents:{name}"));
        assert_eq!(found, Some(&AMQPValue::LongString(value.into())), "{name}");
    }
    assert_eq!(String::from_utf8_lossy(&found.data), r#"{"id":"ours","key":"ke y","mode":""}"#);
    let keyed = |key: &str| {
        let mut headers = FieldTable::default();
        headers.insert("cloudEvents:partitionkey".into(), AMQPValue::LongString(key.into()));
        BasicProperties::default().with_headers(headers)
    };
    send(&channel, r#"{"id":"theirs","key":"k","mode":""}"#, keyed("k")).await;
    // What does not fit is a dead letter, and holds up nobody.
    send(&channel, "no JSON", keyed("other")).await;
    send(&channel, r#"{"id":"last","key":"k","mode":""}"#, keyed("k")).await;
    eventually("their events are handled in order", async || {
        (book.value("reader", "order/k").await == "theirs last ").then_some(())
    })
    .await;
    eventually("the wrong one is a dead letter", async || book.dead().await.pop()).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_with_limits_and_a_user_who_is_not_let_in_are_refused_and_no_secret_is_printed() {
    let Some(server) = RabbitServer::start().await else { return };
    let (connection, channel) = client(&server).await;
    let mut limited = FieldTable::default();
    limited.insert("x-queue-type".into(), AMQPValue::LongString("stream".into()));
    limited.insert("x-max-age".into(), AMQPValue::LongString("1h".into()));
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare("entries".into(), options, limited).await.unwrap();
    connection.close(200, "".into()).await.unwrap();
    let complaint = refused(&server.address(), "", &[]).await;
    assert!(complaint.contains("cannot have the stream `entries` as Atoll needs it"), "{complaint}");
    assert!(complaint.contains("x-max-age"), "{complaint}");
    let keys = "user = 'atoll'\npassword = { from_env = 'RABBITMQ_PASSWORD' }";
    let variables = [("RABBITMQ_PASSWORD", "s3cret-of-rabbitmq"), ("ATOLL_LOG", "trace,lapin::frames=trace")];
    let complaint = refused(&server.address(), keys, &variables).await;
    assert!(complaint.contains("the broker refuses the connection: ACCESS_REFUSED"), "{complaint}");
    assert!(!complaint.contains("s3cret-of-rabbitmq"), "{complaint}");
    let complaint = refused(&format!("{}/nowhere", server.address()), "", &[]).await;
    assert!(complaint.contains("vhost nowhere not found"), "{complaint}");
}
