//! The access log: one line for each request, written when its answer has ended.

use crate::base::{Body, BodyError, RequestId, ServiceName};
use crate::listen::Peer;
use bytes::Bytes;
use http::{Method, Response, Uri};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

/// The status in the log for a request whose client went away before the answer. It is never sent; nginx logs the same
/// number.
const CLIENT_GONE: u16 = 499;

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AnswerEnd {
    /// The connection has taken all of it.
    Whole,
    /// The service broke off.
    Broken,
    /// The client went away, or was cut off because it read too slowly.
    Gone,
}

/// The line of one request. It is written when the record is dropped, so that no request is without a line.
pub(super) struct AccessRecord {
    method: Method,
    uri: Uri,
    id: RequestId,
    began: Instant,
    status: u16,
    /// The service, once a route was found for the request.
    pub(super) service: Option<ServiceName>,
    bytes: u64,
    end: AnswerEnd,
    peer: Peer,
}

impl AccessRecord {
    pub(super) fn begin(method: Method, uri: Uri, id: RequestId, began: Instant, peer: Peer) -> Self {
        Self { method, uri, id, began, status: CLIENT_GONE, service: None, bytes: 0, end: AnswerEnd::Gone, peer }
    }

    /// The client's connection.
    pub(super) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Follows `answer` until its body has ended.
    pub(super) fn follow(mut self, answer: Response<Body>) -> Response<Body> {
        self.status = answer.status().as_u16();
        answer.map(|body| {
            if body.is_end_stream() || self.method == Method::HEAD {
                self.end = AnswerEnd::Whole;
            }
            CountedBody { body, record: self }.boxed_unsync()
        })
    }
}

impl Drop for AccessRecord {
    fn drop(&mut self) {
        let duration_ms = (self.began.elapsed().as_secs_f64() * 1e6).round() / 1e3;
        // Without the query, which is often secret.
        tracing::info!(
            target: "access",
            method = self.method.as_str(),
            path = self.uri.path(),
            status = self.status,
            service = self.service.as_ref().map(ServiceName::as_str),
            duration_ms,
            bytes = self.bytes,
            end = match self.end {
                AnswerEnd::Whole => "whole",
                AnswerEnd::Broken => "broken",
                AnswerEnd::Gone if self.peer.was_too_slow() => "slow",
                AnswerEnd::Gone => "gone",
            },
            request_id = self.id.as_str(),
        );
    }
}

/// The body of an answer, whose bytes are counted.
struct CountedBody {
    body: Body,
    record: AccessRecord,
}

impl http_body::Body for CountedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let frame = ready!(Pin::new(&mut this.body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                this.record.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                if this.body.is_end_stream() {
                    this.record.end = AnswerEnd::Whole;
                }
            }
            Some(Err(error)) => {
                this.record.end = AnswerEnd::Broken;
                let (id, service) = (this.record.id.as_str(), this.record.service.as_ref().map(ServiceName::as_str));
                tracing::warn!(request_id = id, service, kind = error.kind.as_str(), %error, "an answer broke off");
            }
            None => this.record.end = AnswerEnd::Whole,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
