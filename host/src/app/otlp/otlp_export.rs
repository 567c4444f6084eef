//! What the host sends to collectors: traces, lines of the log, metrics.

use super::otlp_logs::LogExporter;
use super::otlp_metrics::MetricExporter;
use super::otlp_traces::TraceExporter;
use crate::telemetry::{ExportSettings, HostResource, TraceQueue};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::time::timeout;

/// How long the end of the host waits for the last exports.
const LAST: Duration = Duration::from_millis(1500);

/// Reads all metrics of the host, in OpenMetrics' text format.
pub(super) type Exposition = Box<dyn Fn() -> String + Send + Sync>;

/// The exporters of one host.
pub(in crate::app) struct OtlpExporters {
    traces: Option<TraceExporter>,
    logs: Option<LogExporter>,
    metrics: Option<MetricExporter>,
    /// Set when the host runs: what it counts is built after its exporters.
    exposition: OnceLock<Exposition>,
}

impl OtlpExporters {
    /// The exporters that `settings` name. They do not connect yet. `queue` gets the kept traces.
    ///
    /// # Errors
    /// The root certificates of a collector cannot be read.
    pub(super) fn new(settings: &ExportSettings, queue: &Arc<TraceQueue>) -> anyhow::Result<Self> {
        let host = HostResource {
            service_name: settings.service_name.clone(),
            instance: format!("{:032x}", rand::random::<u128>()),
            attributes: settings.resource.clone(),
        };
        let traces = settings.traces.as_ref();
        let traces = traces.map(|target| TraceExporter::new(settings, target, &host, Arc::clone(queue)));
        let logs = settings.logs.as_ref().map(|target| LogExporter::new(settings, target, &host));
        let metrics = settings.metrics.as_ref().map(|target| MetricExporter::new(settings, target, &host));
        let (traces, logs, metrics) = (traces.transpose()?, logs.transpose()?, metrics.transpose()?);
        Ok(Self { traces, logs, metrics, exposition: OnceLock::new() })
    }

    /// Sends signals for as long as the host runs, metrics as `exposition` reads them. It never returns.
    pub(in crate::app) async fn run(&self, exposition: Exposition) {
        let exposition = self.exposition.get_or_init(|| exposition);
        let traces = async {
            if let Some(traces) = &self.traces {
                traces.run().await;
            }
        };
        let logs = async {
            if let Some(logs) = &self.logs {
                logs.run().await;
            }
        };
        let metrics = async {
            if let Some(metrics) = &self.metrics {
                metrics.run(exposition).await;
            }
        };
        tokio::join!(traces, logs, metrics);
    }

    /// Sends what waits at the end of the host, in a bounded time.
    pub(in crate::app) async fn finish(&self) {
        // Boxed: whoever waits for the end would pay for the size of three clients.
        let traces = async {
            if let Some(traces) = &self.traces {
                Box::pin(traces.finish()).await;
            }
        };
        let logs = async {
            if let Some(logs) = &self.logs {
                Box::pin(logs.finish()).await;
            }
        };
        let metrics = async {
            if let (Some(metrics), Some(exposition)) = (&self.metrics, self.exposition.get()) {
                Box::pin(metrics.finish(exposition)).await;
            }
        };
        let finished = timeout(LAST, async { tokio::join!(traces, logs, metrics) }).await.is_ok();
        let spans = self.traces.as_ref().map_or(0, TraceExporter::waiting);
        if spans > 0 || !finished {
            tracing::warn!(target: "otlp", spans, "what waited at the end did not reach the collector");
        }
    }
}
