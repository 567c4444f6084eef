//! A watch over the request's body, so that the fault of a slow or broken client is not recorded as the service's.

use crate::base::{Body, BodyError, ErrorKind};
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

/// How the request's body arrives.
#[derive(Default)]
enum UploadState {
    #[default]
    Flowing,
    /// The service waits for more of the body, and the client has not sent it.
    Awaited,
    /// The client broke it off.
    Failed(BodyError),
}

/// The watch over one request's body; its clones share the state.
#[derive(Clone, Default)]
pub(super) struct UploadWatch(Arc<Mutex<UploadState>>);

impl UploadWatch {
    /// `request` with a watched body, and the watch. A request without a body is not wrapped.
    pub(super) fn watch(request: http::Request<Body>) -> (http::Request<Body>, Self) {
        let upload = Self::default();
        if request.body().is_end_stream() {
            return (request, upload);
        }
        let watched = request.map(|body| WatchedBody { body, upload: upload.clone() }.boxed_unsync());
        (watched, upload)
    }

    /// The client's failure behind a failure of `kind`; `None` if the client is not at fault.
    pub(super) fn blame(&self, kind: ErrorKind) -> Option<BodyError> {
        match &*self.state() {
            UploadState::Failed(error) => Some(error.clone()),
            UploadState::Awaited if kind == ErrorKind::Timeout => {
                Some(BodyError::new(ErrorKind::SlowBody, "the client did not send its body in time"))
            }
            UploadState::Flowing | UploadState::Awaited => None,
        }
    }

    /// The client's failure to send the whole body, if it failed.
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

struct WatchedBody {
    body: Body,
    upload: UploadWatch,
}

impl Drop for WatchedBody {
    /// A service that has dropped the body no longer waits for the client.
    fn drop(&mut self) {
        let mut state = self.upload.state();
        if matches!(*state, UploadState::Awaited) {
            *state = UploadState::Flowing;
        }
    }
}

impl http_body::Body for WatchedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let mut state = self.upload.state();
        *state = match (&*state, &polled) {
            // A service may poll again after a failure. That must not overwrite the failure.
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
