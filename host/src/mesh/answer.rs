//! The body of an answer on its way to the caller: the attempt ends with it.

use super::attempt::TryGuard;
use super::bulkhead::BulkheadPermit;
use super::upload::UploadWatch;
use crate::base::{Body, BodyError, ErrorKind};
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Sleep, sleep};

/// An answer's body, with the attempt whose outcome it decides.
pub(super) struct AnswerBody {
    inner: Body,
    attempt: TryGuard,
    /// A service that streams while it reads falls silent, or breaks off, when its client does.
    upload: UploadWatch,
    /// The call's place in the bulkhead, for as long as the service works on it.
    slot: Option<BulkheadPermit>,
    /// The longest silence that the reader puts up with.
    patience: Duration,
    /// Runs while the reader waits for the service, and only then: a slow reader is not the service's fault.
    timer: Option<Pin<Box<Sleep>>>,
    broken: bool,
}

impl AnswerBody {
    pub(super) fn new(inner: Body, attempt: TryGuard, upload: UploadWatch, patience: Duration) -> Self {
        Self { inner, attempt, upload, slot: None, patience, timer: None, broken: false }
    }

    /// Keeps the call's slot until the body has ended.
    pub(super) fn hold(&mut self, slot: BulkheadPermit) {
        self.slot = Some(slot);
    }

    fn fail(&mut self, error: BodyError) -> Option<Result<Frame<Bytes>, BodyError>> {
        self.broken = true;
        let error = match self.upload.blame(error.kind) {
            Some((kind, detail)) => BodyError::new(kind, detail),
            None => error,
        };
        self.attempt.failed(error.kind, false);
        Some(Err(error))
    }

    fn silence(&mut self, cx: &mut Context<'_>) -> Poll<BodyError> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(self.patience)));
        let patience = self.patience;
        timer.as_mut().poll(cx).map(|()| {
            BodyError::new(ErrorKind::Timeout, format!("the service sent nothing of its answer for {patience:?}"))
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
            Poll::Pending => self.silence(cx).map(|error| self.fail(error)),
            Poll::Ready(Some(Err(error))) => Poll::Ready(self.fail(error)),
            Poll::Ready(Some(Ok(frame))) => {
                self.timer = None;
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                self.attempt.succeeded();
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
    /// A reader that knows the length stops at the last byte and never asks for the end.
    fn drop(&mut self) {
        if self.is_end_stream() {
            self.attempt.succeeded();
        }
    }
}
