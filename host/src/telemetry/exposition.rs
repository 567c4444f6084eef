//! The exposition: all metrics in OpenMetrics' text format, as a scraper reads them.

use super::endpoint_metrics::EndpointMetrics;
use super::metrics_source::{EndpointSample, MetricsSource, OutsideSample, ServiceSample};
use super::service_metrics::{INJECTED, ServiceMetrics};
use crate::base::DeadlineOwner;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// The media type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics of the host.
#[derive(Default)]
pub struct Metrics(Mutex<Registry>);

impl Metrics {
    /// The metrics of the endpoints, services and outside hosts of `source`.
    pub fn new(source: impl MetricsSource) -> Self {
        let mut registry = Registry::with_prefix("atoll");
        registry.register_collector(Box::new(Scrape(source)));
        Self(Mutex::new(registry))
    }

    /// The metrics in OpenMetrics' text format; its media type is [`CONTENT_TYPE`].
    pub fn encode(&self) -> String {
        let mut out = String::new();
        let registry = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        text::encode(&mut out, &registry).expect("writing to a string never fails");
        out
    }
}

struct Scrape<S>(S);

impl<S> fmt::Debug for Scrape<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scrape")
    }
}

impl<S: MetricsSource> Collector for Scrape<S> {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        encode_endpoints(&mut encoder, &self.0.endpoints())?;
        encode_services(&mut encoder, &self.0.services())?;
        encode_outside(&mut encoder, &self.0.outside())
    }
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
            |_, m| Box::new(m.latency.clone()),
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
        family("instances", "Instances that serve a request now", |s, _| gauge(s.instances)),
    ];
    encode(encoder, endpoints, &FAMILIES, |sample| {
        [
            ("service", sample.service.as_str()),
            ("revision", sample.revision.as_str()),
            ("endpoint", sample.endpoint.as_str()),
        ]
    })
}

fn encode_services(
    encoder: &mut DescriptorEncoder,
    services: &[(ServiceSample, Arc<ServiceMetrics>)],
) -> Result<(), fmt::Error> {
    const FAMILIES: [MetricFamily<ServiceSample, ServiceMetrics>; 11] = [
        family("swaps", "Swaps: how often the service's revision was replaced", |_, m| Box::new(m.swaps.clone())),
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
            |_, m| Box::new(m.waits.clone()),
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
            |s, _| Box::new(s.pool.metrics.waits.clone()),
        ),
        family("faults_standing", "Faults that are injected into the service's calls now", |s, _| gauge(s.faults)),
    ];
    encode(encoder, services, &FAMILIES, |sample| [("service", sample.name.as_str())])?;

    if services.is_empty() {
        return Ok(());
    }
    let counter = Counter::<u64>::default().metric_type();
    let help = "Calls that suffered an injected fault, by kind: latency, error or trap";
    let mut family = encoder.encode_descriptor("faults_injected", help, None, counter)?;
    for (sample, metrics) in services {
        for (kind, count) in INJECTED.iter().zip(&metrics.injected) {
            count.encode(family.encode_family(&[("service", sample.name.as_str()), ("kind", kind)])?)?;
        }
    }
    let help = "Tries without an answer before their deadline, by whose deadline it was: route, total, timeout, caller";
    let mut family = encoder.encode_descriptor("timeouts", help, None, counter)?;
    for (sample, metrics) in services {
        for (owner, count) in DeadlineOwner::ALL.into_iter().zip(&metrics.timeouts) {
            let labels = [("service", sample.name.as_str()), ("deadline", owner.as_str())];
            count.encode(family.encode_family(&labels)?)?;
        }
    }
    let help = "Calls refused before the service worked on them, by kind of refusal";
    let mut family = encoder.encode_descriptor("refused", help, None, counter)?;
    for (sample, metrics) in services {
        for (kind, count) in metrics.refusals() {
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
            |_, m| Box::new(m.latency.clone()),
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
mod tests {
    use super::*;
    use crate::telemetry::{PoolMetrics, PoolSample};
    use std::time::Duration;

    #[derive(Default, Clone)]
    struct One {
        endpoint: Arc<EndpointMetrics>,
        service: Arc<ServiceMetrics>,
        pool: Arc<PoolMetrics>,
        outside: Arc<EndpointMetrics>,
    }

    impl MetricsSource for One {
        fn endpoints(&self) -> Vec<(EndpointSample, Arc<EndpointMetrics>)> {
            let sample = EndpointSample {
                service: "users".into(),
                revision: "abc".into(),
                endpoint: "users-0".into(),
                breaker: 2,
                forced: true,
                ready: false,
                ejected: true,
                in_flight: 3,
                instances: 2,
            };
            vec![(sample, Arc::clone(&self.endpoint))]
        }

        fn services(&self) -> Vec<(ServiceSample, Arc<ServiceMetrics>)> {
            let pool = PoolSample {
                held: 7,
                waiting: 8,
                longest_wait: Duration::from_millis(250),
                metrics: Arc::clone(&self.pool),
            };
            let sample = ServiceSample { name: "users".into(), waiting: 4, faults: 5, retry_budget: 6, pool };
            vec![(sample, Arc::clone(&self.service))]
        }

        fn outside(&self) -> Vec<(OutsideSample, Arc<EndpointMetrics>)> {
            let sample = OutsideSample {
                service: "users".into(),
                host: "https://api.example.com".into(),
                breaker: 1,
                in_flight: 7,
            };
            vec![(sample, Arc::clone(&self.outside))]
        }
    }

    struct Nothing;

    impl MetricsSource for Nothing {
        fn endpoints(&self) -> Vec<(EndpointSample, Arc<EndpointMetrics>)> {
            Vec::new()
        }
        fn services(&self) -> Vec<(ServiceSample, Arc<ServiceMetrics>)> {
            Vec::new()
        }
        fn outside(&self) -> Vec<(OutsideSample, Arc<EndpointMetrics>)> {
            Vec::new()
        }
    }

    /// Asserts that each of `lines` is a whole line of `text`.
    fn assert_lines(text: &str, lines: &[&str]) {
        for line in lines {
            assert!(text.lines().any(|own| own == *line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn the_exposition_has_every_family_of_endpoints() {
        let one = One::default();
        one.endpoint.request();
        one.endpoint.failure();
        one.endpoint.answered(Duration::from_millis(2));
        assert_lines(
            &Metrics::new(one).encode(),
            &[
                r#"atoll_requests_total{service="users",revision="abc",endpoint="users-0"} 1"#,
                r#"atoll_failures_total{service="users",revision="abc",endpoint="users-0"} 1"#,
                r#"atoll_latency_seconds_bucket{le="0.0025",service="users",revision="abc",endpoint="users-0"} 1"#,
                r#"atoll_breaker_state{service="users",revision="abc",endpoint="users-0"} 2"#,
                r#"atoll_breaker_forced{service="users",revision="abc",endpoint="users-0"} 1"#,
                r#"atoll_endpoint_ready{service="users",revision="abc",endpoint="users-0"} 0"#,
                r#"atoll_endpoint_ejected{service="users",revision="abc",endpoint="users-0"} 1"#,
                r#"atoll_in_flight{service="users",revision="abc",endpoint="users-0"} 3"#,
                r#"atoll_instances{service="users",revision="abc",endpoint="users-0"} 2"#,
                "# EOF",
            ],
        );
    }

    #[test]
    fn the_exposition_has_every_family_of_services() {
        let one = One::default();
        one.service.refused("circuit-open");
        one.service.swapped();
        one.service.retried();
        one.service.retry_denied();
        one.service.retry_denied();
        one.service.waited(Duration::from_millis(3));
        one.service.timed_out(DeadlineOwner::Caller);
        one.pool.waited(Duration::from_millis(30));
        for kind in ["error", "trap", "trap"] {
            one.service.injected(kind);
        }
        assert_lines(
            &Metrics::new(one).encode(),
            &[
                r#"atoll_swaps_total{service="users"} 1"#,
                r#"atoll_refused_total{service="users",kind="circuit-open"} 1"#,
                r#"atoll_retries_total{service="users"} 1"#,
                r#"atoll_retries_denied_total{service="users"} 2"#,
                r#"atoll_queue_wait_seconds_bucket{le="0.0025",service="users"} 0"#,
                r#"atoll_queue_wait_seconds_bucket{le="0.005",service="users"} 1"#,
                r#"atoll_waiting{service="users"} 4"#,
                r#"atoll_pool_slots{service="users"} 7"#,
                r#"atoll_pool_waiting{service="users"} 8"#,
                r#"atoll_pool_longest_wait_seconds{service="users"} 0.25"#,
                r#"atoll_pool_wait_seconds_bucket{le="0.025",service="users"} 0"#,
                r#"atoll_pool_wait_seconds_bucket{le="0.05",service="users"} 1"#,
                r#"atoll_timeouts_total{service="users",deadline="route"} 0"#,
                r#"atoll_timeouts_total{service="users",deadline="caller"} 1"#,
                r#"atoll_faults_standing{service="users"} 5"#,
                r#"atoll_retry_budget{service="users"} 6"#,
                r#"atoll_faults_injected_total{service="users",kind="latency"} 0"#,
                r#"atoll_faults_injected_total{service="users",kind="error"} 1"#,
                r#"atoll_faults_injected_total{service="users",kind="trap"} 2"#,
            ],
        );
    }

    #[test]
    fn the_exposition_has_every_family_of_outside_hosts() {
        let one = One::default();
        one.outside.request();
        one.outside.request();
        one.outside.failure();
        one.outside.answered(Duration::from_millis(40));
        assert_lines(
            &Metrics::new(one).encode(),
            &[
                r#"atoll_outside_requests_total{service="users",host="https://api.example.com"} 2"#,
                r#"atoll_outside_failures_total{service="users",host="https://api.example.com"} 1"#,
                r#"atoll_outside_latency_seconds_bucket{le="0.05",service="users",host="https://api.example.com"} 1"#,
                r#"atoll_outside_breaker_state{service="users",host="https://api.example.com"} 1"#,
                r#"atoll_outside_in_flight{service="users",host="https://api.example.com"} 7"#,
            ],
        );
    }

    #[test]
    fn without_endpoints_services_and_outside_hosts_the_exposition_is_empty() {
        assert_eq!(Metrics::new(Nothing).encode(), "# EOF\n");
    }
}
