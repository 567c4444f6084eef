//! The socket of an HTTP/2 connection, whose frames are counted on their way.

use super::frame_meter::{FrameFlood, FrameMeter};
use super::socket::Socket;
use super::written_frames::WrittenFrames;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// GOAWAY with the error ENHANCE_YOUR_CALM (RFC 9113, sections 6.8 and 7), without the last stream.
const CALM: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x0b];

/// The meter of a connection, shared by its socket and its timer.
#[derive(Clone)]
pub(super) struct SharedMeter(Arc<Mutex<ConnectionMeter>>);

struct ConnectionMeter {
    received: FrameMeter,
    /// Answers by h2 itself that nobody was told of yet.
    refusals: u64,
}

impl SharedMeter {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(ConnectionMeter { received: FrameMeter::new(Instant::now()), refusals: 0 })))
    }

    /// Since when the peer owes the rest of something.
    pub(super) fn open_since(&self) -> Option<Instant> {
        self.lock().received.open_since()
    }

    /// How often h2 itself has answered, with 431, since this was last asked.
    pub(super) fn take_refusals(&self) -> u64 {
        std::mem::take(&mut self.lock().refusals)
    }

    fn lock(&self) -> MutexGuard<'_, ConnectionMeter> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A socket that fails once its peer has sent too many frames of some kind.
pub(super) struct MeteredSocket {
    socket: Socket,
    meter: SharedMeter,
    written: WrittenFrames,
    /// Whether its peer may send as much as it likes.
    unmetered: bool,
}

impl MeteredSocket {
    /// Of a connection with so many `streams` at a time.
    pub(super) fn new(socket: Socket, meter: SharedMeter, streams: u32, unmetered: bool) -> Self {
        Self { socket, meter, written: WrittenFrames::new(streams), unmetered }
    }

    fn wrote(&mut self, bytes: &[u8]) {
        let answers = self.written.wrote(bytes);
        let mut meter = self.meter.lock();
        meter.received.sent(bytes.len(), answers.frames);
        meter.refusals += answers.refusals;
    }

    /// Tells the peer why the connection ends, if that is possible at once.
    fn refuse(&mut self, context: &mut Context<'_>, excess: FrameFlood) -> io::Error {
        if self.written.is_between() {
            let mut frame = CALM;
            frame[9..13].copy_from_slice(&self.meter.lock().received.last_stream().to_be_bytes());
            let _ = Pin::new(&mut self.socket).poll_write(context, &frame);
        }
        // h2 keeps the kind of this error, and not its text.
        tracing::debug!(?excess, "a peer sends too many frames");
        io::Error::new(io::ErrorKind::QuotaExceeded, "the peer sends too many frames")
    }
}

impl AsyncRead for MeteredSocket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(cx, buffer))?;
        let Self { meter, written, .. } = &mut *self;
        let ended = |stream| written.forget(stream);
        let counted = meter.lock().received.received(&buffer.filled()[before..], Instant::now(), ended);
        if let Err(excess) = counted
            && !self.unmetered
        {
            return Poll::Ready(Err(self.refuse(cx, excess)));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for MeteredSocket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.socket).poll_write(cx, bytes))?;
        self.wrote(&bytes[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.socket).poll_write_vectored(cx, slices))?;
        let mut left = written;
        for slice in slices {
            let part = left.min(slice.len());
            self.wrote(&slice[..part]);
            left -= part;
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
