//! One HTTP exchange: a request and its answer, from the parsed head to the last byte of both bodies.

use super::connection_stage::{StageTracker, StageVersion};
use crate::base::{Body, BodyError, ErrorKind, empty_body};
use bytes::Bytes;
use http::{Request, Version};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

/// What a connection must know about its exchanges to close correctly.
#[derive(Debug, Default)]
pub(super) struct ExchangeRecord {
    /// Whether the body of a request was not read to its end.
    unread: AtomicBool,
    /// Whether the last answer was for an HTTP/1.0 peer, which may take the end of the connection for the end of the
    /// body.
    unframed: AtomicBool,
}

impl ExchangeRecord {
    pub(super) fn left_unread(&self) -> bool {
        self.unread.load(Relaxed)
    }

    pub(super) fn is_unframed(&self) -> bool {
        self.unframed.load(Relaxed)
    }
}

/// A running exchange. It ends when the last reference is dropped. Both bodies hold one, so a connection is not idle
/// while a service that has answered early still reads the request.
pub(super) struct Exchange {
    tracker: Arc<StageTracker>,
    /// The stage change that began this exchange.
    stage: StageVersion,
    record: Arc<ExchangeRecord>,
}

impl Exchange {
    /// Begins the exchange of `request`. Returns it with the request, whose body now holds the exchange.
    pub(super) fn begin(
        tracker: &Arc<StageTracker>,
        record: &Arc<ExchangeRecord>,
        request: Request<Incoming>,
    ) -> (Arc<Self>, Request<Body>) {
        record.unframed.store(request.version() == Version::HTTP_10, Relaxed);
        let exchange = Arc::new(Self { tracker: tracker.clone(), stage: tracker.serve(), record: record.clone() });
        let request = request.map(|body| {
            if body.is_end_stream() {
                // An empty body need not hold the exchange: a service may keep the request for long.
                return empty_body();
            }
            InboundBody { body, exchange: Some(exchange.clone()) }.boxed_unsync()
        });
        (exchange, request)
    }

    /// The answer's body, which now holds the exchange.
    pub(super) fn answer(self: Arc<Self>, body: Body) -> OutboundBody {
        OutboundBody { body, failure: None, _exchange: self }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.tracker.rest(self.stage);
    }
}

/// The body of a request, on its way to the service.
struct InboundBody {
    body: Incoming,
    /// Held until the body has ended.
    exchange: Option<Arc<Exchange>>,
}

impl http_body::Body for InboundBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        // A body whose length is reached has ended: return `None` here, without one more poll of hyper's body. If the
        // answer has ended before the body, hyper 1.12 keeps the sending half, and such a poll would wait forever.
        if self.body.is_end_stream() {
            return Poll::Ready(None);
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if frame.is_none() || self.body.is_end_stream() {
            self.exchange = None;
        }
        Poll::Ready(frame.map(|frame| {
            frame.map_err(|error| {
                // Whether framing or connection broke: the client is the one that sends this body.
                BodyError::new(ErrorKind::ClientGone, format!("the request's body broke off: {error}"))
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for InboundBody {
    fn drop(&mut self) {
        if let Some(exchange) = &self.exchange {
            exchange.record.unread.store(true, Relaxed);
        }
    }
}

/// The body of an answer, on its way to the client.
pub(super) struct OutboundBody {
    body: Body,
    /// A failure that the next poll returns.
    failure: Option<BodyError>,
    _exchange: Arc<Exchange>,
}

impl http_body::Body for OutboundBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(failure) = self.failure.take() {
            return Poll::Ready(Some(Err(failure)));
        }
        match ready!(Pin::new(&mut self.body).poll_frame(context)) {
            Some(Err(failure)) => {
                // When a body fails, hyper drops what it has buffered. One pending poll makes hyper flush first, so
                // that the peer gets the head and everything before the failure, and then a closed connection instead
                // of the final chunk.
                self.failure = Some(failure);
                context.waker().wake_by_ref();
                Poll::Pending
            }
            frame => Poll::Ready(frame),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.failure.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
