//! The limit on the size of a request's body.

use super::problem::Problem;
use super::status;
use crate::base::{Body, BodyError, ErrorKind, ServiceName};
use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::task::{Context, Poll};

/// What is wrong with a body that the service reads, as the gateway sees it. `None` for a body without a byte.
#[derive(Clone)]
pub(super) struct UploadStatus(Option<Arc<AtomicU8>>);

/// It has passed its limit.
const TOO_LARGE: u8 = 1;
/// It is not of its coding.
const BROKEN: u8 = 2;
/// It became too many times as long without its coding.
const TOO_DENSE: u8 = 3;

impl UploadStatus {
    /// Limits the body of a request with these headers to `limit` bytes.
    ///
    /// # Errors
    /// 413 if the request announces more.
    pub(super) fn bound(
        headers: &HeaderMap,
        body: Body,
        limit: u64,
        service: &ServiceName,
    ) -> Result<(Body, Self), Problem> {
        let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if announced.is_some_and(|length: u64| length > limit) {
            // The client may be sending the body already, without waiting for our `100 Continue`: the connection must
            // end here.
            return Err(status::problem(ErrorKind::BodyTooLarge, service).closing());
        }
        let (body, upload) = Self::watch(body);
        if upload.0.is_none() {
            return Ok((body, upload));
        }
        let bounded = BoundedBody { body, left: limit, upload: upload.clone() };
        Ok((bounded.boxed_unsync(), upload))
    }

    /// The status of a body, which is right so far.
    pub(super) fn watch(body: Body) -> (Body, Self) {
        let status = (!body.is_end_stream()).then(Arc::default);
        (body, Self(status))
    }

    /// Whether the body has passed its limit.
    pub(super) fn was_too_large(&self) -> bool {
        self.is(TOO_LARGE)
    }

    /// Whether the body became too many times as long without its coding.
    pub(super) fn was_too_dense(&self) -> bool {
        self.is(TOO_DENSE)
    }

    /// Whether the body is not of its coding.
    pub(super) fn was_broken(&self) -> bool {
        self.is(BROKEN)
    }

    fn is(&self, wrong: u8) -> bool {
        self.0.as_ref().is_some_and(|status| status.load(Relaxed) == wrong)
    }

    /// The body has passed its limit.
    pub(super) fn note_too_large(&self) {
        self.note(TOO_LARGE);
    }

    /// The body became too many times as long without its coding.
    pub(super) fn note_too_dense(&self) {
        self.note(TOO_DENSE);
    }

    /// The body is not of its coding.
    pub(super) fn note_broken(&self) {
        self.note(BROKEN);
    }

    fn note(&self, wrong: u8) {
        if let Some(status) = &self.0 {
            status.store(wrong, Relaxed);
        }
    }
}

/// A body that fails once it has passed its limit.
struct BoundedBody {
    body: Body,
    /// The bytes that may still come.
    left: u64,
    upload: UploadStatus,
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
                self.upload.note_too_large();
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
