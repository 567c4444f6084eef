//! Services of the manifest, without TLS.

use super::*;
use crate::base::ConnectionNotice;
use bytes::Bytes;
use http_body::Frame;
use http_body_util::StreamBody;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tokio::net::TcpStream;

fn client(server: SocketAddr) -> HttpClient {
    HttpClient::fixed(base("http", "users.example", server, "/v2/"), server, &dial())
}

#[tokio::test]
async fn two_requests_use_one_connection() {
    let mut server = Server::start(OK, Then::Keep, None).await;
    let client = client(server.address);
    for path in ["/a?x=1", "/b"] {
        assert_eq!(get_text(&client.clone(), path).await.unwrap(), "hi");
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
async fn who_waits_for_a_connection_is_told_of_a_new_one_and_of_a_pooled_one_and_not_of_none() {
    let server = Server::start(OK, Then::Keep, None).await;
    let (told, (_held, nobody)) = (Arc::new(AtomicUsize::new(0)), refusing());
    let (reached, refused) = (client(server.address), client(nobody));
    for (client, connects, times) in [(&reached, true, 1), (&reached, true, 2), (&refused, false, 2)] {
        let (mut request, tell) = (get("/"), Arc::clone(&told));
        request.extensions_mut().insert(ConnectionNotice::new(move || _ = tell.fetch_add(1, Relaxed)));
        let answer = client.send(request, &long_deadline()).await;
        assert_eq!(answer.is_ok(), connects);
        if let Ok(answer) = answer {
            answer.into_body().collect().await.unwrap();
        }
        assert_eq!(told.load(Relaxed), times);
    }
}

#[tokio::test]
async fn a_plain_service_gets_the_host_and_the_id_that_the_request_names() {
    let mut server = Server::start(OK, Then::Keep, None).await;
    let mut request = get("/");
    request.headers_mut().insert("host", "shop".parse().unwrap());
    request.headers_mut().insert("x-request-id", "theirs".parse().unwrap());
    *request.version_mut() = http::Version::HTTP_10;
    client(server.address).send(request, &long_deadline()).await.unwrap();
    let (_, head) = server.head().await;
    assert_eq!((field(&head, "host"), field(&head, "x-request-id")), (Some("shop"), Some("theirs")));
    assert!(head.starts_with("GET /v2/ HTTP/1.1\r\n"), "{head}");
}

#[tokio::test]
async fn a_connection_that_the_server_closed_is_replaced_by_a_new_one() {
    let mut server = Server::start(OK, Then::Close, None).await;
    let client = client(server.address);
    for connection in 0..5 {
        assert_eq!(get_text(&client, "/").await.unwrap(), "hi");
        assert_eq!(server.head().await.0, connection);
    }
}

#[tokio::test]
async fn each_failure_has_the_kind_of_what_happened() {
    let silent = Server::start("", Then::Keep, None).await;
    let late = client(silent.address).send(get("/"), &context(Duration::from_millis(50))).await;
    assert_eq!(late.unwrap_err().kind, ErrorKind::Timeout);

    let rude = Server::start("", Then::Close, None).await;
    assert_eq!(get_text(&client(rude.address), "/").await.unwrap_err().kind, ErrorKind::Reset);

    let nonsense = Server::start("220 mail.example ESMTP\r\n\r\n", Then::Keep, None).await;
    assert_eq!(get_text(&client(nonsense.address), "/").await.unwrap_err().kind, ErrorKind::BadAnswer);

    let (_held, nobody) = refusing();
    let TryError { kind, detail, .. } = get_text(&client(nobody), "/").await.unwrap_err();
    assert_eq!(kind, ErrorKind::Connect);
    assert!(detail.contains(&format!("cannot connect to {nobody}")), "{detail}");
}

#[tokio::test]
async fn a_request_body_that_fails_or_is_too_short_is_no_fault_of_the_server() {
    let server = Server::start("", Then::Keep, None).await;
    let broken = || BodyError::new(ErrorKind::BodyTooLarge, "too large");
    for (pieces, kind) in [
        (vec![Ok(Frame::data(Bytes::from_static(b"some")))], ErrorKind::ClientGone),
        (vec![Ok(Frame::data(Bytes::from_static(b"some"))), Err(broken())], ErrorKind::BodyTooLarge),
    ] {
        let body = BodyExt::boxed_unsync(StreamBody::new(futures_util::stream::iter(pieces)));
        let request = http::Request::post("/").header("content-length", "9").body(body).unwrap();
        let error = client(server.address).send(request, &long_deadline()).await.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_a_failure_and_not_a_shorter_body() {
    let broken = [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
    ];
    for answer in broken {
        let server = Server::start(answer, Then::Close, None).await;
        assert_eq!(get_text(&client(server.address), "/").await.unwrap_err().kind, ErrorKind::Reset, "{answer}");
    }
    let garbled = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\nzz\r\n";
    let server = Server::start(garbled, Then::Keep, None).await;
    assert_eq!(get_text(&client(server.address), "/").await.unwrap_err().kind, ErrorKind::BadAnswer);
}

/// On Linux a connection that no longer fits into the listener's queue waits until the client gives up; other systems
/// may refuse it.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_connection_that_takes_too_long_is_a_connect_failure() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let listener = socket.listen(0).unwrap();
    let full = listener.local_addr().unwrap();
    let mut held = Vec::new();
    while let Ok(stream) = tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(full)).await {
        held.push(stream.unwrap());
        assert!(held.len() < 100, "the listener's queue is never full");
    }
    let dial = Dial { connect: Duration::from_millis(50), tls: None, http2: false };
    let client = HttpClient::fixed(base("http", "users.example", full, ""), full, &dial);
    let TryError { kind, detail, .. } = get_text(&client, "/").await.unwrap_err();
    assert_eq!(kind, ErrorKind::Connect, "{detail}");
}
