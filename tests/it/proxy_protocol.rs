//! The PROXY protocol: who a client is, by the word of a trusted balancer.

use super::atoll::{Atoll, Home, Http, TIMEOUT};
use super::plain_server::PlainServer;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const GET: &[u8] = b"GET /x HTTP/1.1\r\nHost: shop\r\nX-Forwarded-For: 9.9.9.9\r\nConnection: close\r\n\r\n";

async fn host(plain: &PlainServer, trusted: &str) -> (Atoll, Home) {
    let home = Home::new(&format!(
        r#"
        [gateway]
        proxy_protocol = true
        trusted_proxies = ["{trusted}"]
        header_timeout = "300ms"

        [service.plain]
        urls = ["http://{}"]

        [[route]]
        prefix = "/"
        service = "plain"
        "#,
        plain.address
    ));
    (home.start().await, home)
}

/// All that comes after these bytes were sent, and nothing else.
async fn answer(atoll: &Atoll, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(atoll.gateway.strip_prefix("http://").unwrap()).await.unwrap();
    // A connection that is refused may be gone already.
    let _ = stream.write_all(bytes).await;
    let mut all = Vec::new();
    let _ = timeout(TIMEOUT, stream.read_to_end(&mut all)).await.expect("an end in time");
    String::from_utf8(all).unwrap()
}

/// Whether so many connections were refused for this reason.
async fn counted(atoll: &Atoll, reason: &str, count: f64) -> bool {
    let text = Http::default().get(&format!("{}/metrics", atoll.admin)).await;
    let text = String::from_utf8(text.body.to_vec()).unwrap();
    let start = format!("atoll_proxy_refusals_total{{reason=\"{reason}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&start)).map(|value| value.parse::<f64>().unwrap()) == Some(count)
}

fn forwarded_for(answer: &str) -> Value {
    let body = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}")).1;
    let seen: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"));
    seen["headers"]["x-forwarded-for"].clone()
}

#[tokio::test]
async fn a_trusted_balancer_names_the_client_and_nobody_else_may() {
    let plain = PlainServer::start("plain").await;
    let (atoll, _home) = host(&plain, "127.0.0.1").await;
    let text = b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n";
    assert_eq!(forwarded_for(&answer(&atoll, &[text, GET].concat()).await), json!("192.0.2.7"));
    let binary = [b"\r\n\r\n\0\r\nQUIT\n", &[0x21, 0x11, 0, 12, 192, 0, 2, 8, 1, 2, 3, 4, 0, 1, 0, 2][..]].concat();
    assert_eq!(forwarded_for(&answer(&atoll, &[&binary[..], GET].concat()).await), json!("192.0.2.8"));
    // It names nobody, and cleans no field of the client's: what those say is not believed.
    let unknown = b"PROXY UNKNOWN\r\n";
    assert_eq!(forwarded_for(&answer(&atoll, &[unknown, GET].concat()).await), json!("127.0.0.1"));
    for bytes in [GET, &text[..20], b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 70000\r\n", b""] {
        assert_eq!(answer(&atoll, bytes).await, "", "{}", bytes.escape_ascii());
    }
    assert!(counted(&atoll, "header", 4.0).await && counted(&atoll, "untrusted", 0.0).await);
    let (atoll, _home) = host(&plain, "192.0.2.1").await;
    assert_eq!(answer(&atoll, &[text, GET].concat()).await, "", "the peer is not trusted");
    assert!(counted(&atoll, "header", 0.0).await && counted(&atoll, "untrusted", 1.0).await);
    assert_eq!(plain.requests(), 3);
}
