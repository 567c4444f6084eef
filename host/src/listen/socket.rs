//! A connection's socket: it reports what it receives, and fails when its peer takes no byte for too long.

use super::exchange::Memory;
use super::stage::Progress;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep, timeout};

/// How long a closed connection is read on, and how much of it, so that the peer gets to read our answer: closing a socket with unread
/// bytes resets the connection, and a reset discards what the peer has not read yet (RFC 9112, section 9.6).
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 4 << 20;

/// A TCP stream with a bound on how long its peer may take no byte.
///
/// Dropped without [`Self::close`] or [`Self::linger`] it breaks off.
pub(super) struct Socket {
    stream: TcpStream,
    progress: Arc<Progress>,
    memory: Arc<Memory>,
    write_timeout: Duration,
    /// Runs while a write waits for the peer.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Whether the connection has ended in order.
    ended: bool,
}

impl Socket {
    pub(super) fn new(
        stream: TcpStream,
        progress: Arc<Progress>,
        memory: Arc<Memory>,
        write_timeout: Duration,
    ) -> Self {
        Self { stream, progress, memory, write_timeout, stalled: None, ended: false }
    }

    /// Closes in order.
    pub(super) async fn close(mut self) {
        self.end().await;
    }

    /// Closes in order, but reads on until the peer has closed too, or its patience is used up.
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
        // Past the bound the peer has had its chance.
        let _ = timeout(LINGER, discard).await;
    }

    async fn end(&mut self) {
        self.ended = true;
        // An error means that the peer was faster.
        let _ = self.shutdown().await;
    }

    /// Passes on what a write came to, while the time that it waits is within its bound.
    fn bounded<T>(&mut self, context: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.stalled = None;
            self.progress.sent();
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
        // For an HTTP/1.0 peer the end of the connection may be the end of the body: only a reset tells that it is not.
        if !self.ended && self.memory.is_unframed() {
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.progress.received();
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
