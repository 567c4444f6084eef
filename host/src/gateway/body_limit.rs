//! The limit on the size of a request's body.

use super::problem::Problem;
use super::settings::Target;
use super::status;
use crate::base::{Body, BodyError, ErrorKind};
use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};

/// Whether a body that the service reads has passed its limit, as the gateway sees it. `None` for a body without a
/// byte.
pub(super) struct UploadStatus(Option<Arc<AtomicBool>>);

impl UploadStatus {
    /// Limits the body of a request with these headers to what `target` accepts.
    ///
    /// # Errors
    /// 413 if the request announces more.
    pub(super) fn bound(headers: &HeaderMap, body: Body, target: &Target) -> Result<(Body, Self), Problem> {
        let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if announced.is_some_and(|length: u64| length > target.body_limit) {
            // The client may be sending the body already, without waiting for our `100 Continue`: the connection must
            // end here.
            return Err(status::problem(ErrorKind::BodyTooLarge, &target.service).closing());
        }
        if body.is_end_stream() {
            return Ok((body, Self(None)));
        }
        let too_large = Arc::new(AtomicBool::new(false));
        let bounded = BoundedBody { body, left: target.body_limit, too_large: too_large.clone() };
        Ok((bounded.boxed_unsync(), Self(Some(too_large))))
    }

    /// Whether the body has passed its limit.
    pub(super) fn was_too_large(&self) -> bool {
        self.0.as_ref().is_some_and(|too_large| too_large.load(Relaxed))
    }
}

/// A body that fails once it has passed its limit.
struct BoundedBody {
    body: Body,
    /// The bytes that may still come.
    left: u64,
    too_large: Arc<AtomicBool>,
}

impl BoundedBody {
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

impl http_body::Body for BoundedBody {
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
