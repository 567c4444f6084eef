//! A connection as the HTTP client reads and writes it: plain, or within TLS.
//!
//! hyper's client gives up a connection at the first failed write, and drops the answer that has come meanwhile. So
//! this stream keeps a failed write from hyper until the answer is read. It also notes what hyper would not say: that
//! the server speaks no HTTP.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// Every answer of HTTP/1 begins with this.
const HTTP: &[u8] = b"HTTP/";

pub(super) struct ClientStream {
    transport: TransportStream,
    /// Whether anything was written.
    written: bool,
    /// The failure of a write.
    broken: Option<io::ErrorKind>,
    notes: StreamNotes,
}

/// Whether a read failed with [`NotHttpError`]. It is known beside hyper: a connection that fails before it gets its
/// request takes its own error with it.
#[derive(Clone, Default)]
pub(super) struct StreamNotes(Arc<AtomicBool>);

/// The server speaks first, and no HTTP: a mail or SSH server, say.
#[derive(Debug, thiserror::Error)]
#[error("the server speaks no HTTP: it sent something else before it got a request")]
pub(super) struct NotHttpError;

impl StreamNotes {
    pub(super) fn is_not_http(&self) -> bool {
        self.0.load(Relaxed)
    }
}

impl ClientStream {
    pub(super) fn plain(stream: TcpStream) -> Self {
        Self::new(TransportStream::Plain(stream))
    }

    pub(super) fn tls(stream: TlsStream<TcpStream>) -> Self {
        Self::new(TransportStream::Tls(Box::new(stream)))
    }

    fn new(transport: TransportStream) -> Self {
        Self { transport, written: false, broken: None, notes: StreamNotes::default() }
    }

    pub(super) fn notes(&self) -> StreamNotes {
        self.notes.clone()
    }

    /// Runs one step of writing. A failure because the server closed the connection is kept from hyper: a server may
    /// answer and close before it has read the whole request (RFC 9112, section 9.5), and then its answer still waits
    /// to be read. The reading side reports the failure once there is nothing left to read.
    ///
    /// The step is pending for ever then. No wake is lost: the close has ended the reading side too, and that wakes
    /// hyper.
    fn write<T>(
        &mut self,
        cx: &mut Context<'_>,
        step: impl FnOnce(Pin<&mut TransportStream>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if self.broken.is_some() {
            return Poll::Pending;
        }
        match step(Pin::new(&mut self.transport), cx) {
            Poll::Ready(Err(error)) if is_close(error.kind()) => {
                self.broken = Some(error.kind());
                Poll::Pending
            }
            polled => polled,
        }
    }
}

fn is_close(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted)
}

impl AsyncRead for ClientStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.transport).poll_read(cx, buffer);
        let Poll::Ready(Ok(())) = polled else { return polled };
        let read = &buffer.filled()[before..];
        if !this.written && !HTTP.starts_with(&read[..read.len().min(HTTP.len())]) {
            this.notes.0.store(true, Relaxed);
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, NotHttpError)));
        }
        match this.broken {
            // After a failed write the end of the stream is no end of an answer: the connection broke.
            Some(kind) if read.is_empty() && buffer.remaining() > 0 => Poll::Ready(Err(kind.into())),
            _ => polled,
        }
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.written = true;
        self.write(cx, |transport, cx| transport.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.written = true;
        self.write(cx, |transport, cx| transport.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write(cx, |transport, cx| transport.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.broken {
            Some(kind) => Poll::Ready(Err(kind.into())),
            None => Pin::new(&mut self.transport).poll_shutdown(cx),
        }
    }
}

enum TransportStream {
    Plain(TcpStream),
    /// Boxed: its buffers make it ten times the size of a plain stream.
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for TransportStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for TransportStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
