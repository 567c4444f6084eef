//! The socket of a connection: it reports received and sent bytes, and fails if its peer takes no byte for too long.

use super::connection_stage::StageTracker;
use super::http_exchange::ExchangeRecord;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep, timeout};

/// How long a closed connection is still read, so that the peer can read the answer: closing a socket with unread bytes
/// resets the connection, and a reset discards what the peer has not read yet (RFC 9112, section 9.6).
const LINGER: Duration = Duration::from_secs(2);
/// The most bytes that are read from a closed connection.
const LINGER_BYTES: usize = 4 << 20;

/// A TCP stream. A write fails if the peer has taken no byte for `write_timeout`.
///
/// If it is dropped without [`Self::close`] or [`Self::linger`], the connection breaks off.
pub(super) struct Socket {
    stream: TcpStream,
    tracker: Arc<StageTracker>,
    record: Arc<ExchangeRecord>,
    write_timeout: Duration,
    /// The timer of a write that waits for the peer.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Whether the connection was closed in order.
    closed: bool,
}

impl Socket {
    pub(super) fn new(
        stream: TcpStream,
        tracker: Arc<StageTracker>,
        record: Arc<ExchangeRecord>,
        write_timeout: Duration,
    ) -> Self {
        Self { stream, tracker, record, write_timeout, stalled: None, closed: false }
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
            while let Ok(count @ 1..) = self.stream.read(&mut sink).await {
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

    /// The result of a write; or an error, if the write has waited for the peer for longer than `write_timeout`.
    fn bounded<T>(&mut self, context: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.stalled = None;
            self.tracker.sent();
            return result;
        }
        let bound = self.write_timeout;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(bound)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer takes no byte of the answer")))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // For an HTTP/1.0 peer the end of the connection may mean the end of the body. Only a reset shows that the body
        // broke off.
        if !self.closed && self.record.is_unframed() {
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.tracker.received();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.bounded(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.bounded(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
