//! Sends the kept traces to the collector.
//!
//! A request leaves its trace in a queue of fixed size, and a trace that finds no room there is left out and counted.

use super::otlp_client::{CollectorComplaints, OtlpClient};
use crate::telemetry::{ExportSettings, HostResource, KeptTrace, OtlpSignal, SignalTarget, TraceQueue, traces_request};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// The one that sends traces.
pub(super) struct TraceExporter {
    client: OtlpClient,
    queue: Arc<TraceQueue>,
    host: HostResource,
    batch: usize,
    delay: Duration,
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

impl TraceExporter {
    /// An exporter of what `queue` gets.
    ///
    /// # Errors
    /// The root certificates cannot be read.
    pub(super) fn new(
        settings: &ExportSettings,
        target: &SignalTarget,
        host: &HostResource,
        queue: Arc<TraceQueue>,
    ) -> anyhow::Result<Self> {
        let client = OtlpClient::new(OtlpSignal::Traces, target)?;
        Ok(Self { client, queue, host: host.clone(), batch: settings.batch, delay: settings.delay })
    }

    /// Sends traces for as long as the host runs. It never returns.
    pub(super) async fn run(&self) {
        let mut complaints = CollectorComplaints::new(OtlpSignal::Traces);
        loop {
            self.queue.added().await;
            // Spans are gathered for a while, but not if a whole batch is there.
            let gathered = async {
                while self.queue.waiting() < self.batch {
                    self.queue.added().await;
                }
            };
            let _ = timeout(self.delay, gathered).await;
            while let Some((mut unsent, message)) = self.next() {
                match self.client.deliver(&message).await {
                    Ok(()) => {
                        self.queue.exported(std::mem::take(&mut unsent.spans));
                        complaints.end();
                    }
                    Err(reason) => complaints.add(unsent.spans, &reason),
                }
            }
        }
    }

    /// Sends what waits at the end of the host, as long as the collector takes it. The caller bounds the time.
    pub(super) async fn finish(&self) {
        while let Some((mut unsent, message)) = self.next() {
            if self.client.deliver_once(&message).await.is_err() {
                return;
            }
            self.queue.exported(std::mem::take(&mut unsent.spans));
        }
    }

    /// How many spans wait.
    pub(super) fn waiting(&self) -> usize {
        self.queue.waiting()
    }

    /// The next request, if there is a trace.
    fn next(&self) -> Option<(UnsentSpans<'_>, Bytes)> {
        let traces = self.queue.take(self.batch);
        let spans = traces.iter().map(|trace: &Arc<KeptTrace>| trace.spans.len()).sum();
        (!traces.is_empty())
            .then(|| (UnsentSpans { queue: &self.queue, spans }, traces_request(&self.host, &traces).into()))
    }
}
