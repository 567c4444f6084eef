//! A watch over the request's body, so that the fault of a slow or broken client is not recorded as the service's.
//!
//! It also holds the body to the length that its head announces. A body of another length breaks off: on a shared
//! connection the next request would be read as the rest of this one (RFC 9112, section 6.3).

use crate::base::{Body, BodyError, ErrorKind, empty_body, header_tokens};
use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

/// How the request's body arrives.
enum UploadState {
    Flowing,
    /// The service waits for more of the body, and the client has not sent it.
    Awaited,
    /// The client broke it off.
    Failed(BodyError),
    /// The service has read all of it.
    Read,
}

/// The watch over one request's body; its clones share the state. `None`: there is no body, and all of it is read.
#[derive(Clone)]
pub(super) struct UploadWatch(Option<Arc<Mutex<UploadState>>>);

impl UploadWatch {
    /// `request` with a watched body, and the watch. A request without a body is not wrapped. If it cannot be sent as
    /// it is, [`UploadWatch::failed`] says so at once.
    pub(super) fn watch(request: http::Request<Body>) -> (http::Request<Body>, Self) {
        let announced = announced(request.headers());
        if request.body().is_end_stream() {
            let failure = match announced {
                Err(wrong) => Some(wrong),
                Ok(Some(1..)) => Some(too_short()),
                Ok(Some(0) | None) => None,
            };
            return (request, Self(failure.map(|failure| Arc::new(Mutex::new(UploadState::Failed(failure))))));
        }
        let (left, state) = match announced {
            Ok(left) => (left, UploadState::Flowing),
            Err(wrong) => (None, UploadState::Failed(wrong)),
        };
        let upload = Self(Some(Arc::new(Mutex::new(state))));
        let watched = request.map(|body| WatchedBody { body, left, upload: upload.clone() }.boxed_unsync());
        (watched, upload)
    }

    /// The client's failure behind a failure of `kind`; `None` if the client is not at fault.
    pub(super) fn blame(&self, kind: ErrorKind) -> Option<BodyError> {
        match &*self.state()? {
            UploadState::Failed(error) => Some(error.clone()),
            UploadState::Awaited if kind == ErrorKind::Timeout => {
                Some(BodyError::new(ErrorKind::SlowBody, "the client did not send its body in time"))
            }
            UploadState::Flowing | UploadState::Awaited | UploadState::Read => None,
        }
    }

    /// The client's failure to send the whole body, if it failed.
    pub(super) fn failed(&self) -> Option<BodyError> {
        match &*self.state()? {
            UploadState::Failed(error) => Some(error.clone()),
            UploadState::Flowing | UploadState::Awaited | UploadState::Read => None,
        }
    }

    /// Whether the service has not read the whole body.
    pub(super) fn is_unread(&self) -> bool {
        self.state().is_some_and(|state| !matches!(*state, UploadState::Read))
    }

    fn state(&self) -> Option<MutexGuard<'_, UploadState>> {
        self.0.as_ref().map(|state| state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The length of the body that a head announces, if it does.
///
/// # Errors
/// It is no number, or the head has two of them.
fn announced(headers: &HeaderMap) -> Result<Option<u64>, BodyError> {
    let mut lengths = header_tokens(headers, &CONTENT_LENGTH).map(|token| {
        let digits = str::from_utf8(token).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        digits.and_then(|text| text.parse().ok())
    });
    match lengths.next() {
        None => Ok(None),
        Some(Some(length)) if lengths.all(|other| other == Some(length)) => Ok(Some(length)),
        Some(_) => Err(BodyError::new(ErrorKind::ClientGone, "the request's Content-Length is not a number")),
    }
}

fn too_short() -> BodyError {
    BodyError::new(ErrorKind::ClientGone, "the request's body is shorter than its Content-Length")
}

struct WatchedBody {
    body: Body,
    /// How much of the announced length is still to come; `None` if none was announced.
    left: Option<u64>,
    upload: UploadWatch,
}

impl WatchedBody {
    /// Polls the body, and counts its bytes.
    fn poll_counted(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let Some(left) = &mut self.left else { return polled };
        let error = match &polled {
            Poll::Ready(Some(Ok(frame))) => match left.checked_sub(frame.data_ref().map_or(0, Bytes::len) as u64) {
                Some(rest) => {
                    *left = rest;
                    return polled;
                }
                None => BodyError::new(ErrorKind::ClientGone, "the request's body is longer than its Content-Length"),
            },
            Poll::Ready(None) if *left > 0 => too_short(),
            Poll::Ready(None | Some(Err(_))) | Poll::Pending => return polled,
        };
        // A body that has ended must not be polled again.
        (self.body, self.left) = (empty_body(), None);
        Poll::Ready(Some(Err(error)))
    }
}

impl Drop for WatchedBody {
    /// A service that has dropped the body no longer waits for the client.
    fn drop(&mut self) {
        if let Some(mut state) = self.upload.state()
            && matches!(*state, UploadState::Awaited)
        {
            *state = UploadState::Flowing;
        }
    }
}

impl http_body::Body for WatchedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = self.poll_counted(cx);
        let Some(mut state) = self.upload.state() else { return polled };
        *state = match (&*state, &polled) {
            // A service may poll again after a failure. That must not overwrite the failure.
            (UploadState::Failed(_), _) => return polled,
            (_, Poll::Pending) => UploadState::Awaited,
            (_, Poll::Ready(Some(Err(error)))) => UploadState::Failed(error.clone()),
            (_, Poll::Ready(None)) => UploadState::Read,
            (_, Poll::Ready(Some(Ok(_)))) if self.is_end_stream() => UploadState::Read,
            (_, Poll::Ready(Some(Ok(_)))) => UploadState::Flowing,
        };
        drop(state);
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream() && self.left.is_none_or(|left| left == 0)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;
    use http_body_util::StreamBody;

    fn watched(lengths: &[&str], pieces: &'static [&'static str]) -> (Request<Body>, UploadWatch) {
        let frames = pieces.iter().map(|piece| Ok(Frame::data(Bytes::from_static(piece.as_bytes()))));
        let body = match pieces {
            [] => empty_body(),
            _ => BodyExt::boxed_unsync(StreamBody::new(futures_util::stream::iter(frames))),
        };
        let mut request = Request::post("/");
        for length in lengths {
            request = request.header(CONTENT_LENGTH, *length);
        }
        UploadWatch::watch(request.body(body).unwrap())
    }

    /// A request that is shorter than it says takes the next one on its connection for its rest; one that is longer
    /// becomes two.
    #[tokio::test]
    async fn a_body_of_another_length_than_the_announced_one_fails_by_the_clients_fault() {
        let right: &[(&[&str], &[&str])] = &[
            (&[], &["four", "five"]),
            (&["8"], &["four", "", "five"]),
            (&["8", "8"], &["four", "five"]),
            (&["8, 8"], &["four", "five"]),
            (&["0"], &[]),
            (&["0"], &[""]),
        ];
        for (lengths, pieces) in right {
            let (request, upload) = watched(lengths, pieces);
            assert!(upload.failed().is_none(), "{lengths:?}");
            let body = request.into_body().collect().await.unwrap();
            assert_eq!(body.to_bytes(), pieces.concat());
            assert!(upload.failed().is_none() && !upload.is_unread(), "{lengths:?}");
        }
        let wrong: &[(&[&str], &[&str])] =
            &[(&["9"], &["four", "five"]), (&["7"], &["four", "five"]), (&["0"], &["four"]), (&["9"], &[""])];
        for (lengths, pieces) in wrong {
            let (request, upload) = watched(lengths, pieces);
            let mut body = request.into_body();
            let error = (&mut body).collect().await.unwrap_err();
            assert_eq!((error.kind, upload.failed().unwrap().kind), (ErrorKind::ClientGone, ErrorKind::ClientGone));
            assert!(body.frame().await.is_none(), "{lengths:?}: a body that failed has ended");
        }
        // Nothing of these may be sent.
        let unsent: &[(&[&str], &[&str])] = &[
            (&["9"], &[]),
            (&["4", "5"], &["four"]),
            (&["4, 5"], &["four"]),
            (&["+4"], &["four"]),
            (&["x"], &[]),
            (&["99999999999999999999"], &["four"]),
        ];
        for (lengths, pieces) in unsent {
            let (_, upload) = watched(lengths, pieces);
            assert_eq!(upload.failed().map(|error| error.kind), Some(ErrorKind::ClientGone), "{lengths:?}");
        }
    }
}
