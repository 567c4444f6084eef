//! The traces of the host, as the manifest wants them.

use super::otlp_export::OtlpExporters;
use crate::config::Manifest;
use crate::telemetry::{TraceQueue, Tracer};
use std::sync::Arc;

/// The traces of one host.
#[derive(Clone, Default)]
pub(in crate::app) struct HostTraces {
    /// `None`: requests are not traced.
    pub(in crate::app) tracer: Option<Arc<Tracer>>,
    /// `None`: nothing is sent to a collector.
    pub(in crate::app) exporter: Option<Arc<OtlpExporters>>,
}

impl HostTraces {
    /// The traces that `manifest` wants. Nothing is sent yet.
    ///
    /// # Errors
    /// The root certificates of the collector cannot be read.
    pub(in crate::app) fn of(manifest: &Manifest) -> anyhow::Result<Self> {
        let Some(config) = &manifest.telemetry else { return Ok(Self::default()) };
        let settings = config.export.as_ref();
        let queue = settings.map(|settings| Arc::new(TraceQueue::new(settings.queue)));
        let exporter = settings.zip(queue.as_ref()).map(|(settings, queue)| OtlpExporters::new(settings, queue));
        let exporter = exporter.transpose()?.map(Arc::new);
        // Without a collector for traces nobody empties their queue.
        let queue = queue.filter(|_| settings.is_some_and(|settings| settings.traces.is_some()));
        Ok(Self { tracer: Some(Arc::new(Tracer::new(config.traces.clone(), queue))), exporter })
    }
}
