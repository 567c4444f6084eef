//! One connection, from its first byte to its end.

use super::address_counts::AddressCounts;
use super::answer_buffer::AnswerMemory;
use super::connection_permits::ConnectionPermit;
use super::connection_stage::{StageTimer, StageTracker};
use super::connection_stream::ConnectionStream;
use super::drain::Drain;
use super::handshake;
use super::http_exchange::{Exchange, ExchangeRecord};
use super::http2_connection::{self, Http2Connection};
use super::peer::Peer;
use super::protocol_choice::{Opening, choose};
use super::proxy_header;
use super::secure_peer::SecurePeer;
use super::server_tls::ServerTls;
use super::settings::Settings;
use super::socket::{Socket, SocketMode, is_line_end};
use super::tunnel::Tunnel;
use super::unparsed_request::{UnparsedRequest, UnparsedRequestObserver};
use crate::base::{Body, RequestId};
use crate::telemetry::{Http2Refusals, ProxyRefusals};
use futures_util::FutureExt;
use http::{Request, Response};
use hyper::server::conn::http1::{self, Parts};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How far the parser's ceiling for header fields is above the configured bound. A request between bound and ceiling
/// reaches the service, which refuses it with a body of its own.
const HEADERS_ABOVE: usize = 28;
/// How far the parser's ceiling for bytes is above the configured bound: room for a target that is too long, so that
/// the service can say so, and for some headers beyond the bound.
const BYTES_ABOVE: usize = 32 * 1024;

/// The smallest buffer for reading and writing a connection; hyper's default of 400 KiB is too much for 10,000
/// connections.
const BUFFER: usize = 64 * 1024;

/// hyper's HTTP/1.1 with the bounds of `settings`.
pub(super) fn protocol(settings: &Settings) -> http1::Builder {
    let ceiling = settings.header_bytes.saturating_add(BYTES_ABOVE);
    let mut builder = http1::Builder::new();
    builder
        .half_close(true) // `Socket` watches the peer: hyper would drop the request of a peer that closes its half.
        .header_read_timeout(None) // `StageTimer` does it: hyper's timeout also covers the pause before a request.
        .max_headers(settings.max_headers.saturating_add(HEADERS_ABOVE))
        .max_header_size(ceiling)
        .max_buf_size(ceiling.max(BUFFER));
    builder
}

/// A connection that was accepted.
pub(super) struct AcceptedConnection {
    pub(super) stream: TcpStream,
    pub(super) addr: SocketAddr,
    /// The TLS of the socket that it came through; `None`: it is plain.
    pub(super) tls: Option<Arc<ServerTls>>,
    /// Its permit among the connections of the listener.
    pub(super) permit: ConnectionPermit,
    /// Counts it if the PROXY protocol refuses it; `None`: there is no such protocol.
    pub(super) refusals: Option<Arc<ProxyRefusals>>,
    /// Counts it if it speaks HTTP/2 and ends by the peer's fault; `None`: there is no HTTP/2.
    pub(super) http2_refusals: Option<Arc<Http2Refusals>>,
    /// The connections of its address, if they are bounded.
    pub(super) addresses: Option<Arc<AddressCounts>>,
}

/// What requests are read from: the stream itself, or what comes by TLS after the handshake. `None`: that failed.
async fn begin(
    stream: TcpStream,
    addr: SocketAddr,
    tls: Option<Arc<ServerTls>>,
    timer: &StageTimer,
    drain: &Drain,
) -> Option<(ConnectionStream, Option<Arc<SecurePeer>>)> {
    let Some(tls) = tls else { return Some((ConnectionStream::Plain(stream), None)) };
    // Boxed: a plain connection does not pay for its size.
    let handshake = Box::pin(handshake::secure(stream, addr, &tls, timer));
    let (stream, secure) = tokio::select! {
        biased;
        secured = handshake => secured?,
        () = drain.started() => return None,
    };
    Some((stream, Some(secure)))
}

/// Serves the requests of one connection until its peer goes away, a bound is exceeded or `drain` ends it. Dropping the
/// future cuts the connection off.
///
/// `unparsed` is told what could not be parsed and was answered all the same.
pub(super) async fn serve<S, F>(
    AcceptedConnection { stream, addr, tls, permit, refusals, http2_refusals, addresses }: AcceptedConnection,
    service: S,
    protocol: http1::Builder,
    settings: Arc<Settings>,
    memory: AnswerMemory,
    drain: Drain,
    unparsed: &UnparsedRequestObserver,
) where
    S: Fn(Request<Body>, Peer) -> F,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let tracker = Arc::clone(&permit.tracker);
    let record = Arc::new(ExchangeRecord::new(&settings, memory.clone()));
    let proxied = from_proxy(stream, addr, (&settings, refusals.as_deref()), &tracker, &drain).await;
    let Some((stream, addr, is_unnamed)) = proxied else { return };
    // Of the client, not of the proxy that has named it.
    let Some(_of_address) = AddressCounts::admit(addresses.as_ref(), addr) else { return };
    let mut timer = StageTimer::new(tracker.clone(), &settings);
    let Some((stream, secure)) = begin(stream, addr, tls, &timer, &drain).await else { return };
    if secure.is_some() {
        timer = StageTimer::new(tracker.clone(), &settings);
    }
    let peer = Peer { addr, is_unnamed, secure, record: Arc::clone(&record) };
    let mut socket = Socket::new(stream, tracker.clone(), record.clone(), &settings);
    if let Some(http2) = &settings.http2 {
        match choose(&mut socket, &mut timer, http2, &peer, &drain).await {
            Opening::Http1 => {}
            Opening::Nothing => return socket.close().await,
            Opening::Http2 => {
                socket.switch(SocketMode::Streams);
                let connection = Http2Connection { socket, peer, memory, timer, drain, refusals: http2_refusals };
                return Box::pin(http2_connection::serve(connection, service, (&settings, http2), unparsed)).await;
            }
        }
    }
    let (own_tracker, own_record, own_peer) = (tracker.clone(), record.clone(), peer.clone());
    // Two boxes, because hyper gives the socket back (`into_parts`) only if service and future are `Unpin`.
    let service = Box::new(service);
    let exchanges = service_fn(move |request| {
        let (exchange, request) = Exchange::begin(&own_tracker, &own_record, request);
        // Not an `async` block: such a block would hold the service's future twice, as a variable and as the future
        // that it awaits, and each request would pay for that memory.
        Box::pin(service(request, own_peer.clone()).then(|answer| exchange.answer(answer)).map(Ok::<_, Infallible>))
    });
    let mut connection = protocol.serve_connection(TokioIo::new(socket), exchanges);

    let (mut waiter, mut drained) = (drain.waiter(), false);
    let outcome = loop {
        tokio::select! {
            biased;
            outcome = poll_fn(|cx| {
                // With the shutdown: `poll_without_shutdown` of hyper 1.12 is ready while bytes of the last answer
                // wait in hyper's buffer, if the peer has closed its half, left a body, or a drain has started.
                let outcome = tracker.busy(|| std::pin::Pin::new(&mut connection).poll(cx));
                record.answer.read_ahead(cx);
                outcome
            }) => break Some(outcome),
            () = poll_fn(|context| timer.poll_expired(context)) => break None,
            () = poll_fn(|context| waiter.poll(context)), if !drained => {
                drained = true;
                std::pin::Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };

    let Parts { io, read_buf: received, .. } = connection.into_parts();
    let socket = io.into_inner();
    if let Some(Ok(())) = outcome
        && let Some(tunnel) = record.take_tunnel()
    {
        return switch(socket, tunnel, &received, &tracker, &drain, peer.addr).await;
    }
    match outcome {
        Some(Ok(())) if record.left_unread() => socket.linger().await,
        Some(Ok(())) => socket.close().await,
        Some(Err(error)) if error.is_parse() => {
            tracing::debug!(peer = %peer.addr, %error, "a request could not be parsed");
            UnparsedRequest::of_parser(peer, &error).into_iter().for_each(unparsed);
            socket.linger().await;
        }
        Some(Err(error)) => tracing::debug!(peer = %peer.addr, %error, "a connection broke off"),
        // An end in order, or an answer, would follow upon half of an answer: the connection breaks off.
        None if tracker.write_waits() => tracing::debug!(peer = %peer.addr, "a connection ended within an answer"),
        // No byte of a request has arrived, except empty lines, which may precede it (RFC 9112, section 2.2): the
        // connection is idle, and needs no answer.
        None if received.iter().all(is_line_end) => socket.close().await,
        None => refuse_slow(socket, peer, unparsed).await,
    }
}

/// The connection, whose it is by the word of a trusted proxy if the settings say so, and whether that proxy names
/// nobody. `None`: it is refused.
async fn from_proxy(
    mut stream: TcpStream,
    peer: SocketAddr,
    (settings, refusals): (&Settings, Option<&ProxyRefusals>),
    tracker: &Arc<StageTracker>,
    drain: &Drain,
) -> Option<(TcpStream, SocketAddr, bool)> {
    let Some(trusted) = &settings.proxy_protocol else { return Some((stream, peer, false)) };
    if !trusted.contains(&peer.ip().to_canonical()) {
        tracing::debug!(%peer, "a connection was refused: its peer is none of `trusted_proxies`");
        refusals.into_iter().for_each(ProxyRefusals::untrusted);
        return None;
    }
    let mut timer = StageTimer::new(Arc::clone(tracker), settings);
    let client = tokio::select! {
        biased;
        client = proxy_header::receive(&mut stream) => client,
        () = poll_fn(|context| timer.poll_expired(context)) => Err(io::ErrorKind::TimedOut.into()),
        () = drain.started() => Err(io::ErrorKind::ConnectionAborted.into()),
    };
    match client {
        Ok(client) => Some((stream, client.unwrap_or(peer), client.is_none())),
        Err(error) => {
            tracing::debug!(%peer, %error, "a connection was refused");
            if error.kind() != io::ErrorKind::ConnectionAborted {
                refusals.into_iter().for_each(ProxyRefusals::without_header);
            }
            None
        }
    }
}

/// How long the end of a tunnel may take to be written.
const CLOSING: Duration = Duration::from_secs(2);

/// Serves what follows an answer that has switched the protocol.
async fn switch(
    mut socket: Socket,
    tunnel: Tunnel,
    received: &[u8],
    tracker: &StageTracker,
    drain: &Drain,
    peer: SocketAddr,
) {
    if tracker.write_waits() {
        // hyper hands the connection over while bytes of the answer wait in its buffer, which is gone now.
        tracing::debug!(%peer, "a connection ended within an answer");
        return;
    }
    // As long as the tunnel lasts, the connection is not idle and makes no room for another.
    let _ = tracker.serve();
    socket.switch(SocketMode::Tunnel);
    match tunnel.run(&mut socket, received, drain).await {
        // With TLS the end is written behind what waits in the session, and a client may take none of it.
        Ok(()) => drop(timeout(CLOSING, socket.close()).await),
        Err(error) => tracing::debug!(%peer, %error, "a tunnel broke off"),
    }
}

/// Answers a header section that took too long. No request was parsed, so the service cannot answer.
async fn refuse_slow(mut socket: Socket, peer: Peer, unparsed: &UnparsedRequestObserver) {
    let id = RequestId::from_random(rand::random());
    tracing::debug!(peer = %peer.addr, request_id = %id, "a header section took too long");
    let body = format!(
        "{{\"type\":\"urn:atoll:problem:slow-headers\",\"title\":\"Request Timeout\",\"status\":408,\
         \"detail\":\"the header section of the request took too long\",\"request_id\":\"{id}\"}}"
    );
    let answer = format!(
        "HTTP/1.1 408 Request Timeout\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\n\
         {}: {id}\r\nconnection: close\r\n\r\n{body}",
        body.len(),
        RequestId::HEADER
    );
    if socket.write_all(answer.as_bytes()).await.is_ok() {
        unparsed(UnparsedRequest { peer, status: 408, kind: "slow-headers", request_id: Some(id) });
        socket.linger().await;
    }
}
