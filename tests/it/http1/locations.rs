//! `Location` behind a stripped prefix, for services that build it from the host that they are told.

use super::super::atoll::TIMEOUT;
use super::{RawClient, host};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A server that redirects each request to the reference in its `X-To`.
async fn redirecting() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") && stream.read_buf(&mut head).await.is_ok_and(|read| read > 0) {}
                let head = String::from_utf8(head).unwrap();
                let to = head.lines().find_map(|line| line.strip_prefix("x-to: ")).unwrap_or_default();
                let answer =
                    format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    address
}

/// The request's fields, the reference that the service writes, and the one that the client gets.
const CASES: &[(&str, &str, &str)] = &[
    ("Host: shop", "/a", "/api/a"),
    ("Host: shop", "http://shop/a", "http://shop/api/a"),
    ("Host: shop", "http://SHOP:80/a", "http://SHOP:80/api/a"),
    ("Host: shop:80", "http://shop/a", "http://shop/api/a"),
    ("Host: shop.", "http://shop/a", "http://shop/api/a"),
    ("Host: shop", "https://shop/a", "https://shop/api/a"),
    ("Host: shop", "http://shop", "http://shop/api/"),
    ("Host: shop", "http://shop:8080/a", "http://shop:8080/a"),
    ("Host: shop", "http://shop:80x/a", "http://shop:80x/a"),
    ("Host: shop", "http://u@shop/a", "http://u@shop/a"),
    ("Host: shop", "http://shop.example/a", "http://shop.example/a"),
    ("Host: [::1]:80", "http://[::1]/a", "http://[::1]/api/a"),
    ("Host: inside\r\nX-Forwarded-Host: shop.example", "https://shop.example/a", "https://shop.example/api/a"),
    ("Host: inside\r\nX-Forwarded-Host: shop.example", "http://inside/a", "http://inside/api/a"),
    ("Host: inside\r\nX-Forwarded-Host: shop.example", "https://other.example/a", "https://other.example/a"),
];

#[tokio::test]
async fn a_redirect_is_rewritten_against_the_host_that_the_service_was_told() {
    let (_home, atoll) = host(redirecting().await, "trusted_proxies = [\"127.0.0.1\"]").await;
    for (fields, written, public) in CASES {
        let mut client = RawClient::connect(&atoll).await;
        client.send(&format!("GET /api/x HTTP/1.1\r\n{fields}\r\nX-To: {written}\r\n\r\n")).await;
        let answer = tokio::time::timeout(TIMEOUT, client.answer()).await.unwrap();
        assert_eq!(answer.header("location"), Some(*public), "{fields:?}: {written}");
    }
}
