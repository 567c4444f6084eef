//! Metric handles and their exposition.
//!
//! A handle belongs to what it counts: an endpoint carries its counters, and they leave with it, so the series of revisions that are
//! long gone do not pile up. At a scrape, whoever owns the endpoints lends them as [`Sample`]s.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The media type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Bounds of the latency histogram in seconds: a fresh instance answers in tens of microseconds, a deadline is seconds away.
const LATENCY: [f64; 16] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// What is counted at one endpoint.
pub struct EndpointMetrics {
    requests: Counter,
    failures: Counter,
    latency: Histogram,
}

impl Default for EndpointMetrics {
    fn default() -> Self {
        Self { requests: Counter::default(), failures: Counter::default(), latency: Histogram::new(LATENCY) }
    }
}

impl EndpointMetrics {
    /// One more request was sent to the endpoint.
    pub fn request(&self) {
        self.requests.inc();
    }

    /// A request's head came, or failed to come, after `latency`.
    pub fn answered(&self, latency: Duration) {
        self.latency.observe(latency.as_secs_f64());
    }

    /// A request failed by the service's fault: at most once for each [`EndpointMetrics::request`].
    pub fn failure(&self) {
        self.failures.inc();
    }

    /// Requests and failures so far.
    pub fn counts(&self) -> (u64, u64) {
        (self.requests.get(), self.failures.get())
    }
}

/// What is counted for a service, whichever revision it runs.
#[derive(Default)]
pub struct ServiceMetrics {
    /// By kind. Refusals are rare beside calls, so a lock will do.
    refused: Mutex<BTreeMap<&'static str, Counter>>,
    swaps: Counter,
    retries: Counter,
}

impl ServiceMetrics {
    /// A call was refused before any endpoint was asked; `kind` is one of a handful of constants.
    pub fn refused(&self, kind: &'static str) {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).entry(kind).or_default().inc();
    }

    /// A failed call was made once more.
    pub fn retried(&self) {
        self.retries.inc();
    }

    /// A fault on purpose.
    pub fn injected(&self, _kind: &'static str) {}
    /// No budget or no time for another try.
    pub fn retry_denied(&self) {}
    /// A call waited for its turn.
    pub fn waited(&self, _waited: Duration) {}

    /// The service's revision was replaced.
    pub fn swapped(&self) {
        self.swaps.inc();
    }
}

/// One endpoint at the moment of a scrape.
pub struct Sample {
    /// The service's name.
    pub service: String,
    /// The short digest of its revision; empty for a plain HTTP address.
    pub revision: String,
    /// The endpoint's id.
    pub endpoint: String,
    /// 0 closed, 1 half-open, 2 open.
    pub breaker: u8,
    /// Requests at the endpoint now.
    pub in_flight: usize,
    /// Instances that serve one of them.
    pub instances: usize,
}

impl Sample {
    fn labels(&self) -> [(&'static str, &str); 3] {
        [("service", &self.service), ("revision", &self.revision), ("endpoint", &self.endpoint)]
    }
}

/// Who knows the endpoints at the moment of a scrape.
pub trait Source: Send + Sync + 'static {
    /// Every endpoint with its handles.
    fn endpoints(&self) -> Vec<(Sample, Arc<EndpointMetrics>)>;
    /// Every service with its handles.
    fn services(&self) -> Vec<(String, Arc<ServiceMetrics>)>;
}

/// All metrics of the host.
#[derive(Default)]
pub struct Metrics(Mutex<Registry>);

impl Metrics {
    /// Metrics of the endpoints and services that `source` knows.
    pub fn new(source: impl Source) -> Self {
        let mut registry = Registry::with_prefix("atoll");
        registry.register_collector(Box::new(Scrape(source)));
        Self(Mutex::new(registry))
    }

    /// The exposition in OpenMetrics' text format, see [`CONTENT_TYPE`].
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

impl<S: Source> Collector for Scrape<S> {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let endpoints = self.0.endpoints();
        type Read<'a> = &'a dyn Fn(&Sample, &EndpointMetrics) -> Box<dyn EncodeMetric>;
        let families: [(&str, &str, Read<'_>); 6] = [
            ("requests", "Requests that chose an endpoint", &|_, m| Box::new(m.requests.clone())),
            ("failures", "Requests that failed by the service's fault", &|_, m| Box::new(m.failures.clone())),
            ("latency_seconds", "Time to the head of the answer", &|_, m| Box::new(m.latency.clone())),
            ("breaker_state", "Circuit breaker: 0 closed, 1 half-open, 2 open", &|s, _| gauge(s.breaker.into())),
            ("in_flight", "Requests at an endpoint now, waiting ones included", &|s, _| gauge(s.in_flight)),
            ("instances", "Instances that serve a request now", &|s, _| gauge(s.instances)),
        ];
        for (name, help, read) in families {
            let Some((first, handles)) = endpoints.first() else { continue };
            let kind = read(first, handles).metric_type();
            let mut family = encoder.encode_descriptor(name, help, None, kind)?;
            for (sample, handles) in &endpoints {
                read(sample, handles).encode(family.encode_family(&sample.labels())?)?;
            }
        }
        encode_services(&mut encoder, &self.0.services())
    }
}

fn gauge(value: usize) -> Box<dyn EncodeMetric> {
    Box::new(ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)))
}

fn encode_services(
    encoder: &mut DescriptorEncoder,
    services: &[(String, Arc<ServiceMetrics>)],
) -> Result<(), fmt::Error> {
    if services.is_empty() {
        return Ok(());
    }
    let counter = Counter::<u64>::default().metric_type();
    let mut family = encoder.encode_descriptor("swaps", "Replaced revisions", None, counter)?;
    for (name, metrics) in services {
        metrics.swaps.encode(family.encode_family(&[("service", name.as_str())])?)?;
    }
    let mut family = encoder.encode_descriptor("retries", "Failed calls that were made once more", None, counter)?;
    for (name, metrics) in services {
        metrics.retries.encode(family.encode_family(&[("service", name.as_str())])?)?;
    }
    let help = "Calls refused before an endpoint was asked";
    let mut family = encoder.encode_descriptor("refused", help, None, counter)?;
    for (name, metrics) in services {
        for (kind, count) in metrics.refused.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            count.encode(family.encode_family(&[("service", name.as_str()), ("kind", kind)])?)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct One(Arc<EndpointMetrics>, Arc<ServiceMetrics>);

    impl Source for One {
        fn endpoints(&self) -> Vec<(Sample, Arc<EndpointMetrics>)> {
            let sample = Sample {
                service: "users".into(),
                revision: "abc".into(),
                endpoint: "users-0".into(),
                breaker: 2,
                in_flight: 3,
                instances: 2,
            };
            vec![(sample, Arc::clone(&self.0))]
        }

        fn services(&self) -> Vec<(String, Arc<ServiceMetrics>)> {
            vec![("users".into(), Arc::clone(&self.1))]
        }
    }

    #[test]
    fn the_exposition_has_every_family() {
        let (endpoint, service) = (Arc::new(EndpointMetrics::default()), Arc::new(ServiceMetrics::default()));
        let metrics = Metrics::new(One(Arc::clone(&endpoint), Arc::clone(&service)));
        endpoint.request();
        endpoint.failure();
        endpoint.answered(Duration::from_millis(2));
        service.refused("circuit-open");
        service.swapped();
        service.retried();
        let text = metrics.encode();
        for line in [
            r#"atoll_requests_total{service="users",revision="abc",endpoint="users-0"} 1"#,
            r#"atoll_failures_total{service="users",revision="abc",endpoint="users-0"} 1"#,
            r#"atoll_latency_seconds_bucket{le="0.0025",service="users",revision="abc",endpoint="users-0"} 1"#,
            r#"atoll_breaker_state{service="users",revision="abc",endpoint="users-0"} 2"#,
            r#"atoll_in_flight{service="users",revision="abc",endpoint="users-0"} 3"#,
            r#"atoll_instances{service="users",revision="abc",endpoint="users-0"} 2"#,
            r#"atoll_swaps_total{service="users"} 1"#,
            r#"atoll_refused_total{service="users",kind="circuit-open"} 1"#,
            r#"atoll_retries_total{service="users"} 1"#,
            "# EOF",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}
