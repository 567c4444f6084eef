//! The compression of answers, with services of both kinds.

use super::{Edge, decoded};
use crate::it::atoll::Answer;
use crate::it::components::component;
use host::coding::ContentCoding;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Duration, timeout};

const ROUTES: &str = r#"
    [[route]]
    prefix = "/c"
    strip_prefix = "/c"
    service = "legacy"
    compress = true

    [[route]]
    prefix = "/gzip"
    strip_prefix = "/gzip"
    service = "legacy"
    compress = ["gzip"]

    [[route]]
    prefix = "/plain"
    strip_prefix = "/plain"
    service = "legacy"
"#;

fn coding(answer: &Answer) -> &str {
    answer.header("content-encoding")
}

#[tokio::test]
async fn an_answer_is_compressed_as_its_client_takes_it() {
    let edge = Edge::start(ROUTES).await;
    let plain = edge.ask("GET", "/plain/text/20000", &[("accept-encoding", "gzip, br, zstd")]).await;
    assert_eq!(
        (coding(&plain), plain.body.len(), plain.header("vary")),
        ("", 20_000, ""),
        "off unless a route says so"
    );
    for (path, accepted, expected) in [
        ("/c", "gzip, deflate, br, zstd", Some(ContentCoding::Zstd)),
        ("/c", "gzip, deflate, br", Some(ContentCoding::Brotli)),
        ("/c", "gzip", Some(ContentCoding::Gzip)),
        ("/c", "gzip;q=1, zstd;q=0.5", Some(ContentCoding::Gzip)),
        ("/c", "gzip;q=0, identity", None),
        ("/c", "", None),
        ("/gzip", "br, zstd", None),
        ("/gzip", "*", Some(ContentCoding::Gzip)),
    ] {
        let answer = edge.ask("GET", &format!("{path}/text/20000"), &[("accept-encoding", accepted)]).await;
        assert_eq!(coding(&answer), expected.map_or("", ContentCoding::as_str), "{accepted}");
        assert_eq!((answer.status.as_u16(), answer.header("vary")), (200, "Accept-Encoding"), "{accepted}");
        match expected {
            Some(expected) => {
                assert!(answer.body.len() < 2_000 && !answer.headers.contains_key("content-length"));
                assert_eq!((answer.header("etag"), decoded(expected, &answer.body)), ("W/\"v1\"", plain.body.to_vec()));
            }
            None => assert_eq!((answer.header("etag"), &answer.body), ("\"v1\"", &plain.body), "{accepted}"),
        }
    }
    let head = edge.ask("HEAD", "/c/text/20000", &[("accept-encoding", "br")]).await;
    assert_eq!((coding(&head), head.header("etag"), head.body.len()), ("br", "W/\"v1\"", 0));
    let known = [("accept-encoding", "br"), ("if-none-match", "W/\"v1\"")];
    let unchanged = edge.ask("GET", "/c/text/20000", &known).await;
    assert_eq!((unchanged.status.as_u16(), unchanged.header("etag")), (304, "W/\"v1\""));
    assert_eq!(unchanged.header("vary"), "Accept-Encoding", "on 304 too");
}

#[tokio::test]
async fn what_would_not_gain_or_must_not_change_is_sent_as_it_is() {
    let edge = Edge::start(ROUTES).await;
    for (path, status) in [
        ("/c/text/1000", 200),
        ("/c/large/20000", 200),
        ("/c/text/20000?content-type=text/event-stream", 200),
        ("/c/text/20000?content-type=image/png", 200),
        ("/c/text/20000?cache-control=no-transform", 200),
        ("/c/text/20000?content-digest=sha-256=:AA==:", 200),
        ("/c/text/20000?content-range=bytes%200-1/2", 200),
        ("/c/text/20000?content-encoding=exi", 200),
        ("/c/none", 200),
    ] {
        let answer = edge.ask("GET", path, &[("accept-encoding", "gzip")]).await;
        assert_eq!(answer.status.as_u16(), status, "{path}");
        let own = if path.contains("content-encoding") { "exi" } else { "" };
        assert_eq!((coding(&answer), answer.header("vary")), (own, ""), "{path}");
    }
}

#[tokio::test]
async fn a_stream_is_flushed_and_a_broken_answer_stays_broken() {
    let edge = Edge::start(ROUTES).await;
    let address = edge.atoll.gateway.strip_prefix("http://").unwrap();
    for coding in ContentCoding::ALL {
        let mut client = TcpStream::connect(address).await.unwrap();
        let head = format!("GET /c/drip HTTP/1.1\r\nhost: a\r\naccept-encoding: {}\r\n\r\n", coding.as_str());
        client.write_all(head.as_bytes()).await.unwrap();
        let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
        let line = async {
            loop {
                let read = client.read(&mut piece).await.unwrap();
                assert_ne!(read, 0, "the service has not ended");
                bytes.extend_from_slice(&piece[..read]);
                if decoded(coding, &unchunked(&bytes)) == b"a line\n" {
                    return;
                }
            }
        };
        timeout(Duration::from_secs(30), line).await.expect("the line comes while the service is silent");
    }
    let request = http::Request::get(format!("{}/c/broken", edge.atoll.gateway)).header("accept-encoding", "gzip");
    let broken = edge.http.try_send(request.body(Default::default()).unwrap()).await;
    assert!(broken.is_err(), "{broken:?}");
}

/// The content so far of a chunked answer.
fn unchunked(answer: &[u8]) -> Vec<u8> {
    let Some(end) = answer.windows(4).position(|part| part == b"\r\n\r\n") else { return Vec::new() };
    let (mut rest, mut content) = (&answer[end + 4..], Vec::new());
    while let Some(line) = rest.windows(2).position(|part| part == b"\r\n") {
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
        let Some(chunk) = rest.get(line + 2..line + 2 + length) else { break };
        content.extend_from_slice(chunk);
        rest = rest.get(line + 2 + length + 2..).unwrap_or_default();
    }
    content
}

#[tokio::test]
async fn components_and_typed_routes_are_compressed_too() {
    let routes = format!(
        r#"
        [state]
        path = "state.redb"
        [service.products]
        component = "{}"
        state = true
        [[route]]
        path = "/products"
        method = "POST"
        call = "products/create"
        [[route]]
        path = "/products"
        method = "GET"
        call = "products/list"
        compress = true
        "#,
        component("products").display()
    );
    let edge = Edge::start(&routes).await;
    let name = "a long name, ".repeat(14) + "a";
    for at in 0..10 {
        let price = serde_json::json!({ "amount": 1, "currency": "EUR" });
        let product = serde_json::json!({ "sku": format!("sku-{at}"), "name": name, "price": price, "stock": 1 });
        let url = format!("{}/products", edge.atoll.gateway);
        let added = edge.http.json(http::Method::POST, &url, &product).await;
        assert!(added.status.is_success(), "{added:?}");
    }
    let plain = edge.ask("GET", "/products", &[]).await;
    assert!(plain.body.len() > 1500, "{plain:?}");
    let answer = edge.ask("GET", "/products", &[("accept-encoding", "gzip")]).await;
    assert_eq!((coding(&answer), answer.header("content-type")), ("gzip", "application/json"));
    assert_eq!(decoded(ContentCoding::Gzip, &answer.body), plain.body);
}
