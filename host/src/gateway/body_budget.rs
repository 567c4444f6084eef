//! The memory for the bodies that the gateway holds for one service.

use super::call::CallFailure;
use crate::base::{Body, BodyError, ErrorKind, empty_body};
use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_TYPE, EXPECT};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout_at};

/// What is read of a request's body before its service is called: a client that sends slowly then holds no place of the
/// service. nginx reads as much into memory before it begins with its temporary files.
const AHEAD: usize = 64 << 10;

/// A client that does not say how much it will send, and pauses for so long, may be waiting for the head of the answer.
/// A whole upload is sent without such pauses; an exchange in both directions begins later by so much.
const PAUSE: Duration = Duration::from_millis(50);

/// The bytes that all bodies together may take which the gateway holds for one service.
///
/// A body that must be held whole, and finds the budget used up, is refused at once. If it waited, clients that send
/// slowly could block all others.
pub(super) struct BodyBudget {
    bytes: Arc<Semaphore>,
    /// The calls that may be under way while their clients still send: see [`BodyBudget::read_ahead`].
    open: Arc<Semaphore>,
    /// How many these are in all.
    most_open: usize,
}

/// A body that is held; its bytes go back to the budget when it is dropped.
pub(super) struct HeldBody {
    parts: Vec<Bytes>,
    permit: Option<OwnedSemaphorePermit>,
}

impl BodyBudget {
    /// A budget of `bytes`, for a service that may be called `open` times while the clients of those calls still send.
    pub(super) fn new(bytes: usize, open: usize) -> Self {
        let semaphore = |permits: usize| Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)));
        Self { bytes: semaphore(bytes), open: semaphore(open), most_open: open }
    }

    /// The same budget once more, if it may have as many calls of slow clients as `next`.
    pub(super) fn shared_with(&self, next: &Self) -> Option<Self> {
        let Self { bytes, open, most_open } = self;
        (*most_open == next.most_open).then(|| Self {
            bytes: Arc::clone(bytes),
            open: Arc::clone(open),
            most_open: *most_open,
        })
    }

    /// How many bytes are free.
    pub(super) fn free(&self) -> usize {
        self.bytes.available_permits()
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
                    self.take(&mut held.permit, data.len())?;
                    held.parts.push(data);
                }
            }
            Ok(())
        };
        match timeout_at(deadline.into(), read).await {
            Ok(read) => read.map(|()| held),
            Err(_) => Err(failure(ErrorKind::SlowBody, "the body did not arrive by the call's deadline".into())),
        }
    }

    /// How much of `body`, of a request with these headers, [`BodyBudget::read_ahead`] reads; `None`: it is at its end.
    pub(super) fn reading(headers: &HeaderMap, body: &Body) -> Option<Reading> {
        if body.is_end_stream() {
            return None;
        }
        let length = body.size_hint().exact();
        // One that asks before it sends a long body shall hear the service's answer first.
        let asks = headers.contains_key(EXPECT) && length.is_none_or(|length| length > AHEAD as u64);
        let is_grpc = headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
        Some(match length {
            _ if asks => Reading::UntilPause(Duration::ZERO),
            Some(_) => Reading::Beginning,
            // The calls of gRPC are streams in both directions.
            None if is_grpc => Reading::UntilPause(Duration::ZERO),
            None => Reading::UntilPause(PAUSE),
        })
    }

    /// Reads the first 64 KiB of `body`, or all of a shorter one. It stays a body that can be read from its beginning.
    /// If the budget is used up, less is read.
    ///
    /// A service is called before the end of a body only if few enough of its calls have clients that still send, so
    /// that clients which send slowly never take all its places. Otherwise the request waits here.
    ///
    /// # Errors
    /// The client's failure to send that much by `deadline`; [`ErrorKind::Overloaded`] if too many clients of the
    /// service were still sending until then.
    pub(super) async fn read_ahead(
        &self,
        body: &mut Body,
        reading: Reading,
        deadline: Instant,
    ) -> Result<(), CallFailure> {
        let (mut begun, mut permit, mut bytes) = (VecDeque::new(), None, 0);
        let (mut has_ended, mut open) = (false, None);
        let read = async {
            while bytes < AHEAD && !body.is_end_stream() {
                let frame = tokio::select! {
                    biased;
                    place = self.open_after(reading) => {
                        open = Some(place);
                        break;
                    }
                    frame = body.frame() => frame,
                };
                let Some(frame) = frame else {
                    has_ended = true;
                    break;
                };
                let frame = frame.map_err(|error| failure(error.kind, error.detail))?;
                let length = frame.data_ref().map_or(0, Bytes::len);
                bytes += length;
                let within_budget = self.take(&mut permit, length);
                begun.push_back(frame);
                if within_budget.is_err() {
                    break;
                }
            }
            if open.is_none() && !has_ended && !body.is_end_stream() {
                open = Some(self.open_place().await);
            }
            Ok::<(), CallFailure>(())
        };
        let read = timeout_at(deadline.into(), read).await;
        match read {
            Ok(read) => read?,
            Err(_) if bytes < AHEAD => {
                return Err(failure(ErrorKind::SlowBody, "the body did not begin by the call's deadline".into()));
            }
            Err(_) => {
                let detail = "as many other clients as `limits.open_uploads` allows were still sending their bodies";
                return Err(failure(ErrorKind::Overloaded, detail.into()));
            }
        }
        let rest = std::mem::replace(body, empty_body());
        *body = BegunBody { begun, permit, has_ended, open, rest }.boxed_unsync();
        Ok(())
    }

    /// The right to call the service before the end of a body, once the client has paused as long as `reading` says.
    async fn open_after(&self, reading: Reading) -> OwnedSemaphorePermit {
        match reading {
            Reading::Beginning => std::future::pending().await,
            Reading::UntilPause(Duration::ZERO) => {}
            Reading::UntilPause(pause) => sleep(pause).await,
        }
        self.open_place().await
    }

    async fn open_place(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.open).acquire_owned().await.expect("the semaphore is never closed")
    }

    fn take(&self, held: &mut Option<OwnedSemaphorePermit>, length: usize) -> Result<(), CallFailure> {
        let bytes = u32::try_from(length).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.bytes).try_acquire_many_owned(bytes);
        let permit = permit
            .map_err(|_| failure(ErrorKind::Overloaded, "the bodies of other requests use up `body_memory`".into()))?;
        match held {
            Some(own) => own.merge(permit),
            none => *none = Some(permit),
        }
        Ok(())
    }
}

/// How much of a body is read before the service is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// Its first 64 KiB.
    Beginning,
    /// As much, or less if the client pauses for so long and the service may be called.
    UntilPause(Duration),
}

/// A body whose beginning was read ahead. The beginning goes back to the budget once all of it is read.
struct BegunBody {
    begun: VecDeque<Frame<Bytes>>,
    permit: Option<OwnedSemaphorePermit>,
    /// Whether `begun` is all of it.
    has_ended: bool,
    /// Given back when the client has sent all.
    open: Option<OwnedSemaphorePermit>,
    rest: Body,
}

impl http_body::Body for BegunBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(frame) = self.begun.pop_front() {
            return Poll::Ready(Some(Ok(frame)));
        }
        self.permit = None;
        if self.has_ended {
            return Poll::Ready(None);
        }
        let polled = ready!(Pin::new(&mut self.rest).poll_frame(context));
        if polled.is_none() || self.rest.is_end_stream() {
            self.open = None;
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.begun.is_empty() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let begun: usize = self.begun.iter().filter_map(Frame::data_ref).map(Bytes::len).sum();
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
        let budget = BodyBudget::new(8, 1);
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
        let budget = BodyBudget::new(1 << 20, 1);
        let deadline = || Instant::now() + std::time::Duration::from_secs(60);
        let (sender, pieces) = tokio::sync::mpsc::channel(100);
        let mut body = OfLength(Some(65 * 1024), pieces).boxed_unsync();
        let expects = HeaderMap::from_iter([(EXPECT, http::HeaderValue::from_static("100-continue"))]);
        let at_once = Some(Reading::UntilPause(Duration::ZERO));
        assert_eq!(BodyBudget::reading(&HeaderMap::new(), &body), Some(Reading::Beginning));
        assert_eq!(BodyBudget::reading(&expects, &body), at_once);
        assert_eq!(BodyBudget::reading(&expects, &full_body("short")), Some(Reading::Beginning));
        assert_eq!(BodyBudget::reading(&HeaderMap::new(), &empty_body()), None);
        for _ in 0..63 {
            sender.send(Bytes::from_static(&[7; 1024])).await.expect("it is read");
        }
        let late = budget.read_ahead(&mut body, Reading::Beginning, deadline()).await.err();
        assert_eq!(late.map(|failure| failure.kind), Some(ErrorKind::SlowBody), "64 KiB are awaited");
        let mut body = OfLength(Some(65 * 1024), {
            let (sender, pieces) = tokio::sync::mpsc::channel(100);
            for _ in 0..65 {
                sender.try_send(Bytes::from_static(&[7; 1024])).expect("room");
            }
            pieces
        })
        .boxed_unsync();
        budget.read_ahead(&mut body, Reading::Beginning, deadline()).await.expect("it came");
        assert_eq!((budget.bytes.available_permits(), body.size_hint().exact()), (960 << 10, Some(65 << 10)));
        assert_eq!(body.collect().await.expect("it came").to_bytes(), vec![7; 65 * 1024]);
        assert_eq!(budget.bytes.available_permits(), 1 << 20);
        let mut whole = full_body("short");
        let small = BodyBudget::new(2, 1);
        small.read_ahead(&mut whole, Reading::Beginning, deadline()).await.expect("a full budget refuses nobody");
        assert_eq!(whole.collect().await.expect("it came").to_bytes(), "short");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_without_a_length_is_read_until_the_client_pauses_and_the_service_may_be_called() {
        let (budget, deadline) = (BodyBudget::new(1 << 20, 1), || Instant::now() + Duration::from_secs(60));
        let begin = || {
            let (sender, pieces) = tokio::sync::mpsc::channel(100);
            sender.try_send(Bytes::from_static(b"a")).expect("room");
            (sender, OfLength(None, pieces).boxed_unsync())
        };
        let grpc = HeaderMap::from_iter([(CONTENT_TYPE, http::HeaderValue::from_static("application/grpc+proto"))]);
        let reading = BodyBudget::reading(&HeaderMap::new(), &begin().1).expect("it has a body");
        assert_eq!(reading, Reading::UntilPause(PAUSE));
        assert_eq!(BodyBudget::reading(&grpc, &begin().1), Some(Reading::UntilPause(Duration::ZERO)));
        // It may be an exchange in both directions.
        let ((first_sender, mut first), (second_sender, mut second)) = (begin(), begin());
        budget.read_ahead(&mut first, reading, deadline()).await.expect("the client waits for the service");
        // A second one waits while the client of the first one still sends, whether by pauses or by much that it sent.
        let late = budget.read_ahead(&mut second, reading, Instant::now() + Duration::from_secs(1)).await.err();
        assert_eq!(late.map(|failure| failure.kind), Some(ErrorKind::SlowBody));
        second_sender.try_send(Bytes::from(vec![7; AHEAD])).expect("room");
        let late = budget.read_ahead(&mut second, reading, Instant::now() + Duration::from_secs(1)).await.err();
        assert_eq!(late.map(|failure| failure.kind), Some(ErrorKind::Overloaded));
        // One that is whole needs to wait for nobody.
        let (sender, mut whole) = begin();
        drop(sender);
        budget.read_ahead(&mut whole, reading, deadline()).await.expect("it came");
        assert_eq!(whole.collect().await.expect("it came").to_bytes(), "a");
        // The client of the first one sends its last, and the next one goes on.
        drop(first_sender);
        let (sender, mut third) = begin();
        let (read, first) = tokio::join!(budget.read_ahead(&mut third, reading, deadline()), first.collect());
        assert!(read.is_ok() && first.expect("it came").to_bytes() == "a");
        drop(third);
        assert_eq!((budget.open.available_permits(), budget.bytes.available_permits()), (1, 1 << 20));
        drop(sender);
    }

    /// A body of this many bytes, if that is known, which come as the channel has them.
    struct OfLength(Option<u64>, tokio::sync::mpsc::Receiver<Bytes>);

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
                if let Some(left) = &mut self.0 {
                    *left -= piece.len() as u64;
                }
                Some(Ok(Frame::data(piece)))
            })
        }

        fn is_end_stream(&self) -> bool {
            self.0 == Some(0)
        }

        fn size_hint(&self) -> SizeHint {
            self.0.map_or_else(SizeHint::default, SizeHint::with_exact)
        }
    }
}
