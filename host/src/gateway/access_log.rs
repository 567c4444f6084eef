//! The access log: one line for each request, written when its answer has ended. The request is counted with it.

use super::request_trace::{EndedRequest, RequestTrace};
use crate::base::{
    Blame, Body, BodyError, CallReporter, DeadlineOwner, ErrorKind, RequestId, ServiceName, TraceId, log_safe,
};
use crate::listen::{Peer, UnparsedRequest};
use crate::telemetry::{DurationExemplar, GatewayMetrics, REFUSALS, RequestShape, traps};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, REFERER, USER_AGENT};
use http::{HeaderValue, Method, Request, Response, Uri, Version};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant, SystemTime};

/// The status in the log for a request whose client went away before the answer. It is never sent; nginx logs the same
/// number.
const CLIENT_GONE: u16 = 499;

/// The kind of a request whose client went away, before the answer or within it.
const KIND_GONE: &str = "client-gone";

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AnswerEnd {
    /// The connection has taken all of it.
    Whole,
    /// The service broke off.
    Broken,
    /// The client went away, or was cut off because it read too slowly. Or its body broke off while the service
    /// answered, and with it the answer.
    Gone,
}

/// The line of one request, and its count. Both are made when the record is dropped, so that no request is without
/// them.
pub(super) struct AccessRecord {
    metrics: Arc<GatewayMetrics>,
    /// Where it is counted: see `count_scopes.rs`.
    pub(super) scope: usize,
    /// What the gateway answers with: `answer` of a service, or the kind of a problem.
    kind: &'static str,
    method: Method,
    uri: Uri,
    id: RequestId,
    began: Instant,
    status: u16,
    /// The service, once a route was found for the request.
    pub(super) service: Option<ServiceName>,
    bytes: u64,
    end: AnswerEnd,
    peer: Peer,
    /// The request's trace; `None` if requests are not traced.
    pub(super) trace: Option<RequestTrace>,
    /// The media type of the request's body, for the report of a trap.
    content_type: Option<HeaderValue>,
    /// The length of that body, if the client has said it.
    length: Option<u64>,
    /// What the longer formats of the access log have more.
    client: Option<Box<LoggedClient>>,
}

/// The client of a request, for the longer formats of the access log.
pub(super) struct LoggedClient {
    address: IpAddr,
    version: Version,
    referer: Option<HeaderValue>,
    user_agent: Option<HeaderValue>,
    /// How the request was served.
    report: CallReporter,
}

impl LoggedClient {
    /// The client at `address` that has sent this head.
    pub(super) fn new(address: IpAddr, head: &Request<Body>) -> Box<Self> {
        let field = |name| head.headers().get(name).cloned();
        let (referer, user_agent) = (field(REFERER), field(USER_AGENT));
        Box::new(Self { address, version: head.version(), referer, user_agent, report: CallReporter::default() })
    }
}

/// So many milliseconds, to the microsecond.
fn milliseconds(took: Duration) -> f64 {
    (took.as_secs_f64() * 1e6).round() / 1e3
}

/// A field that a client has sent, as far as it is text.
fn text(field: Option<&HeaderValue>) -> Option<&str> {
    field.and_then(|value| value.to_str().ok())
}

impl AccessRecord {
    /// The record of a request with this head, which arrived at `began`. It is counted at `scope` of `metrics`.
    pub(super) fn begin(
        (metrics, scope): (Arc<GatewayMetrics>, usize),
        head: &Request<Body>,
        id: RequestId,
        began: Instant,
        peer: Peer,
        client: Option<Box<LoggedClient>>,
    ) -> Self {
        Self {
            content_type: head.headers().get(CONTENT_TYPE).cloned(),
            length: head.body().size_hint().exact(),
            client,
            metrics,
            scope,
            kind: KIND_GONE,
            method: head.method().clone(),
            uri: head.uri().clone(),
            id,
            began,
            status: CLIENT_GONE,
            service: None,
            bytes: 0,
            end: AnswerEnd::Gone,
            peer,
            trace: None,
        }
    }

    /// The request's id.
    pub(super) fn id(&self) -> &RequestId {
        &self.id
    }

    /// The client's connection.
    pub(super) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Where the mesh reports how it made the request's call, if the line says it.
    pub(super) fn reporter(&self) -> Option<CallReporter> {
        self.client.as_ref().map(|client| client.report.clone())
    }

    /// The request without what its client alone knows.
    fn shape(&self) -> RequestShape {
        let media_type = text(self.content_type.as_ref()).and_then(|value| value.split(';').next());
        RequestShape {
            method: self.method.as_str().to_owned(),
            route: self.metrics.route(self.scope).unwrap_or_default().to_owned(),
            content_type: media_type.map(|media_type| log_safe(media_type.trim()).into_owned()),
            length: self.length,
        }
    }

    /// Follows `answer`, which is of this kind, until its body has ended.
    pub(super) fn follow(mut self, answer: Response<Body>, kind: &'static str) -> Response<Body> {
        (self.status, self.kind) = (answer.status().as_u16(), kind);
        answer.map(|body| {
            if body.is_end_stream() || self.method == Method::HEAD {
                self.end = AnswerEnd::Whole;
            }
            CountedBody { body, record: self }.boxed_unsync()
        })
    }
}

impl AccessRecord {
    fn end_trace(&self, trace: RequestTrace, kind: &'static str, took: Duration) -> TraceId {
        let (id, kept) = trace.end(&EndedRequest {
            scope: self.scope,
            id: &self.id,
            method: &self.method,
            path: self.uri.path(),
            status: self.status,
            kind,
            broken: self.end == AnswerEnd::Broken,
            took,
        });
        if kept {
            let exemplar = DurationExemplar { trace: id, took, at: SystemTime::now() };
            self.metrics.exemplify(self.scope, self.status, exemplar);
        }
        id
    }
}

impl Drop for AccessRecord {
    fn drop(&mut self) {
        let took = self.began.elapsed();
        let duration_ms = milliseconds(took);
        let kind = match self.end {
            AnswerEnd::Whole => self.kind,
            AnswerEnd::Broken => "broken-off",
            AnswerEnd::Gone => KIND_GONE,
        };
        self.metrics.ended(self.scope, self.status, kind, Some(took));
        traps().request_ended(self.id.as_str(), || self.shape());
        let trace_id = self.trace.take().map(|trace| self.end_trace(trace, kind, took));
        let client = self.client.as_deref();
        let report = client.map(|client| client.report.read());
        let report = report.as_ref();
        // Without the query, which is often secret.
        macro_rules! write_line {
            ($($name:tt)*) => {
                tracing::info!(
                    $($name)*
                    target: "access",
                    method = self.method.as_str(),
                    path = self.uri.path(),
                    status = self.status,
                    kind,
                    service = self.service.as_ref().map(ServiceName::as_str),
                    duration_ms,
                    bytes = self.bytes,
                    end = match self.end {
                        AnswerEnd::Whole => "whole",
                        AnswerEnd::Broken => "broken",
                        AnswerEnd::Gone if self.peer.was_too_slow() => "slow",
                        AnswerEnd::Gone => "gone",
                    },
                    request_id = self.id.as_str(),
                    client = client.map(|client| tracing::field::display(client.address)),
                    route = client.and_then(|_| self.metrics.route(self.scope)),
                    endpoint = report.and_then(|report| report.endpoint.as_deref()),
                    revision = report.and_then(|report| report.revision.as_deref()),
                    tries = report.map(|report| report.tries),
                    queued_ms = report.and_then(|report| report.queued).map(milliseconds),
                    deadline = report.and_then(|report| report.deadline).map(DeadlineOwner::as_str),
                    version = client.map(|client| tracing::field::debug(client.version)),
                    referer = client.and_then(|client| text(client.referer.as_ref())),
                    user_agent = client.and_then(|client| text(client.user_agent.as_ref())),
                    trace_id = trace_id.map(tracing::field::display),
                )
            };
        }
        if kind == ErrorKind::CircuitOpen.as_str() {
            write_line!(name: REFUSALS,);
        } else {
            write_line!();
        }
    }
}

/// Writes the line of what could not be parsed as a request, and counts it at `scope`. There is no method, no path and
/// no time of arrival; the address is all that tells who sent it.
pub(super) fn write_unparsed(metrics: &GatewayMetrics, scope: usize, request: &UnparsedRequest) {
    let UnparsedRequest { peer, status, kind, request_id } = request;
    metrics.ended(scope, *status, kind, None);
    let request_id = request_id.as_ref().map(RequestId::as_str);
    tracing::info!(target: "access", peer = %peer.addr, status, kind, request_id);
}

/// The body of an answer, whose bytes are counted.
struct CountedBody {
    body: Body,
    record: AccessRecord,
}

impl http_body::Body for CountedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let frame = ready!(Pin::new(&mut this.body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                this.record.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                if this.body.is_end_stream() {
                    this.record.end = AnswerEnd::Whole;
                }
            }
            Some(Err(error)) => {
                let by_client = error.kind.blame() == Blame::Client;
                this.record.end = if by_client { AnswerEnd::Gone } else { AnswerEnd::Broken };
                let (id, service) = (this.record.id.as_str(), this.record.service.as_ref().map(ServiceName::as_str));
                tracing::warn!(request_id = id, service, kind = error.kind.as_str(), %error, "an answer broke off");
            }
            None => this.record.end = AnswerEnd::Whole,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
