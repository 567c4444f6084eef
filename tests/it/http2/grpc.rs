//! gRPC to services behind `urls`: HTTP/2 on both sides, with trailer sections in both directions.

use crate::it::atoll::{Atoll, Home, Http, TIMEOUT};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2::handshake;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// A server that sends back each piece of a request as it comes, and its trailer section with `grpc-status`. On the
/// path `/late` it answers once a piece has come.
async fn start_server() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, connections) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&connections);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            count.fetch_add(1, Relaxed);
            let serve =
                http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service_fn(echo));
            tokio::spawn(serve);
        }
    });
    (address, connections)
}

async fn echo(request: Request<Incoming>) -> Result<Response<BoxBody<Bytes, hyper::Error>>, Infallible> {
    let said = |name: &str| request.headers().get(name).map_or("none", |value| value.to_str().unwrap()).to_owned();
    let host = request.uri().authority().unwrap().to_string();
    let answer = Response::builder()
        .header("content-type", "application/grpc")
        .header("x-seen", format!("{} {host} te={} host={}", request.uri().path(), said("te"), said("host")));
    let is_late = request.uri().path() == "/late";
    let mut body = request.into_body();
    let first = if is_late { body.frame().await } else { None };
    let pieces = stream::unfold((body, first, false), async |(mut body, first, ended)| {
        if ended {
            return None;
        }
        let next = match first {
            Some(first) => Some(first),
            None => body.frame().await,
        };
        match next {
            Some(Ok(frame)) if frame.is_data() => Some((Ok(frame), (body, None, false))),
            last => {
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", "0".parse().unwrap());
                if let Some(Ok(frame)) = last {
                    trailers.extend(frame.into_trailers().unwrap());
                }
                Some((Ok(Frame::trailers(trailers)), (body, None, true)))
            }
        }
    });
    Ok(answer.body(BodyExt::boxed(StreamBody::new(Box::pin(pieces)))).unwrap())
}

async fn host(upstream: SocketAddr) -> (Atoll, Home) {
    let home = Home::new(&format!(
        r#"
        [gateway]
        min_upload_rate = "1KiB"
        min_download_rate = 0
        rate_grace = "100ms"

        [gateway.http2]
        prior_knowledge = true

        [service.greeter]
        urls = ["http://{upstream}"]
        http2 = true

        [[route]]
        prefix = "/"
        service = "greeter"
        "#
    ));
    (home.start().await, home)
}

#[tokio::test]
async fn pieces_and_trailers_pass_in_both_directions() {
    let (upstream, connections) = start_server().await;
    let (atoll, _home) = host(upstream).await;
    let stream = TcpStream::connect(atoll.gateway.strip_prefix("http://").unwrap()).await.unwrap();
    let (mut sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    for te in [true, false] {
        let (pieces, mut taken) = mpsc::channel::<Frame<Bytes>>(1);
        let body = StreamBody::new(stream::poll_fn(move |context| {
            taken.poll_recv(context).map(|piece| piece.map(Ok::<_, Infallible>))
        }));
        let mut request = Request::post("http://shop/greet.Greeter/Chat").header("content-type", "application/grpc");
        if te {
            request = request.header("te", "trailers");
        }
        let sent = timeout(TIMEOUT, sender.send_request(request.body(body).unwrap())).await;
        let mut answer = sent.expect("an answer in time").unwrap();
        let seen = if te { "te=trailers" } else { "te=none" };
        assert_eq!(answer.headers()["x-seen"], format!("/greet.Greeter/Chat shop {seen} host=none"));
        // A conversation: each piece comes back before the next is sent.
        for text in ["one", "two", "three"] {
            pieces.send(Frame::data(Bytes::from_static(text.as_bytes()))).await.unwrap();
            let back = timeout(TIMEOUT, answer.body_mut().frame()).await.expect("a piece in time").unwrap().unwrap();
            assert_eq!(back.into_data().unwrap(), text);
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("x-of-the-client", "yes".parse().unwrap());
        pieces.send(Frame::trailers(trailers)).await.unwrap();
        drop(pieces);
        let last = timeout(TIMEOUT, answer.into_body().collect()).await.expect("an end in time").unwrap();
        let expected = if te { Some("0 yes".to_owned()) } else { None };
        let got = last.trailers().map(|trailers| {
            format!("{} {}", trailers["grpc-status"].to_str().unwrap(), trailers["x-of-the-client"].to_str().unwrap())
        });
        assert_eq!(got, expected, "trailers pass for who asks for them");
    }
    // HTTP/1.1 has the same service, without trailers.
    let http = Http::default();
    let request = Request::post(format!("{}/x", atoll.gateway)).body(Full::from("text")).unwrap();
    let answer = http.try_send(request).await.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &b"text"[..]));
    assert_eq!(connections.load(Relaxed), 1, "all requests share a connection");
}

#[tokio::test]
async fn many_calls_at_a_time_take_few_connections() {
    let (upstream, connections) = start_server().await;
    let (atoll, _home) = host(upstream).await;
    let calls = (0..150).map(|number| {
        let url = format!("{}/{number}", atoll.gateway);
        async move { Http::default().try_send(Request::post(url).body(Full::from("text")).unwrap()).await }
    });
    for answer in futures_util::future::join_all(calls).await {
        assert_eq!(answer.unwrap().status, 200);
    }
    assert!(connections.load(Relaxed) <= 2, "{} connections", connections.load(Relaxed));
}

#[tokio::test]
async fn a_stream_may_be_silent_before_its_first_message() {
    let (upstream, _) = start_server().await;
    let (atoll, _home) = host(upstream).await;
    let stream = TcpStream::connect(atoll.gateway.strip_prefix("http://").unwrap()).await.unwrap();
    let (mut sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let (pieces, mut taken) = mpsc::channel::<Frame<Bytes>>(1);
    let body = StreamBody::new(stream::poll_fn(move |context| {
        taken.poll_recv(context).map(|piece| piece.map(Ok::<_, Infallible>))
    }));
    let request = Request::post("http://shop/late").header("te", "trailers").body(body).unwrap();
    let answer = tokio::spawn(sender.send_request(request));
    // The silence itself is what is tested: three times as long as a slow body may last.
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    pieces.send(Frame::data(Bytes::from_static(b"first"))).await.unwrap();
    drop(pieces);
    let answer = timeout(TIMEOUT, answer).await.expect("an answer in time").unwrap().unwrap();
    assert_eq!(answer.status(), 200);
    let all = timeout(TIMEOUT, answer.into_body().collect()).await.expect("an end in time").unwrap();
    assert_eq!(all.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(all.to_bytes(), "first");
}
