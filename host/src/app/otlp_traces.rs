//! Sends the kept traces to the collector, by OTLP over HTTP with protobuf.
//!
//! <https://opentelemetry.io/docs/specs/otlp/#otlphttp>. The task waits for the collector alone: a request leaves its
//! trace in a queue of fixed size, and a trace that finds no room there is left out and counted.

use crate::base::{CallContext, RequestId, full_body};
use crate::egress::EgressRule;
use crate::mesh::{Dial, HttpClient, Tls};
use crate::telemetry::{ExportSettings, HostResource, KeptTrace, TraceQueue, export_request, partial_success};
use anyhow::Context;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use std::sync::Arc;
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
/// How long the end of the host waits for the last export.
const LAST: Duration = Duration::from_millis(1500);
/// The shortest time between two lines in the log about a collector that does not take traces.
const QUIET: Duration = Duration::from_secs(60);

/// The one that sends traces.
pub(super) struct OtlpExporter {
    settings: ExportSettings,
    queue: Arc<TraceQueue>,
    client: HttpClient,
    /// The path of the collector.
    target: Uri,
    host: HostResource,
}

/// How one try of an export ended.
enum ExportEnd {
    /// The collector has the spans.
    Taken,
    /// It does not take them, or not even on a further try.
    Refused(String),
    /// It may take them later: after this time, if it says so.
    Later(Option<Duration>, String),
}

/// Spans that were taken out of the queue and that the collector does not have. They are counted as dropped when this
/// is: also when the host ends while it waits for the collector.
struct UnsentSpans<'a> {
    queue: &'a TraceQueue,
    spans: usize,
}

impl Drop for UnsentSpans<'_> {
    fn drop(&mut self) {
        self.queue.dropped(self.spans);
    }
}

/// What was said about a collector that does not take traces.
#[derive(Default)]
struct CollectorComplaints {
    last: Option<Instant>,
    /// Spans that were lost since.
    unsaid: usize,
}

impl OtlpExporter {
    /// An exporter of what `queue` gets. It does not connect yet.
    ///
    /// # Errors
    /// The root certificates cannot be read.
    pub(super) fn new(settings: &ExportSettings, queue: Arc<TraceQueue>) -> anyhow::Result<Self> {
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
        let client = HttpClient::checked(base.parse()?, rule, &Dial { tls, ..Dial::default() });
        let target = uri.path_and_query().map_or("/v1/traces", |target| target.as_str()).parse()?;
        let host = HostResource {
            service_name: settings.service_name.clone(),
            instance: format!("{:032x}", rand::random::<u128>()),
            attributes: settings.resource.clone(),
        };
        Ok(Self { settings: settings.clone(), queue, client, target, host })
    }

    /// Sends traces for as long as the host runs. It never returns.
    pub(super) async fn run(&self) {
        let mut complaints = CollectorComplaints::default();
        loop {
            self.queue.added().await;
            // Spans are gathered for a while, but not if a whole batch is there.
            let gathered = async {
                while self.queue.waiting() < self.settings.batch {
                    self.queue.added().await;
                }
            };
            let _ = timeout(self.settings.delay, gathered).await;
            loop {
                let traces = self.queue.take(self.settings.batch);
                if traces.is_empty() {
                    break;
                }
                self.export(&traces, &mut complaints).await;
            }
        }
    }

    /// Sends what waits at the end of the host, in a bounded time.
    pub(super) async fn finish(&self) {
        let rest = async {
            loop {
                let traces = self.queue.take(self.settings.batch);
                let Some(body) = self.body(&traces) else { return };
                let mut unsent = UnsentSpans { queue: &self.queue, spans: count(&traces) };
                match self.send(body).await {
                    ExportEnd::Taken => self.queue.exported(std::mem::take(&mut unsent.spans)),
                    ExportEnd::Refused(_) | ExportEnd::Later(..) => return,
                }
            }
        };
        let finished = timeout(LAST, rest).await.is_ok();
        let unsent = self.queue.waiting();
        if unsent > 0 || !finished {
            tracing::warn!(target: "otlp", spans = unsent, "traces that waited at the end did not reach the collector");
        }
    }

    /// The request for these traces; `None` without traces.
    fn body(&self, traces: &[Arc<KeptTrace>]) -> Option<Bytes> {
        (!traces.is_empty()).then(|| export_request(&self.host, traces).into())
    }

    async fn export(&self, traces: &[Arc<KeptTrace>], complaints: &mut CollectorComplaints) {
        let Some(body) = self.body(traces) else { return };
        let mut unsent = UnsentSpans { queue: &self.queue, spans: count(traces) };
        let mut pause = PAUSE;
        for attempt in 1..=TRIES {
            let reason = match self.send(body.clone()).await {
                ExportEnd::Taken => {
                    self.queue.exported(std::mem::take(&mut unsent.spans));
                    complaints.end();
                    return;
                }
                ExportEnd::Later(after, reason) if attempt < TRIES => {
                    let wait = after.unwrap_or(pause).min(LONGEST_PAUSE);
                    tracing::debug!(target: "otlp", %reason, ?wait, "the collector may take traces later");
                    sleep(wait).await;
                    pause *= 2;
                    continue;
                }
                ExportEnd::Later(_, reason) | ExportEnd::Refused(reason) => reason,
            };
            complaints.add(unsent.spans, &reason);
            return;
        }
    }

    /// Sends one request.
    async fn send(&self, body: Bytes) -> ExportEnd {
        let mut request = Request::post(self.target.clone()).header(CONTENT_TYPE, "application/x-protobuf");
        for (name, value) in &self.settings.headers {
            request = request.header(name, value);
        }
        let request = match request.body(full_body(body)) {
            Ok(request) => request,
            Err(error) => return ExportEnd::Refused(error.to_string()),
        };
        let limit = self.settings.timeout;
        let context = CallContext::new(RequestId::from_random(rand::random()), Instant::now(), limit);
        let exchange = async {
            let answer = self.client.send(request, &context).await.map_err(|error| error.to_string())?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, LONGEST).collect().await.map_err(|error| error.to_string())?;
            Ok((head.status, head.headers, body.to_bytes()))
        };
        match timeout(limit, exchange).await {
            Ok(Ok((status, headers, body))) => judge(status, &headers, &body),
            // Whether it has the spans is not known. ExportEnd again they would be there twice, under the same ids.
            Ok(Err(reason)) => ExportEnd::Later(None, reason),
            Err(_) => ExportEnd::Later(None, "it does not answer in time".to_owned()),
        }
    }
}

/// What a collector's answer means.
fn judge(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ExportEnd {
    if status.is_success() {
        if let Some(partial) = partial_success(body) {
            let (rejected, message) = (partial.rejected, partial.message);
            tracing::warn!(target: "otlp", rejected, message, "the collector took a part of the spans");
        }
        return ExportEnd::Taken;
    }
    let reason = format!("it answers with status {}", status.as_u16());
    match status.as_u16() {
        429 | 502 | 503 | 504 => {
            let after = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
            ExportEnd::Later(after.map(Duration::from_secs), reason)
        }
        _ => ExportEnd::Refused(reason),
    }
}

fn count(traces: &[Arc<KeptTrace>]) -> usize {
    traces.iter().map(|trace| trace.spans.len()).sum()
}

impl CollectorComplaints {
    /// So many spans were lost. A line in the log says so, at most once a minute.
    fn add(&mut self, spans: usize, reason: &str) {
        self.unsaid += spans;
        if self.last.is_none_or(|last| last.elapsed() >= QUIET) {
            let spans = std::mem::take(&mut self.unsaid);
            tracing::warn!(target: "otlp", spans, reason, "the collector takes no traces: these spans are lost");
            self.last = Some(Instant::now());
        }
    }

    /// The collector takes traces.
    fn end(&mut self) {
        if self.last.take().is_some() {
            let spans = std::mem::take(&mut self.unsaid);
            tracing::info!(target: "otlp", spans, "the collector takes traces again; these spans were lost meanwhile");
        }
    }
}
