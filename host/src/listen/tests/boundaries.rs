//! The beginning and the end of requests and connections, down to the bytes.

use super::{SHORT, echo, serve};
use crate::base::{Body, full_body};
use crate::listen::Settings;
use crate::listen::wire_client::WireClient;
use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::io::AsyncWriteExt;

#[tokio::test]
async fn a_client_that_closes_its_half_gets_its_answers() {
    let settings = Settings { half_closed_timeout: SHORT * 6, ..Settings::default() };
    let server = serve(settings, |request: Request<Body>, _| async move {
        let path = request.uri().path().to_owned();
        let body = request.into_body().collect().await.map(|body| body.to_bytes());
        tokio::task::yield_now().await;
        match &*path {
            "/slow" => {
                let pieces = stream::unfold(0, async |piece| {
                    tokio::time::sleep(SHORT * 2).await;
                    (piece < 4).then(|| (Ok(Frame::data(Bytes::from("piece"))), piece + 1))
                });
                Response::new(StreamBody::new(pieces).boxed_unsync())
            }
            _ => Response::new(full_body(body.unwrap_or_else(|error| error.detail.into()))),
        }
    })
    .await;
    let cases = [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", vec![""]),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", vec!["hi"]),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", vec!["hi"]),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\nPOST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", vec!["", "hi"]),
        // Longer than the timeout altogether, but never silent for as long as that.
        ("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n", vec!["piecepiecepiecepiece"]),
    ];
    for (requests, bodies) in cases {
        let mut wire = WireClient::connect(server.addr).await;
        wire.send(requests).await;
        wire.stream.shutdown().await.expect("the half closes");
        for body in bodies {
            let answer = wire.answer().await;
            assert_eq!((answer.text(), answer.whole), (body, true), "{requests:?}");
        }
        assert_eq!(wire.closed().await, "", "{requests:?}");
    }
    // A body that is cut short is no whole request.
    let mut wire = WireClient::connect(server.addr).await;
    wire.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhi").await;
    wire.stream.shutdown().await.expect("the half closes");
    assert!(!wire.closed().await.contains("\r\n\r\nhi"));
}

#[tokio::test]
async fn an_empty_line_after_a_request_is_no_request() {
    let settings = Settings { header_timeout: SHORT, ..Settings::default() };
    let (server, _) = echo(settings).await;
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
    for line in ["\r\n", "\n", "\r\n\r\n"] {
        // Together with the request, and in a packet of its own.
        for together in [true, false] {
            let mut wire = WireClient::connect(server.addr).await;
            let sent = if together { format!("{post}{line}") } else { post.to_owned() };
            assert_eq!(wire.request(sent).await.text(), "/:hi");
            if !together {
                wire.send(line).await;
            }
            assert!(tokio::time::timeout(SHORT * 2, wire.stream.readable()).await.is_err(), "an unasked answer");
            assert_eq!(wire.request(post).await.text(), "/:hi", "{line:?}");
        }
    }
    let mut idle = WireClient::connect(server.addr).await;
    idle.send("\r\n").await;
    assert_eq!(idle.closed().await, "", "an empty line before the first request is no request");
}

#[tokio::test]
async fn an_answer_that_leaves_a_body_unread_says_whether_the_connection_ends() {
    let server = serve(Settings::default(), |_, _| async { Response::new(full_body("no")) }).await;
    let post = |fields: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
    let whole = [
        post("Content-Length: 2") + "hi",
        post("Transfer-Encoding: chunked") + "2\r\nhi\r\n0\r\n\r\n",
        post("Content-Length: 30000") + &"x".repeat(30_000),
    ];
    for request in whole {
        let mut wire = WireClient::connect(server.addr).await;
        let answer = wire.request(&request).await;
        match answer.header("connection") {
            None => assert_eq!(wire.request(&request).await.text(), "no", "a body that has arrived is thrown away"),
            // The rest of the body was on its way.
            close => assert_eq!((close, wire.closed().await), (Some("close"), String::new())),
        }
    }
    let left = [
        post("Content-Length: 2"),
        post("Content-Length: 2\r\nExpect: 100-continue"),
        post("Content-Length: 9999999") + &"x".repeat(200_000),
        post("Transfer-Encoding: chunked") + "2\r\nhi\r\n",
    ];
    for request in left {
        let mut wire = WireClient::connect(server.addr).await;
        let answer = wire.request(&request).await;
        assert_eq!((answer.status, answer.header("connection")), (200, Some("close")), "{:.60}", request);
        assert_eq!(wire.closed().await, "");
    }
}

#[tokio::test]
async fn a_trailer_section_is_dropped_and_ends_the_connection() {
    let server = serve(Settings::default(), |request: Request<Body>, _| async move {
        let body = request.into_body().collect().await.expect("a whole body");
        let trailers = body.trailers().map_or(0, http::HeaderMap::len);
        Response::new(full_body([&*body.to_bytes(), trailers.to_string().as_bytes()].concat()))
    })
    .await;
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: Cookie\r\n\r\n2\r\nhi\r\n0\r\n";
    for section in ["Cookie: a\r\n\r\n", "X: a\r\nX-Forwarded-For: 9.9.9.9\r\n\r\n", "X: a\n\r\n\r\n"] {
        let mut wire = WireClient::connect(server.addr).await;
        let answer = wire.request(format!("{chunked}{section}GET /next HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        assert_eq!((answer.text(), answer.header("connection")), ("hi0", Some("close")), "{section:?}");
        assert_eq!(wire.closed().await, "", "the next request was served");
    }
    let mut wire = WireClient::connect(server.addr).await;
    for _ in 0..2 {
        let answer = wire.request(format!("{chunked}\r\n")).await;
        assert_eq!((answer.text(), answer.header("connection")), ("hi0", None), "no section");
    }
}
