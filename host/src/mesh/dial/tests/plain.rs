//! Services of ours, without TLS.

use super::*;
use tokio::net::TcpStream;

fn client(server: SocketAddr) -> HttpClient {
    HttpClient::fixed(base("http", "users.example", server, "/v2/"), server, &dial())
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let mut server = Server::start(OK, Then::Keep, None).await;
    let client = client(server.address);
    for path in ["/a?x=1", "/b"] {
        assert_eq!(ask(&client.clone(), path).await.unwrap(), "hi");
        let (connection, head) = server.head().await;
        assert_eq!(connection, 0);
        assert!(head.starts_with(&format!("GET /v2{path} HTTP/1.1\r\n")), "{head}");
        assert_eq!(field(&head, "host"), Some(&*format!("users.example:{}", server.address.port())));
        assert_eq!((field(&head, "x-atoll-depth"), field(&head, "x-request-id")), (Some("0"), Some("r-1")));
        let left: u64 = field(&head, "x-atoll-timeout-ms").unwrap().parse().unwrap();
        assert!((1..=30_000).contains(&left), "{left}");
    }
}

#[tokio::test]
async fn the_host_of_the_request_is_passed_on() {
    let mut server = Server::start(OK, Then::Keep, None).await;
    let mut request = get("/");
    request.headers_mut().insert("host", "shop".parse().unwrap());
    request.headers_mut().insert("x-request-id", "theirs".parse().unwrap());
    *request.version_mut() = http::Version::HTTP_10;
    client(server.address).send(request, &patient()).await.unwrap();
    let (_, head) = server.head().await;
    assert_eq!((field(&head, "host"), field(&head, "x-request-id")), (Some("shop"), Some("theirs")));
    assert!(head.starts_with("GET /v2/ HTTP/1.1\r\n"), "{head}");
}

#[tokio::test]
async fn a_connection_that_the_server_closed_is_replaced() {
    let mut server = Server::start(OK, Then::Close, None).await;
    let client = client(server.address);
    for connection in 0..5 {
        assert_eq!(ask(&client, "/").await.unwrap(), "hi");
        assert_eq!(server.head().await.0, connection);
    }
}

#[tokio::test]
async fn each_failure_has_its_kind() {
    let silent = Server::start("", Then::Keep, None).await;
    let late = client(silent.address).send(get("/"), &context(Duration::from_millis(50))).await;
    assert_eq!(late.unwrap_err().kind, ErrorKind::Timeout);

    let rude = Server::start("", Then::Close, None).await;
    assert_eq!(ask(&client(rude.address), "/").await.unwrap_err().kind, ErrorKind::Reset);

    let nonsense = Server::start("220 mail.example ESMTP\r\n\r\n", Then::Keep, None).await;
    assert_eq!(ask(&client(nonsense.address), "/").await.unwrap_err().kind, ErrorKind::Reset);

    let (_held, nobody) = refusing();
    let TryError { kind, detail, .. } = ask(&client(nobody), "/").await.unwrap_err();
    assert_eq!(kind, ErrorKind::Connect);
    assert!(detail.contains(&format!("cannot connect to {nobody}")), "{detail}");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_shorter_body() {
    let broken = [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
    ];
    for answer in broken {
        let server = Server::start(answer, Then::Close, None).await;
        assert_eq!(ask(&client(server.address), "/").await.unwrap_err().kind, ErrorKind::Reset, "{answer}");
    }
}

/// On Linux a connection that no longer fits in the listener's queue waits for the client's patience; elsewhere it may
/// be refused.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_wait_for_a_connection_ends() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let listener = socket.listen(0).unwrap();
    let full = listener.local_addr().unwrap();
    let mut held = Vec::new();
    while let Ok(stream) = tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(full)).await {
        held.push(stream.unwrap());
        assert!(held.len() < 100, "the queue is never full");
    }
    let dial = Dial { connect: Duration::from_millis(50), tls: None };
    let client = HttpClient::fixed(base("http", "users.example", full, ""), full, &dial);
    let TryError { kind, detail, .. } = ask(&client, "/").await.unwrap_err();
    assert_eq!(kind, ErrorKind::Connect, "{detail}");
}
