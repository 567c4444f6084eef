//! Server-sent events, and requests that wait for `100 Continue`: nothing is held back.

use super::atoll::{Atoll, Home, TIMEOUT};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

async fn host(upstream: &TcpListener) -> (Atoll, Home) {
    let home = Home::new(&format!(
        r#"
        [service.events]
        urls = ["http://{}"]

        [[route]]
        prefix = "/"
        service = "events"
        "#,
        upstream.local_addr().unwrap()
    ));
    (home.start().await, home)
}

/// Reads until `text` has come.
async fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let mut all = Vec::new();
    while !String::from_utf8_lossy(&all).contains(text) {
        let read = timeout(TIMEOUT, stream.read_buf(&mut all)).await.unwrap_or_else(|_| panic!("no {text:?} in time"));
        assert_ne!(read.unwrap(), 0, "it ended before {text:?}: {:?}", String::from_utf8_lossy(&all));
    }
    String::from_utf8(all).unwrap()
}

#[tokio::test]
async fn each_event_arrives_before_the_next_is_made() {
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (atoll, _home) = host(&upstream).await;
    let mut client = TcpStream::connect(atoll.gateway.strip_prefix("http://").unwrap()).await.unwrap();
    client.write_all(b"GET /events HTTP/1.1\r\nHost: shop\r\nAccept: text/event-stream\r\n\r\n").await.unwrap();
    let (mut server, _) = timeout(TIMEOUT, upstream.accept()).await.expect("a connection in time").unwrap();
    read_until(&mut server, "\r\n\r\n").await;
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    server.write_all(head.as_bytes()).await.unwrap();
    for number in 0..5 {
        let event = format!("data: {number}\n\n");
        server.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).await.unwrap();
        read_until(&mut client, &event).await;
    }
}

/// RFC 9110, section 10.1.1: the client learns that its body is wanted only when somebody reads it.
#[tokio::test]
async fn a_client_that_expects_100_continue_gets_it_before_it_sends() {
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (atoll, _home) = host(&upstream).await;
    let mut client = TcpStream::connect(atoll.gateway.strip_prefix("http://").unwrap()).await.unwrap();
    let head = "POST /x HTTP/1.1\r\nHost: shop\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    read_until(&mut client, "HTTP/1.1 100 Continue\r\n\r\n").await;
    client.write_all(b"body").await.unwrap();
    let (mut server, _) = timeout(TIMEOUT, upstream.accept()).await.expect("a connection in time").unwrap();
    read_until(&mut server, "body").await;
    server.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
    let answer = read_until(&mut client, "ok").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    // A body that nobody wants is refused without it.
    let head = "POST /x HTTP/1.1\r\nHost: shop\r\nContent-Length: 99000000\r\nExpect: 100-continue\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    let answer = read_until(&mut client, "\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}
