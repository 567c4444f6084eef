//! HTTP/1.1 as bytes: what a client may send to the gateway, and what it gets. `docs/conformance.md` lists the rules.

mod cases;
mod interim;
mod locations;

use super::atoll::{Atoll, Home, TIMEOUT};
use super::plain_server::PlainServer;
use cases::{CASES, Case};
use serde_json::Value;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A client's end of a connection.
struct RawClient {
    stream: TcpStream,
    read: Vec<u8>,
}

/// One answer.
#[derive(Debug)]
struct RawAnswer {
    status: u16,
    head: String,
    body: String,
}

impl RawAnswer {
    fn header(&self, name: &str) -> Option<&str> {
        let field = |line: &'_ str| line.split_once(": ").is_some_and(|(own, _)| own.eq_ignore_ascii_case(name));
        self.head.lines().find(|line| field(line)).and_then(|line| line.split_once(": ")).map(|(_, value)| value)
    }
}

impl RawClient {
    async fn connect(atoll: &Atoll) -> Self {
        Self::connect_to(&atoll.gateway).await
    }

    async fn connect_to(gateway: &str) -> Self {
        let gateway = gateway.strip_prefix("http://").unwrap();
        Self { stream: TcpStream::connect(gateway).await.unwrap(), read: Vec::new() }
    }

    async fn send(&mut self, bytes: &str) {
        self.stream.write_all(bytes.as_bytes()).await.unwrap();
    }

    /// The next answer. Its body must have a `Content-Length`.
    async fn answer(&mut self) -> RawAnswer {
        let end = loop {
            if let Some(end) = self.read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end + 4;
            }
            assert!(self.fill().await, "the connection ended without an answer: {:?}", self.rest());
        };
        let head = String::from_utf8(self.read.drain(..end).collect()).unwrap();
        let status = head[9..12].parse().unwrap();
        let mut answer = RawAnswer { status, head, body: String::new() };
        let length = answer.header("content-length").unwrap_or_default().parse().unwrap_or(0);
        while self.read.len() < length {
            assert!(self.fill().await, "the body broke off: {answer:?}");
        }
        answer.body = String::from_utf8(self.read.drain(..length).collect()).unwrap();
        answer
    }

    /// Waits for the end of the connection. Returns what came before it.
    async fn closed(&mut self) -> String {
        while self.fill().await {}
        self.rest()
    }

    fn rest(&self) -> String {
        String::from_utf8_lossy(&self.read).into_owned()
    }

    async fn fill(&mut self) -> bool {
        let read = timeout(TIMEOUT, self.stream.read_buf(&mut self.read)).await.expect("the gateway is silent");
        matches!(read, Ok(1..))
    }
}

async fn host(upstream: SocketAddr, keys: &str) -> (Home, Atoll) {
    let home = Home::new(&format!(
        r#"
        [gateway]
        {keys}

        [service.plain]
        urls = ["http://{upstream}"]

        [[route]]
        host = "shop"
        prefix = "/x"
        service = "plain"

        [[route]]
        prefix = "/x"
        service = "plain"

        [[route]]
        prefix = "/api"
        strip_prefix = "/api"
        service = "plain"
        "#
    ));
    let atoll = home.start().await;
    (home, atoll)
}

async fn check(gateway: String, case: &'static Case) {
    let mut client = RawClient::connect_to(&gateway).await;
    client.send(case.sent).await;
    let mut answer = None;
    for &status in case.statuses {
        let next = client.answer().await;
        assert_eq!(next.status, status, "{next:?}");
        answer = Some(next);
    }
    let answer = answer.expect("each case has an answer");
    if !case.problem.is_empty() {
        let problem: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(problem["type"], format!("urn:atoll:problem:{}", case.problem));
    }
    if case.closes {
        assert_eq!(client.closed().await, "");
    }
    if !case.problem.is_empty() || !case.closes {
        assert_eq!(answer.header("connection"), case.closes.then_some("close"));
    }
}

#[tokio::test]
async fn each_request_of_the_table_is_answered_by_its_rule() {
    let plain = PlainServer::start("plain").await;
    let (_home, atoll) = host(plain.address, "").await;
    let mut broken = Vec::new();
    for case in CASES {
        // In a task of its own, so that one wrong answer does not hide the next.
        if tokio::spawn(check(atoll.gateway.clone(), case)).await.is_err() {
            broken.push(format!("{}: {:?}", case.rule, case.sent));
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    for seen in plain.seen() {
        let headers = &seen["headers"];
        assert_eq!(headers["x-forwarded-for"], "127.0.0.1", "{seen}");
        for name in ["cookie", "trailer", "connection", "upgrade"] {
            assert!(headers[name].is_null(), "{name}: {seen}");
        }
        // RFC 9110, section 6.5.1: no field of a trailer section, and no such section.
        assert!(seen["trailers"].is_null() && headers["x-request-id"] != "mine", "{seen}");
    }
    // The service would have seen one.
    let mut client = RawClient::connect_to(&format!("http://{}", plain.address)).await;
    let trailer = CASES.iter().find(|case| case.sent.contains("X-Atoll-Depth: 9")).unwrap();
    client.send(trailer.sent).await;
    assert_eq!(client.answer().await.status, 200);
    assert!(plain.seen().iter().any(|seen| seen["trailers"]["x-request-id"] == "mine"));
}

#[tokio::test]
async fn no_via_is_written_and_one_that_is_there_passes() {
    // RFC 9110, section 7.6.3, and decision 021.
    let plain = PlainServer::start("plain").await;
    let (_home, atoll) = host(plain.address, "").await;
    for given in [None, Some("1.1 proxy.example, 1.0 fred (of a kind)")] {
        let mut client = RawClient::connect(&atoll).await;
        let field = given.map(|via| format!("Via: {via}\r\n")).unwrap_or_default();
        client.send(&format!("GET /x HTTP/1.1\r\nHost: a\r\n{field}\r\n")).await;
        let answer = client.answer().await;
        let seen: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(seen["headers"]["via"].as_str(), given, "{seen}");
        assert_eq!(answer.header("via"), None, "{answer:?}");
        let query = given.map(|_| "?via=1.1%20origin").unwrap_or_default();
        client.send(&format!("GET /api/text/5{query} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        let answer = client.answer().await;
        assert_eq!(answer.header("via"), given.map(|_| "1.1 origin"), "{answer:?}");
    }
}

#[tokio::test]
async fn a_client_that_closes_its_half_gets_the_answer_of_a_slow_service() {
    use super::plain_server::Behaviour;
    let plain = PlainServer::start("plain").await;
    let (_home, atoll) = host(plain.address, "").await;
    plain.behave(Behaviour::Slow(std::time::Duration::from_millis(50)));
    let requests = [
        "GET /x HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /x HTTP/1.0\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    ];
    for sent in requests {
        let mut client = RawClient::connect(&atoll).await;
        client.send(sent).await;
        client.stream.shutdown().await.unwrap();
        assert_eq!(client.answer().await.status, 200, "{sent:?}");
        assert_eq!(client.closed().await, "", "{sent:?}");
    }
}

#[tokio::test]
async fn a_client_that_closes_its_half_gets_the_answer_of_a_slow_guest() {
    // RFC 9112, section 6.3.
    let service = "[service.guest]\ncomponent = \"{component:fixture-hostile}\"\n";
    let home = Home::new(&format!("{service}[[route]]\nprefix = \"/\"\nservice = \"guest\"\n"));
    let atoll = home.start().await;
    for round in 0..20 {
        for (line, body) in [("GET /sleep?ms=50", ""), ("POST /sleep?ms=50", "hello"), ("POST /echo", "hello")] {
            let mut client = RawClient::connect(&atoll).await;
            client.send(&format!("{line} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len())).await;
            client.stream.shutdown().await.unwrap();
            let whole = client.closed().await;
            let ends = ["\r\n0\r\n\r\n", "\r\n\r\nhello"].iter().any(|end| whole.ends_with(end));
            assert!(whole.starts_with("HTTP/1.1 200 ") && ends, "{round} {line}: {whole}");
        }
    }
}

#[tokio::test]
async fn as_many_connections_as_the_kernel_allows_wait_to_be_accepted() {
    let plain = PlainServer::start("plain").await;
    let (_home, atoll) = host(plain.address, "").await;
    let most: usize = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap().trim().parse().unwrap();
    // While the host stands still, the kernel completes the connections for which there is room, and no others.
    atoll.signal(rustix::process::Signal::STOP);
    let mut clients = Vec::new();
    for number in 0..most.min(500) {
        let client = timeout(TIMEOUT, RawClient::connect(&atoll)).await;
        clients.push(client.unwrap_or_else(|_| panic!("there is room for {number} of {most} connections")));
    }
    atoll.signal(rustix::process::Signal::CONT);
    for client in &mut clients {
        client.send("GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        assert_eq!(client.answer().await.status, 200);
    }
}

#[tokio::test]
async fn a_client_that_still_sends_can_read_the_refusal_and_is_cut_off_if_it_never_stops() {
    // RFC 9112, section 9.6: closing with unread bytes would reset the connection, and so lose the answer.
    let plain = PlainServer::start("plain").await;
    let (_home, atoll) = host(plain.address, "").await;
    let head = "POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n";
    for _ in 0..5 {
        let mut client = RawClient::connect(&atoll).await;
        client.send(&(head.to_owned() + &"x".repeat(3 << 20))).await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.header("connection")), (404, Some("close")), "{answer:?}");
        assert_eq!(client.closed().await, "");
    }
    let mut client = RawClient::connect(&atoll).await;
    client.send(head).await;
    let endless = async { while client.stream.write_all(&[b'x'; 64 << 10]).await.is_ok() {} };
    timeout(TIMEOUT, endless).await.expect("the host reads some of it, and no more");
}

#[tokio::test]
async fn an_empty_line_after_a_request_makes_no_unasked_answer() {
    let plain = PlainServer::start("plain").await;
    let (_home, atoll) = host(plain.address, "header_timeout = \"100ms\"\nkeep_alive = \"1s\"").await;
    let mut client = RawClient::connect(&atoll).await;
    client.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi\r\n").await;
    assert_eq!(client.answer().await.status, 200);
    // The idle timeout ends the connection in silence.
    assert_eq!(client.closed().await, "");
}

#[tokio::test]
async fn a_target_that_is_too_long_is_answered_with_414() {
    let plain = PlainServer::start("plain").await;
    let (_home, atoll) = host(plain.address, "").await;
    for (length, status) in [(8_000, 200), (8_192, 200), (8_193, 414), (20_000, 414), (50_000, 414)] {
        for query in ["", "?"] {
            let mut client = RawClient::connect(&atoll).await;
            let target = format!("/x/{query}{}", "a".repeat(length - 3 - query.len()));
            client.send(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
            let answer = client.answer().await;
            assert_eq!(answer.status, status, "{length} bytes");
        }
    }
}

#[tokio::test]
async fn an_https_target_of_a_trusted_proxy_tells_the_service_that_its_client_uses_tls() {
    let upstream = PlainServer::start("plain").await;
    let (_home, atoll) = host(upstream.address, "trusted_proxies = [\"127.0.0.1\"]").await;
    // RFC 9112 3.2.2: a server takes the absolute form.
    for (target, field, told) in [
        ("https://a/x", "", "https"),
        ("https://a/x", "X-Forwarded-Proto: http\r\n", "http"),
        ("http://a/x", "", "http"),
        ("/x", "", "http"),
    ] {
        let mut client = RawClient::connect(&atoll).await;
        client.send(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n{field}\r\n")).await;
        let answer = client.answer().await;
        let seen: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(seen["headers"]["x-forwarded-proto"], told, "{target} {field}");
    }
}
