//! Sends one signal to a collector, by OTLP over HTTP with protobuf or over gRPC.
//!
//! <https://opentelemetry.io/docs/specs/otlp/>. The task that exports waits for the collector alone.

use crate::base::{CallContext, RequestId, full_body};
use crate::egress::EgressRule;
use crate::mesh::{Dial, HttpClient, Tls};
use crate::telemetry::{OtlpProtocol, OtlpSignal, PartialSuccess, SignalTarget, partial_success};
use anyhow::Context;
use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, RETRY_AFTER, TE};
use http::{HeaderMap, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

/// The longest answer of a collector that is read, in bytes.
const LONGEST: usize = 64 << 10;
/// How often one export is sent at most.
const TRIES: u32 = 4;
/// The wait before the second try, if the collector does not say; it doubles with each.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest wait that a collector may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The shortest time between two lines in the log about a collector that takes nothing.
const QUIET: Duration = Duration::from_secs(60);
/// What stands before a message of gRPC: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// A collector, for one signal.
pub(super) struct OtlpClient {
    signal: OtlpSignal,
    settings: SignalTarget,
    client: HttpClient,
    /// The path of the collector.
    path: Uri,
}

/// How one try of an export ended.
enum ExportEnd {
    /// The collector has it.
    Taken,
    /// It does not take it, or not even on a further try.
    Refused(String),
    /// It may take it later: after this time, if it says so.
    Later(Option<Duration>, String),
}

/// An answer of a collector, read whole.
struct CollectorAnswer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    trailers: HeaderMap,
}

impl OtlpClient {
    /// A client for this signal. It does not connect yet.
    ///
    /// # Errors
    /// The root certificates cannot be read.
    pub(super) fn new(signal: OtlpSignal, settings: &SignalTarget) -> anyhow::Result<Self> {
        let uri = &settings.endpoint;
        let authority = uri.authority().context("the address of a collector has a host")?;
        let base = format!("{}://{authority}", uri.scheme_str().unwrap_or("http"));
        // Whoever wrote the manifest may name an address that is not public.
        let rule = EgressRule::parse(&base, true).map_err(|error| anyhow::anyhow!("{error}: {}", error.help()))?;
        let tls = match (uri.scheme_str(), &settings.ca) {
            (Some("http"), _) => None,
            (_, Some(ca)) => Some(Tls::with_ca(ca)?),
            (_, None) => Some(Tls::system()?),
        };
        let http2 = settings.protocol == OtlpProtocol::Grpc;
        let client = HttpClient::checked(base.parse()?, rule, &Dial { tls, http2, ..Dial::default() });
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).parse()?;
        Ok(Self { signal, settings: settings.clone(), client, path })
    }

    /// Sends `message`, and does so again where the collector may take it later.
    ///
    /// # Errors
    /// It does not take it; why.
    pub(super) async fn deliver(&self, message: &Bytes) -> Result<(), String> {
        let mut pause = PAUSE;
        for attempt in 1..=TRIES {
            match self.send(message).await {
                ExportEnd::Taken => return Ok(()),
                ExportEnd::Later(after, reason) if attempt < TRIES => {
                    let wait = after.unwrap_or(pause).min(LONGEST_PAUSE);
                    tracing::debug!(target: "otlp", %reason, ?wait, "the collector may take it later");
                    sleep(wait).await;
                    pause *= 2;
                }
                ExportEnd::Later(_, reason) | ExportEnd::Refused(reason) => return Err(reason),
            }
        }
        unreachable!("the last try returns")
    }

    /// Sends `message` once: for the end of the host, which waits for no second try.
    ///
    /// # Errors
    /// The collector did not take it; why.
    pub(super) async fn deliver_once(&self, message: &Bytes) -> Result<(), String> {
        match self.send(message).await {
            ExportEnd::Taken => Ok(()),
            ExportEnd::Later(_, reason) | ExportEnd::Refused(reason) => Err(reason),
        }
    }

    async fn send(&self, message: &Bytes) -> ExportEnd {
        let request = match self.request(message) {
            Ok(request) => request,
            Err(error) => return ExportEnd::Refused(error.to_string()),
        };
        let limit = self.settings.timeout;
        let context = CallContext::new(RequestId::from_random(rand::random()), Instant::now(), limit);
        let exchange = async {
            let answer = self.client.send(request, &context).await.map_err(|error| error.to_string())?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, LONGEST).collect().await.map_err(|error| error.to_string())?;
            let trailers = body.trailers().cloned().unwrap_or_default();
            Ok(CollectorAnswer { status: head.status, headers: head.headers, body: body.to_bytes(), trailers })
        };
        match timeout(limit, exchange).await {
            Ok(Ok(answer)) => self.judge(&answer),
            // Whether it has the message is not known. Sent again it would be there twice, under the same ids.
            Ok(Err(reason)) => ExportEnd::Later(None, reason),
            Err(_) => ExportEnd::Later(None, "it does not answer in time".to_owned()),
        }
    }

    fn request(&self, message: &Bytes) -> Result<Request<crate::base::Body>, http::Error> {
        let mut request = Request::post(self.path.clone());
        for (name, value) in &self.settings.headers {
            request = request.header(name, value);
        }
        match self.settings.protocol {
            OtlpProtocol::Http => {
                request.header(CONTENT_TYPE, "application/x-protobuf").body(full_body(message.clone()))
            }
            OtlpProtocol::Grpc => {
                let request = request.header(CONTENT_TYPE, "application/grpc").header(TE, "trailers");
                request.body(full_body(framed(message)))
            }
        }
    }

    fn judge(&self, answer: &CollectorAnswer) -> ExportEnd {
        match self.settings.protocol {
            OtlpProtocol::Http => self.judge_http(answer),
            OtlpProtocol::Grpc => self.judge_grpc(answer),
        }
    }

    fn judge_http(&self, answer: &CollectorAnswer) -> ExportEnd {
        if answer.status.is_success() {
            return self.taken(&answer.body);
        }
        let reason = format!("it answers with status {}", answer.status.as_u16());
        match answer.status.as_u16() {
            429 | 502 | 503 | 504 => {
                let after = answer.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
                ExportEnd::Later(after.map(Duration::from_secs), reason)
            }
            _ => ExportEnd::Refused(reason),
        }
    }

    /// The status of gRPC stands in the trailers; in an answer without a body, which has none, in the head.
    fn judge_grpc(&self, answer: &CollectorAnswer) -> ExportEnd {
        let field = |name| answer.trailers.get(name).or_else(|| answer.headers.get(name));
        let Some(status) = field("grpc-status").and_then(|value| value.to_str().ok()?.parse::<u32>().ok()) else {
            let status = answer.status.as_u16();
            return ExportEnd::Refused(format!("it answers with status {status} and without a status of gRPC"));
        };
        if status == 0 {
            return self.taken(answer.body.get(PREFIX..).unwrap_or_default());
        }
        let said = field("grpc-message").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let reason = format!("it answers with status {status} of gRPC: {said:?}");
        match status {
            // Those that OTLP names as worth another try.
            1 | 4 | 10 | 11 | 14 | 15 => ExportEnd::Later(None, reason),
            _ => ExportEnd::Refused(reason),
        }
    }

    fn taken(&self, message: &[u8]) -> ExportEnd {
        if let Some(PartialSuccess { rejected, message }) = partial_success(message) {
            let of = self.signal.as_str();
            tracing::warn!(target: "otlp", rejected, message, of, "the collector took a part");
        }
        ExportEnd::Taken
    }
}

/// The message as gRPC sends it, uncompressed.
fn framed(message: &Bytes) -> Bytes {
    let mut framed = BytesMut::with_capacity(PREFIX + message.len());
    framed.put_u8(0);
    // An export has a few thousand spans or lines: it is far below 4 GiB.
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.extend_from_slice(message);
    framed.freeze()
}

/// What was said about a collector that takes nothing.
pub(super) struct CollectorComplaints {
    of: &'static str,
    last: Option<Instant>,
    /// What was lost since.
    unsaid: usize,
}

impl CollectorComplaints {
    /// Nothing was said yet about exports of this signal.
    pub(super) fn new(signal: OtlpSignal) -> Self {
        Self { of: signal.as_str(), last: None, unsaid: 0 }
    }

    /// So much was lost. A line in the log says so, at most once a minute.
    pub(super) fn add(&mut self, lost: usize, reason: &str) {
        self.unsaid += lost;
        if self.last.is_none_or(|last| last.elapsed() >= QUIET) {
            let (lost, of) = (std::mem::take(&mut self.unsaid), self.of);
            tracing::warn!(target: "otlp", lost, of, reason, "the collector takes nothing: it is lost");
            self.last = Some(Instant::now());
        }
    }

    /// The collector takes exports.
    pub(super) fn end(&mut self) {
        if self.last.take().is_some() {
            let (lost, of) = (std::mem::take(&mut self.unsaid), self.of);
            tracing::info!(target: "otlp", lost, of, "the collector takes exports again; so much was lost meanwhile");
        }
    }
}
