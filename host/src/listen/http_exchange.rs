//! One HTTP exchange: a request and its answer, from the parsed head to the last byte of both bodies.

use super::answer_buffer::{AnswerMemory, AnswerSlot};
use super::connection_stage::{StageTracker, StageVersion};
use super::interim_answers::InterimAnswers;
use super::least_rate::{LeastRate, UploadPace};
use super::settings::Settings;
use super::tunnel::Tunnel;
use crate::base::{Body, BodyError, ErrorKind, empty_body};
use bytes::Bytes;
use http::header::{CONNECTION, EXPECT, TRANSFER_ENCODING};
use http::{HeaderValue, Request, Response, StatusCode, Version};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

/// The most bytes of a body that are thrown away so that its connection can be used again.
const LEFT_BYTES: usize = 64 * 1024;
/// How often an answer waits for hyper to read what has arrived of a body that the service left.
const LEFT_WAITS: u8 = 2;

/// What a connection, its socket and its exchanges know of each other.
#[derive(Debug)]
pub(super) struct ExchangeRecord {
    /// Whether the body of a request was not read to its end.
    unread: AtomicBool,
    /// Whether the last answer was for an HTTP/1.0 peer, which may take the end of the connection for the end of the
    /// body.
    unframed: AtomicBool,
    /// Whether the connection was cut off because its peer took an answer too slowly.
    slow: AtomicBool,
    /// The answer that is being sent.
    pub(super) answer: AnswerSlot,
    /// What is sent before it.
    pub(super) interim: InterimAnswers,
    /// The least rate of a request's body.
    upload_rate: LeastRate,
    /// Whether the head of the answer was made, where the record is that of a stream of HTTP/2.
    answered: AtomicBool,
    /// Whether trailer sections pass on that stream.
    trailers: AtomicBool,
    /// What the connection becomes after the answer that is being sent, if that switches the protocol.
    tunnel: Mutex<Option<Tunnel>>,
}

impl ExchangeRecord {
    pub(super) fn new(settings: &Settings, memory: AnswerMemory) -> Self {
        Self {
            unread: AtomicBool::new(false),
            unframed: AtomicBool::new(false),
            slow: AtomicBool::new(false),
            answer: AnswerSlot::new(memory),
            interim: InterimAnswers::default(),
            upload_rate: LeastRate::new(settings.min_upload_rate, settings.rate_grace),
            answered: AtomicBool::new(false),
            trailers: AtomicBool::new(false),
            tunnel: Mutex::default(),
        }
    }

    pub(super) fn note_slow(&self) {
        self.slow.store(true, Relaxed);
    }

    pub(super) fn is_slow(&self) -> bool {
        self.slow.load(Relaxed)
    }

    pub(super) fn left_unread(&self) -> bool {
        self.unread.load(Relaxed)
    }

    pub(super) fn pass_trailers(&self) {
        self.trailers.store(true, Relaxed);
    }

    pub(super) fn passes_trailers(&self) -> bool {
        self.trailers.load(Relaxed)
    }

    pub(super) fn note_answered(&self) {
        self.answered.store(true, Relaxed);
    }

    pub(super) fn has_answered(&self) -> bool {
        self.answered.load(Relaxed)
    }

    pub(super) fn upload_rate(&self) -> LeastRate {
        self.upload_rate
    }

    /// Takes what the connection becomes, if the last answer has switched the protocol.
    pub(super) fn take_tunnel(&self) -> Option<Tunnel> {
        self.tunnel.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn is_unframed(&self) -> bool {
        self.unframed.load(Relaxed)
    }
}

/// A running exchange. It ends when the last reference is dropped. Both bodies hold one, so a connection is not idle
/// while a service that has answered early still reads the request.
pub(super) struct Exchange {
    tracker: Arc<StageTracker>,
    /// The stage change that began this exchange.
    stage: StageVersion,
    record: Arc<ExchangeRecord>,
    upload: Option<Upload>,
}

/// What an exchange knows of a request's body.
struct Upload {
    /// Whether it came chunked, so that a trailer section may follow it.
    chunked: bool,
    /// Whether the client waits for `100 Continue`, which reading the body would send.
    expects: bool,
    state: Mutex<UploadProgress>,
}

/// How far the body of a request has been read.
enum UploadProgress {
    /// The service has the body, and has not read its end.
    InService,
    /// The service has dropped the body before its end, and before its answer.
    Left(Incoming),
    /// The head of the answer was made before the body was read to its end.
    Answered,
    /// The body was read to its end, and no trailer section followed it.
    Ended,
    /// A trailer section followed the body.
    Trailers,
}

impl Exchange {
    /// Begins the exchange of `request`. Returns it with the request, whose body now holds the exchange.
    pub(super) fn begin(
        tracker: &Arc<StageTracker>,
        record: &Arc<ExchangeRecord>,
        request: Request<Incoming>,
    ) -> (Arc<Self>, Request<Body>) {
        record.unframed.store(request.version() == Version::HTTP_10, Relaxed);
        let upload = (!request.body().is_end_stream()).then(|| Upload {
            chunked: request.headers().contains_key(TRANSFER_ENCODING),
            expects: request.headers().contains_key(EXPECT),
            state: Mutex::new(UploadProgress::InService),
        });
        let (tracker, record) = (tracker.clone(), record.clone());
        let exchange = Arc::new(Self { stage: tracker.serve(), tracker, record, upload });
        let request = request.map(|body| {
            if body.is_end_stream() {
                // An empty body need not hold the exchange: a service may keep the request for long.
                return empty_body();
            }
            let pace = UploadPace::new(exchange.record.upload_rate);
            InboundBody { body: Some(body), exchange: Some(exchange.clone()), pace }.boxed_unsync()
        });
        (exchange, request)
    }

    /// Finishes the head of the answer: it says `Connection: close` if this exchange is the last of its connection.
    pub(super) fn answer(self: Arc<Self>, answer: Response<Body>) -> Answering {
        Answering { exchange: self, answer: Some(answer), discarded: 0, waits: 0, waited: false }
    }
}

impl Upload {
    fn state(&self) -> MutexGuard<'_, UploadProgress> {
        // No code panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.tracker.rest(self.stage);
    }
}

/// Makes the answer of an exchange ready to be sent.
pub(super) struct Answering {
    exchange: Arc<Exchange>,
    /// Taken when this is done.
    answer: Option<Response<Body>>,
    /// The bytes of the request's body that were read and thrown away.
    discarded: usize,
    /// How often this has waited for hyper to read what has arrived.
    waits: u8,
    /// Whether this has waited for the interim answers.
    waited: bool,
}

impl Answering {
    /// Whether the next request may be read after this exchange (RFC 9112, section 9.6). An end of the connection that
    /// the answer does not announce can cost the client its next request.
    ///
    /// After a trailer section the connection is not used again: hyper's parser takes bare line feeds and more for line
    /// ends there, so another parser in front of this host may see the section end elsewhere. Whether such a section
    /// follows is known only when a chunked body has been read to its end.
    fn poll_reusable(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        let Some(upload) = &self.exchange.upload else { return Poll::Ready(true) };
        let mut state = upload.state();
        let reusable = match &mut *state {
            UploadProgress::Ended => return Poll::Ready(true),
            UploadProgress::Trailers => return Poll::Ready(false),
            UploadProgress::Answered | UploadProgress::InService => !upload.chunked,
            UploadProgress::Left(_) if upload.expects => false,
            UploadProgress::Left(body) => loop {
                // Most bodies that are left are small, and have arrived with their heads. hyper hands them over in its
                // next turns; nothing waits for the client here.
                match Pin::new(&mut *body).poll_frame(context) {
                    Poll::Ready(None) => break true,
                    Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                        Ok(data) => self.discarded += data.len(),
                        Err(_trailers) => break false,
                    },
                    Poll::Ready(Some(Err(_))) => break false,
                    Poll::Pending if self.waits == LEFT_WAITS => break false,
                    Poll::Pending => {
                        self.waits += 1;
                        context.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                }
                if self.discarded > LEFT_BYTES {
                    break false;
                }
            },
        };
        if matches!(*state, UploadProgress::Left(_)) && !reusable {
            self.exchange.record.unread.store(true, Relaxed);
        }
        *state = UploadProgress::Answered;
        Poll::Ready(reusable)
    }
}

impl Future for Answering {
    type Output = Response<OutboundBody>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if !self.exchange.record.interim.close() {
            // The socket writes what waits when it is flushed, which may be in the next turn of hyper's only. It wakes
            // this task when all is written.
            if !std::mem::replace(&mut self.waited, true) {
                context.waker().wake_by_ref();
            }
            return Poll::Pending;
        }
        let reusable = ready!(self.poll_reusable(context));
        let mut answer = self.answer.take().expect("a future is not polled after its end");
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            *self.exchange.record.tunnel.lock().unwrap_or_else(PoisonError::into_inner) = Tunnel::of(&mut answer);
        }
        if !reusable {
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let exchange = self.exchange.clone();
        Poll::Ready(answer.map(|body| OutboundBody { body, failure: None, _exchange: exchange }))
    }
}

/// The body of a request, on its way to the service. It drops the trailer section: HTTP/1.1 passes none on, and its
/// fields would escape the checks of the header section.
struct InboundBody {
    /// Taken when this is dropped.
    body: Option<Incoming>,
    /// Held until the body has ended.
    exchange: Option<Arc<Exchange>>,
    pace: UploadPace,
}

impl InboundBody {
    /// Notes how the body has ended, and lets the exchange go.
    fn end(&mut self, end: UploadProgress) {
        if let Some(exchange) = self.exchange.take()
            && let Some(upload) = &exchange.upload
        {
            *upload.state() = end;
        }
    }

    /// Fails when the peer sends too slowly. Once the head of the answer was made, nothing is slow in a body whose
    /// length was not said: peer and service may be in a conversation. A peer that said how much it sends is in none,
    /// and loses its connection, since 408 cannot be answered any more.
    fn poll_too_slow(&mut self, context: &mut Context<'_>) -> Poll<BodyError> {
        ready!(self.pace.poll_too_slow(context));
        let upload = self.exchange.as_ref().and_then(|exchange| exchange.upload.as_ref());
        let conversation = |upload: &Upload| upload.chunked && matches!(*upload.state(), UploadProgress::Answered);
        if upload.is_none_or(conversation) {
            return Poll::Pending;
        }
        Poll::Ready(BodyError::new(ErrorKind::SlowBody, "the request's body came below `min_upload_rate`"))
    }
}

impl http_body::Body for InboundBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        // A body whose length is reached has ended: return `None` here, without one more poll of hyper's body. If the
        // answer has ended before the body, hyper 1.12 keeps the sending half, and such a poll would wait forever.
        let Some(body) = self.body.as_mut().filter(|body| !body.is_end_stream()) else { return Poll::Ready(None) };
        let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(context) else {
            return self.poll_too_slow(context).map(|slow| Some(Err(slow)));
        };
        let at_end = body.is_end_stream();
        match frame {
            Some(Ok(frame)) if frame.is_trailers() => {
                self.end(UploadProgress::Trailers);
                Poll::Ready(None)
            }
            Some(Ok(frame)) => {
                self.pace.received(frame.data_ref().map_or(0, Bytes::len));
                if at_end {
                    self.end(UploadProgress::Ended);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                // Whether framing or connection broke: the client is the one that sends this body.
                let detail = format!("the request's body broke off: {error}");
                Poll::Ready(Some(Err(BodyError::new(ErrorKind::ClientGone, detail))))
            }
            None => {
                self.end(UploadProgress::Ended);
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, http_body::Body::size_hint)
    }
}

impl Drop for InboundBody {
    fn drop(&mut self) {
        let Some(exchange) = self.exchange.take() else { return };
        let Some(upload) = &exchange.upload else { return };
        let mut state = upload.state();
        match (&*state, self.body.take()) {
            // What is left is for `Answering`.
            (UploadProgress::InService, Some(body)) => *state = UploadProgress::Left(body),
            _ => exchange.record.unread.store(true, Relaxed),
        }
    }
}

/// The body of an answer, on its way to the client.
pub(super) struct OutboundBody {
    body: Body,
    /// A failure that the next poll returns.
    failure: Option<BodyError>,
    _exchange: Arc<Exchange>,
}

impl http_body::Body for OutboundBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(failure) = self.failure.take() {
            return Poll::Ready(Some(Err(failure)));
        }
        match ready!(Pin::new(&mut self.body).poll_frame(context)) {
            Some(Err(failure)) => {
                // When a body fails, hyper drops what it has buffered. One pending poll makes hyper flush first, so
                // that the peer gets the head and everything before the failure, and then a closed connection instead
                // of the final chunk.
                self.failure = Some(failure);
                context.waker().wake_by_ref();
                Poll::Pending
            }
            frame => Poll::Ready(frame),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.failure.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
