//! The body of an answer, which drives its connection.

use super::connection_pool::ConnectionPool;
use super::failure;
use super::http_connection::{HttpConnection, unheard};
use crate::base::BodyError;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// An answer's body. Its reader polls the connection that it comes from, until both sides of the exchange are over.
pub(super) struct UpstreamBody {
    /// `None` once it is given up.
    incoming: Option<Incoming>,
    /// Where the rest comes from, and where that goes afterwards.
    source: Option<(HttpConnection, Arc<ConnectionPool>)>,
}

impl UpstreamBody {
    /// A body that is here already, or whose connection is driven by somebody else.
    pub(super) fn apart(incoming: Incoming) -> Self {
        Self { incoming: Some(incoming), source: None }
    }

    /// A body that comes over `connection`, which goes into `pool` when the exchange is over.
    pub(super) fn over(connection: HttpConnection, pool: Arc<ConnectionPool>, incoming: Incoming) -> Self {
        Self { incoming: Some(incoming), source: Some((connection, pool)) }
    }

    /// Polls what has come already.
    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(incoming) = &mut self.incoming else { return Poll::Ready(None) };
        let polled = Pin::new(incoming).poll_frame(cx);
        polled.map(|frame| frame.map(|frame| frame.map_err(|error| failure::of_body(&error))))
    }

    /// Puts the connection into its pool if it is idle. A reader that knows the length stops at the last byte, so this
    /// happens there, and not when the reader asks for more.
    fn release(&mut self) {
        if let Some((connection, pool)) = self.source.take_if(|(connection, _)| connection.is_idle()) {
            pool.put(connection);
        }
    }
}

impl http_body::Body for UpstreamBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        if this.source.is_none() {
            return this.poll_incoming(cx);
        }
        // What a poll finds is found without the waker first: see `HttpConnection::poll_unheard`. Nothing is lost
        // between the two polls of the connection, because the second one looks again.
        if let Poll::Ready(frame) = this.poll_incoming(&mut unheard()) {
            return Poll::Ready(frame);
        }
        for heard in [false, true] {
            let Some((connection, _)) = &mut this.source else { break };
            let ended = if heard { connection.poll(cx) } else { connection.poll_unheard() };
            if ended.is_ready() {
                // Its drop tells the body how it ended.
                this.source = None;
                return this.poll_incoming(cx);
            }
            if let Poll::Ready(frame) = this.poll_incoming(&mut unheard()) {
                this.release();
                return Poll::Ready(frame);
            }
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(|| SizeHint::with_exact(0), http_body::Body::size_hint)
    }
}

impl Drop for UpstreamBody {
    /// A body that is given up closes its connection, unless hyper has all the rest of it already.
    fn drop(&mut self) {
        self.incoming = None;
        if let Some((connection, _)) = &mut self.source
            && connection.poll_unheard().is_pending()
        {
            self.release();
        }
    }
}
