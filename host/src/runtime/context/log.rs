//! What a guest prints and logs, as lines of the host's log.

use super::guest_level::named_level;
use super::identity::InstanceIdentity;
use super::line_fields::LineFields;
use crate::base::{Digest, log_safe, mask_secrets};
use crate::runtime::lock::lock;
use crate::telemetry::ERROR_OUTPUT;
use bytes::Bytes;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio::io::AsyncWrite;
use tracing::Level;
use tracing::field::display;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{self, StreamError, StreamResult};

/// The longest line in bytes. A longer line is logged in pieces.
const LINE: usize = 4096;
/// The longest topic of a line, in bytes.
const TOPIC: usize = 128;
/// What one instance may log on one stream: far more than a request needs, and far less than fills a disk.
const MOST_LINES: usize = 1000;
const MOST_BYTES: usize = 256 << 10;
/// How many lines are written before the other tasks of the thread have their turn: a line takes a microsecond or more.
///
/// A guest of WASI 0.3 waits for its turns within its write. If it ends before it has waited for that, the rest goes
/// with its stream. What a guest of WASI 0.2 writes is in the log when the write returns, whole, since it may end
/// without a flush: it waits for its turn before the next write.
const LINES_IN_TURN: usize = 16;
/// The most bytes of one write of a guest of WASI 0.2: what its `blocking-write-and-flush` takes at once.
const WRITE: usize = 4096;
/// That one is written in parts of so many bytes with turns between: otherwise the many short lines of one print would
/// be one turn of milliseconds.
const PART: usize = 256;

/// Standard output, standard error, or `wasi:logging`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum OutputStream {
    Out,
    Err,
    Logging,
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
    /// Lines of the present turn.
    in_turn: usize,
    /// The end of what the present call has printed, for the report of a failure. Empty for standard output.
    tail: Vec<u8>,
}

impl GuestLog {
    pub(super) fn new(stream: OutputStream, identity: InstanceIdentity) -> Self {
        let (bytes, tail) = (Vec::new(), Vec::new());
        let (lines, logged, dropped, in_turn) = (0, 0, 0, 0);
        Self(Arc::new(Mutex::new(LogLine { stream, identity, bytes, lines, logged, dropped, in_turn, tail })))
    }

    /// The guest logs `message`, which may have several lines, at this level.
    pub(super) fn say(&self, level: Level, fields: &LineFields<'_>, message: &str) {
        let mut log = lock(&self.0);
        let topic = fields.topic;
        let topic = log_safe(topic.get(..topic.floor_char_boundary(TOPIC)).unwrap_or_default());
        let fields = LineFields { topic: &topic, ..*fields };
        for line in message.lines() {
            log.remember(line.as_bytes());
            log.remember(b"\n");
            let mut rest = line;
            while !rest.is_empty() {
                let (part, further) = rest.split_at(rest.floor_char_boundary(LINE));
                log.put(part, Some(level), &fields);
                rest = further;
            }
        }
    }

    /// The end of what was printed since the last [`GuestLog::forget`], at most 4 KiB.
    pub(super) fn last_output(&self) -> String {
        let log = lock(&self.0);
        String::from_utf8_lossy(&log.tail[log.tail.len().saturating_sub(ERROR_OUTPUT)..]).into_owned()
    }

    /// Forgets what was printed: another call begins.
    pub(super) fn forget(&self) {
        lock(&self.0).tail.clear();
    }
}

impl LogLine {
    /// Keeps the end of what is printed.
    fn remember(&mut self, bytes: &[u8]) {
        if self.stream == OutputStream::Out {
            return;
        }
        self.tail.extend_from_slice(&bytes[bytes.len().saturating_sub(ERROR_OUTPUT)..]);
        // Twice as much, so that not every write moves the bytes.
        if self.tail.len() > 2 * ERROR_OUTPUT {
            self.tail.drain(..self.tail.len() - ERROR_OUTPUT);
        }
    }

    /// Writes what one turn may write of `bytes`, and returns how many bytes that are: 0 at the end of a turn.
    fn write_in_turn(&mut self, bytes: &[u8]) -> usize {
        let left = LINES_IN_TURN.saturating_sub(self.in_turn);
        let part = bytes.split_inclusive(|byte| *byte == b'\n').take(left);
        let (lines, length) = part.fold((0, 0), |(lines, length), line| (lines + 1, length + line.len()));
        self.write(&bytes[..length]);
        self.in_turn = if length == 0 { 0 } else { self.in_turn + lines };
        length
    }

    /// Writes all of `bytes`, and counts its lines to the present turn.
    fn write_whole(&mut self, bytes: &[u8]) {
        self.in_turn += bytes.split(|byte| *byte == b'\n').count() - 1;
        self.write(bytes);
    }

    fn is_turn_over(&self) -> bool {
        self.in_turn >= LINES_IN_TURN
    }

    fn write(&mut self, bytes: &[u8]) {
        self.remember(bytes);
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
        let bytes = std::mem::take(&mut self.bytes);
        let text = String::from_utf8_lossy(&bytes);
        self.put(text.trim_end(), None, &LineFields::default());
        self.bytes = bytes;
        self.bytes.clear();
    }

    /// Logs a line, at `level` or else at the level that it names, if the instance may log one more.
    fn put(&mut self, text: &str, level: Option<Level>, fields: &LineFields<'_>) {
        if self.identity.tape.is_played() {
            return;
        }
        if self.lines >= MOST_LINES || self.logged + text.len() + fields.attributes.len() > MOST_BYTES {
            self.dropped += 1;
        } else if !text.is_empty() {
            let by_stream = if self.stream == OutputStream::Err { Level::WARN } else { Level::INFO };
            let level = level.or_else(|| named_level(text)).unwrap_or(by_stream);
            self.log(level, MaskedLine(text), fields);
            self.lines += 1;
            self.logged += text.len() + fields.attributes.len();
        }
    }

    fn log(&self, level: Level, text: impl fmt::Display, fields: &LineFields<'_>) {
        // The level of a line of `tracing` is a constant of its place in the code.
        macro_rules! line {
            ($level:expr) => {{
                let InstanceIdentity { grants, revision, instance, request, .. } = &self.identity;
                let (service, revision) = (&grants.service, ShortDigest(revision));
                let said = |text: &'_ str| (!text.is_empty()).then(|| text.to_owned());
                let (topic, attributes) = (said(fields.topic), said(fields.attributes));
                let (trace_id, span_id) = (fields.trace.map(display), fields.span.map(display));
                tracing::event!(
                    target: "guest", $level, %service, %revision, instance, request_id = %request, topic, attributes,
                    trace_id, span_id, "{text}"
                );
            }};
        }
        match level {
            Level::TRACE => line!(Level::TRACE),
            Level::DEBUG => line!(Level::DEBUG),
            Level::INFO => line!(Level::INFO),
            Level::WARN => line!(Level::WARN),
            Level::ERROR => line!(Level::ERROR),
        }
    }
}

/// What a guest has printed, without secrets and control characters. Made when the line is written: most lines of a
/// guest that prints without end are left out.
struct MaskedLine<'a>(&'a str);

impl fmt::Display for MaskedLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&mask_secrets(&log_safe(self.0)))
    }
}

/// The revision in short, made when the line is written.
struct ShortDigest<'a>(&'a Digest);

impl fmt::Display for ShortDigest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.short())
    }
}

impl Drop for LogLine {
    /// Logs the last line even if it does not end with a newline.
    fn drop(&mut self) {
        self.flush();
        if self.dropped > 0 {
            self.log(
                Level::WARN,
                format_args!("{} more lines of this instance were dropped", self.dropped),
                &LineFields::default(),
            );
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

    fn p2_stream(&self) -> Box<dyn p2::OutputStream> {
        Box::new(GuestLogStream(self.clone()))
    }
}

/// A stream as WASI 0.2 has it. Wasmtime's own would hand what the guest writes to a task, which ends with the guest.
struct GuestLogStream(GuestLog);

#[wasmtime_wasi::async_trait]
impl p2::OutputStream for GuestLogStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if bytes.len() > WRITE {
            return Err(StreamError::trap("the write is larger than `check-write` permits"));
        }
        lock(&self.0.0).write_whole(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(if lock(&self.0.0).is_turn_over() { 0 } else { WRITE })
    }

    async fn blocking_write_and_flush(&mut self, mut bytes: Bytes) -> StreamResult<()> {
        while !bytes.is_empty() {
            p2::Pollable::ready(self).await;
            self.write(bytes.split_to(bytes.len().min(PART)))?;
        }
        p2::Pollable::ready(self).await;
        Ok(())
    }
}

#[wasmtime_wasi::async_trait]
impl p2::Pollable for GuestLogStream {
    async fn ready(&mut self) {
        poll_fn(|context| {
            let mut log = lock(&self.0.0);
            if !log.is_turn_over() {
                return Poll::Ready(());
            }
            log.in_turn = 0;
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

impl AsyncWrite for GuestLog {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = lock(&self.0).write_in_turn(bytes);
        if written == 0 && !bytes.is_empty() {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::identity::CurrentRequest;
    use super::*;
    use crate::base::{RequestId, ServiceName};
    use crate::egress::Allow;
    use crate::runtime::grants::Grants;
    use crate::runtime::tape::call_tape::CallTape;
    use std::collections::BTreeMap;
    use std::task::Waker;
    use wasmtime_wasi::p2::Pollable as _;

    fn standard_error() -> GuestLog {
        let grants = Grants::new(ServiceName::new("shop").unwrap(), None, vec![], Allow::new(vec![]), &BTreeMap::new());
        let request = CurrentRequest::new(RequestId::from_random(7));
        let identity = InstanceIdentity {
            grants: Arc::new(grants),
            revision: Digest([0; 32]),
            instance: 1,
            request,
            tape: CallTape::default(),
        };
        GuestLog::new(OutputStream::Err, identity)
    }

    /// So many lines.
    fn lines(count: usize) -> String {
        (0..count).map(|number| format!("line {number}\n")).collect()
    }

    #[test]
    fn a_guest_that_prints_much_lets_others_have_their_turns_and_loses_nothing() {
        let (mut log, text) = (standard_error(), lines(100));
        let (mut rest, mut turns) = (text.as_bytes(), 1);
        let mut context = Context::from_waker(Waker::noop());
        while !rest.is_empty() {
            match Pin::new(&mut log).poll_write(&mut context, rest) {
                Poll::Ready(written) => rest = &rest[written.unwrap()..],
                Poll::Pending => turns += 1,
            }
        }
        assert_eq!((lock(&log.0).lines, turns), (100, 7));
        assert_eq!(log.last_output(), text);
        assert!(Pin::new(&mut log).poll_write(&mut context, b"").is_ready());
    }

    #[test]
    fn what_a_guest_of_wasi_0_2_writes_is_logged_without_a_flush_and_in_turns() {
        let (log, text) = (standard_error(), lines(100));
        let mut stream = log.p2_stream();
        let mut context = Context::from_waker(Waker::noop());
        let (mut print, mut turns) = (stream.blocking_write_and_flush(Bytes::from(text.clone())), 1);
        while print.as_mut().poll(&mut context).map(Result::unwrap).is_pending() {
            turns += 1;
        }
        drop(print);
        assert_eq!(log.last_output(), text);
        let begun = lock(&log.0).in_turn;
        assert_eq!((lock(&log.0).lines, turns), (100, text.len().div_ceil(PART)));
        for number in begun + 1..=LINES_IN_TURN {
            assert_eq!(stream.check_write().unwrap(), WRITE, "line {number} of a turn");
            stream.write(Bytes::from("begun, ")).unwrap();
            stream.write(Bytes::from("and ended\n")).unwrap();
        }
        // Now others have their turn, once.
        assert_eq!(stream.check_write().unwrap(), 0);
        assert_eq!(lock(&log.0).lines, 100 + LINES_IN_TURN - begun);
        let mut ready = stream.ready();
        assert!(ready.as_mut().poll(&mut context).is_pending());
        assert!(ready.as_mut().poll(&mut context).is_ready());
        drop(ready);
        assert!(stream.write(Bytes::from(vec![b'a'; WRITE + 1])).is_err());
    }
}
