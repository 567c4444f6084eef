//! The access log: one line for each request, when its answer has gone or could not.

use crate::base::{Body, BodyError, RequestId, ServiceName};
use bytes::Bytes;
use http::{Method, Response, Uri};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

/// The status in the log of a request whose client went away before there was an answer. No such answer is ever sent; nginx logs the same.
const CLIENT_GONE: u16 = 499;

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// All of it was handed to the connection.
    Whole,
    /// The service broke it off.
    Broken,
    /// The client went away, or took no more.
    Gone,
}

/// A line of the log in the making. It is written when this is dropped, so that none is ever missing.
pub(super) struct AccessRecord {
    method: Method,
    uri: Uri,
    id: RequestId,
    began: Instant,
    status: u16,
    /// The service, once the request has a route.
    pub(super) service: Option<ServiceName>,
    bytes: u64,
    end: End,
}

impl AccessRecord {
    pub(super) fn begin(method: Method, uri: Uri, id: RequestId, began: Instant) -> Self {
        Self { method, uri, id, began, status: CLIENT_GONE, service: None, bytes: 0, end: End::Gone }
    }

    /// Follows `answer` until its body has ended.
    pub(super) fn follow(mut self, answer: Response<Body>) -> Response<Body> {
        self.status = answer.status().as_u16();
        answer.map(|body| {
            if body.is_end_stream() || self.method == Method::HEAD {
                self.end = End::Whole;
            }
            Followed { body, entry: self }.boxed_unsync()
        })
    }
}

impl Drop for AccessRecord {
    fn drop(&mut self) {
        let duration_ms = (self.began.elapsed().as_secs_f64() * 1e6).round() / 1e3;
        // Without the query: what stands there is often a secret.
        tracing::info!(
            target: "access",
            method = self.method.as_str(),
            path = self.uri.path(),
            status = self.status,
            service = self.service.as_ref().map(ServiceName::as_str),
            duration_ms,
            bytes = self.bytes,
            end = match self.end {
                End::Whole => "whole",
                End::Broken => "broken",
                End::Gone => "gone",
            },
            request_id = self.id.as_str(),
        );
    }
}

/// A body whose bytes are counted.
struct Followed {
    body: Body,
    entry: AccessRecord,
}

impl http_body::Body for Followed {
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
                this.entry.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                if this.body.is_end_stream() {
                    this.entry.end = End::Whole;
                }
            }
            Some(Err(error)) => {
                this.entry.end = End::Broken;
                let (id, service) = (this.entry.id.as_str(), this.entry.service.as_ref().map(ServiceName::as_str));
                tracing::warn!(request_id = id, service, kind = error.kind.as_str(), %error, "an answer broke off");
            }
            None => this.entry.end = End::Whole,
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
