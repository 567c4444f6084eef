//! The body of an answer on its way to the caller: its end is the end of the try.

use super::try_guard::TryGuard;
use super::upload_watch::UploadWatch;
use crate::base::{Body, BodyError, ErrorKind};
use crate::mesh::table::bulkhead::BulkheadPermit;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Sleep, sleep};

/// An answer's body, with the guard of the try whose outcome it decides.
pub(super) struct AnswerBody {
    inner: Body,
    guard: TryGuard,
    /// A service that answers while it still reads falls silent, or breaks off, when its client does.
    upload: UploadWatch,
    /// The call counts in the bulkhead for as long as the service works on it.
    permit: Option<BulkheadPermit>,
    /// The longest silence of the service.
    timeout: Duration,
    /// Runs only while the reader waits for the service: the silence of a slow reader is not the service's fault.
    timer: Option<Pin<Box<Sleep>>>,
    broken: bool,
}

impl AnswerBody {
    pub(super) fn new(inner: Body, guard: TryGuard, upload: UploadWatch, timeout: Duration) -> Self {
        Self { inner, guard, upload, permit: None, timeout, timer: None, broken: false }
    }

    /// Keeps the call's permit until the body has ended.
    pub(super) fn hold(&mut self, permit: BulkheadPermit) {
        self.permit = Some(permit);
    }

    fn fail(&mut self, error: BodyError) -> Option<Result<Frame<Bytes>, BodyError>> {
        self.broken = true;
        let error = self.upload.blame(error.kind).unwrap_or(error);
        self.guard.note_failure(error.kind);
        if self.guard.is_refused() && self.upload.is_unread() {
            // A service that refuses a large body may close the connection at once; then the end of its answer is lost
            // with the body that nobody reads.
            self.guard.excused();
        } else {
            self.guard.failed(error.kind, false);
        }
        Some(Err(error))
    }

    /// Ready when the service has been silent for too long.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<BodyError> {
        let timeout = self.timeout;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(timeout)));
        timer.as_mut().poll(cx).map(|()| {
            BodyError::new(ErrorKind::Timeout, format!("the service sent nothing of its answer for {timeout:?}"))
        })
    }
}

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.broken {
            return Poll::Ready(None);
        }
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Pending => self.poll_silence(cx).map(|error| self.fail(error)),
            Poll::Ready(Some(Err(error))) => Poll::Ready(self.fail(error)),
            Poll::Ready(Some(Ok(frame))) => {
                self.timer = None;
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                self.guard.succeeded();
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        !self.broken && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for AnswerBody {
    /// A reader that knows the length stops at the last byte, and never polls for the end.
    fn drop(&mut self) {
        if self.is_end_stream() {
            self.guard.succeeded();
        }
    }
}
