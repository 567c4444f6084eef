//! The families of services.

use super::metric_family::{MetricFamily, encode, family, family_when, gauge, to_usize};
use super::state_families::encode_state;
use crate::base::DeadlineOwner;
use crate::telemetry::endpoint_metrics::EndpointMetrics;
use crate::telemetry::histogram::HistogramSnapshot;
use crate::telemetry::metrics_source::{EndpointSample, ServiceSample};
use crate::telemetry::service_metrics::ServiceMetrics;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::gauge::ConstGauge;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The bounds of latencies that are written, in microseconds: some of those that are counted, which `atoll ps` needs.
const LATENCY_LINES: [u64; 9] = [100, 500, 1_000, 2_500, 10_000, 50_000, 100_000, 1_000_000, 10_000_000];

/// What is counted of each service.
pub(super) fn encode_services(
    encoder: &mut DescriptorEncoder,
    services: &[(ServiceSample, Arc<ServiceMetrics>)],
) -> Result<(), fmt::Error> {
    const FAMILIES: [MetricFamily<ServiceSample, ServiceMetrics>; 8] = [
        family(
            "refusals",
            "Calls refused before the service worked on them: the sum of `refused` over its kinds",
            |_, m| Box::new(ConstCounter::new(m.refused.total())),
        ),
        family(
            "deadlines_missed",
            "Tries without an answer before their deadline: the sum of `timeouts` over all whose deadline it was",
            |_, m| Box::new(ConstCounter::new(m.timeouts.iter().map(Counter::get).sum::<u64>())),
        ),
        family("retries", "Further tries of failed calls", |_, m| Box::new(m.retries.clone())),
        family(
            "retries_denied",
            "Failed calls not tried again because the retry budget or the time was used up",
            |_, m| Box::new(m.retries_denied.clone()),
        ),
        family("retry_budget", "Further tries that the retry budget would allow now", |s, _| {
            gauge(to_usize(s.retry_budget))
        }),
        family_when(
            |_, m| !m.waits.is_empty(),
            "queue_wait_seconds",
            "Seconds that calls waited at the bulkhead; calls that did not wait do not count",
            |_, m| Box::new(m.waits.snapshot()),
        ),
        family("waiting", "Calls that wait at the bulkhead now", |s, _| gauge(s.waiting)),
        family_when(
            |s, _| s.faults > 0,
            "faults_standing",
            "Faults that are injected into the service's calls now",
            |s, _| gauge(s.faults),
        ),
    ];
    encode(encoder, services, &FAMILIES, |sample| [("service", sample.name.as_str())])?;
    encode_components(encoder, services)?;
    encode_instances(encoder, services)?;
    encode_state(encoder, services)?;
    encode_service_kinds(encoder, services)
}

/// Whether the service has a component; the others are plain HTTP addresses.
fn has_component(sample: &ServiceSample, _: &ServiceMetrics) -> bool {
    !sample.revision.is_empty()
}

/// How instances are made and reused.
fn encode_instances(
    encoder: &mut DescriptorEncoder,
    services: &[(ServiceSample, Arc<ServiceMetrics>)],
) -> Result<(), fmt::Error> {
    const FAMILIES: [MetricFamily<ServiceSample, ServiceMetrics>; 2] = [
        // Without reuse each call makes one instance, and `requests` says how many.
        family_when(
            reuses_instances,
            "instances_made",
            "Instances that were made; only where some are reused",
            |s, _| Box::new(ConstCounter::new(s.pool.metrics.instances().0)),
        ),
        family_when(
            reuses_instances,
            "instances_reused",
            "Calls that got an instance which was there already",
            |s, _| Box::new(ConstCounter::new(s.pool.metrics.instances().1)),
        ),
    ];
    encode(encoder, services, &FAMILIES, |sample| [("service", sample.name.as_str())])
}

/// Whether a call got an instance that was there already.
fn reuses_instances(sample: &ServiceSample, _: &ServiceMetrics) -> bool {
    sample.pool.metrics.instances().1 > 0
}

/// What only a service with a component can have: swaps, and a part of the engine's pool.
fn encode_components(
    encoder: &mut DescriptorEncoder,
    services: &[(ServiceSample, Arc<ServiceMetrics>)],
) -> Result<(), fmt::Error> {
    const FAMILIES: [MetricFamily<ServiceSample, ServiceMetrics>; 10] = [
        family_when(
            has_component,
            "swaps",
            "Swaps: how often another component replaced the service's revision",
            |_, m| Box::new(m.swaps.clone()),
        ),
        family_when(
            has_component,
            "rollbacks",
            "Rollbacks: how often the service returned to the revision before",
            |_, m| Box::new(m.rollbacks.clone()),
        ),
        family_when(has_component, "swap_refusals", "Swaps and rollbacks that were refused", |_, m| {
            Box::new(ConstCounter::new(m.swaps_refused.total()))
        }),
        family_when(
            has_component,
            "pool_slots",
            "Slots of the engine's pool that the service's instances hold",
            |s, _| gauge(s.pool.held),
        ),
        family_when(has_component, "pool_waiting", "Calls that wait for slots of the engine's pool now", |s, _| {
            gauge(s.pool.waiting)
        }),
        family_when(
            has_component,
            "pool_longest_wait_seconds",
            "Seconds for which the first of these calls has waited",
            |s, _| Box::new(ConstGauge::new(s.pool.longest_wait.as_secs_f64())),
        ),
        family_when(
            |s, _| !s.pool.metrics.waits.is_empty(),
            "pool_wait_seconds",
            "Seconds that calls waited for slots of the engine's pool; calls that did not wait do not count",
            |s, _| Box::new(s.pool.metrics.waits.snapshot()),
        ),
        family_when(
            has_component,
            "computed_seconds",
            "Processor seconds of guests that computed for whole slices; quick requests do not count",
            |s, _| Box::new(ConstCounter::new(s.computed.as_secs_f64())),
        ),
        family_when(
            has_component,
            "guest_seconds",
            "Seconds that instances worked on calls, until the head of the answer; without the wait for the instance",
            |s, _| Box::new(ConstCounter::new(s.pool.metrics.work().as_secs_f64())),
        ),
        family_when(
            has_component,
            "instance_memory_peak_bytes",
            "The most bytes of memory that one of its instances has had",
            |s, _| gauge(to_usize(s.pool.metrics.memory_peak())),
        ),
    ];
    encode(encoder, services, &FAMILIES, |sample| [("service", sample.name.as_str())])
}

/// Writes how long tries took, by service. The mean of one endpoint is in its `endpoint_seconds`: a histogram of each
/// would be half of the whole text.
pub(super) fn encode_latencies(
    encoder: &mut DescriptorEncoder<'_>,
    endpoints: &[(EndpointSample, Arc<EndpointMetrics>)],
) -> Result<(), fmt::Error> {
    let mut services: BTreeMap<&str, HistogramSnapshot> = BTreeMap::new();
    for (sample, metrics) in endpoints {
        let own = metrics.latency.snapshot();
        if !own.is_empty() {
            services.entry(sample.service.as_str()).and_modify(|all| all.add(&own)).or_insert(own);
        }
    }
    if services.is_empty() {
        return Ok(());
    }
    let help = "Seconds from sending a request to the head of its answer or to its failure";
    let mut family = encoder.encode_descriptor("latency_seconds", help, None, MetricType::Histogram)?;
    for (service, latency) in services {
        latency.coarser(&LATENCY_LINES).encode(family.encode_family(&[("service", service)])?)?;
    }
    Ok(())
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
    let timeouts = |metrics: &ServiceMetrics| -> Vec<_> {
        let owners = DeadlineOwner::ALL.into_iter().zip(&metrics.timeouts);
        owners.map(|(owner, count)| (owner.as_str(), count.get())).collect()
    };
    encode_kinds(encoder, services, ("timeouts", "deadline"), help, timeouts)?;
    let help = "Calls that suffered an injected fault, by kind: latency, error or trap";
    encode_kinds(encoder, services, ("faults_injected", "kind"), help, |metrics| metrics.injected.counts())?;
    let help = "Calls refused before the service worked on them, by kind of refusal";
    encode_kinds(encoder, services, ("refused", "kind"), help, |metrics| metrics.refused.counts())?;
    let help = "Swaps and rollbacks that were refused, by kind of reason";
    encode_kinds(encoder, services, ("swaps_refused", "kind"), help, |metrics| metrics.swaps_refused.counts())
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

/// Writes a family of counters that differ by service and kind. A kind has its series from its first event on.
fn encode_kinds(
    encoder: &mut DescriptorEncoder<'_>,
    services: &[(ServiceSample, Arc<ServiceMetrics>)],
    (name, label): (&str, &str),
    help: &str,
    counts: impl Fn(&ServiceMetrics) -> Vec<(&'static str, u64)>,
) -> Result<(), fmt::Error> {
    let all = services.iter().flat_map(|(sample, metrics)| {
        counts(metrics).into_iter().map(move |(kind, count)| (sample.name.as_str(), kind, count))
    });
    let mut happened = all.filter(|(_, _, count)| *count > 0).peekable();
    if happened.peek().is_none() {
        return Ok(());
    }
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (service, kind, count) in happened {
        ConstCounter::new(count).encode(family.encode_family(&[("service", service), (label, kind)])?)?;
    }
    Ok(())
}
