//! The traces of the host, as the manifest wants them.

use super::otlp_export::OtlpExporter;
use crate::config::Manifest;
use crate::telemetry::{TraceQueue, Tracer};
use std::sync::Arc;

/// The traces of one host.
#[derive(Clone, Default)]
pub(super) struct HostTraces {
    /// `None`: requests are not traced.
    pub(super) tracer: Option<Arc<Tracer>>,
    /// `None`: traces are sent nowhere.
    pub(super) exporter: Option<Arc<OtlpExporter>>,
}

impl HostTraces {
    /// The scope of the first subscription. The gateway counts at each route before, and at two places for the rest.
    pub(super) fn first_subscription(manifest: &Manifest) -> usize {
        manifest.routes.len() + 2
    }

    /// The traces that `manifest` wants. Nothing is sent yet.
    ///
    /// # Errors
    /// The root certificates of the collector cannot be read.
    pub(super) fn of(manifest: &Manifest) -> anyhow::Result<Self> {
        let Some(config) = &manifest.telemetry else { return Ok(Self::default()) };
        let queue = config.export.as_ref().map(|export| Arc::new(TraceQueue::new(export.queue)));
        let exporter = config.export.as_ref().zip(queue.clone());
        let exporter = exporter.map(|(export, queue)| OtlpExporter::new(export, queue)).transpose()?.map(Arc::new);
        let subscriptions: usize = manifest.services.iter().map(|service| service.topics.subscribe.len()).sum();
        let scopes = Self::first_subscription(manifest) + subscriptions;
        Ok(Self { tracer: Some(Arc::new(Tracer::new(config.traces.clone(), scopes, queue))), exporter })
    }
}
