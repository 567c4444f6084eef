#!/usr/bin/env bash
# hyper 1.12.0, HTTP/1 server with `half_close(true)`: while a request is answered, even a client's reset is not seen.
#
# Behaviour: with `half_close(false)`, the default, the server reads the socket while the service works, and drops the
# service's future when the client ends or resets the connection. With `half_close(true)` it reads nothing until the
# answer is written: a client that resets the connection leaves the service working for nobody.
# One would have guessed: the setting concerns a client's orderly end alone (RFC 9112, section 9.6); a reset, after which
# no answer can arrive, still cancels the work.
# Source: run here; `hyper/src/proto/h1/conn.rs` (`mid_message_detect_eof` runs only if half-closing is not allowed).
# Atoll: `host/src/listen` asks the socket itself; `docs/conformance.md`, RFC 9112, section 9.6.
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
http-body-util = "=0.1.5"
hyper = { version = "=1.12.0", features = ["server", "http1"] }
hyper-util = { version = "=0.1.21", features = ["tokio"] }
socket2 = "=0.6.5"
tokio = { version = "=1.54.1", features = ["rt", "macros", "net", "io-util", "sync", "time"] }
TOML
cat >src/main.rs <<'RUST'
use bytes::Bytes;
use http_body_util::Empty;
use hyper::{Request, Response, body::Incoming, service::service_fn};
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::{io::AsyncWriteExt, sync::Notify, time::timeout};

/// Tells when the service's future is dropped.
struct Dropped(Arc<Notify>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// Whether the service's work ends within two seconds of the client's reset.
async fn reset_cancels(half_close: bool) -> bool {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (socket, _) = listener.accept().await.unwrap();
    let (begun, dropped) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (its_begun, its_dropped) = (begun.clone(), dropped.clone());
    let service = service_fn(move |_: Request<Incoming>| {
        let (begun, guard) = (its_begun.clone(), Dropped(its_dropped.clone()));
        async move {
            let _guard = guard;
            begun.notify_one();
            std::future::pending::<()>().await;
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let server = tokio::spawn(async move {
        let io = hyper_util::rt::TokioIo::new(socket);
        let _ = hyper::server::conn::http1::Builder::new().half_close(half_close).serve_connection(io, service).await;
    });
    client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    begun.notified().await;
    // A linger of zero: closing sends a reset.
    socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    let seen = timeout(Duration::from_secs(2), dropped.notified()).await.is_ok();
    server.abort();
    seen
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let (without, with) = (reset_cancels(false).await, reset_cancels(true).await);
    println!("the client's reset ends the service's work: half_close(false): {without}, half_close(true): {with}");
    assert!(without && !with, "the behaviour has changed");
}
RUST
cargo run --quiet
