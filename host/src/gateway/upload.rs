//! The body of a request on its way in: how much of it there may be.

use super::call::CallFailure;
use super::problem::Problem;
use super::settings::Target;
use super::status;
use crate::base::{Body, BodyError, ErrorKind};
use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use std::borrow::Cow;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout_at;

/// The gateway's view on a body that the service reads.
///
/// `None` for a body without a byte: there is nothing to look at.
pub(super) struct UploadStatus(Option<Arc<AtomicBool>>);

impl UploadStatus {
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
        if body.is_end_stream() {
            return Ok((body, Self(None)));
        }
        let too_large = Arc::new(AtomicBool::new(false));
        let bounded = Bounded { body, left: target.body_limit, too_large: too_large.clone() };
        Ok((bounded.boxed_unsync(), Self(Some(too_large))))
    }

    /// The whole body, for a call that needs it before it begins; it is counted in `shelf` for as long as it is held.
    ///
    /// # Errors
    /// The client's failure to send it in time; [`ErrorKind::Overloaded`] when the bodies of others fill the shelf.
    pub(super) async fn collect(
        mut body: Body,
        deadline: Instant,
        shelf: &BodyBudget,
    ) -> Result<BudgetPermit, CallFailure> {
        let mut shelved = BudgetPermit { parts: Vec::new(), permit: None };
        let read = async {
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| failure(error.kind, error.detail))?;
                if let Ok(data) = frame.into_data() {
                    shelf.take(&mut shelved, data)?;
                }
            }
            Ok(())
        };
        match timeout_at(deadline.into(), read).await {
            Ok(read) => read.map(|()| shelved),
            Err(_) => Err(failure(ErrorKind::SlowBody, "the body was not there by the call's deadline".into())),
        }
    }

    /// Whether there was more of it than is allowed.
    pub(super) fn was_too_large(&self) -> bool {
        self.0.as_ref().is_some_and(|too_large| too_large.load(Relaxed))
    }
}

fn failure(kind: ErrorKind, detail: String) -> CallFailure {
    CallFailure { kind, retry_after: None, detail }
}

/// The memory that all bodies together may take which the gateway holds for one service. Who finds it full is refused at once: were he to wait, clients that
/// send slowly could stop all others.
pub(super) struct BodyBudget(Arc<Semaphore>);

/// A body that is held.
pub(super) struct BudgetPermit {
    parts: Vec<Bytes>,
    permit: Option<OwnedSemaphorePermit>,
}

impl BodyBudget {
    /// A shelf for `bytes`.
    pub(super) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))))
    }

    fn take(&self, shelved: &mut BudgetPermit, data: Bytes) -> Result<(), CallFailure> {
        let bytes = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.0).try_acquire_many_owned(bytes);
        let permit = permit
            .map_err(|_| failure(ErrorKind::Overloaded, "the bodies of other requests fill `body_memory`".into()))?;
        match &mut shelved.permit {
            Some(held) => held.merge(permit),
            none => *none = Some(permit),
        }
        shelved.parts.push(data);
        Ok(())
    }
}

impl BudgetPermit {
    /// The body in one piece; most come in one.
    pub(super) fn bytes(&self) -> Cow<'_, [u8]> {
        match &*self.parts {
            [] => Cow::Borrowed(&[]),
            [whole] => Cow::Borrowed(whole),
            parts => Cow::Owned(parts.concat()),
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::full_body;

    #[tokio::test]
    async fn bodies_share_one_shelf_and_leave_it() {
        let shelf = BodyBudget::new(8);
        let deadline = Instant::now() + std::time::Duration::from_secs(60);
        let collect = |text: &'static str| UploadStatus::collect(full_body(text), deadline, &shelf);
        let first = collect("12345").await.expect("room");
        assert_eq!(&*first.bytes(), b"12345");
        assert_eq!(collect("1234").await.err().map(|failure| failure.kind), Some(ErrorKind::Overloaded));
        let second = collect("123").await.expect("room");
        assert_eq!(collect("1").await.err().map(|failure| failure.kind), Some(ErrorKind::Overloaded));
        assert_eq!(&*collect("").await.expect("nothing needs no room").bytes(), b"");
        drop((first, second));
        assert!(collect("12345678").await.is_ok());
    }
}
