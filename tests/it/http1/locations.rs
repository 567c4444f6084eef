//! `Location` behind a stripped prefix, for services that build it from the host that they are told.

use super::super::atoll::{Home, TIMEOUT};
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

/// The routes of a shortener: its service is behind a prefix, and answers short links of their own.
const SHORTENER: &str = r#"
[[route]]
prefix = "/s"
strip_prefix = "/s"
service = "links"
[[route]]
path = "/go/{code}"
service = "links"
[[route]]
prefix = "/only/this"
strip_prefix = "/only"
service = "links"
[[route]]
prefix = "/help"
service = "web"
"#;

/// Whether there is a route for all other paths, the path of the request, the reference that the service writes, and
/// the one that the client gets.
const WAYS: &[(bool, &str, &str, &str)] = &[
    // A public address of the service's own, as it was configured or as `X-Forwarded-Prefix` says.
    (false, "/s/x", "http://shop/go/abc", "http://shop/go/abc"),
    (true, "/s/x", "http://shop/go/abc?a#b", "http://shop/go/abc?a#b"),
    (false, "/s/x", "http://shop/s/list", "http://shop/s/list"),
    // A path of the service's own.
    (false, "/s/x", "http://shop/list", "http://shop/s/list"),
    (true, "/s/x", "http://shop/list", "http://shop/s/list"),
    (true, "/s/x", "/list?page=2", "/s/list?page=2"),
    (false, "/s/x", "/go/abc", "/s/go/abc"),
    (true, "/only/this/x", "/this/y", "/only/this/y"),
    // Another service, where the prefix leads nowhere.
    (false, "/only/this/x", "/help/me", "/help/me"),
    (true, "/only/this/x", "http://shop/help/me", "http://shop/help/me"),
    (true, "/only/this/x", "/elsewhere", "/elsewhere"),
];

#[tokio::test]
async fn a_redirect_behind_a_stripped_prefix_leads_somewhere() {
    let server = redirecting().await;
    for every_path in [false, true] {
        let rest = if every_path { "[[route]]\nprefix = \"/\"\nservice = \"web\"\n" } else { "" };
        let services =
            format!("[service.links]\nurls = [\"http://{server}\"]\n[service.web]\nurls = [\"http://{server}\"]\n");
        let home = Home::new(&format!("{services}{SHORTENER}{rest}"));
        let atoll = home.start().await;
        let get = async |path: &str, to: &str| {
            let mut client = RawClient::connect(&atoll).await;
            client.send(&format!("GET {path} HTTP/1.1\r\nHost: shop\r\nX-To: {to}\r\n\r\n")).await;
            tokio::time::timeout(TIMEOUT, client.answer()).await.unwrap()
        };
        for (_, path, written, public) in WAYS.iter().filter(|way| way.0 == every_path) {
            let answer = get(path, written).await;
            assert_eq!(answer.header("location"), Some(*public), "{every_path} {path}: {written}");
            let path = public.trim_start_matches("http://shop");
            let followed = path.split('#').next().unwrap();
            assert_eq!(get(followed, "/").await.status, 302, "{public} must lead to a service");
        }
    }
}
