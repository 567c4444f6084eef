//! WebSockets over HTTP/2 (RFC 8441): one stream each, and HTTP/1.1 to the service.

use super::raw_client::{DATA, END_HEADERS, END_STREAM, HEADERS, RST_STREAM, RawClient, SETTINGS, block, frame};
use crate::it::atoll::{Atoll, Home, TIMEOUT};
use rustix::process::Signal;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const ACCEPTED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n";

async fn host(upstream: SocketAddr) -> (Atoll, Home) {
    let home = Home::new(&format!(
        r#"
        [gateway]
        drain = "10m"

        [gateway.http2]
        prior_knowledge = true

        [service.chat]
        urls = ["http://{upstream}"]

        [[route]]
        prefix = "/chat"
        service = "chat"
        websocket = true
        websocket_origins = ["https://shop.example"]

        [[route]]
        prefix = "/plain"
        service = "chat"
        "#
    ));
    (home.start().await, home)
}

/// The head that opens a WebSocket on `stream`.
fn open(stream: u32, path: &str, origin: &str) -> Vec<u8> {
    let fields = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "shop"),
        ("sec-websocket-version", "13"),
        ("origin", origin),
    ];
    frame(HEADERS, END_HEADERS, stream, &block(&fields))
}

/// The next connection to the service, and the head of its request.
async fn accept(upstream: &TcpListener) -> (TcpStream, String) {
    let (mut stream, _) = timeout(TIMEOUT, upstream.accept()).await.expect("a connection in time").unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(TIMEOUT, stream.read_u8()).await.expect("a head in time").unwrap());
    }
    (stream, String::from_utf8(head).unwrap().to_ascii_lowercase())
}

#[tokio::test]
async fn a_stream_becomes_a_websocket_and_a_drain_closes_it() {
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (mut atoll, _home) = host(upstream.local_addr().unwrap()).await;
    let mut client = RawClient::start(&atoll.gateway, &[]).await;
    let settings = client.next_of(SETTINGS).await.unwrap().content;
    assert!(settings.chunks(6).any(|one| one == [0, 8, 0, 0, 0, 1]), "SETTINGS_ENABLE_CONNECT_PROTOCOL: {settings:?}");

    client.send(&open(1, "/chat/room", "https://shop.example")).await;
    let (mut server, asked) = accept(&upstream).await;
    assert!(asked.starts_with("get /chat/room http/1.1\r\n"), "{asked}");
    for field in ["upgrade: websocket", "connection: upgrade", "host: shop", "sec-websocket-version: 13"] {
        assert!(asked.contains(&format!("\r\n{field}\r\n")), "{field} is missing: {asked}");
    }
    assert!(asked.contains("\r\nsec-websocket-key: "), "{asked}");
    server.write_all(ACCEPTED).await.unwrap();
    let head = client.next_of(HEADERS).await.unwrap();
    assert_eq!((head.status(), head.flags & END_STREAM), (200, 0));

    client.send(&frame(DATA, 0, 1, b"to the service")).await;
    let mut got = [0; 14];
    timeout(TIMEOUT, server.read_exact(&mut got)).await.expect("bytes in time").unwrap();
    assert_eq!(&got, b"to the service");
    server.write_all(&[0x82, 2, 1, 2]).await.unwrap();
    assert_eq!(client.next_of(DATA).await.unwrap().content, [0x82, 2, 1, 2]);

    atoll.signal(Signal::TERM);
    assert_eq!(client.next_of(DATA).await.unwrap().content, [0x88, 2, 0x03, 0xe9], "1001, going away");
    drop(server);
    let last = client.next_of(DATA).await.unwrap();
    assert_eq!((last.content.len(), last.flags & END_STREAM), (0, END_STREAM));
    client.send(&frame(DATA, END_STREAM, 1, &[])).await;
    client.end().await;
    assert_eq!(atoll.wait().await.code(), Some(0));
}

#[tokio::test]
async fn what_is_refused_on_http_1_is_refused_on_a_stream() {
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (atoll, _home) = host(upstream.local_addr().unwrap()).await;
    let mut client = RawClient::start(&atoll.gateway, &[]).await;
    for (stream, path, origin) in [
        (1, "/plain", "https://shop.example"),
        (3, "/chat", "https://evil.example"),
        (5, "/none", "https://shop.example"),
    ] {
        client.send(&open(stream, path, origin)).await;
        let answer = client.next_of(HEADERS).await.unwrap();
        assert_eq!(answer.stream, stream);
        assert_ne!(answer.status(), 200, "{path} {origin}");
    }
    // A 200 of the service accepts no WebSocket, and on a stream it would say that.
    client.send(&open(7, "/chat", "https://shop.example")).await;
    let (mut server, _) = accept(&upstream).await;
    server.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
    let answer = client.next_of(HEADERS).await.unwrap();
    assert_eq!((answer.stream, answer.status() == 200), (7, false));
    // A client that leaves takes the service's connection along.
    client.send(&open(9, "/chat", "https://shop.example")).await;
    let (mut server, _) = accept(&upstream).await;
    server.write_all(ACCEPTED).await.unwrap();
    assert_eq!(client.next_of(HEADERS).await.unwrap().status(), 200);
    client.send(&frame(RST_STREAM, 0, 9, &8_u32.to_be_bytes())).await;
    let ended = timeout(TIMEOUT, server.read(&mut [0])).await.expect("an end in time");
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
}
