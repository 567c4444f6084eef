//! A connection after its protocol was switched to WebSocket: bytes go both ways until an end closes.
//!
//! Nothing is parsed but the lengths of the service's frames, so that a drain can put its own `Close` between two of
//! them. Bytes that one end does not take stay with the other: a tunnel holds at most [`PIECE`] bytes in each
//! direction, and none while it is quiet.

use super::drain::Drain;
use super::frame_boundary::FrameBoundary;
use crate::base::Body;
use bytes::{Buf, BytesMut};
use http::Response;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::any::Any;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

/// The most bytes that are read at a time.
const PIECE: usize = 16 * 1024;
/// How long the second half of a tunnel may last once the first has ended, and how long a client may take to answer a
/// `Close`. RFC 6455, section 7.1.1, leaves the time open.
const CLOSING: Duration = Duration::from_secs(5);
/// `Close` with the code 1001, "going away" (RFC 6455, sections 5.5.1 and 7.4.1), as a server sends it: unmasked.
const GOING_AWAY: [u8; 4] = [0x88, 0x02, 0x03, 0xe9];

/// An extension of an answer with status 101: what its connection becomes once the head is sent.
#[derive(Clone)]
pub struct Tunnel(Arc<Mutex<Option<TunnelParts>>>);

struct TunnelParts {
    upstream: OnUpgrade,
    idle: Duration,
    held: Box<dyn Any + Send>,
}

impl Tunnel {
    /// A tunnel to the service's connection `upstream`, which ends when no byte has moved for `idle`, or when one end
    /// has not taken what waits for it for as long. `held` is dropped at its end.
    pub fn new(upstream: OnUpgrade, idle: Duration, held: impl Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Some(TunnelParts { upstream, idle, held: Box::new(held) }))))
    }

    /// Takes the tunnel out of `answer`, if it has one.
    pub(super) fn of(answer: &mut Response<Body>) -> Option<Self> {
        answer.extensions_mut().remove()
    }

    /// Copies bytes between `client` and the service. `received` are those that the client has sent already. From the
    /// start of `drain` on the client is told at the next end of a frame that the host goes away.
    pub(super) async fn run<C>(self, client: &mut C, received: &[u8], drain: &Drain) -> io::Result<()>
    where
        C: AsyncRead + AsyncWrite + Unpin,
    {
        let parts = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(TunnelParts { upstream, idle, held }) = parts else { return Ok(()) };
        let upstream = timeout(CLOSING, upstream).await.map_err(io::Error::from)?.map_err(io::Error::other)?;
        let mut waiter = drain.waiter();
        let mut ends = TunnelEnds {
            client: TunnelEnd::new(client, &[]),
            service: TunnelEnd::new(TokioIo::new(upstream), received),
            frames: FrameBoundary::default(),
            closing: None,
            drained: false,
            last: None,
            moved: Instant::now(),
            idle,
            timer: Box::pin(sleep_until(Instant::now() + idle)),
        };
        let outcome = poll_fn(|context| {
            ends.drained = ends.drained || waiter.poll(context).is_ready();
            ends.poll(context)
        });
        let outcome = outcome.await;
        drop(held);
        outcome
    }
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tunnel")
    }
}

/// One end of a tunnel.
struct TunnelEnd<S> {
    stream: S,
    /// What it has not taken yet.
    waiting: BytesMut,
    /// Since when bytes wait for it.
    waits_since: Option<Instant>,
    /// Whether it has sent its last byte.
    ended: bool,
    /// Whether it was told that nothing follows.
    told: bool,
}

/// A running tunnel.
struct TunnelEnds<C, S> {
    client: TunnelEnd<C>,
    service: TunnelEnd<S>,
    /// Where the frames of the service end.
    frames: FrameBoundary,
    /// When the tunnel ends at the latest, once an end has closed or the client was told to.
    closing: Option<Instant>,
    drained: bool,
    /// When it ends if the service does not end its frame after the drain began, so that no `Close` can be put in.
    last: Option<Instant>,
    /// When a byte last moved.
    moved: Instant,
    idle: Duration,
    timer: Pin<Box<Sleep>>,
}

impl<C: AsyncRead + AsyncWrite + Unpin, S: AsyncRead + AsyncWrite + Unpin> TunnelEnds<C, S> {
    /// Ready when the tunnel has ended.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut moved = false;
        let to_service = copy(&mut self.client, &mut self.service, context, |_| moved = true)?;
        // Once the client was told to close, no frame may follow (RFC 6455, section 5.5.1).
        let told_to_close = self.closing.is_some() && self.drained;
        if told_to_close {
            discard(&mut self.service, context)?;
        }
        let frames = &mut self.frames;
        let to_client = if told_to_close && !self.service.ended {
            flush(&mut self.client, context)?
        } else {
            copy(&mut self.service, &mut self.client, context, |piece| {
                frames.pass(piece);
                moved = true;
            })?
        };
        if to_service.is_ready() && to_client.is_ready() {
            return Poll::Ready(Ok(()));
        }
        let now = Instant::now();
        if moved {
            self.moved = now;
        }
        if self.closing.is_none() && (self.client.ended || self.service.ended) {
            self.closing = Some(now + CLOSING);
        }
        if self.drained && self.last.is_none() {
            self.last = Some(now + CLOSING);
        }
        if self.drained && self.closing.is_none() && self.frames.is_between() {
            self.closing = Some(now + CLOSING);
            if !self.frames.is_closed() {
                self.client.waiting.extend_from_slice(&GOING_AWAY);
                let _ = flush(&mut self.client, context)?;
            }
            // Once more: from now on the service's bytes are read and dropped, and that read must wake this task.
            context.waker().wake_by_ref();
        }
        self.poll_timer(context, now)
    }

    /// Ready when the tunnel has been quiet, or has been closing, for too long.
    fn poll_timer(&mut self, context: &mut Context<'_>, now: Instant) -> Poll<io::Result<()>> {
        let waits = [self.client.waits_since, self.service.waits_since].into_iter().flatten();
        let quiet = waits.fold(self.moved, Instant::min) + self.idle;
        let closing = self.closing.or(self.last);
        let end = closing.map_or(quiet, |closing| closing.min(quiet));
        if self.timer.deadline() != end {
            self.timer.as_mut().reset(end);
        }
        ready!(self.timer.as_mut().poll(context));
        match closing {
            Some(closing) if closing <= now.max(end) => Poll::Ready(Ok(())),
            _ => Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "no byte moved for `websocket_idle`"))),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TunnelEnd<S> {
    fn new(stream: S, waiting: &[u8]) -> Self {
        Self { stream, waiting: BytesMut::from(waiting), waits_since: None, ended: false, told: false }
    }
}

/// Copies what `from` sends to `to`, as far as that takes it. Ready when `from` has sent its last byte and `to` knows.
fn copy<A: AsyncRead + AsyncWrite + Unpin, B: AsyncRead + AsyncWrite + Unpin>(
    from: &mut TunnelEnd<A>,
    to: &mut TunnelEnd<B>,
    context: &mut Context<'_>,
    mut passed: impl FnMut(&[u8]),
) -> io::Result<Poll<()>> {
    loop {
        if flush(to, context)?.is_pending() {
            return Ok(Poll::Pending);
        }
        if from.ended {
            if !to.told {
                match Pin::new(&mut to.stream).poll_shutdown(context)? {
                    Poll::Ready(()) => to.told = true,
                    Poll::Pending => return Ok(Poll::Pending),
                }
            }
            return Ok(Poll::Ready(()));
        }
        let mut space = [MaybeUninit::uninit(); PIECE];
        let mut piece = ReadBuf::uninit(&mut space);
        if Pin::new(&mut from.stream).poll_read(context, &mut piece)?.is_pending() {
            return Ok(Poll::Pending);
        }
        let piece = piece.filled();
        from.ended = piece.is_empty();
        passed(piece);
        to.waiting.extend_from_slice(piece);
    }
}

/// Writes what waits for `to`. Ready when it has taken all of it.
fn flush<S: AsyncRead + AsyncWrite + Unpin>(to: &mut TunnelEnd<S>, context: &mut Context<'_>) -> io::Result<Poll<()>> {
    while !to.waiting.is_empty() {
        match Pin::new(&mut to.stream).poll_write(context, &to.waiting)? {
            Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
            Poll::Ready(count) => {
                to.waiting.advance(count);
                to.waits_since = None;
            }
            Poll::Pending => {
                to.waits_since.get_or_insert_with(Instant::now);
                return Ok(Poll::Pending);
            }
        }
    }
    if to.waiting.capacity() > 0 {
        // A quiet tunnel keeps no buffer.
        to.waiting = BytesMut::new();
    }
    match Pin::new(&mut to.stream).poll_flush(context) {
        Poll::Ready(flushed) => flushed.map(Poll::Ready),
        Poll::Pending => Ok(Poll::Pending),
    }
}

/// Reads what `from` sends, and drops it.
fn discard<S: AsyncRead + AsyncWrite + Unpin>(from: &mut TunnelEnd<S>, context: &mut Context<'_>) -> io::Result<()> {
    while !from.ended {
        let mut space = [MaybeUninit::uninit(); PIECE];
        let mut piece = ReadBuf::uninit(&mut space);
        if Pin::new(&mut from.stream).poll_read(context, &mut piece)?.is_pending() {
            break;
        }
        from.ended = piece.filled().is_empty();
    }
    Ok(())
}
