//! The exposition: all metrics in OpenMetrics' text format, as a scraper reads them.

use super::cache_metrics::{CacheCollector, CacheMetrics};
use super::delivery_metrics::{DeliveryScrape, DeliverySource};
use super::duration_text::write_durations;
use super::edge_metrics::EdgeMetrics;
use super::endpoint_metrics::EndpointMetrics;
use super::gateway_metrics::GatewayMetrics;
use super::host_change::change_counts;
use super::host_collector::HostCollector;
use super::kind_counters::KindCounters;
use super::log::{self, LogCounts};
use super::metrics_source::{EndpointSample, MetricsSource, OutsideSample, ServiceSample};
use super::saga_metrics::{SagaScrape, SagaSource};
use super::schedule_metrics::{ScheduleScrape, ScheduleSource};
use super::service_metrics::ServiceMetrics;
use super::store_metrics::{StoreCollector, StoreMetrics};
use super::tls_metrics::{TlsMetrics, TlsScrape};
use super::trace_collector::TraceCollector;
use super::tracer::Tracer;
use crate::base::DeadlineOwner;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// The media type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics of the host.
#[derive(Default)]
pub struct Metrics {
    registry: Mutex<Registry>,
    gateway: Arc<GatewayMetrics>,
}

impl Metrics {
    /// The metrics of the endpoints, services and outside hosts of `source`, and those of the gateway.
    pub fn new(source: impl MetricsSource, gateway: Arc<GatewayMetrics>) -> Self {
        let mut registry = Registry::with_prefix("atoll");
        registry.register_collector(Box::new(Scrape { source, gateway: Arc::clone(&gateway) }));
        Self { registry: Mutex::new(registry), gateway }
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

    /// Adds the metrics of sagas.
    pub fn add_sagas(&self, source: Arc<dyn SagaSource>) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        registry.register_collector(Box::new(SagaScrape(source)));
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

    /// The metrics in OpenMetrics' text format; its media type is [`CONTENT_TYPE`].
    pub fn encode(&self) -> String {
        let mut out = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        text::encode_registry(&mut out, &registry).expect("writing to a string never fails");
        drop(registry);
        write_durations(&mut out, &self.gateway);
        text::encode_eof(&mut out).expect("writing to a string never fails");
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
        encode_endpoints(&mut encoder, &self.source.endpoints())?;
        let services = self.source.services();
        encode_services(&mut encoder, &services)?;
        if !services.is_empty() {
            encode_changes(&mut encoder)?;
        }
        encode_outside(&mut encoder, &self.source.outside())?;
        log::counts().map_or(Ok(()), |counts| encode_log(&mut encoder, &counts))
    }
}

fn encode_gateway(encoder: &mut DescriptorEncoder<'_>, gateway: &GatewayMetrics) -> Result<(), fmt::Error> {
    let mut ended = gateway.ended_samples().peekable();
    if ended.peek().is_none() {
        return Ok(());
    }
    let help = "Requests that have ended, by route, status and kind of end";
    let mut family = encoder.encode_descriptor("gateway_requests", help, None, MetricType::Counter)?;
    for sample in ended {
        let labels = [
            ("route", sample.scope.route.as_str()),
            ("service", sample.scope.service.as_str()),
            ("status", sample.status.as_str()),
            ("kind", sample.kind),
        ];
        family.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, u64>(&sample.count, None)?;
    }
    let sockets = gateway.socket_samples();
    if !sockets.is_empty() {
        let help = "WebSockets that are open now, by route";
        let mut family = encoder.encode_descriptor("gateway_websockets", help, None, MetricType::Gauge)?;
        for (scope, count) in sockets {
            let labels = [("route", scope.route.as_str()), ("service", scope.service.as_str())];
            family.encode_family(&labels)?.encode_gauge(&count)?;
        }
    }
    Ok(())
}

/// One metric family: its name, its help text, and its value for a sample `S` with its handles `H`.
struct MetricFamily<S, H> {
    name: &'static str,
    help: &'static str,
    value: fn(&S, &H) -> Box<dyn EncodeMetric>,
}

/// A [`MetricFamily`] in one line of a table.
const fn family<S, H>(
    name: &'static str,
    help: &'static str,
    value: fn(&S, &H) -> Box<dyn EncodeMetric>,
) -> MetricFamily<S, H> {
    MetricFamily { name, help, value }
}

fn encode_endpoints(
    encoder: &mut DescriptorEncoder,
    endpoints: &[(EndpointSample, Arc<EndpointMetrics>)],
) -> Result<(), fmt::Error> {
    const FAMILIES: [MetricFamily<EndpointSample, EndpointMetrics>; 9] = [
        family("requests", "Requests sent to the endpoint", |_, m| Box::new(m.requests.clone())),
        family("failures", "Requests that failed through a fault of the service", |_, m| Box::new(m.failures.clone())),
        family(
            "latency_seconds",
            "Seconds from sending a request to the head of its answer or to its failure",
            |_, m| Box::new(m.latency.snapshot()),
        ),
        family("breaker_state", "State of the circuit breaker: 0 closed, 1 half-open, 2 open", |s, _| {
            gauge(s.breaker.into())
        }),
        family("breaker_forced", "1 while an operator holds the circuit open or closed, otherwise 0", |s, _| {
            gauge(s.forced.into())
        }),
        family("endpoint_ready", "1 while the endpoint's health checks pass, otherwise 0", |s, _| {
            gauge(s.ready.into())
        }),
        family("endpoint_ejected", "1 while the endpoint is ejected as an outlier, otherwise 0", |s, _| {
            gauge(s.ejected.into())
        }),
        family("in_flight", "Requests under way at the endpoint, including those that wait for an instance", |s, _| {
            gauge(s.in_flight)
        }),
        family("instances", "Instances that serve requests or calls now", |s, _| gauge(s.instances)),
    ];
    encode(encoder, endpoints, &FAMILIES, |sample| {
        [("service", sample.service.as_str()), ("endpoint", sample.endpoint.as_str())]
    })?;
    // With their first failure: nine series for each endpoint would be a tenth of the whole text.
    if endpoints.iter().all(|(_, metrics)| metrics.failed.iter().all(|(_, count)| count.get() == 0)) {
        return Ok(());
    }
    let help = "Requests that failed through a fault of the service, by kind of failure";
    let mut family = encoder.encode_descriptor("failures_by_kind", help, None, MetricType::Counter)?;
    for (sample, metrics) in endpoints {
        for (kind, count) in metrics.failed.iter().filter(|(_, count)| count.get() > 0) {
            let labels = [("service", sample.service.as_str()), ("endpoint", sample.endpoint.as_str()), ("kind", kind)];
            count.encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

fn encode_services(
    encoder: &mut DescriptorEncoder,
    services: &[(ServiceSample, Arc<ServiceMetrics>)],
) -> Result<(), fmt::Error> {
    const FAMILIES: [MetricFamily<ServiceSample, ServiceMetrics>; 15] = [
        family("swaps", "Swaps: how often another component replaced the service's revision", |_, m| {
            Box::new(m.swaps.clone())
        }),
        family("rollbacks", "Rollbacks: how often the service returned to the revision before", |_, m| {
            Box::new(m.rollbacks.clone())
        }),
        family("retries", "Further tries of failed calls", |_, m| Box::new(m.retries.clone())),
        family(
            "retries_denied",
            "Failed calls not tried again because the retry budget or the time was used up",
            |_, m| Box::new(m.retries_denied.clone()),
        ),
        family("retry_budget", "Further tries that the retry budget would allow now", |s, _| {
            gauge(to_usize(s.retry_budget))
        }),
        family(
            "queue_wait_seconds",
            "Seconds that calls waited at the bulkhead; calls that did not wait do not count",
            |_, m| Box::new(m.waits.snapshot()),
        ),
        family("waiting", "Calls that wait at the bulkhead now", |s, _| gauge(s.waiting)),
        family("pool_slots", "Slots of the engine's pool that the service's instances hold", |s, _| gauge(s.pool.held)),
        family("pool_waiting", "Calls that wait for slots of the engine's pool now", |s, _| gauge(s.pool.waiting)),
        family("pool_longest_wait_seconds", "Seconds for which the first of these calls has waited", |s, _| {
            Box::new(ConstGauge::new(s.pool.longest_wait.as_secs_f64()))
        }),
        family(
            "pool_wait_seconds",
            "Seconds that calls waited for slots of the engine's pool; calls that did not wait do not count",
            |s, _| Box::new(s.pool.metrics.waits.snapshot()),
        ),
        family(
            "computed_seconds",
            "Processor seconds of guests that computed for whole slices; quick requests do not count",
            |s, _| Box::new(ConstCounter::new(s.computed.as_secs_f64())),
        ),
        family(
            "guest_seconds",
            "Seconds that instances worked on calls, until the head of the answer; without the wait for the instance",
            |s, _| Box::new(ConstCounter::new(s.pool.metrics.work().as_secs_f64())),
        ),
        family("instance_memory_peak_bytes", "The most bytes of memory that one of its instances has had", |s, _| {
            gauge(to_usize(s.pool.metrics.memory_peak()))
        }),
        family("faults_standing", "Faults that are injected into the service's calls now", |s, _| gauge(s.faults)),
    ];
    encode(encoder, services, &FAMILIES, |sample| [("service", sample.name.as_str())])?;
    encode_service_kinds(encoder, services)
}

/// What is counted of services by kind, revision or caller.
fn encode_service_kinds(
    encoder: &mut DescriptorEncoder,
    services: &[(ServiceSample, Arc<ServiceMetrics>)],
) -> Result<(), fmt::Error> {
    if services.is_empty() {
        return Ok(());
    }
    encode_calls(encoder, services)?;
    let help = "The revision that the service runs; empty for a service of plain HTTP addresses";
    let mut family = encoder.encode_descriptor("revision", help, None, MetricType::Info)?;
    for (sample, _) in services {
        family.encode_info(&[("service", sample.name.as_str()), ("revision", sample.revision.as_str())])?;
    }
    let help = "Tries without an answer before their deadline, by whose deadline it was: route, total, timeout, caller";
    let mut family = encoder.encode_descriptor("timeouts", help, None, MetricType::Counter)?;
    for (sample, metrics) in services {
        for (owner, count) in DeadlineOwner::ALL.into_iter().zip(&metrics.timeouts) {
            let labels = [("service", sample.name.as_str()), ("deadline", owner.as_str())];
            count.encode(family.encode_family(&labels)?)?;
        }
    }
    let help = "Calls that suffered an injected fault, by kind: latency, error or trap";
    encode_kinds(encoder, services, "faults_injected", help, |metrics| &metrics.injected)?;
    let help = "Calls refused before the service worked on them, by kind of refusal";
    encode_kinds(encoder, services, "refused", help, |metrics| &metrics.refused)?;
    let help = "Swaps and rollbacks that were refused, by kind of reason";
    encode_kinds(encoder, services, "swaps_refused", help, |metrics| &metrics.swaps_refused)
}

/// Writes how long calls took, and who made them: of those services alone that had a call.
fn encode_calls(
    encoder: &mut DescriptorEncoder<'_>,
    services: &[(ServiceSample, Arc<ServiceMetrics>)],
) -> Result<(), fmt::Error> {
    let called = || services.iter().map(|(sample, metrics)| (sample, metrics.calls.snapshot()));
    let mut called = called().filter(|(_, calls)| !calls.is_empty()).peekable();
    if called.peek().is_some() {
        let help = "Seconds of a call with all of its tries, from its place at the bulkhead to the end of its answer";
        let mut family = encoder.encode_descriptor("call_seconds", help, None, MetricType::Histogram)?;
        for (sample, calls) in called {
            calls.encode(family.encode_family(&[("service", sample.name.as_str())])?)?;
        }
    }
    let callers = services.iter().flat_map(|(sample, metrics)| {
        metrics.callers.iter().map(move |(caller, calls, failures)| (sample.name.as_str(), caller, calls, failures))
    });
    let callers: Vec<_> = callers.collect();
    if callers.is_empty() {
        return Ok(());
    }
    let help = "Calls of one service by another, tried or refused";
    let mut family = encoder.encode_descriptor("calls", help, None, MetricType::Counter)?;
    for (service, caller, calls, _) in &callers {
        let labels = [("service", *service), ("caller", *caller)];
        ConstCounter::new(*calls).encode(family.encode_family(&labels)?)?;
    }
    let help = "Calls of one service by another that failed, or whose answer says that somebody failed";
    let mut family = encoder.encode_descriptor("calls_failed", help, None, MetricType::Counter)?;
    for (service, caller, _, failures) in &callers {
        let labels = [("service", *service), ("caller", *caller)];
        ConstCounter::new(*failures).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

/// Writes a family of counters that differ by service and kind.
fn encode_kinds<const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    services: &[(ServiceSample, Arc<ServiceMetrics>)],
    name: &str,
    help: &str,
    counters: fn(&ServiceMetrics) -> &KindCounters<N>,
) -> Result<(), fmt::Error> {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (sample, metrics) in services {
        for (kind, count) in counters(metrics).iter() {
            count.encode(family.encode_family(&[("service", sample.name.as_str()), ("kind", kind)])?)?;
        }
    }
    Ok(())
}

fn encode_outside(
    encoder: &mut DescriptorEncoder,
    outside: &[(OutsideSample, Arc<EndpointMetrics>)],
) -> Result<(), fmt::Error> {
    const FAMILIES: [MetricFamily<OutsideSample, EndpointMetrics>; 5] = [
        family("outside_requests", "Requests of the service to the outside host", |_, m| Box::new(m.requests.clone())),
        family("outside_failures", "Requests that failed through a fault of the outside host", |_, m| {
            Box::new(m.failures.clone())
        }),
        family(
            "outside_latency_seconds",
            "Seconds from sending a request to the head of the outside host's answer or to its failure",
            |_, m| Box::new(m.latency.snapshot()),
        ),
        family(
            "outside_breaker_state",
            "State of the circuit breaker for the outside host: 0 closed, 1 half-open, 2 open",
            |s, _| gauge(s.breaker.into()),
        ),
        family("outside_in_flight", "Requests under way at the outside host", |s, _| gauge(s.in_flight)),
    ];
    encode(encoder, outside, &FAMILIES, |sample| [("service", sample.service.as_str()), ("host", sample.host.as_str())])
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

/// Writes each family with one series for each sample. Without samples it writes nothing, since a family must have a
/// series.
fn encode<'a, S, H, L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder,
    samples: &'a [(S, Arc<H>)],
    families: &[MetricFamily<S, H>],
    labels: impl Fn(&'a S) -> L,
) -> Result<(), fmt::Error> {
    let Some((first, handles)) = samples.first() else { return Ok(()) };
    for MetricFamily { name, help, value } in families {
        let mut family = encoder.encode_descriptor(name, help, None, value(first, handles).metric_type())?;
        for (sample, handles) in samples {
            value(sample, handles).encode(family.encode_family(&labels(sample))?)?;
        }
    }
    Ok(())
}

fn to_usize(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

fn gauge(value: usize) -> Box<dyn EncodeMetric> {
    Box::new(ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests;
