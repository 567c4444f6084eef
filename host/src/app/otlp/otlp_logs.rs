//! Sends the lines of the log to the collector, out of the memory that `atoll logs` reads.
//!
//! Whoever writes a line waits for nobody: the collector's reader comes after it. Lines that leave the memory before
//! they were sent are lost, and counted by their numbers, which have no gaps.

use super::otlp_client::{CollectorComplaints, OtlpClient};
use crate::telemetry::{ExportSettings, HostResource, KeptLine, OtlpSignal, SignalTarget, lines, logs_request};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// The target of the lines about collectors. They are not sent: each failed export would make the next one.
const OWN: &str = "otlp";

/// The one that sends lines.
pub(super) struct LogExporter {
    client: OtlpClient,
    host: HostResource,
    batch: usize,
    delay: Duration,
    /// The number of the first line that was not sent.
    next: AtomicU64,
}

/// Lines that were read and not sent yet.
struct UnsentLines {
    message: Option<Bytes>,
    lines: usize,
    /// How many had left the memory before they were read.
    missed: usize,
    next: u64,
}

impl LogExporter {
    /// An exporter of the lines of this process.
    ///
    /// # Errors
    /// The root certificates cannot be read.
    pub(super) fn new(settings: &ExportSettings, target: &SignalTarget, host: &HostResource) -> anyhow::Result<Self> {
        let client = OtlpClient::new(OtlpSignal::Logs, target)?;
        let next = AtomicU64::new(1);
        Ok(Self { client, host: host.clone(), batch: settings.batch, delay: settings.delay, next })
    }

    /// Sends lines for as long as the host runs. It never returns.
    pub(super) async fn run(&self) {
        let mut complaints = CollectorComplaints::new(OtlpSignal::Logs);
        loop {
            let next = self.next.load(Relaxed);
            lines().beyond(next).await;
            // Lines are gathered for a while, but not if a whole batch is there.
            let _ = timeout(self.delay, lines().beyond(next + self.batch as u64)).await;
            let batch = self.read();
            if batch.missed > 0 {
                complaints.add(batch.missed, "they left the memory of `[telemetry.logs] keep` before");
            }
            let Some(message) = &batch.message else {
                self.next.store(batch.next, Relaxed);
                // Lines about collectors alone: without a pause a flood of them would keep this task busy.
                sleep(self.delay).await;
                continue;
            };
            match self.client.deliver(message).await {
                Ok(()) => complaints.end(),
                Err(reason) => complaints.add(batch.lines, &reason),
            }
            self.next.store(batch.next, Relaxed);
        }
    }

    /// Sends the last lines, as long as the collector takes them. The caller bounds the time.
    pub(super) async fn finish(&self) {
        loop {
            let batch = self.read();
            let Some(message) = &batch.message else { return };
            if self.client.deliver_once(message).await.is_err() {
                return;
            }
            self.next.store(batch.next, Relaxed);
        }
    }

    /// The next lines.
    fn read(&self) -> UnsentLines {
        let from = self.next.load(Relaxed);
        let page = lines().page(from);
        let missed = page.entries.first().map_or(0, |(first, _)| usize::try_from(first - from).unwrap_or(usize::MAX));
        let entries = page.entries.iter().take(self.batch);
        let next = entries.clone().next_back().map_or(page.next, |(number, _)| number + 1);
        let lines: Vec<Arc<KeptLine>> =
            entries.filter(|(_, line)| line.target != OWN).map(|(_, line)| Arc::clone(line)).collect();
        let message = (!lines.is_empty()).then(|| logs_request(&self.host, &lines).into());
        UnsentLines { message, lines: lines.len(), missed, next }
    }
}
