#!/usr/bin/env bash
# hyper 1.12.0, HTTP/1 client: the content of a GET whose length is not known is neither sent nor refused.
#
# Behaviour: a request with a streamed body goes out with `transfer-encoding: chunked` if its method is POST or DELETE.
# With GET the same body is dropped: no framing field and no byte of content is sent, and the call ends without an error.
# One would have guessed: chunked as for the others (RFC 9110, section 9.3.1, lets a client send content with GET), or an
# error. A proxy that streams bodies through this client loses content in silence.
# With `transfer-encoding: chunked` set by the caller, the content of the GET is sent.
# Source: run here; the client's encoder decides by method in `hyper/src/proto/h1/role.rs` (`set_length`).
# Atoll: `docs/conformance.md`, RFC 9110, section 9.3.1.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "finding"
version = "0.0.0"
edition = "2024"
[dependencies]
bytes = "=1.12.2"
futures-util = "=0.3.34"
http-body-util = "=0.1.5"
hyper = { version = "=1.12.0", features = ["client", "http1"] }
hyper-util = { version = "=0.1.21", features = ["tokio"] }
tokio = { version = "=1.54.1", features = ["rt", "macros", "net", "io-util"] }
TOML
cat >src/main.rs <<'RUST'
use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::{Method, Request, body::Frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What a raw server reads of one request, and whether the client saw an error.
async fn sent(method: Method, chunked: bool) -> (String, bool) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let (mut seen, mut buffer) = (Vec::new(), [0; 1024]);
        // The client's connection ends after its one request: until then everything is its request.
        loop {
            let count = socket.read(&mut buffer).await.unwrap();
            seen.extend_from_slice(&buffer[..count]);
            let text = String::from_utf8_lossy(&seen);
            let whole = text.ends_with("0\r\n\r\n") || (!text.contains("chunked") && text.ends_with("\r\n\r\n"));
            if count == 0 || whole { break }
        }
        socket.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await.unwrap();
        String::from_utf8(seen).unwrap()
    });
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let frames = futures_util::stream::iter([Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from("content")))]);
    let mut request = Request::builder().method(method).uri("/").header("host", "a");
    if chunked { request = request.header("transfer-encoding", "chunked") }
    let answer = sender.send_request(request.body(StreamBody::new(frames).boxed()).unwrap()).await;
    (server.await.unwrap(), answer.is_err())
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut holds = true;
    for (method, chunked, arrives) in
        [(Method::POST, false, true), (Method::DELETE, false, true), (Method::GET, false, false), (Method::GET, true, true)]
    {
        let (text, failed) = sent(method.clone(), chunked).await;
        println!("{method}, chunked set: {chunked}: content sent: {}, error: {failed}", text.contains("content\r\n"));
        holds &= text.contains("content\r\n") == arrives && !failed;
    }
    assert!(holds, "the behaviour has changed");
}
RUST
cargo run --quiet
