//! A guest's standard output and error, as lines of the host's log.

use super::identity::InstanceIdentity;
use crate::base::log_safe;
use crate::runtime::lock::lock;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

/// The longest line in bytes. A longer line is logged in pieces.
const LINE: usize = 4096;
/// What one instance may log on one stream: far more than a request needs, and far less than fills a disk.
const MOST_LINES: usize = 1000;
const MOST_BYTES: usize = 256 << 10;

/// Standard output or standard error.
#[derive(Clone, Copy)]
pub(super) enum OutputStream {
    Out,
    Err,
}

/// One of an instance's two streams. All handles that the guest opens share one unfinished line.
#[derive(Clone)]
pub(super) struct GuestLog(Arc<Mutex<LogLine>>);

/// The line that a stream has begun, and what it has logged.
struct LogLine {
    stream: OutputStream,
    identity: InstanceIdentity,
    bytes: Vec<u8>,
    /// Lines and bytes that were logged so far.
    lines: usize,
    logged: usize,
    /// Lines that were dropped because they would have exceeded the bound.
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
        let text = log_safe(text.trim_end());
        if self.lines >= MOST_LINES || self.logged + text.len() > MOST_BYTES {
            self.dropped += 1;
        } else if !text.is_empty() {
            self.log(&text);
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
    /// Logs the last line even if it does not end with a newline.
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
        lock(&self.0).write(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
