#!/usr/bin/env bash
# hyper 1.12.0, HTTP/1 client: an answer that can be read is lost if the rest of the request cannot be written.
#
# Behaviour: a server answers 413 in the middle of an upload and stops reading. The client's next write fails. The call
# ends with an error of the write, although the whole answer waits in the socket's receive buffer.
# One would have guessed: the client stops sending and reads the answer, which RFC 9112, section 9.5, tells a client to
# watch for. A proxy on this client turns a service's 413 into a 502, and takes the service for broken.
# Source: run here on an in-memory socket whose writes fail once the answer can be read.
# Atoll: `host/src/mesh/dial` reads the answer first; `docs/conformance.md`, RFC 9112, section 9.5.
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
hyper = { version = "=1.12.0", features = ["client", "http1"] }
tokio = { version = "=1.54.1", features = ["rt", "macros"] }
TOML
cat >src/main.rs <<'RUST'
use bytes::Bytes;
use http_body_util::Full;
use hyper::rt::{Read, ReadBufCursor, Write};
use std::{io, pin::Pin, task::{Context, Poll, Waker}};

const ANSWER: &[u8] = b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// A socket to a server that takes `room` bytes, answers, and closes: from then on writes fail.
#[derive(Default)]
struct Socket { room: usize, read: usize, reader: Option<Waker> }

impl Write for Socket {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.room == 0 { return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())) }
        let taken = bytes.len().min(self.room);
        self.room -= taken;
        if let (0, Some(reader)) = (self.room, self.reader.take()) { reader.wake() }
        Poll::Ready(Ok(taken))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> { Poll::Ready(Ok(())) }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> { Poll::Ready(Ok(())) }
}

impl Read for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, mut into: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        if self.room > 0 {
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let rest = &ANSWER[self.read..];
        let count = rest.len().min(into.remaining());
        into.put_slice(&rest[..count]);
        self.read += count;
        Poll::Ready(Ok(()))
    }
}

/// The status that the client sees for an upload of 1 MiB, of which the server takes `room` bytes.
async fn status(room: usize) -> Result<u16, hyper::Error> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(Socket { room, ..Socket::default() }).await.unwrap();
    tokio::spawn(connection);
    let body = Full::new(Bytes::from(vec![b'x'; 1 << 20]));
    let request = hyper::Request::post("/").header("host", "a").body(body).unwrap();
    sender.send_request(request).await.map(|answer| answer.status().as_u16())
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let part = status(1 << 16).await;
    println!("the server takes 64 KiB of 1 MiB and answers 413; the client sees: {part:?}");
    assert!(part.is_err(), "the behaviour has changed");
}
RUST
cargo run --quiet
