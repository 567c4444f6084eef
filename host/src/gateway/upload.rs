//! The body of a request on its way in: how much of it there may be, and what became of it.

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
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::task::{Context, Poll};

/// What became of a request's body so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Progress {
    /// Not read, being read, or at its end.
    Fine,
    /// The service has asked for bytes, and the client has not sent them yet.
    Awaited,
    /// There was more of it than is allowed.
    TooLarge,
    /// The client broke it off.
    Broken,
}

/// The gateway's view on a body that the service reads.
pub(super) struct Upload(Arc<AtomicU8>);

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
        let progress = Arc::new(AtomicU8::new(Progress::Fine as u8));
        let bounded = Bounded { body, left: target.body_limit, progress: progress.clone() };
        Ok((bounded.boxed_unsync(), Self(progress)))
    }

    pub(super) fn progress(&self) -> Progress {
        const FINE: u8 = Progress::Fine as u8;
        const AWAITED: u8 = Progress::Awaited as u8;
        const TOO_LARGE: u8 = Progress::TooLarge as u8;
        match self.0.load(Relaxed) {
            FINE => Progress::Fine,
            AWAITED => Progress::Awaited,
            TOO_LARGE => Progress::TooLarge,
            _ => Progress::Broken,
        }
    }
}

/// A body that fails once it has passed its limit.
struct Bounded {
    body: Body,
    /// How many bytes may still come.
    left: u64,
    progress: Arc<AtomicU8>,
}

impl Bounded {
    fn note(&self, progress: Progress) {
        self.progress.store(progress as u8, Relaxed);
    }

    fn count(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, BodyError> {
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        match self.left.checked_sub(length) {
            Some(left) => {
                self.left = left;
                self.note(Progress::Fine);
                Ok(frame)
            }
            None => {
                self.left = 0;
                self.note(Progress::TooLarge);
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
        let this = &mut *self;
        match Pin::new(&mut this.body).poll_frame(context) {
            Poll::Pending => {
                this.note(Progress::Awaited);
                Poll::Pending
            }
            Poll::Ready(None) => {
                this.note(Progress::Fine);
                Poll::Ready(None)
            }
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(this.count(frame))),
            Poll::Ready(Some(Err(error))) => {
                this.note(Progress::Broken);
                Poll::Ready(Some(Err(error)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
