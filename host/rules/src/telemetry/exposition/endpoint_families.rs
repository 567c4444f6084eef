//! The families of endpoints and of hosts outside.

use super::metric_family::{MetricFamily, encode, family, family_when, gauge};
use crate::telemetry::endpoint_metrics::EndpointMetrics;
use crate::telemetry::metrics_source::{EndpointSample, OutsideSample};
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use std::fmt;
use std::sync::Arc;

/// What is counted at each endpoint.
pub(super) fn encode_endpoints(
    encoder: &mut DescriptorEncoder,
    endpoints: &[(EndpointSample, Arc<EndpointMetrics>)],
) -> Result<(), fmt::Error> {
    const FAMILIES: [MetricFamily<EndpointSample, EndpointMetrics>; 9] = [
        family("requests", "Requests sent to the endpoint", |_, m| Box::new(m.requests.clone())),
        family("failures", "Requests that failed through a fault of the service", |_, m| Box::new(m.failures.clone())),
        family(
            "endpoint_seconds",
            "Seconds from sending requests to the heads of their answers or to their failures, added up",
            |_, m| Box::new(ConstCounter::new(m.seconds())),
        ),
        family("breaker_state", "State of the circuit breaker: 0 closed, 1 half-open, 2 open", |s, _| {
            gauge(s.breaker.into())
        }),
        family_when(
            |s, _| s.forced,
            "breaker_forced",
            "1 while an operator holds the circuit open or closed",
            |s, _| gauge(s.forced.into()),
        ),
        family("endpoint_ready", "1 while the endpoint's health checks pass, otherwise 0", |s, _| {
            gauge(s.ready.into())
        }),
        family_when(
            |s, _| s.ejected,
            "endpoint_ejected",
            "1 while the endpoint is ejected as an outlier",
            |s, _| gauge(s.ejected.into()),
        ),
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

/// What is counted at each host outside.
pub(super) fn encode_outside(
    encoder: &mut DescriptorEncoder,
    outside: &[(OutsideSample, Arc<EndpointMetrics>)],
) -> Result<(), fmt::Error> {
    const FAMILIES: [MetricFamily<OutsideSample, EndpointMetrics>; 5] = [
        family("outside_requests", "Requests of the service to the outside host", |_, m| Box::new(m.requests.clone())),
        family("outside_failures", "Requests that failed through a fault of the outside host", |_, m| {
            Box::new(m.failures.clone())
        }),
        family_when(
            |_, m| !m.latency.is_empty(),
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
