//! The way of the request's body, watched, so that a slow or broken client is not taken for a slow or broken service.

use crate::base::{Body, BodyError, ErrorKind};
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

/// How the client's sending goes.
#[derive(Default)]
enum UploadState {
    #[default]
    Flowing,
    /// The service has asked for more, and the client has not sent it.
    Awaited,
    Failed(BodyError),
}

/// The watch over one request's body.
#[derive(Clone, Default)]
pub(super) struct UploadWatch(Arc<Mutex<UploadState>>);

impl UploadWatch {
    /// Watches the body of `request`.
    pub(super) fn watch(request: http::Request<Body>) -> (http::Request<Body>, Self) {
        let upload = Self::default();
        if request.body().is_end_stream() {
            return (request, upload);
        }
        let watched = request.map(|body| Watched { body, upload: upload.clone() }.boxed_unsync());
        (watched, upload)
    }

    /// The client's part in a failure of `kind`, if it is the client's fault after all.
    pub(super) fn blame(&self, kind: ErrorKind) -> Option<(ErrorKind, String)> {
        match &*self.state() {
            UploadState::Failed(error) => Some((error.kind, error.detail.clone())),
            UploadState::Awaited if kind == ErrorKind::Timeout => {
                Some((ErrorKind::SlowBody, "the client did not send its body in time".into()))
            }
            UploadState::Flowing | UploadState::Awaited => None,
        }
    }

    /// The client's failure to send its body, if that is how it ended.
    pub(super) fn failed(&self) -> Option<BodyError> {
        match &*self.state() {
            UploadState::Failed(error) => Some(error.clone()),
            UploadState::Flowing | UploadState::Awaited => None,
        }
    }

    fn state(&self) -> MutexGuard<'_, UploadState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Watched {
    body: Body,
    upload: UploadWatch,
}

impl Drop for Watched {
    /// A service that wants no more of the body waits for nobody.
    fn drop(&mut self) {
        let mut state = self.upload.state();
        if matches!(*state, UploadState::Awaited) {
            *state = UploadState::Flowing;
        }
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let mut state = self.upload.state();
        *state = match (&*state, &polled) {
            // Whoever asks again after a failure must not hide it.
            (UploadState::Failed(_), _) => return polled,
            (_, Poll::Pending) => UploadState::Awaited,
            (_, Poll::Ready(Some(Err(error)))) => UploadState::Failed(error.clone()),
            (_, Poll::Ready(_)) => UploadState::Flowing,
        };
        drop(state);
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
