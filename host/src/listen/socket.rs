//! The socket of a connection: it reports received and sent bytes, and fails if its peer takes no byte for too long.

use super::answer_pace::{AnswerPace, SlowReader};
use super::connection_stage::StageTracker;
use super::connection_stream::{ConnectionStream, PeekedBytes};
use super::http_exchange::ExchangeRecord;
use super::least_rate::LeastRate;
use super::settings::Settings;
use super::unsent::unsent;
use bytes::BytesMut;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, Sleep, sleep, timeout};

/// How long a closed connection is still read, so that the peer can read the answer: closing a socket with unread bytes
/// resets the connection, and a reset discards what the peer has not read yet (RFC 9112, section 9.6).
const LINGER: Duration = Duration::from_secs(2);
/// The most bytes that are read from a closed connection.
const LINGER_BYTES: usize = 4 << 20;

/// A connection's stream. A write, a flush or a shutdown fails if the peer takes the bytes that are ready for it
/// too slowly.
///
/// If it is dropped without [`Self::close`] or [`Self::linger`], the connection breaks off.
pub(super) struct Socket {
    stream: ConnectionStream,
    tracker: Arc<StageTracker>,
    record: Arc<ExchangeRecord>,
    pace: AnswerPace,
    half_closed_timeout: Duration,
    peer_half: PeerHalf,
    mode: SocketMode,
    /// What was read to see which protocol the peer speaks.
    early: BytesMut,
    /// Whether the connection was closed in order.
    closed: bool,
}

/// What the bytes on a socket are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SocketMode {
    /// Requests and answers of HTTP/1, one after the other.
    Exchanges,
    /// Streams of HTTP/2: hyper reads all the time, and what arrives says nothing about the stage.
    Streams,
    /// Those of a protocol that is not known here: no least rate applies.
    Tunnel,
}

/// The peer's sending half of the connection, as far as it is known while an exchange runs.
enum PeerHalf {
    /// It is open, and no byte waits to be read.
    Open,
    /// Bytes wait to be read.
    Waiting,
    /// The peer has closed it. The timer ends the exchange of a peer that has probably gone.
    Closed(Pin<Box<Sleep>>),
}

/// Whether a byte belongs to an empty line. Empty lines between requests are ignored (RFC 9112, section 2.2).
pub(super) fn is_line_end(byte: &u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

impl Socket {
    pub(super) fn new(
        stream: ConnectionStream,
        tracker: Arc<StageTracker>,
        record: Arc<ExchangeRecord>,
        settings: &Settings,
    ) -> Self {
        let rate = LeastRate::new(settings.min_download_rate, settings.rate_grace);
        let pace = AnswerPace::new(rate, settings.write_timeout);
        let (half_closed_timeout, peer_half) = (settings.half_closed_timeout, PeerHalf::Open);
        let (mode, early, closed) = (SocketMode::Exchanges, BytesMut::new(), false);
        Self { stream, tracker, record, pace, half_closed_timeout, peer_half, mode, early, closed }
    }

    /// From now on the bytes are those of another protocol.
    pub(super) fn switch(&mut self, mode: SocketMode) {
        self.mode = mode;
    }

    /// What was read by [`Self::read_early`].
    pub(super) fn early(&self) -> &[u8] {
        &self.early
    }

    /// Reads some bytes that will be read again. Returns their number; 0 at the end. Cancel safe.
    pub(super) async fn read_early(&mut self) -> io::Result<usize> {
        self.stream.read_buf(&mut self.early).await
    }

    /// Closes the connection in order.
    pub(super) async fn close(mut self) {
        self.end().await;
    }

    /// Closes the connection in order, and then reads until the peer has closed it too, or the bounds are reached.
    pub(super) async fn linger(mut self) {
        self.end().await;
        let mut sink = vec![0; 16 * 1024];
        let mut left = LINGER_BYTES;
        let discard = async {
            while let Ok(count @ 1..) = self.stream.tcp_mut().read(&mut sink).await {
                left = left.saturating_sub(count);
                if left == 0 {
                    break;
                }
            }
        };
        // After the timeout the connection is dropped: the peer had time enough to read the answer.
        let _ = timeout(LINGER, discard).await;
    }

    async fn end(&mut self) {
        self.closed = true;
        // An error means that the peer has closed the connection already.
        let _ = self.shutdown().await;
    }

    /// The result of a write; or an error, if the peer is too slow.
    fn bounded(&mut self, context: &mut Context<'_>, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if self.mode == SocketMode::Tunnel {
            return result;
        }
        self.record.answer.set_stalled(result.is_pending());
        if result.is_pending() {
            self.tracker.set_write_waits(true);
        }
        let taken = self.stream.taken(if let Poll::Ready(Ok(count)) = &result { *count } else { 0 });
        if taken > 0 {
            self.pace.wrote(taken);
            if self.mode == SocketMode::Exchanges {
                self.tracker.sent();
            }
            if let PeerHalf::Closed(end) = &mut self.peer_half {
                // The peer reads: it has closed one half only.
                end.as_mut().reset(Instant::now() + self.half_closed_timeout);
            }
        }
        if result.is_ready() {
            return result;
        }
        let stream = self.stream.tcp();
        let detail = match ready!(self.pace.poll_slow(context, || unsent(stream))) {
            SlowReader::Silent => "the peer takes no byte of the answer",
            SlowReader::Slow => "the peer takes the answer below `min_download_rate`",
        };
        self.record.note_slow();
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, detail)))
    }

    /// The result of a flush or a shutdown; or an error, if the peer is too slow. Without TLS neither waits for the
    /// peer. With TLS the last records of an answer wait in the session, which has taken their content long before.
    fn flushed(&mut self, context: &mut Context<'_>, result: Poll<io::Result<()>>) -> Poll<io::Result<()>> {
        match self.stream {
            ConnectionStream::Plain(_) => result,
            ConnectionStream::Secure(_) => self.bounded(context, result.map_ok(|()| 0)).map_ok(|_| ()),
        }
    }

    /// Writes the interim answers that wait.
    fn poll_interim(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let heads = self.record.interim.next();
            if heads.is_empty() {
                break;
            }
            let written = Pin::new(&mut self.stream).poll_write(context, &heads);
            let count = ready!(self.bounded(context, written))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.record.interim.wrote(count, context.waker());
        }
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.flushed(context, flushed)
    }

    /// Fails when the peer closed its half too long ago. hyper polls the socket's flush whenever it is polled, and
    /// reads nothing between a request and its answer; so this is where an exchange learns that its peer has gone.
    fn poll_peer(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if matches!(self.peer_half, PeerHalf::Open) {
            match self.stream.poll_peek(context) {
                Poll::Pending => {}
                Poll::Ready(Ok(PeekedBytes::End)) => {
                    self.peer_half = PeerHalf::Closed(Box::pin(sleep(self.half_closed_timeout)));
                }
                Poll::Ready(Ok(PeekedBytes::Some)) => self.peer_half = PeerHalf::Waiting,
                Poll::Ready(Err(error)) => return Err(error),
            }
        }
        if let PeerHalf::Closed(end) = &mut self.peer_half
            && end.as_mut().poll(context).is_ready()
        {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the peer closed its half of the connection"));
        }
        Ok(())
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // For an HTTP/1.0 peer the end of the connection may mean the end of the body. Only a reset shows that the body
        // broke off.
        if !self.closed && self.record.is_unframed() {
            let _ = self.stream.tcp().set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if self.early.is_empty() {
            ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        } else {
            let count = self.early.len().min(buffer.remaining());
            buffer.put_slice(&self.early.split_to(count));
        }
        let received = &buffer.filled()[before..];
        if !received.is_empty() {
            self.peer_half = PeerHalf::Open;
            if self.mode == SocketMode::Exchanges && !received.iter().all(is_line_end) {
                self.tracker.received();
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.record.interim.begun() {
            ready!(self.poll_interim(cx))?;
        }
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.bounded(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.record.interim.begun() {
            ready!(self.poll_interim(cx))?;
        }
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.bounded(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        ready!(self.flushed(cx, flushed))?;
        if self.mode == SocketMode::Tunnel {
            return Poll::Ready(Ok(()));
        }
        if self.mode == SocketMode::Exchanges && self.record.interim.is_expected(cx.waker()) {
            ready!(self.poll_interim(cx))?;
        }
        // hyper flushes the socket once it has written all that it had.
        self.tracker.set_write_waits(false);
        if self.mode == SocketMode::Exchanges && self.tracker.is_serving() {
            self.poll_peer(cx)?;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut_down = Pin::new(&mut self.stream).poll_shutdown(cx);
        ready!(self.flushed(cx, shut_down))?;
        self.closed = true;
        Poll::Ready(Ok(()))
    }
}
