//! Exchanges over HTTP/2 are those of HTTP/1.1, with a client that is not ours (hyper's).

use super::host;
use super::raw_client::{DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, RawClient, frame, get, request};
use crate::it::atoll::{Atoll, Http, TIMEOUT, eventually};
use crate::it::plain_server::{Behaviour, PlainServer};
use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustix::process::Signal;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::timeout;

async fn connect(atoll: &Atoll) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(atoll.gateway.strip_prefix("http://").unwrap()).await.unwrap();
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn send(
    sender: &mut SendRequest<Full<Bytes>>,
    request: http::request::Builder,
    body: &'static [u8],
) -> Response<Incoming> {
    let request = request.body(Full::from(body)).unwrap();
    let answer = timeout(TIMEOUT, sender.send_request(request)).await.expect("an answer in time").unwrap();
    assert_eq!(answer.version(), Version::HTTP_2);
    answer
}

async fn body(answer: Response<Incoming>) -> Bytes {
    timeout(TIMEOUT, answer.into_body().collect()).await.expect("a body in time").unwrap().to_bytes()
}

#[tokio::test]
async fn a_request_arrives_as_http_1_and_its_answer_as_http_2() {
    let plain = PlainServer::start("plain").await;
    let (atoll, _home) = host(&plain, "", "").await;
    let mut sender = connect(&atoll).await;
    let url = |path: &str| format!("http://shop{path}");
    let builder = Request::post(url("/a?b=c")).header("cookie", "a=1").header("cookie", "b=2").header("te", "trailers");
    let answer = send(&mut sender, builder, b"some text").await;
    assert_eq!((answer.status().as_u16(), answer.headers().contains_key("x-request-id")), (200, true));
    let seen: serde_json::Value = serde_json::from_slice(&body(answer).await).unwrap();
    assert_eq!(
        [&seen["method"], &seen["target"], &seen["body"]],
        [&json!("POST"), &json!("/a?b=c"), &json!("some text")]
    );
    let fields = &seen["headers"];
    assert_eq!([&fields["host"], &fields["cookie"], &fields["te"]], [&json!("shop"), &json!("a=1; b=2"), &json!(null)]);
    // In both directions at once, with more than all windows hold.
    static LARGE: [u8; 3 << 20] = [7; 3 << 20];
    let most = &LARGE[..2 << 20];
    let echoed = body(send(&mut sender, Request::post(url("/echo")), most).await).await;
    assert!(echoed == most);
    let large = Request::post(url("/x"));
    assert_eq!(send(&mut sender, large, &LARGE).await.status(), 413, "the connection serves others after a refusal");
    let problem = send(&mut sender, Request::get(url("/%2e")), b"").await;
    assert_eq!((problem.status().as_u16(), problem.headers().contains_key("connection")), (400, false));
    let head = send(&mut sender, Request::head(url("/x")), b"").await;
    assert_eq!((head.status().as_u16(), body(head).await.len()), (200, 0));
    // h2 drops a head that still waits when its stream is reset, so the client may see the reset alone.
    let broken = Request::get(url("/broken")).body(Full::from(&b""[..])).unwrap();
    if let Ok(broken) = timeout(TIMEOUT, sender.send_request(broken)).await.expect("an end in time") {
        assert!(broken.into_body().collect().await.is_err(), "an answer that breaks off is no whole one");
    }
    // The same socket speaks HTTP/1.1.
    assert_eq!(Http::default().get(&format!("{}/x", atoll.gateway)).await.status, 200);
}

#[tokio::test]
async fn an_answer_without_body_ends_with_its_head() {
    let plain = PlainServer::start("plain").await;
    let (atoll, _home) = host(&plain, "", "").await;
    let mut client = RawClient::start(&atoll.gateway, &[]).await;
    let head =
        |stream, method, path: &str| frame(HEADERS, END_HEADERS | END_STREAM, stream, &request(method, path, &[]));
    let refused = "/%2e";
    for (stream, method, path) in [
        (1, "HEAD", "/x"),
        (3, "GET", "/status/204"),
        (5, "GET", "/status/304"),
        (7, "HEAD", refused),
        (9, "HEAD", "/large/70000"),
    ] {
        client.send(&head(stream, method, path)).await;
        let answer = client.next_of(HEADERS).await.unwrap();
        assert_eq!((answer.stream, answer.flags & END_STREAM), (stream, END_STREAM), "{method} {path}");
    }
    client.send(&get(11, "/x")).await;
    assert_eq!(client.next_of(DATA).await.unwrap().stream, 11);
}

#[tokio::test]
async fn a_drain_finishes_the_streams_and_says_so() {
    let plain = PlainServer::start("plain").await;
    let (mut atoll, _home) = host(&plain, "drain = \"10m\"", "").await;
    let mut client = RawClient::start(&atoll.gateway, &[]).await;
    plain.behave(Behaviour::Silent);
    client.send(&get(1, "/x")).await;
    eventually("it is served", async || (plain.requests() == 1).then_some(())).await;
    atoll.signal(Signal::TERM);
    assert_eq!(client.next_of(GOAWAY).await.unwrap().code(), 0);
    plain.behave(Behaviour::Works);
    assert_eq!(client.next_of(HEADERS).await.unwrap().status(), 200);
    assert!(client.is_alive().await || client.end().await.is_none());
    assert_eq!(atoll.wait().await.code(), Some(0));
}
