//! How large the exposition of a large host is: in bytes and in series, since both are what a scraper pays for.

use super::super::gateway_metrics::CountScope;
use super::*;
use crate::base::ServiceName;
use crate::telemetry::metrics_source::{EndpointSample, OutsideSample, PoolSample, ServiceSample};
use crate::telemetry::{EndpointMetrics, PoolMetrics, ServiceMetrics, StateOperation};
use std::time::Duration;

/// A host with many services of one component each.
struct Many {
    services: Vec<(String, Arc<ServiceMetrics>)>,
    endpoints: Vec<(String, String, Arc<EndpointMetrics>)>,
    /// Of each service, if they keep data.
    pools: Option<Vec<Arc<PoolMetrics>>>,
}

/// The outcomes that a typed route has, about.
const OUTCOMES: [(u16, &str); 24] = [
    (502, "trap"),
    (502, "memory-limit"),
    (502, "instantiation"),
    (502, "bad-answer"),
    (502, "connect"),
    (502, "reset"),
    (504, "timeout"),
    (503, "circuit-open"),
    (503, "out-of-service"),
    (503, "starting"),
    (503, "overloaded"),
    (503, "draining"),
    (503, "no-endpoint"),
    (503, "denied"),
    (508, "too-deep"),
    (413, "body-too-large"),
    (408, "slow-body"),
    (500, "host"),
    (400, "bad-path"),
    (403, "forbidden"),
    (404, "not-found"),
    (400, "bad-parameter"),
    (422, "invalid"),
    (501, "upgrade"),
];

impl Many {
    fn new(count: usize, replicas: usize, keep_state: bool) -> Self {
        let name = |n: usize| format!("service-{n:03}");
        let endpoints = (0..count).flat_map(|n| (0..replicas).map(move |replica| (n, replica)));
        Self {
            services: (0..count).map(|n| (name(n), Arc::default())).collect(),
            endpoints: endpoints.map(|(n, at)| (name(n), format!("{}-{at}", name(n)), Arc::default())).collect(),
            pools: keep_state.then(|| (0..count).map(|_| Arc::default()).collect()),
        }
    }

    /// Each service gets a request, which takes some milliseconds, by another service too.
    fn serve(&self, gateway: &GatewayMetrics) {
        let took = Duration::from_millis(7);
        for (at, (_, service)) in self.services.iter().enumerate() {
            gateway.ended(at, 200, "answer", Some(took));
            service.called(took);
            service.called_by(&ServiceName::new("service-000").unwrap(), false);
        }
        for (_, _, endpoint) in &self.endpoints {
            endpoint.request();
            endpoint.answered(took);
        }
        for state in self.pools.iter().flatten().map(|pool| pool.state()) {
            StateOperation::ALL.into_iter().for_each(|operation| state.began(operation));
            state.read(10_000);
            state.wrote(10_000);
            state.committed(took);
        }
    }

    /// Everything happens to each service that can happen.
    fn suffer(&self, gateway: &GatewayMetrics) {
        for (at, (_, service)) in self.services.iter().enumerate() {
            for (status, kind) in OUTCOMES {
                gateway.ended(at, status, kind, Some(Duration::from_millis(7)));
            }
            service.waited(Duration::from_millis(3));
            for kind in ["circuit-open", "overloaded", "denied"] {
                service.refused(kind);
            }
        }
        for (_, _, endpoint) in &self.endpoints {
            for kind in ["trap", "reset", "answered-5xx"] {
                endpoint.failure(kind);
            }
        }
        for state in self.pools.iter().flatten().map(|pool| pool.state()) {
            for (kind, _) in state.failures() {
                state.failed(kind);
            }
        }
    }

    fn gateway(&self) -> Arc<GatewayMetrics> {
        let scopes = self.services.iter().map(|(name, _)| CountScope {
            route: format!("GET /api/{name}/{{id}}"),
            service: name.clone(),
            outcomes: vec![&OUTCOMES[..]],
        });
        Arc::new(GatewayMetrics::new(scopes.collect()))
    }
}

impl MetricsSource for Arc<Many> {
    fn endpoints(&self) -> Vec<(EndpointSample, Arc<EndpointMetrics>)> {
        let sample = |(service, endpoint, metrics): &(String, String, Arc<EndpointMetrics>)| {
            let (service, endpoint, breaker) = (service.clone(), endpoint.clone(), 0);
            let (forced, ready, ejected, in_flight, instances) = (false, true, false, 3, 2);
            let sample = EndpointSample { service, endpoint, breaker, forced, ready, ejected, in_flight, instances };
            (sample, Arc::clone(metrics))
        };
        self.endpoints.iter().map(sample).collect()
    }

    fn services(&self) -> Vec<(ServiceSample, Arc<ServiceMetrics>)> {
        let sample = |(at, (name, metrics)): (usize, &(String, Arc<ServiceMetrics>))| {
            let (name, revision, computed) = (name.clone(), "0123456789ab".into(), Duration::from_millis(1500));
            let pool = self.pools.as_ref().map_or_else(PoolSample::default, |pools| PoolSample {
                metrics: Arc::clone(&pools[at]),
                keeps_state: true,
                ..PoolSample::default()
            });
            let (waiting, faults, retry_budget) = (0, 0, 100);
            let sample = ServiceSample { name, revision, waiting, faults, retry_budget, pool, computed };
            (sample, Arc::clone(metrics))
        };
        self.services.iter().enumerate().map(sample).collect()
    }

    fn outside(&self) -> Vec<(OutsideSample, Arc<EndpointMetrics>)> {
        Vec::new()
    }
}

fn series(text: &str) -> usize {
    text.lines().filter(|line| !line.starts_with('#')).count()
}

/// 1 MiB is what the issue of the metrics allows for 200 services.
#[test]
fn two_hundred_services_fit_in_a_mebibyte() {
    for (replicas, keep_state, idle_kib) in [(1, false, 320), (2, false, 450), (1, true, 410)] {
        let many = Arc::new(Many::new(200, replicas, keep_state));
        let gateway = many.gateway();
        let metrics = Metrics::new(Arc::clone(&many), Arc::clone(&gateway));
        let idle = metrics.encode().len();
        many.serve(&gateway);
        let busy = metrics.encode().len();
        assert!(idle < idle_kib << 10, "idle, with {replicas} replicas: {idle} bytes");
        assert!(busy < 1 << 20, "in traffic, with {replicas} replicas: {busy} bytes");
    }
}

#[test]
fn the_number_of_series_is_bounded_by_the_manifest() {
    let count = |services: usize| {
        let many = Arc::new(Many::new(services, 2, true));
        let gateway = many.gateway();
        let metrics = Metrics::new(Arc::clone(&many), Arc::clone(&gateway));
        many.serve(&gateway);
        many.suffer(&gateway);
        let once = series(&metrics.encode());
        for _ in 0..100 {
            many.serve(&gateway);
            many.suffer(&gateway);
        }
        assert_eq!(series(&metrics.encode()), once, "more of the same makes no series");
        once
    };
    let (few, many) = (count(10), count(20));
    assert!((many - few) / 10 <= 180, "{} series a service", (many - few) / 10);
}
