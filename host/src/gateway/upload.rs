//! The body of a request on its way in: how much of it there may be.

use super::call::Failure;
use super::problem::Problem;
use super::settings::Target;
use super::status;
use crate::base::{Body, BodyError, ErrorKind};
use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::time::timeout_at;

/// The gateway's view on a body that the service reads.
pub(super) struct Upload(Arc<AtomicBool>);

impl Upload {
    /// Bounds the body of a request with these headers by what `target` takes.
    ///
    /// # Errors
    /// 413 when the request announces more.
    pub(super) fn bound(headers: &HeaderMap, body: Body, target: &Target) -> Result<(Body, Self), Problem> {
        let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if announced.is_some_and(|length: u64| length > target.body_limit) {
            // The body was not asked for: it may be coming already, so the connection ends here.
            return Err(status::problem(ErrorKind::BodyTooLarge, &target.service).closing());
        }
        let too_large = Arc::new(AtomicBool::new(false));
        let bounded = Bounded { body, left: target.body_limit, too_large: too_large.clone() };
        Ok((bounded.boxed_unsync(), Self(too_large)))
    }

    /// The whole body, for a call that needs it before it begins. The failure is the client's.
    pub(super) async fn collect(body: Body, deadline: Instant) -> Result<Bytes, Failure> {
        let failure = |kind, detail: String| Failure { kind, retry_after: None, detail };
        match timeout_at(deadline.into(), body.collect()).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) => Err(failure(error.kind, error.detail)),
            Err(_) => Err(failure(ErrorKind::SlowBody, "the body was not there by the call's deadline".into())),
        }
    }

    /// Whether there was more of it than is allowed.
    pub(super) fn was_too_large(&self) -> bool {
        self.0.load(Relaxed)
    }
}

/// A body that fails once it has passed its limit.
struct Bounded {
    body: Body,
    /// How many bytes may still come.
    left: u64,
    too_large: Arc<AtomicBool>,
}

impl Bounded {
    fn count(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, BodyError> {
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        match self.left.checked_sub(length) {
            Some(left) => {
                self.left = left;
                Ok(frame)
            }
            None => {
                self.left = 0;
                self.too_large.store(true, Relaxed);
                Err(BodyError::new(ErrorKind::BodyTooLarge, "the request's body is larger than its route allows"))
            }
        }
    }
}

impl http_body::Body for Bounded {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        polled.map(|read| read.map(|frame| frame.and_then(|frame| self.count(frame))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
