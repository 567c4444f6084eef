//! The bytes of a connection: as they are, or by TLS.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A TCP stream, with or without TLS.
pub(super) enum ConnectionStream {
    Plain(TcpStream),
    /// Boxed, so that a plain connection does not pay for its size.
    Secure(Box<TlsStream<CountedStream>>),
}

/// What the other end has sent, as far as it is known without reading it.
pub(super) enum PeekedBytes {
    /// Some bytes.
    Some,
    /// It has closed its half.
    End,
}

impl ConnectionStream {
    pub(super) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Secure(stream) => &stream.get_ref().0.stream,
        }
    }

    pub(super) fn tcp_mut(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Secure(stream) => &mut stream.get_mut().0.stream,
        }
    }

    /// The bytes that the kernel has taken since the last call. `written`: what the last write says, which is that
    /// number where there is no TLS. With TLS a write goes into a record, and records wait in the session (64 KiB at
    /// most) until the kernel takes them; they are a little longer than their content.
    pub(super) fn taken(&mut self, written: usize) -> usize {
        match self {
            Self::Plain(_) => written,
            Self::Secure(stream) => std::mem::take(&mut stream.get_mut().0.taken),
        }
    }

    /// Whether bytes wait to be read, without reading them. A close in TLS is a message, so the records have to be
    /// opened to see it; what they hold stays in the session, one record at most.
    pub(super) fn poll_peek(&mut self, context: &mut Context<'_>) -> Poll<io::Result<PeekedBytes>> {
        match self {
            Self::Plain(stream) => {
                let mut byte = [0];
                let count = ready!(stream.poll_peek(context, &mut ReadBuf::new(&mut byte)))?;
                Poll::Ready(Ok(if count == 0 { PeekedBytes::End } else { PeekedBytes::Some }))
            }
            Self::Secure(stream) => Poll::Ready(match ready!(Pin::new(&mut **stream).poll_fill_buf(context)) {
                Ok([]) => Ok(PeekedBytes::End),
                Ok(_) => Ok(PeekedBytes::Some),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(PeekedBytes::End),
                Err(error) => Err(error),
            }),
        }
    }
}

impl AsyncRead for ConnectionStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Secure(stream) => match ready!(Pin::new(&mut **stream).poll_read(cx, buffer)) {
                // A client may end TCP without the message that ends TLS. The length of a request is in the request, so
                // an end that somebody forged cannot make half a request whole (RFC 9112, section 9.8).
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
                outcome => Poll::Ready(outcome),
            },
        }
    }
}

impl AsyncWrite for ConnectionStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Secure(stream) => Pin::new(&mut **stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Secure(stream) => Pin::new(&mut **stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Secure(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Secure(stream) => Pin::new(&mut **stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Secure(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
        }
    }
}

/// The TCP stream below TLS. It counts what the kernel takes: TLS keeps records back, so what it has taken from above
/// does not show how far the peer is.
#[derive(Debug)]
pub(super) struct CountedStream {
    stream: TcpStream,
    taken: usize,
}

impl CountedStream {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, taken: 0 }
    }

    fn count(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(count)) = &written {
            self.taken += count;
        }
        written
    }
}

impl AsyncRead for CountedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for CountedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.count(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.count(written)
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
