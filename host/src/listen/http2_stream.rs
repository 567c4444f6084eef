//! One exchange on a stream of HTTP/2, in the shape that the rest of the host knows from HTTP/1.1.

use super::connection_stage::{StageTracker, StageVersion};
use super::http_exchange::ExchangeRecord;
use super::least_rate::UploadPace;
use super::stream_tasks::StreamProgress;
use super::tunnel::Tunnel;
use crate::base::{Body, BodyError, ErrorKind, empty_body, remove_hop_by_hop};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, COOKIE, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

/// The longest piece of an answer that hyper gets at a time. What hyper has got waits in memory for the windows of the
/// peer, where no least rate is seen.
const PIECE: usize = 16 * 1024;

/// The streams of one connection that are open now. The connection serves as long as there is one.
pub(super) struct OpenStreams {
    tracker: Arc<StageTracker>,
    open: Mutex<(usize, Option<StageVersion>)>,
}

impl OpenStreams {
    pub(super) fn new(tracker: Arc<StageTracker>) -> Arc<Self> {
        Arc::new(Self { tracker, open: Mutex::default() })
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    /// Counts one more, until the result is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> OpenStream {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.0 += 1;
        if open.0 == 1 {
            open.1 = Some(self.tracker.serve());
        }
        OpenStream(Arc::clone(self))
    }
}

/// One open stream.
pub(super) struct OpenStream(Arc<OpenStreams>);

impl Drop for OpenStream {
    fn drop(&mut self) {
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.0 -= 1;
        if open.0 == 0
            && let Some(stage) = open.1.take()
        {
            self.0.tracker.rest(stage);
        }
    }
}

/// What the answer to a request has to know of it.
pub(super) struct StreamExchange {
    progress: Arc<StreamProgress>,
    open: OpenStream,
    is_head: bool,
}

impl StreamExchange {
    pub(super) fn begin(progress: Arc<StreamProgress>, open: OpenStream, request: &Request<Incoming>) -> Self {
        Self { progress, open, is_head: *request.method() == Method::HEAD }
    }

    /// The answer as it is sent on a stream: without the fields that HTTP/2 has no use for (RFC 9113, section 8.2.2),
    /// and without a body where there must be none. hyper 1.12 takes such a body away in HTTP/1 alone.
    pub(super) fn answer(self, mut answer: Response<Body>) -> Response<StreamAnswer> {
        remove_hop_by_hop(answer.headers_mut());
        let status = answer.status();
        if status == StatusCode::NO_CONTENT {
            answer.headers_mut().remove(CONTENT_LENGTH);
        }
        if self.is_head || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            *answer.body_mut() = empty_body();
        }
        let announced = answer.headers().get(CONTENT_LENGTH).filter(|_| !answer.body().is_end_stream());
        let left = announced.and_then(|length| length.to_str().ok()?.parse().ok());
        answer.map(|body| StreamAnswer { body, rest: None, left, progress: self.progress, _open: self.open })
    }
}

/// The client's side of a WebSocket on a stream (RFC 8441).
pub(super) struct StreamTunnel(OnUpgrade);

impl StreamTunnel {
    /// Takes the stream out of `request`, if that opens a WebSocket. The request becomes the handshake of HTTP/1.1,
    /// with a key, of which HTTP/2 has none (RFC 8441, section 5).
    pub(super) fn of(request: &mut Request<Incoming>) -> Option<Self> {
        let protocol = request.extensions_mut().remove::<Protocol>()?;
        if *request.method() != Method::CONNECT || protocol.as_str() != "websocket" {
            return None;
        }
        let stream = hyper::upgrade::on(&mut *request);
        *request.method_mut() = Method::GET;
        let key = BASE64.encode(rand::random::<[u8; 16]>());
        let key = HeaderValue::from_str(&key).expect("Base64 is visible ASCII");
        let headers = request.headers_mut();
        headers.insert(SEC_WEBSOCKET_KEY, key);
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        Some(Self(stream))
    }

    /// Accepts with 200 in place of 101, and returns the tunnel that follows. Another success would look like that, so
    /// it is a failure of the service.
    pub(super) fn answer(self, answer: &mut Response<Body>) -> Option<(OnUpgrade, Tunnel)> {
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            *answer.status_mut() = StatusCode::OK;
            answer.headers_mut().remove(SEC_WEBSOCKET_ACCEPT);
            return Tunnel::of(answer).map(|tunnel| (self.0, tunnel));
        }
        if answer.status().is_success() {
            *answer.status_mut() = StatusCode::BAD_GATEWAY;
            answer.headers_mut().remove(CONTENT_LENGTH);
            *answer.body_mut() = empty_body();
        }
        None
    }
}

/// The request in the form that HTTP/1.1 would have given it (RFC 9113, sections 8.2.3 and 8.3.1): its host in `Host`,
/// its cookies in one line. hyper and h2 have refused fields in capitals, the fields of HTTP/1 connections, and pseudo
/// fields that are wrong, doubled or missing.
pub(super) fn normalize(request: Request<Incoming>, record: &Arc<ExchangeRecord>) -> Request<Body> {
    let (mut head, body) = request.into_parts();
    http1_head(&mut head);
    let body = match body.is_end_stream() {
        true => empty_body(),
        false => {
            let pace = UploadPace::new(record.upload_rate());
            StreamUpload { body, pace, record: Arc::clone(record) }.boxed_unsync()
        }
    };
    Request::from_parts(head, body)
}

/// Makes the head of a request of HTTP/2 one as HTTP/1.1 has it: with `Host`, and with one field `cookie`.
pub fn http1_head(head: &mut Parts) {
    if !head.headers.contains_key(HOST)
        && let Some(host) = head.uri.authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok())
    {
        head.headers.insert(HOST, host);
    }
    join_cookies(&mut head.headers);
}

/// Clients may split the field `cookie`, to compress it better (RFC 9113, section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut lines = headers.get_all(COOKIE).iter();
    if lines.next().is_none() || lines.next().is_none() {
        return;
    }
    let lines: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    let joined = HeaderValue::from_bytes(&lines.join(&b"; "[..])).expect("made of header values");
    headers.insert(COOKIE, joined);
}

/// The body of a request. Its trailer section is dropped, as in HTTP/1, unless the route passes it on.
struct StreamUpload {
    body: Incoming,
    pace: UploadPace,
    record: Arc<ExchangeRecord>,
}

impl http_body::Body for StreamUpload {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        loop {
            let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) else {
                // Once the answer has begun, peer and service may be in a conversation. With gRPC they may be before:
                // most servers send the head of an answer with its first message.
                // Not with a peer that has said how much it sends.
                let said = this.body.size_hint().exact().is_some();
                let conversation = this.record.passes_trailers() || this.record.has_answered() && !said;
                if conversation || this.pace.poll_too_slow(context).is_pending() {
                    return Poll::Pending;
                }
                let slow = "the request's body came below `min_upload_rate`";
                return Poll::Ready(Some(Err(BodyError::new(ErrorKind::SlowBody, slow))));
            };
            return Poll::Ready(match frame {
                Some(Ok(frame)) if frame.is_trailers() && !this.record.passes_trailers() => continue,
                Some(Ok(frame)) => {
                    this.pace.received(frame.data_ref().map_or(0, Bytes::len));
                    Some(Ok(frame))
                }
                Some(Err(error)) => {
                    let detail = format!("the request's body broke off: {error}");
                    Some(Err(BodyError::new(ErrorKind::ClientGone, detail)))
                }
                None => None,
            });
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer, in pieces that are not too long.
pub(super) struct StreamAnswer {
    body: Body,
    /// The rest of a piece that was too long.
    rest: Option<Bytes>,
    /// How many bytes the head has announced that have not come.
    left: Option<u64>,
    progress: Arc<StreamProgress>,
    _open: OpenStream,
}

impl StreamAnswer {
    /// Hands a piece to hyper, or its beginning.
    fn hand(&mut self, mut bytes: Bytes) -> Result<Frame<Bytes>, BodyError> {
        let piece = bytes.split_to(bytes.len().min(PIECE));
        self.rest = Some(bytes).filter(|rest| !rest.is_empty());
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(piece.len() as u64).ok_or_else(|| wrong_length("longer"))?;
        }
        self.progress.handed(piece.len());
        Ok(Frame::data(piece))
    }
}

/// h2 does not count an answer, and a peer takes one of another length for malformed (RFC 9113, section 8.1.1).
fn wrong_length(than: &str) -> BodyError {
    BodyError::new(ErrorKind::BadAnswer, format!("the answer is {than} than its `Content-Length`"))
}

impl http_body::Body for StreamAnswer {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(rest) = self.rest.take() {
            return Poll::Ready(Some(self.hand(rest)));
        }
        self.progress.waits_for_service();
        match ready!(Pin::new(&mut self.body).poll_frame(context)) {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(bytes) => Poll::Ready(Some(self.hand(bytes))),
                Err(frame) => {
                    // A trailer section is the last frame, and most are dropped.
                    let trailers = frame.into_trailers().ok().filter(|_| self.progress.record.passes_trailers());
                    Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
                }
            },
            None if self.left.take().is_some_and(|left| left > 0) => Poll::Ready(Some(Err(wrong_length("shorter")))),
            end => Poll::Ready(end),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_none() && self.left.is_none_or(|left| left == 0) && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.as_ref().map_or(0, |rest| rest.len() as u64);
        let hint = self.body.size_hint();
        let mut sum = SizeHint::new();
        sum.set_lower(rest + hint.lower());
        if let Some(upper) = hint.upper() {
            sum.set_upper(rest + upper);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_become_one_line() {
        let mut headers = HeaderMap::new();
        join_cookies(&mut headers);
        assert!(headers.is_empty());
        for line in ["a=1", "b=2; c=3", "d=4"] {
            headers.append(COOKIE, HeaderValue::from_static(line));
        }
        join_cookies(&mut headers);
        assert_eq!(headers.get_all(COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2; c=3; d=4"]);
    }
}
