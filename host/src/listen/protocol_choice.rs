//! Which protocol a new connection speaks, where a client may choose by beginning with the preface of HTTP/2.

use super::connection_stage::StageTimer;
use super::drain::Drain;
use super::frame_meter::PREFACE;
use super::peer::Peer;
use super::settings::Http2Settings;
use super::socket::Socket;
use std::future::poll_fn;

/// What a connection begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opening {
    /// The preface of HTTP/2.
    Http2,
    /// Something else.
    Http1,
    /// Nothing, until it ended, took too long or the drain began; or a part of the preface alone.
    Nothing,
}

/// The protocol of a connection: what its ends have agreed on in TLS (ALPN, RFC 9113, section 3.2), or without TLS what
/// it begins with.
pub(super) async fn choose(
    socket: &mut Socket,
    timer: &mut StageTimer,
    http2: &Http2Settings,
    peer: &Peer,
    drain: &Drain,
) -> Opening {
    match peer.secure.as_deref().map(|secure| secure.protocol.as_deref()) {
        Some(Some("h2")) => Opening::Http2,
        None if http2.prior_knowledge => opening(socket, timer, drain).await,
        Some(_) | None => Opening::Http1,
    }
}

/// Waits until it is known what `socket` begins with. What was read of it is read again by whoever is next.
async fn opening(socket: &mut Socket, timer: &mut StageTimer, drain: &Drain) -> Opening {
    let read = async {
        loop {
            let early = socket.early();
            if !PREFACE.starts_with(&early[..early.len().min(PREFACE.len())]) {
                return Opening::Http1;
            }
            if early.len() >= PREFACE.len() {
                return Opening::Http2;
            }
            if !matches!(socket.read_early().await, Ok(1..)) {
                return Opening::Nothing;
            }
        }
    };
    tokio::select! {
        biased;
        opening = read => opening,
        () = poll_fn(|context| timer.poll_expired(context)) => Opening::Nothing,
        () = drain.started() => Opening::Nothing,
    }
}
