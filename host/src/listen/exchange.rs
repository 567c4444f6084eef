//! One request and its answer, from the parsed head to the last byte of both bodies.

use super::stage::{Progress, StageVersion};
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

/// What a connection must know of its exchanges in order to end well.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// A request's body was not read to its end.
    unread: AtomicBool,
    /// The last answer went to an HTTP/1.0 peer, for whom the end of the connection may be the end of the body.
    unframed: AtomicBool,
}

impl Memory {
    pub(super) fn left_unread(&self) -> bool {
        self.unread.load(Relaxed)
    }

    pub(super) fn is_unframed(&self) -> bool {
        self.unframed.load(Relaxed)
    }
}

/// A running exchange. It is over when the last holder lets go: both bodies hold it, so a service that answers early and reads on keeps
/// the connection from counting as idle.
pub(super) struct Exchange {
    progress: Arc<Progress>,
    turn: StageVersion,
    memory: Arc<Memory>,
}

impl Exchange {
    /// Begins the exchange of `request`, and gives the request the body that services read.
    pub(super) fn begin(
        progress: &Arc<Progress>,
        memory: &Arc<Memory>,
        request: Request<Incoming>,
    ) -> (Arc<Self>, Request<Body>) {
        memory.unframed.store(request.version() == Version::HTTP_10, Relaxed);
        let exchange = Arc::new(Self { progress: progress.clone(), turn: progress.serve(), memory: memory.clone() });
        let request = request.map(|body| {
            if body.is_end_stream() {
                // It may be kept without holding anything up.
                return empty_body();
            }
            InboundBody { body, exchange: Some(exchange.clone()) }.boxed_unsync()
        });
        (exchange, request)
    }

    /// The answer's body, which holds the exchange.
    pub(super) fn answer(self: Arc<Self>, body: Body) -> OutboundBody {
        OutboundBody { body, failure: None, _exchange: self }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.progress.rest(self.turn);
    }
}

/// A request's body on its way in.
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
        // hyper 1.12 keeps the sending half of a body that ends after its answer, so a length that is reached must be the end by itself.
        if self.body.is_end_stream() {
            return Poll::Ready(None);
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if frame.is_none() || self.body.is_end_stream() {
            self.exchange = None;
        }
        Poll::Ready(frame.map(|frame| {
            frame.map_err(|error| {
                // Whatever it was, the framing or the connection, this body was broken by the one who sends it.
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
            exchange.memory.unread.store(true, Relaxed);
        }
    }
}

/// An answer's body on its way out.
pub(super) struct OutboundBody {
    body: Body,
    /// A failure that is told at the next poll.
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
                // hyper drops what it has buffered when a body fails. One pending poll makes it flush first, so that the peer gets the
                // head and all that came before the failure, and then a closed connection instead of the final chunk.
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
