//! The room over real sockets, down to the bytes.

mod boundaries;
mod http2;
mod secure;
mod slow_peers;
mod unparsed;

use super::wire_client::{WireClient, within};
use super::{Drain, Listener, Peer, Settings, UnparsedRequest};
use crate::base::{Body, BodyError, ErrorKind, RequestId, empty_body, full_body};
use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const SHORT: Duration = Duration::from_millis(150);

struct TestServer {
    addr: SocketAddr,
    drain: Drain,
    serving: JoinHandle<usize>,
}

async fn serve<S, F>(settings: Settings, service: S) -> TestServer
where
    S: Fn(Request<Body>, Peer) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let listener = Listener::bind(settings).await.expect("port 0 is free");
    let addr = listener.local_addr().expect("it is bound");
    let drain = Drain::new();
    let serving = tokio::spawn(listener.serve(service, drain.clone()));
    TestServer { addr, drain, serving }
}

/// A server that answers with the path and the body of the request. The list has the paths of its requests.
async fn echo(settings: Settings) -> (TestServer, Arc<Mutex<Vec<String>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let server = serve(settings, {
        let seen = seen.clone();
        move |request: Request<Body>, _| {
            let path = request.uri().path().to_owned();
            seen.lock().expect("no panic").push(path.clone());
            async move {
                match request.into_body().collect().await {
                    Ok(body) => Response::new(full_body([path.as_bytes(), b":", &body.to_bytes()].concat())),
                    Err(error) => Response::new(full_body(format!("broken: {}", error.kind))),
                }
            }
        }
    })
    .await;
    (server, seen)
}

fn chunks(frames: Vec<Result<&'static str, BodyError>>) -> Body {
    let frames = frames.into_iter().map(|f| f.map(|text| Frame::data(Bytes::from(text))));
    StreamBody::new(stream::iter(frames)).boxed_unsync()
}

#[tokio::test]
async fn a_bind_error_names_the_address() {
    let taken = Listener::bind(Settings::default()).await.expect("port 0 is free");
    let address = taken.local_addr().expect("it is bound");
    let error = Listener::bind(Settings { address, ..Settings::default() }).await.err().expect("it is taken");
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

#[tokio::test]
async fn a_connection_serves_one_request_after_the_other() {
    let (server, _) = echo(Settings::default()).await;
    let mut wire = WireClient::connect(server.addr).await;
    for round in 0..3 {
        let answer = wire.request(format!("POST /{round} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")).await;
        assert_eq!((answer.status, answer.text()), (200, &*format!("/{round}:hi")));
    }
    let answer =
        wire.request("POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n").await;
    assert_eq!(answer.text(), "/c:hi");
}

#[tokio::test]
async fn slow_headers_are_answered_with_408() {
    let (server, seen) = echo(Settings { header_timeout: Duration::from_secs(1), ..Settings::default() }).await;
    let mut silent = WireClient::connect(server.addr).await;
    let mut slow = WireClient::connect(server.addr).await;

    let answer = slow.request("GET / HTTP/1.1\r\nHost:").await;
    assert_eq!(answer.status, 408);
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let problem: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(problem["status"], 408);
    assert_eq!(problem["request_id"].as_str(), answer.header("x-request-id"));
    assert_eq!(slow.closed().await, "");
    assert_eq!(silent.closed().await, "", "a connection without a byte gets no answer");
    assert!(seen.lock().expect("no panic").is_empty());

    // Also after a request that was served.
    let mut second = WireClient::connect(server.addr).await;
    assert_eq!(second.request(GET).await.status, 200);
    assert_eq!(second.request("GET / HT").await.status, 408);
}

#[tokio::test]
async fn an_idle_connection_is_closed_without_an_answer() {
    let (server, _) = echo(Settings { idle_timeout: SHORT, ..Settings::default() }).await;
    let mut idle = WireClient::connect(server.addr).await;
    assert_eq!(idle.request(GET).await.status, 200);
    assert_eq!(idle.closed().await, "");
}

#[tokio::test]
async fn the_idle_timeout_does_not_end_a_request_that_is_being_served() {
    let server = serve(Settings { idle_timeout: SHORT, ..Settings::default() }, |_, _| async {
        tokio::time::sleep(SHORT * 3).await;
        Response::new(full_body("late"))
    })
    .await;
    let mut wire = WireClient::connect(server.addr).await;
    assert_eq!(wire.request(GET).await.text(), "late");
}

#[tokio::test]
async fn framing_that_two_parsers_could_read_differently_is_refused() {
    let (server, seen) = echo(Settings::default()).await;
    let refused = [
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 4\r\n\r\nabcd",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX-A: b\0c\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
    ];
    for request in refused {
        let mut wire = WireClient::connect(server.addr).await;
        assert_eq!(wire.request(request).await.status, 400, "{request:?}");
        assert_eq!(wire.closed().await, "", "{request:?}");
    }
    assert!(seen.lock().expect("no panic").is_empty());
}

#[tokio::test]
async fn a_request_hidden_behind_an_ambiguous_body_is_not_served() {
    for order in ["Content-Length: 6\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 6"]
    {
        let (server, seen) = echo(Settings::default()).await;
        let mut wire = WireClient::connect(server.addr).await;
        let answer = wire
            .request(format!(
                "POST /one HTTP/1.1\r\nHost: a\r\n{order}\r\n\r\n0\r\n\r\nGET /two HTTP/1.1\r\nHost: a\r\n\r\n"
            ))
            .await;
        assert_eq!(answer.text(), "/one:");
        assert_eq!(wire.closed().await, "");
        assert_eq!(*seen.lock().expect("no panic"), ["/one"]);
    }
}

#[tokio::test]
async fn a_head_beyond_the_parsers_ceiling_is_answered_with_431() {
    let (server, seen) = echo(Settings { max_headers: 10, header_bytes: 1024, ..Settings::default() }).await;
    for junk in ["x-a: b\r\n".repeat(60), format!("x-a: {}\r\n", "b".repeat(40_000))] {
        let mut wire = WireClient::connect(server.addr).await;
        let answer = wire.request(format!("GET / HTTP/1.1\r\nHost: a\r\n{junk}\r\n")).await;
        assert_eq!(answer.status, 431);
        wire.closed().await;
    }
    assert!(seen.lock().expect("no panic").is_empty());
}

#[tokio::test]
async fn a_request_body_that_breaks_off_is_blamed_on_the_client() {
    let (kinds, mut kind) = mpsc::channel(64);
    let server = serve(Settings::default(), move |request: Request<Body>, _| {
        let kinds = kinds.clone();
        async move {
            let error = request.into_body().collect().await.expect_err("it breaks off");
            let _ = kinds.try_send(error.kind);
            Response::new(empty_body())
        }
    })
    .await;
    let mut wire = WireClient::connect(server.addr).await;
    wire.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\nzz\r\n").await;
    assert_eq!(within(kind.recv()).await, Some(ErrorKind::ClientGone));
}

#[tokio::test]
async fn an_answer_that_breaks_off_never_looks_complete() {
    let server = serve(Settings::default(), |_, _| async {
        Response::new(chunks(vec![Ok("first"), Ok("second"), Err(BodyError::new(ErrorKind::Trap, "boom"))]))
    })
    .await;
    let mut wire = WireClient::connect(server.addr).await;
    let answer = wire.request(GET).await;
    assert_eq!((answer.status, answer.text(), answer.whole), (200, "firstsecond", false));

    // Without a length or chunks, only a reset shows it.
    let mut old = WireClient::connect(server.addr).await;
    old.send("GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(old.ending().await.expect_err("a reset").kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn an_answer_reaches_a_client_that_is_still_sending() {
    let server = serve(Settings::default(), |_, _| async { Response::new(full_body("no")) }).await;
    let mut wire = WireClient::connect(server.addr).await;
    wire.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1600000\r\n\r\n").await;
    wire.stream.readable().await.expect("an answer");
    // The client sends on and has not read the answer yet. It sends in pieces, so that the server may close in between:
    // a reset would then show as an error.
    for _ in 0..100 {
        wire.send(vec![b'x'; 16_000]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(wire.answer().await.text(), "no");
}

#[tokio::test]
async fn a_service_that_has_answered_may_still_read_the_request() {
    let (bodies, mut body) = mpsc::channel(64);
    let settings = Settings { idle_timeout: SHORT, ..Settings::default() };
    let server = serve(settings, move |request: Request<Body>, _| {
        let bodies = bodies.clone();
        tokio::spawn(async move { bodies.try_send(request.into_body().collect().await.map(|body| body.to_bytes())) });
        async { Response::new(full_body("early")) }
    })
    .await;
    let mut wire = WireClient::connect(server.addr).await;
    let answer = wire.request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab").await;
    assert_eq!(answer.text(), "early");
    assert!(tokio::time::timeout(SHORT * 3, wire.stream.readable()).await.is_err(), "cut off while the body is read");
    wire.send("cd").await;
    let body = within(body.recv()).await.expect("the service goes on").expect("a whole body");
    assert_eq!(body, "abcd");
    assert_eq!(wire.closed().await, "", "idle at last");
}

/// Sends a message when it is dropped.
struct NotifyOnDrop(mpsc::Sender<()>);

impl Drop for NotifyOnDrop {
    fn drop(&mut self) {
        let _ = self.0.try_send(());
    }
}

#[tokio::test]
async fn a_peer_that_takes_no_byte_is_cut_off() {
    let (gone, mut dropped) = mpsc::channel(64);
    let server = serve(Settings { write_timeout: SHORT, ..Settings::default() }, move |_, _| {
        let guard = NotifyOnDrop(gone.clone());
        let endless = stream::repeat_with(move || {
            let _held = &guard;
            Ok(Frame::data(Bytes::from(vec![0; 64 * 1024])))
        });
        async { Response::new(StreamBody::new(endless).boxed_unsync()) }
    })
    .await;
    let mut wire = WireClient::connect(server.addr).await;
    wire.send(GET).await;
    assert_eq!(within(dropped.recv()).await, Some(()));
}

#[tokio::test]
async fn a_request_is_dropped_when_its_peer_goes_away() {
    let (gone, mut dropped) = mpsc::channel(64);
    let arrived = Arc::new(Notify::new());
    let server = serve(Settings::default(), {
        let arrived = arrived.clone();
        move |_, _| {
            let guard = NotifyOnDrop(gone.clone());
            arrived.notify_one();
            async move {
                std::future::pending::<()>().await;
                drop(guard);
                Response::new(empty_body())
            }
        }
    })
    .await;
    let mut wire = WireClient::connect(server.addr).await;
    wire.send(GET).await;
    within(arrived.notified()).await;
    drop(wire);
    assert_eq!(within(dropped.recv()).await, Some(()));
}

#[tokio::test]
async fn a_panic_ends_only_its_own_connection() {
    let server = serve(Settings::default(), |request: Request<Body>, _| async move {
        assert_ne!(request.uri().path(), "/panic", "on purpose");
        Response::new(full_body("well"))
    })
    .await;
    let mut calm = WireClient::connect(server.addr).await;
    assert_eq!(calm.request(GET).await.text(), "well");
    let mut loud = WireClient::connect(server.addr).await;
    loud.send("GET /panic HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(loud.closed().await, "");
    assert_eq!(calm.request(GET).await.text(), "well");
}

/// A server whose requests wait for a permission before they are answered.
struct GatedServer {
    server: TestServer,
    /// Notified when a request has arrived.
    arrived: Arc<Notify>,
    /// Notify it to let a request be answered.
    permission: Arc<Notify>,
}

async fn gated(settings: Settings) -> GatedServer {
    let (arrived, permission) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let server = serve(settings, {
        let (arrived, permission) = (arrived.clone(), permission.clone());
        move |_, _| {
            let (arrived, permission) = (arrived.clone(), permission.clone());
            async move {
                arrived.notify_one();
                permission.notified().await;
                Response::new(full_body("finished"))
            }
        }
    })
    .await;
    GatedServer { server, arrived, permission }
}

#[tokio::test]
async fn a_drain_lets_requests_finish_and_refuses_connections() {
    let GatedServer { server, arrived, permission } = gated(Settings::default()).await;
    let mut idle = WireClient::connect(server.addr).await;
    let mut busy = WireClient::connect(server.addr).await;
    busy.send(GET).await;
    within(arrived.notified()).await;

    server.drain.start(Duration::from_secs(60));
    assert_eq!(idle.closed().await, "", "an idle connection ends at once");
    // The accept loop learns of the drain a little later.
    within(async { while TcpStream::connect(server.addr).await.is_ok() {} }).await;

    permission.notify_one();
    let answer = busy.answer().await;
    assert_eq!((answer.text(), answer.header("connection")), ("finished", Some("close")));
    assert_eq!(busy.closed().await, "");
    assert_eq!(within(server.serving).await.expect("it ends"), 0);
}

#[tokio::test]
async fn a_drain_cuts_off_what_is_left_at_its_deadline() {
    let GatedServer { server, arrived, permission: _permission } = gated(Settings::default()).await;
    let mut busy = WireClient::connect(server.addr).await;
    busy.send(GET).await;
    within(arrived.notified()).await;
    server.drain.start(SHORT);
    assert_eq!(within(server.serving).await.expect("it ends"), 1);
    assert_eq!(busy.closed().await, "");
}
