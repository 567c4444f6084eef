//! One connection to a server, driven by whoever uses it.
//!
//! hyper's client has two halves: one that takes requests, and one that reads and writes. The second is made to run in
//! a task of its own. Here it has none: the task that waits for an answer polls it, so an exchange changes no task.

use super::failure;
use super::stream::{ClientStream, StreamNotes};
use crate::base::{Body, BodyError};
use crate::mesh::error::TryError;
use bytes::Bytes;
use http::Request;
use http_body::{Body as _, Frame, SizeHint};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};

/// The most bytes of an answer that a connection reads ahead of its reader; so no head of an answer is longer. hyper's
/// default is 400 KiB for each connection, which many slow readers would multiply.
const BUFFER: usize = 64 * 1024;

/// A connection to a server. It rests unless it is polled; dropped, it is closed.
pub(super) struct HttpConnection {
    pub(super) requests: SendRequest<SentBody>,
    /// hyper's other half. It has no name, because it can be upgraded.
    driver: Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>,
    pub(super) notes: StreamNotes,
    /// Whether it has had an exchange before: the server may have closed it meanwhile.
    pub(super) reused: bool,
    /// Whether the last poll left the waker of a task behind.
    heard: bool,
}

impl HttpConnection {
    /// Makes a connection of a stream. No byte is sent.
    ///
    /// # Errors
    /// None that hyper has today.
    pub(super) async fn open(stream: ClientStream) -> Result<Self, TryError> {
        let notes = stream.notes();
        let made = http1::Builder::new().max_buf_size(BUFFER).handshake(TokioIo::new(stream)).await;
        let (requests, driver) = made.map_err(|error| failure::of_try(error, &notes, false))?;
        let driver = Box::pin(driver.with_upgrades());
        Ok(Self { requests, driver, notes, reused: false, heard: false })
    }

    /// Reads and writes what can be read and written now. The task of `cx` is woken when there is more. Ready when the
    /// connection has ended.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.heard = true;
        // Why it ended is told to the request or to the reader of the answer, if there is one.
        self.driver.as_mut().poll(cx).map(|_| ())
    }

    /// The same, but wakes nobody: for a connection that nobody waits for, and for a first look before
    /// [`HttpConnection::poll`]. hyper's two halves wake each other, and here both belong to one task, which would be
    /// woken by itself after each answer; and the next user of the connection would wake the one before.
    pub(super) fn poll_unheard(&mut self) -> Poll<()> {
        self.heard = false;
        self.driver.as_mut().poll(&mut unheard()).map(|_| ())
    }

    /// Whether the exchange is over on both sides, and the connection can take another. hyper asks for the next request
    /// only then.
    pub(super) fn is_idle(&self) -> bool {
        self.requests.is_ready()
    }

    /// Forgets the task that polled it last. Ready if the connection has ended.
    pub(super) fn forget_task(&mut self) -> Poll<()> {
        if self.heard { self.poll_unheard() } else { Poll::Pending }
    }

    /// Closes an idle connection, with TLS as TLS does it.
    pub(super) fn close(self) {
        let Self { requests, mut driver, .. } = self;
        drop(requests);
        // One step is enough for a close notice, unless the socket is full. Then the connection just ends.
        let _ = driver.as_mut().poll(&mut unheard());
    }
}

/// The context of a poll that nobody waits for.
pub(super) fn unheard() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// Whether hyper has taken all of a request's body; see [`SentBody`].
#[derive(Clone, Default)]
pub(super) struct BodyEnd(Option<Arc<AtomicBool>>);

impl BodyEnd {
    pub(super) fn is_reached(&self) -> bool {
        self.0.as_ref().is_none_or(|reached| reached.load(Relaxed))
    }
}

/// A request's body, as a connection sends it. hyper drops it when it needs no more of it.
pub(super) struct SentBody {
    body: Body,
    end: BodyEnd,
}

impl SentBody {
    /// The request with its body so, and what tells of the body's end.
    pub(super) fn of(request: Request<Body>) -> (Request<Self>, BodyEnd) {
        let ends_at_once = request.body().is_end_stream();
        let end = BodyEnd((!ends_at_once).then(Arc::default));
        let told = end.clone();
        (request.map(|body| Self { body, end }), told)
    }
}

impl Drop for SentBody {
    fn drop(&mut self) {
        if let Some(reached) = &self.end.0 {
            reached.store(true, Relaxed);
        }
    }
}

impl http_body::Body for SentBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
