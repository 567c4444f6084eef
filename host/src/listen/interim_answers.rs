//! Interim answers (1xx) of a service on their way to a client that speaks HTTP/1.1 (RFC 9110, section 15.2).
//!
//! hyper 1.12's server sends none: its service returns one response. So the socket writes them itself, between two
//! messages of hyper's: it begins one only when hyper flushes it, and so has nothing left to write of the answer
//! before. The answer that follows waits until all are written. Whoever writes a part of one ends it before anything
//! else.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures_util::task::AtomicWaker;
use http::header::LINK;
use http::{HeaderMap, StatusCode};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// The most bytes that wait for the client. Further interim answers are dropped, which harms no client: it must do
/// without any (RFC 9110, section 15.2).
const MOST: usize = 16 * 1024;

/// The interim answers of a connection's running exchange.
#[derive(Debug, Default)]
pub(super) struct InterimAnswers {
    /// Whether somebody may add some: until the answer of the exchange is there.
    open: AtomicBool,
    /// Whether some wait to be written.
    waiting: AtomicBool,
    queue: Mutex<InterimQueue>,
    /// The connection's task.
    task: AtomicWaker,
}

#[derive(Debug, Default)]
struct InterimQueue {
    /// The number of the exchange that is open. What comes late of another one is dropped.
    exchange: u64,
    /// Heads, one after the other.
    heads: BytesMut,
    /// Whether the first of `heads` was written in part.
    begun: bool,
}

impl InterimAnswers {
    /// Admits interim answers of the running exchange, whose client speaks HTTP/1.1. Returns its number. Of the one
    /// before nothing is left, since its answer came after its interim answers.
    pub(super) fn open(&self) -> u64 {
        let mut queue = self.queue();
        queue.exchange += 1;
        self.open.store(true, Relaxed);
        queue.exchange
    }

    /// An interim answer of this exchange has come. 100 is the gateway's own to send, and 101 is no interim answer. Of
    /// the fields only `Link` passes (RFC 8297): the others say nothing before the answer.
    pub(super) fn push(&self, exchange: u64, status: StatusCode, fields: &HeaderMap) {
        if !status.is_informational() || matches!(status, StatusCode::CONTINUE | StatusCode::SWITCHING_PROTOCOLS) {
            return;
        }
        let mut head = BytesMut::new();
        let reason = status.canonical_reason().unwrap_or("Interim");
        head.put_slice(format!("HTTP/1.1 {} {reason}\r\n", status.as_str()).as_bytes());
        for link in fields.get_all(LINK) {
            head.put_slice(b"link: ");
            head.put_slice(link.as_bytes());
            head.put_slice(b"\r\n");
        }
        head.put_slice(b"\r\n");
        let mut queue = self.queue();
        if !self.open.load(Relaxed) || queue.exchange != exchange || queue.heads.len() + head.len() > MOST {
            return;
        }
        queue.heads.put(head);
        self.waiting.store(true, Relaxed);
        self.task.wake();
    }

    /// Closes the exchange for interim answers, since its answer is there. Whether that may be sent: nothing waits.
    pub(super) fn close(&self) -> bool {
        if self.open.load(Relaxed) {
            let _queue = self.queue();
            self.open.store(false, Relaxed);
        }
        !self.waiting.load(Relaxed)
    }

    /// Whether the socket has to look for some: the connection's task is woken then when one comes.
    pub(super) fn is_expected(&self, task: &Waker) -> bool {
        if self.open.load(Relaxed) {
            self.task.register(task);
        }
        self.waiting.load(Relaxed)
    }

    /// What is to be written before anything else.
    pub(super) fn begun(&self) -> bool {
        self.waiting.load(Relaxed) && self.queue().begun
    }

    /// What is to be written next; empty if nothing is.
    pub(super) fn next(&self) -> Bytes {
        Bytes::copy_from_slice(&self.queue().heads)
    }

    /// So many bytes were written. The answer waits for the last of them.
    pub(super) fn wrote(&self, count: usize, task: &Waker) {
        let mut queue = self.queue();
        queue.heads.advance(count);
        queue.begun = !queue.heads.is_empty();
        if queue.heads.is_empty() {
            self.waiting.store(false, Relaxed);
            task.wake_by_ref();
        }
    }

    fn queue(&self) -> MutexGuard<'_, InterimQueue> {
        // No code panics while it holds the lock.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn fields() -> HeaderMap {
        let mut fields = HeaderMap::new();
        fields.append(LINK, HeaderValue::from_static("</a.css>; rel=preload"));
        fields.append(LINK, HeaderValue::from_static("</b.js>; rel=preload"));
        fields.append("x-secret", HeaderValue::from_static("s"));
        fields.append("transfer-encoding", HeaderValue::from_static("chunked"));
        fields
    }

    fn written(answers: &InterimAnswers) -> String {
        let bytes = answers.next();
        answers.wrote(bytes.len(), Waker::noop());
        String::from_utf8(bytes.to_vec()).expect("ASCII")
    }

    #[test]
    fn each_interim_answer_of_the_open_exchange_is_written_with_its_links_alone() {
        let answers = InterimAnswers::default();
        let exchange = answers.open();
        for status in [100, 101, 200] {
            answers.push(exchange, StatusCode::from_u16(status).expect("a status"), &fields());
        }
        assert!(!answers.is_expected(Waker::noop()));
        answers.push(exchange, StatusCode::EARLY_HINTS, &fields());
        answers.push(exchange, StatusCode::PROCESSING, &HeaderMap::new());
        assert!(answers.is_expected(Waker::noop()) && !answers.close(), "the answer waits");
        let links = "link: </a.css>; rel=preload\r\nlink: </b.js>; rel=preload\r\n";
        let expected = format!("HTTP/1.1 103 Early Hints\r\n{links}\r\nHTTP/1.1 102 Processing\r\n\r\n");
        assert_eq!(written(&answers), expected);
        assert!(answers.close() && !answers.is_expected(Waker::noop()));
    }

    #[test]
    fn what_comes_after_the_answer_or_of_another_exchange_is_dropped() {
        let answers = InterimAnswers::default();
        let first = answers.open();
        assert!(answers.close());
        answers.push(first, StatusCode::EARLY_HINTS, &fields());
        let second = answers.open();
        answers.push(first, StatusCode::EARLY_HINTS, &fields());
        assert!(!answers.is_expected(Waker::noop()));
        answers.push(second, StatusCode::EARLY_HINTS, &HeaderMap::new());
        assert_eq!(written(&answers), "HTTP/1.1 103 Early Hints\r\n\r\n");
    }

    #[test]
    fn what_waits_has_a_bound_and_is_not_broken_off() {
        let answers = InterimAnswers::default();
        let exchange = answers.open();
        for _ in 0..10_000 {
            answers.push(exchange, StatusCode::EARLY_HINTS, &fields());
        }
        assert!(answers.next().len() <= MOST && answers.next().ends_with(b"\r\n\r\n"));
        assert!(!answers.begun());
        answers.wrote(5, Waker::noop());
        assert!(answers.begun() && answers.next().starts_with(b"1.1 103"));
        answers.wrote(answers.next().len(), Waker::noop());
        assert!(!answers.begun());
    }
}
