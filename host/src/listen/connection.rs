//! One connection, from its first byte to its end.

use super::exchange::{Exchange, Memory};
use super::socket::Socket;
use super::stage::{Patience, Progress};
use super::{Drain, Peer, Settings};
use crate::base::{Body, RequestId};
use futures_util::FutureExt;
use http::{Request, Response};
use hyper::server::conn::http1::{self, Parts};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// How far the parser's ceilings lie above the configured bounds: a request between the two reaches the service, which refuses it with a
/// body of its own. The bytes have room for the longest request line that is common, 8 KiB, and for some headers too many.
const HEADERS_ABOVE: usize = 28;
const BYTES_ABOVE: usize = 16 * 1024;

/// The least buffer for reading and writing a connection; hyper's default of 400 KiB is too much for 10,000 connections.
const BUFFER: usize = 64 * 1024;

/// The protocol, set up within the bounds of `settings`.
pub(super) fn protocol(settings: &Settings) -> http1::Builder {
    let ceiling = settings.header_bytes.saturating_add(BYTES_ABOVE);
    let mut builder = http1::Builder::new();
    builder
        .header_read_timeout(None) // `Patience` does it, because this one counts the pause before a request too.
        .max_headers(settings.max_headers.saturating_add(HEADERS_ABOVE))
        .max_header_size(ceiling)
        .max_buf_size(ceiling.max(BUFFER));
    builder
}

/// Serves the requests of one connection until its peer leaves, a bound is passed or `drain` has ended it. Cancelling it cuts it off.
pub(super) async fn serve<S, F>(
    stream: TcpStream,
    peer: Peer,
    service: S,
    protocol: http1::Builder,
    settings: Arc<Settings>,
    drain: Drain,
) where
    S: Fn(Request<Body>, Peer) -> F,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let progress = Arc::new(Progress::new());
    let memory = Arc::new(Memory::default());
    let mut patience = Patience::new(progress.clone(), &settings);
    let socket = Socket::new(stream, progress.clone(), memory.clone(), settings.write_timeout);
    let recorder = memory.clone();
    let stage = progress.clone();
    // hyper gives a socket back only when all that it holds can be moved: hence the two boxes.
    let service = Box::new(service);
    let exchanges = service_fn(move |request| {
        let (exchange, request) = Exchange::begin(&progress, &recorder, request);
        // Not an `async` block, which would have room for the service's future twice: as it came, and as it is waited for.
        let answer = service(request, peer).map(|answer| Ok::<_, Infallible>(answer.map(|body| exchange.answer(body))));
        Box::pin(answer)
    });
    let mut connection = protocol.serve_connection(TokioIo::new(socket), exchanges);

    let (mut waiter, mut drained) = (drain.waiter(), false);
    let outcome = loop {
        tokio::select! {
            biased;
            outcome = poll_fn(|context| stage.busy(|| connection.poll_without_shutdown(context))) => break Some(outcome),
            () = poll_fn(|context| patience.poll_exhausted(context)) => break None,
            () = poll_fn(|context| waiter.poll(context)), if !drained => {
                drained = true;
                std::pin::Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };

    let Parts { io, read_buf: unparsed, .. } = connection.into_parts();
    let socket = io.into_inner();
    match outcome {
        Some(Ok(())) if memory.left_unread() => socket.linger().await,
        Some(Ok(())) => socket.close().await,
        Some(Err(error)) if error.is_parse() => {
            tracing::debug!(peer = %peer.addr, %error, "a request could not be parsed");
            socket.linger().await;
        }
        Some(Err(error)) => tracing::debug!(peer = %peer.addr, %error, "a connection broke off"),
        // Nothing of a request has come: the peer rests, and needs no answer.
        None if unparsed.is_empty() => socket.close().await,
        None => refuse_slow(socket, peer).await,
    }
}

/// Answers a header section that took too long. The service never saw the request, so the answer is written here.
async fn refuse_slow(mut socket: Socket, peer: Peer) {
    let id = RequestId::from_random(rand::random());
    tracing::debug!(peer = %peer.addr, request_id = %id, "a header section took too long");
    let body = format!(
        r#"{{"type":"urn:atoll:problem:slow-headers","title":"Request Timeout","status":408,"detail":"the header section of the request took too long","request_id":"{id}"}}"#
    );
    let answer = format!(
        "HTTP/1.1 408 Request Timeout\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\n{}: {id}\r\n\
         connection: close\r\n\r\n{body}",
        body.len(),
        RequestId::HEADER
    );
    if socket.write_all(answer.as_bytes()).await.is_ok() {
        socket.linger().await;
    }
}
