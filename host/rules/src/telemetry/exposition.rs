//! The exposition: all metrics in OpenMetrics' text format, as a scraper reads them.

use super::cache_metrics::{CacheCollector, CacheMetrics};
use super::cluster_metrics::{ClusterScrape, ClusterSource};
use super::delivery_metrics::{DeliveryScrape, DeliverySource};
use super::discovery_metrics::{DiscoveryScrape, DiscoverySource};
use super::duration_text::write_durations;
use super::edge_metrics::EdgeMetrics;
use super::gateway_metrics::GatewayMetrics;
use super::guest_metrics::{guest_metrics, write_guests};
use super::host_change::change_counts;
use super::host_collector::HostCollector;
use super::log::{self, LogCounts};
use super::metrics_source::MetricsSource;
use super::name_metrics::{NameMetrics, NameScrape};
use super::saga_metrics::{SagaScrape, SagaSource};
use super::schedule_metrics::{ScheduleScrape, ScheduleSource};
use super::store_metrics::{StoreCollector, StoreMetrics};
use super::tls_metrics::{TlsMetrics, TlsScrape};
use super::trace_collector::TraceCollector;
use super::tracer::Tracer;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

mod endpoint_families;
mod gateway_families;
mod metric_family;
mod service_families;
#[cfg(test)]
mod size;
mod state_families;
#[cfg(test)]
mod tests;

use endpoint_families::{encode_endpoints, encode_outside};
use gateway_families::encode_gateway;
use service_families::{encode_latencies, encode_services};

/// By how much a text may be longer than all before it without growing: some tens of new series, and longer numbers.
const MARGIN: usize = 16 << 10;

/// The media type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics of the host.
#[derive(Default)]
pub struct Metrics {
    registry: Mutex<Registry>,
    gateway: Arc<GatewayMetrics>,
    /// The bytes of the longest text so far: the next one begins with room for as many, and does not grow.
    longest: AtomicUsize,
}

impl Metrics {
    /// The metrics of the endpoints, services and outside hosts of `source`, and those of the gateway.
    pub fn new(source: impl MetricsSource, gateway: Arc<GatewayMetrics>) -> Self {
        let mut registry = Registry::with_prefix("atoll");
        registry.register_collector(Box::new(Scrape { source, gateway: Arc::clone(&gateway) }));
        Self { registry: Mutex::new(registry), gateway, longest: AtomicUsize::new(0) }
    }

    /// Adds the metrics of the store.
    pub fn add_store(&self, store: Arc<StoreMetrics>) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        registry.register_collector(Box::new(StoreCollector(store)));
    }

    /// Adds the metrics of the gateway's cache.
    pub fn add_cache(&self, cache: Arc<CacheMetrics>) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        registry.register_collector(Box::new(CacheCollector(cache)));
    }

    /// Adds the metrics of topics and subscriptions.
    pub fn add_deliveries(&self, source: Arc<dyn DeliverySource>) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        registry.register_collector(Box::new(DeliveryScrape(source)));
    }

    /// Adds the metrics of the cluster.
    pub fn add_cluster(&self, source: Arc<dyn ClusterSource>) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        registry.register_collector(Box::new(ClusterScrape(source)));
    }

    /// Adds the metrics of sagas.
    pub fn add_sagas(&self, source: Arc<dyn SagaSource>) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        registry.register_collector(Box::new(SagaScrape(source)));
    }

    /// Adds the metrics of sources of endpoints.
    pub fn add_discovery(&self, source: Arc<dyn DiscoverySource>) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        registry.register_collector(Box::new(DiscoveryScrape(source)));
    }

    /// Adds the metrics of the name server.
    pub fn add_names(&self, names: Arc<NameMetrics>) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        registry.register_collector(Box::new(NameScrape(names)));
    }

    /// Adds the metrics of schedules.
    pub fn add_schedules(&self, source: Arc<dyn ScheduleSource>) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        registry.register_collector(Box::new(ScheduleScrape(source)));
    }

    /// Adds the metrics of the edges that serve TLS, each with its name.
    #[must_use]
    pub fn with_tls(self, edges: Vec<(&'static str, Arc<TlsMetrics>)>) -> Self {
        if !edges.is_empty() {
            let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
            registry.register_collector(Box::new(TlsScrape(edges)));
            drop(registry);
        }
        self
    }

    /// Adds what the edges count beside requests.
    #[must_use]
    pub fn with_edges(self, edges: EdgeMetrics) -> Self {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner).register_collector(Box::new(edges));
        self
    }

    /// Adds the metrics of this process, which has begun at `since`.
    #[must_use]
    pub fn with_host(self, since: Instant) -> Self {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        registry.register_collector(Box::new(HostCollector { since }));
        drop(registry);
        self
    }

    /// Adds the metrics of the traces, if requests are traced.
    #[must_use]
    pub fn with_traces(self, tracer: Option<&Arc<Tracer>>) -> Self {
        if let Some(tracer) = tracer {
            let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
            registry.register_collector(Box::new(TraceCollector(Arc::clone(tracer))));
            drop(registry);
        }
        self
    }

    /// The metrics in OpenMetrics' text format; its media type is [`CONTENT_TYPE`]. For hundreds of services it
    /// computes for milliseconds: call it from a blocking thread.
    pub fn encode(&self) -> String {
        let mut out = String::with_capacity(self.longest.load(Relaxed) + MARGIN);
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        text::encode_registry(&mut out, &registry).expect("writing to a string never fails");
        drop(registry);
        write_durations(&mut out, &self.gateway);
        write_guests(&mut out, guest_metrics());
        text::encode_eof(&mut out).expect("writing to a string never fails");
        self.longest.fetch_max(out.len(), Relaxed);
        out
    }
}

struct Scrape<S> {
    source: S,
    gateway: Arc<GatewayMetrics>,
}

impl<S> fmt::Debug for Scrape<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scrape")
    }
}

impl<S: MetricsSource> Collector for Scrape<S> {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        encode_gateway(&mut encoder, &self.gateway)?;
        let endpoints = self.source.endpoints();
        encode_endpoints(&mut encoder, &endpoints)?;
        encode_latencies(&mut encoder, &endpoints)?;
        let services = self.source.services();
        encode_services(&mut encoder, &services)?;
        if !services.is_empty() {
            encode_changes(&mut encoder)?;
        }
        encode_outside(&mut encoder, &self.source.outside())?;
        log::counts().map_or(Ok(()), |counts| encode_log(&mut encoder, &counts))
    }
}

fn encode_changes(encoder: &mut DescriptorEncoder) -> Result<(), fmt::Error> {
    let counts = change_counts();
    if counts.is_empty() {
        return Ok(());
    }
    let help = "Changes of the host: circuits, readiness, faults on purpose, revisions, by service and kind";
    let mut family = encoder.encode_descriptor("changes", help, None, MetricType::Counter)?;
    for ((service, kind), count) in counts {
        let labels = [("service", service.as_str()), ("kind", kind.as_str())];
        ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

fn encode_log(encoder: &mut DescriptorEncoder, counts: &LogCounts) -> Result<(), fmt::Error> {
    let dropped = ConstCounter::new(counts.dropped);
    let help = "Lines of the log that were dropped, because its reader was too slow or they could not be written";
    dropped.encode(encoder.encode_descriptor("log_lines_dropped", help, None, dropped.metric_type())?)?;
    if counts.left_out.is_empty() {
        return Ok(());
    }
    let help = "Lines about the service, or printed by it, that the log only counted, since there were too many";
    let mut family = encoder.encode_descriptor("log_lines_left_out", help, None, dropped.metric_type())?;
    for (service, count) in &counts.left_out {
        let labels = [("service", service.as_str())];
        ConstCounter::new(*count).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}
