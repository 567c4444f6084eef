//! WebSockets to services behind `urls`: handshake, bytes in both directions, bounds, drain, swaps of other services.

use super::atoll::{Atoll, Home, Http, TIMEOUT, eventually};
use rustix::process::Signal;
use std::fs;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// Bytes in both directions.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection, with what has come of it and was not read yet.
pub struct Wire {
    stream: Box<dyn Duplex>,
    received: Vec<u8>,
}

impl Wire {
    pub async fn connect(gateway: &str) -> Self {
        Self::new(TcpStream::connect(gateway.strip_prefix("http://").unwrap()).await.unwrap())
    }

    pub fn new(stream: impl Duplex + 'static) -> Self {
        Self { stream: Box::new(stream), received: Vec::new() }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        timeout(TIMEOUT, self.stream.write_all(bytes.as_ref())).await.expect("it takes bytes").unwrap();
    }

    /// Reads until there are `count` bytes, and takes them.
    pub async fn take(&mut self, count: usize) -> Vec<u8> {
        while self.received.len() < count {
            let read = timeout(TIMEOUT, self.stream.read_buf(&mut self.received)).await.expect("bytes in time");
            assert_ne!(read.unwrap(), 0, "it ended after {:?}", String::from_utf8_lossy(&self.received));
        }
        self.received.drain(..count).collect()
    }

    /// The next head, with its empty line.
    pub async fn head(&mut self) -> String {
        loop {
            if let Some(at) = self.received.windows(4).position(|four| four == b"\r\n\r\n") {
                return String::from_utf8(self.take(at + 4).await).unwrap();
            }
            let read = timeout(TIMEOUT, self.stream.read_buf(&mut self.received)).await.expect("a head in time");
            assert_ne!(read.unwrap(), 0, "it ended within a head: {:?}", String::from_utf8_lossy(&self.received));
        }
    }

    /// What comes until the other end closes the connection in order.
    async fn rest(&mut self) -> Vec<u8> {
        timeout(TIMEOUT, self.stream.read_to_end(&mut self.received)).await.expect("an end in time").unwrap();
        std::mem::take(&mut self.received)
    }
}

/// A server whose connections the test drives by hand.
pub struct Upstream(TcpListener);

impl Upstream {
    pub async fn start() -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (Self(listener), address)
    }

    /// The next connection, and the head of its request.
    async fn accept(&self) -> (Wire, String) {
        let (stream, _) = timeout(TIMEOUT, self.0.accept()).await.expect("a connection in time").unwrap();
        let mut wire = Wire::new(stream);
        let head = wire.head().await;
        (wire, head)
    }

    /// Accepts the next handshake.
    pub async fn switch(&self) -> (Wire, String) {
        let (mut wire, head) = self.accept().await;
        wire.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\n").await;
        wire.send("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n").await;
        (wire, head)
    }
}

/// A host with that manifest.
async fn host(upstream: SocketAddr, gateway: &str, keys: &str) -> (Atoll, Home) {
    let home = Home::new(&manifest(upstream, gateway, keys));
    (home.start().await, home)
}

/// The route `/chat` passes WebSockets to `upstream`, with these further keys; `/hello` leads to a component.
pub fn manifest(upstream: SocketAddr, gateway: &str, keys: &str) -> String {
    format!(
        r#"
        [gateway]
        {gateway}

        [service.chat]
        urls = ["http://{upstream}"]
        limits = {{ concurrency = 1, waiting = 0 }}

        [service.hello]
        component = "{{component:fixture-hello}}"

        [[route]]
        prefix = "/chat"
        service = "chat"
        websocket = true
        {keys}

        [[route]]
        prefix = "/plain"
        service = "chat"

        [[route]]
        prefix = "/hello"
        service = "hello"
        "#
    )
}

pub fn handshake(path: &str, fields: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: shop\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{fields}\r\n"
    )
}

/// Opens a WebSocket: both ends of it, and the two heads.
async fn open(atoll: &Atoll, upstream: &Upstream) -> (Wire, Wire) {
    let mut client = Wire::connect(&atoll.gateway).await;
    client.send(handshake("/chat/room?x=1", "")).await;
    let (server, _) = upstream.switch().await;
    assert!(client.head().await.starts_with("HTTP/1.1 101 "));
    (client, server)
}

pub async fn open_sockets(atoll: &Atoll) -> Option<String> {
    let metrics = Http::default().get(&format!("{}/metrics", atoll.admin)).await;
    let text = String::from_utf8_lossy(&metrics.body).into_owned();
    let line = text.lines().find(|line| line.starts_with("atoll_gateway_websockets{"))?;
    line.rsplit(' ').next().map(str::to_owned)
}

#[tokio::test]
async fn a_websocket_is_passed_on_as_bytes() {
    let (upstream, address) = Upstream::start().await;
    let (atoll, _home) = host(address, "min_download_rate = \"1GiB\"\nrate_grace = \"100ms\"", "").await;
    let mut client = Wire::connect(&atoll.gateway).await;
    // Bytes may follow the handshake at once.
    client.send(handshake("/chat/room?x=1", "Origin: https://any.example\r\n") + "early").await;
    let (mut server, asked) = upstream.switch().await;
    let asked = asked.to_ascii_lowercase();
    assert!(asked.starts_with("get /chat/room?x=1 http/1.1\r\n"), "{asked}");
    for field in
        ["upgrade: websocket", "connection: upgrade", "host: shop", "sec-websocket-key: dghlihnhbxbszsbub25jzq=="]
    {
        assert!(asked.contains(&format!("\r\n{field}\r\n")), "{field} is missing: {asked}");
    }
    let answer = client.head().await.to_ascii_lowercase();
    for field in
        ["http/1.1 101 ", "upgrade: websocket", "connection: upgrade", "sec-websocket-accept:", "x-request-id:"]
    {
        assert!(answer.contains(field), "{field} is missing: {answer}");
    }
    assert_eq!(server.take(5).await, b"early");
    // More than the buffers of the host and of both sockets hold together, in both directions at once.
    let large = vec![7; 8 << 20];
    let (mut from_client, mut to_client) = tokio::io::split(&mut client.stream);
    let (mut from_server, mut to_server) = tokio::io::split(&mut server.stream);
    let (mut up, mut down) = (vec![0; large.len()], vec![0; large.len()]);
    let all = async {
        tokio::try_join!(
            to_client.write_all(&large),
            to_server.write_all(&large),
            from_client.read_exact(&mut down),
            from_server.read_exact(&mut up),
        )
    };
    timeout(TIMEOUT, all).await.expect("all bytes in time").unwrap();
    assert!(up == large && down == large);
    assert_eq!(open_sockets(&atoll).await.as_deref(), Some("1"));

    // The bulkhead has one place, and a socket holds none.
    let plain = Http::default();
    let url = format!("{}/plain", atoll.gateway);
    let ask = tokio::spawn(async move { plain.get(&url).await });
    let (mut other, _) = upstream.accept().await;
    other.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    assert_eq!(ask.await.unwrap().status, 200);

    server.stream.shutdown().await.unwrap();
    assert_eq!(client.rest().await, b"");
    drop(client);
    assert_eq!(server.rest().await, b"");
    eventually("the socket is counted no more", async || (open_sockets(&atoll).await? == "0").then_some(())).await;
}

#[tokio::test]
async fn what_is_no_handshake_that_the_route_allows_is_refused() {
    let (upstream, address) = Upstream::start().await;
    let keys = "websocket_origins = [\"https://shop.example\"]\nwebsocket_connections = 1";
    let (atoll, _home) = host(address, "", keys).await;
    let refused = [
        (handshake("/chat", "Origin: https://evil.example\r\n"), "403", "origin"),
        (handshake("/chat", "Origin: null\r\n"), "403", "origin"),
        (handshake("/chat", "Content-Length: 1\r\n") + "x", "400", "bad-handshake"),
        (handshake("/chat", "").replace("GET", "POST"), "400", "bad-handshake"),
        (handshake("/plain", ""), "501", "upgrade"),
        (handshake("/hello", ""), "501", "upgrade"),
        (handshake("/chat", "").replace("websocket", "irc"), "501", "upgrade"),
    ];
    for (request, status, kind) in refused {
        let mut client = Wire::connect(&atoll.gateway).await;
        client.send(&request).await;
        let answer = String::from_utf8(client.rest().await).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}{answer}");
        assert!(answer.contains(&format!("urn:atoll:problem:{kind}")), "{request}{answer}");
    }
    // The service's own refusal is passed on, and its connection serves further requests.
    let mut client = Wire::connect(&atoll.gateway).await;
    client.send(handshake("/chat", "Origin: HTTPS://shop.example\r\n")).await;
    let (mut server, _) = upstream.accept().await;
    server.send("HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 8\r\nContent-Length: 2\r\n\r\nno").await;
    assert!(client.head().await.starts_with("HTTP/1.1 426 "));
    assert_eq!(client.take(2).await, b"no");
    client.send(handshake("/chat", "")).await;
    let (_open, _) = upstream.switch().await;
    assert!(client.head().await.starts_with("HTTP/1.1 101 "));
    let mut second = Wire::connect(&atoll.gateway).await;
    second.send(handshake("/chat", "")).await;
    assert!(second.head().await.starts_with("HTTP/1.1 503 "), "the route may have one");
    // A service that switches to something else has not understood the offer.
    drop(client);
    let mut third = Wire::connect(&atoll.gateway).await;
    eventually("the place is free again", async || (open_sockets(&atoll).await? == "0").then_some(())).await;
    third.send(handshake("/chat", "")).await;
    let (mut server, _) = upstream.accept().await;
    server.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: irc\r\n\r\n").await;
    assert!(third.head().await.starts_with("HTTP/1.1 502 "));
}

#[tokio::test]
async fn a_quiet_websocket_is_closed_and_a_drain_says_so_between_two_frames() {
    let (upstream, address) = Upstream::start().await;
    let (mut atoll, _home) = host(address, "drain = \"10m\"", "websocket_idle = \"10m\"").await;
    let (mut client, mut server) = open(&atoll, &upstream).await;
    let (mut torn, mut half) = open(&atoll, &upstream).await;
    half.send([0x82, 4, 1, 2]).await;
    assert_eq!(torn.take(4).await, [0x82, 4, 1, 2]);

    atoll.signal(Signal::TERM);
    assert_eq!(client.take(4).await, [0x88, 2, 0x03, 0xe9], "1001, going away");
    // The client's answer reaches the service, which ends the connection as RFC 6455, section 7.1.1, says.
    let close = [0x88, 0x82, 1, 1, 1, 1, 0x02, 0xe8];
    client.send(close).await;
    assert_eq!(server.take(8).await, close);
    server.send([0x88, 2, 0x03, 0xe9]).await;
    drop(server);
    assert_eq!(client.rest().await, b"", "no frame follows a `Close`");
    drop(client);
    // Within a frame, the other waits until it is whole.
    half.send([3, 4]).await;
    assert_eq!(torn.take(6).await, [3, 4, 0x88, 2, 0x03, 0xe9]);
    // This client does not answer: after 5 s the connection ends, long before the drain's deadline.
    assert_eq!(torn.rest().await, b"");
    drop(torn);
    assert_eq!(atoll.wait().await.code(), Some(0));

    let (mut atoll, _home) = host(address, "", "websocket_idle = \"100ms\"").await;
    let (mut client, _server) = open(&atoll, &upstream).await;
    let ended = timeout(TIMEOUT, client.stream.read(&mut [0])).await.expect("it is closed when it was quiet");
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    atoll.signal(Signal::TERM);
    assert_eq!(atoll.wait().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_applied_manifest_closes_no_websocket_and_its_route_keeps_its_places() {
    let (upstream, address) = Upstream::start().await;
    let (atoll, home) = host(address, "", "websocket_connections = 1").await;
    let (mut client, mut server) = open(&atoll, &upstream).await;
    let text = fs::read_to_string(home.manifest()).unwrap();
    let first = "[[route]]\npath = \"/first\"\nservice = \"hello\"\n";
    let at = text.find("[[route]]").unwrap();
    fs::write(home.manifest(), format!("{}{first}{}", &text[..at], &text[at..])).unwrap();
    let applied = home.output(&["apply", "--yes"]).await;
    assert_eq!(applied.status.code(), Some(0), "{applied:?}");
    assert_eq!(Http::default().get(&format!("{}/first", atoll.gateway)).await.status, 200);
    client.send(b"up").await;
    server.send(b"down").await;
    assert_eq!((server.take(2).await, client.take(4).await), (b"up".to_vec(), b"down".to_vec()));
    assert_eq!(open_sockets(&atoll).await.as_deref(), Some("1"));
    let mut second = Wire::connect(&atoll.gateway).await;
    second.send(handshake("/chat", "")).await;
    assert!(second.head().await.starts_with("HTTP/1.1 503 "), "the one that is open counts");
}
