//! A guest's standard output and error, as lines of the host's log.

use super::context::InstanceIdentity;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

/// Longest line in bytes; what is longer is logged in pieces.
const LINE: usize = 4096;
/// What one instance may log on one stream: far more than a request has to say, far less than fills a disk.
const MOST_LINES: usize = 1000;
const MOST_BYTES: usize = 256 << 10;

#[derive(Clone, Copy)]
pub(super) enum OutputStream {
    Out,
    Err,
}

/// One of an instance's two streams. All handles that the guest opens share one unfinished line.
#[derive(Clone)]
pub(super) struct GuestLog(Arc<Mutex<LogLine>>);

struct LogLine {
    stream: OutputStream,
    identity: InstanceIdentity,
    bytes: Vec<u8>,
    /// What was logged so far, and the lines that were dropped because that was too much.
    lines: usize,
    logged: usize,
    dropped: usize,
}

impl GuestLog {
    pub(super) fn new(stream: OutputStream, identity: InstanceIdentity) -> Self {
        Self(Arc::new(Mutex::new(LogLine { stream, identity, bytes: Vec::new(), lines: 0, logged: 0, dropped: 0 })))
    }
}

impl LogLine {
    fn write(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            for part in piece.chunks(LINE) {
                if self.bytes.len() + part.len() > LINE {
                    self.flush();
                }
                self.bytes.extend_from_slice(part);
            }
            if self.bytes.ends_with(b"\n") {
                self.flush();
            }
        }
    }

    fn flush(&mut self) {
        let text = String::from_utf8_lossy(&self.bytes);
        let text = text.trim_end();
        if self.lines >= MOST_LINES || self.logged + text.len() > MOST_BYTES {
            self.dropped += 1;
        } else if !text.is_empty() {
            self.log(text);
            self.lines += 1;
            self.logged += text.len();
        }
        self.bytes.clear();
    }

    fn log(&self, text: &str) {
        let InstanceIdentity { grants, revision, instance, request } = &self.identity;
        let (service, revision) = (&grants.service, revision.short());
        match self.stream {
            OutputStream::Out => {
                tracing::info!(target: "guest", %service, revision, instance, request_id = %request, "{text}");
            }
            OutputStream::Err => {
                tracing::warn!(target: "guest", %service, revision, instance, request_id = %request, "{text}");
            }
        }
    }
}

impl Drop for LogLine {
    /// A last line without its newline is a line too.
    fn drop(&mut self) {
        self.flush();
        if self.dropped > 0 {
            self.log(&format!("{} more lines of this instance were dropped", self.dropped));
        }
    }
}

impl IsTerminal for GuestLog {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestLog {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for GuestLog {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        // A poisoned lock means a panic while a line was logged; the line itself is still a line.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
