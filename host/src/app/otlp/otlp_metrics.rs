//! Sends all metrics to the collector, every so often and once at the end.

use super::otlp_client::{CollectorComplaints, OtlpClient};
use crate::telemetry::{ExportSettings, HostResource, OtlpSignal, SignalTarget, metrics_request};
use std::time::{Duration, SystemTime};
use tokio::time::sleep;

/// The one that sends metrics.
pub(super) struct MetricExporter {
    client: OtlpClient,
    host: HostResource,
    interval: Duration,
    start: SystemTime,
}

impl MetricExporter {
    /// An exporter of metrics that are counted from now on.
    ///
    /// # Errors
    /// The root certificates cannot be read.
    pub(super) fn new(settings: &ExportSettings, target: &SignalTarget, host: &HostResource) -> anyhow::Result<Self> {
        let client = OtlpClient::new(OtlpSignal::Metrics, target)?;
        Ok(Self { client, host: host.clone(), interval: settings.interval, start: SystemTime::now() })
    }

    /// Sends what `exposition` says, for as long as the host runs. It never returns.
    pub(super) async fn run(&self, exposition: &(dyn Fn() -> String + Send + Sync)) {
        let mut complaints = CollectorComplaints::new(OtlpSignal::Metrics);
        loop {
            sleep(self.interval).await;
            let message = self.message(exposition);
            match self.client.deliver(&message.into()).await {
                Ok(()) => complaints.end(),
                // Nothing is lost for good: the next export has the same counters.
                Err(reason) => complaints.add(1, &reason),
            }
        }
    }

    /// Sends the last values. The caller bounds the time.
    pub(super) async fn finish(&self, exposition: &(dyn Fn() -> String + Send + Sync)) {
        let message = self.message(exposition);
        if let Err(reason) = self.client.deliver_once(&message.into()).await {
            tracing::warn!(target: "otlp", reason, "the last metrics did not reach the collector");
        }
    }

    fn message(&self, exposition: &(dyn Fn() -> String + Send + Sync)) -> Vec<u8> {
        metrics_request(&self.host, &exposition(), self.start, SystemTime::now())
    }
}
