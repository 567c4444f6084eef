//! The memory for the bodies that the gateway holds for one service.

use super::call::CallFailure;
use crate::base::{Body, BodyError, ErrorKind, empty_body};
use bytes::Bytes;
use http::HeaderMap;
use http::header::EXPECT;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout_at;

/// What is read of a request's body before its service is called: a client that sends slowly then holds no place of the
/// service. nginx reads as much into memory before it begins with its temporary files.
const AHEAD: usize = 64 << 10;

/// The bytes that all bodies together may take which the gateway holds for one service.
///
/// A body that must be held whole, and finds the budget used up, is refused at once. If it waited, clients that send
/// slowly could block all others.
pub(super) struct BodyBudget(Arc<Semaphore>);

/// A body that is held; its bytes go back to the budget when it is dropped.
pub(super) struct HeldBody {
    parts: Vec<Bytes>,
    permit: Option<OwnedSemaphorePermit>,
}

impl BodyBudget {
    /// A budget of `bytes`.
    pub(super) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))))
    }

    /// The same budget once more.
    pub(super) fn share(&self) -> Self {
        Self(Arc::clone(&self.0))
    }

    /// How many bytes are free.
    pub(super) fn free(&self) -> usize {
        self.0.available_permits()
    }

    /// Reads the whole of `body`, for a call that needs it before it begins.
    ///
    /// # Errors
    /// The client's failure to send the body by `deadline`; [`ErrorKind::Overloaded`] if the bodies of other requests
    /// use up the budget.
    pub(super) async fn collect(&self, mut body: Body, deadline: Instant) -> Result<HeldBody, CallFailure> {
        let mut held = HeldBody { parts: Vec::new(), permit: None };
        let read = async {
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| failure(error.kind, error.detail))?;
                if let Ok(data) = frame.into_data() {
                    self.take(&mut held, data)?;
                }
            }
            Ok(())
        };
        match timeout_at(deadline.into(), read).await {
            Ok(read) => read.map(|()| held),
            Err(_) => Err(failure(ErrorKind::SlowBody, "the body did not arrive by the call's deadline".into())),
        }
    }

    /// Whether `body`, of a request with these headers, is read ahead by [`BodyBudget::read_ahead`]. A client that does
    /// not say how much it will send may wait for the head of the answer before it sends on. One that asks before it
    /// sends a long body shall hear the service's answer first.
    pub(super) fn reads_ahead(headers: &HeaderMap, body: &Body) -> bool {
        let length = body.size_hint().exact().filter(|_| !body.is_end_stream());
        length.is_some_and(|length| length <= AHEAD as u64 || !headers.contains_key(EXPECT))
    }

    /// Reads the first 64 KiB of `body`, or all of a shorter one. It stays a body that can be read from its beginning.
    /// If the budget is used up, less is read.
    ///
    /// # Errors
    /// The client's failure to send that much by `deadline`.
    pub(super) async fn read_ahead(&self, body: &mut Body, deadline: Instant) -> Result<(), CallFailure> {
        let (mut held, mut bytes) = (HeldBody { parts: Vec::new(), permit: None }, 0);
        let read = async {
            while bytes < AHEAD
                && !body.is_end_stream()
                && let Some(frame) = body.frame().await
            {
                let Ok(data) = frame.map_err(|error| failure(error.kind, error.detail))?.into_data() else { continue };
                bytes += data.len();
                let within_budget = self.take(&mut held, data.clone());
                if within_budget.is_err() {
                    held.parts.push(data);
                    break;
                }
            }
            Ok::<(), CallFailure>(())
        };
        match timeout_at(deadline.into(), read).await {
            Ok(read) => read?,
            Err(_) => return Err(failure(ErrorKind::SlowBody, "the body did not begin by the call's deadline".into())),
        }
        let rest = std::mem::replace(body, empty_body());
        *body = BegunBody { begun: held.parts.into(), permit: held.permit, rest }.boxed_unsync();
        Ok(())
    }

    fn take(&self, held: &mut HeldBody, data: Bytes) -> Result<(), CallFailure> {
        let bytes = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.0).try_acquire_many_owned(bytes);
        let permit = permit
            .map_err(|_| failure(ErrorKind::Overloaded, "the bodies of other requests use up `body_memory`".into()))?;
        match &mut held.permit {
            Some(own) => own.merge(permit),
            none => *none = Some(permit),
        }
        held.parts.push(data);
        Ok(())
    }
}

/// A body whose beginning was read ahead. The beginning goes back to the budget once all of it is read.
struct BegunBody {
    begun: VecDeque<Bytes>,
    permit: Option<OwnedSemaphorePermit>,
    rest: Body,
}

impl http_body::Body for BegunBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.begun.pop_front() {
            Some(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
            None => {
                self.permit = None;
                Pin::new(&mut self.rest).poll_frame(context)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.begun.is_empty() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let begun: usize = self.begun.iter().map(Bytes::len).sum();
        match self.rest.size_hint().exact() {
            Some(rest) => SizeHint::with_exact(begun as u64 + rest),
            None => SizeHint::default(),
        }
    }
}

impl HeldBody {
    /// The bytes in one piece. They are copied only if the body arrived in several pieces; most arrive in one.
    pub(super) fn bytes(&self) -> Cow<'_, [u8]> {
        match &*self.parts {
            [] => Cow::Borrowed(&[]),
            [whole] => Cow::Borrowed(whole),
            parts => Cow::Owned(parts.concat()),
        }
    }
}

fn failure(kind: ErrorKind, detail: String) -> CallFailure {
    CallFailure { kind, deadline: None, retry_after: None, lacks: None, detail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::full_body;

    #[tokio::test]
    async fn bodies_share_one_budget_and_give_their_bytes_back() {
        let budget = BodyBudget::new(8);
        let deadline = Instant::now() + std::time::Duration::from_secs(60);
        let collect = |text: &'static str| budget.collect(full_body(text), deadline);
        let first = collect("12345").await.expect("room");
        assert_eq!(&*first.bytes(), b"12345");
        assert_eq!(collect("1234").await.err().map(|failure| failure.kind), Some(ErrorKind::Overloaded));
        let second = collect("123").await.expect("room");
        assert_eq!(collect("1").await.err().map(|failure| failure.kind), Some(ErrorKind::Overloaded));
        assert_eq!(&*collect("").await.expect("an empty body needs no room").bytes(), b"");
        drop((first, second));
        assert!(collect("12345678").await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn the_beginning_of_a_body_is_read_ahead_and_the_rest_streams() {
        let budget = BodyBudget::new(1 << 20);
        let deadline = || Instant::now() + std::time::Duration::from_secs(60);
        let (sender, pieces) = tokio::sync::mpsc::channel(100);
        let mut body = OfLength(65 * 1024, pieces).boxed_unsync();
        let expects = HeaderMap::from_iter([(EXPECT, http::HeaderValue::from_static("100-continue"))]);
        assert!(BodyBudget::reads_ahead(&HeaderMap::new(), &body) && !BodyBudget::reads_ahead(&expects, &body));
        assert!(BodyBudget::reads_ahead(&expects, &full_body("short")));
        assert!(!BodyBudget::reads_ahead(&HeaderMap::new(), &empty_body()));
        for _ in 0..63 {
            sender.send(Bytes::from_static(&[7; 1024])).await.expect("it is read");
        }
        let late = budget.read_ahead(&mut body, deadline()).await.err();
        assert_eq!(late.map(|failure| failure.kind), Some(ErrorKind::SlowBody), "64 KiB are awaited");
        let mut body = OfLength(65 * 1024, {
            let (sender, pieces) = tokio::sync::mpsc::channel(100);
            for _ in 0..65 {
                sender.try_send(Bytes::from_static(&[7; 1024])).expect("room");
            }
            pieces
        })
        .boxed_unsync();
        budget.read_ahead(&mut body, deadline()).await.expect("it came");
        assert_eq!((budget.0.available_permits(), body.size_hint().exact()), (960 << 10, Some(65 << 10)));
        assert_eq!(body.collect().await.expect("it came").to_bytes(), vec![7; 65 * 1024]);
        assert_eq!(budget.0.available_permits(), 1 << 20);
        let mut whole = full_body("short");
        BodyBudget::new(2).read_ahead(&mut whole, deadline()).await.expect("a full budget refuses nobody");
        assert_eq!(whole.collect().await.expect("it came").to_bytes(), "short");
    }

    /// A body of this many bytes, which come as the channel has them.
    struct OfLength(u64, tokio::sync::mpsc::Receiver<Bytes>);

    impl http_body::Body for OfLength {
        type Data = Bytes;
        type Error = BodyError;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
            let polled = self.1.poll_recv(context);
            polled.map(|piece| {
                let piece = piece?;
                self.0 -= piece.len() as u64;
                Some(Ok(Frame::data(piece)))
            })
        }

        fn is_end_stream(&self) -> bool {
            self.0 == 0
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(self.0)
        }
    }
}
