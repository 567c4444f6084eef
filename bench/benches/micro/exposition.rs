//! The exposition of a large host: 200 services, each with an endpoint, a route and traffic. The goal is 20 ms.

use criterion::Criterion;
use host::base::ServiceName;
use host::telemetry::{
    CountScope, EndpointMetrics, EndpointSample, GatewayMetrics, Metrics, MetricsSource, OutsideSample, PoolSample,
    ServiceMetrics, ServiceSample,
};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

const SERVICES: usize = 200;

/// Services of one endpoint each.
struct Many(Vec<(String, Arc<ServiceMetrics>, Arc<EndpointMetrics>)>);

impl MetricsSource for Many {
    fn endpoints(&self) -> Vec<(EndpointSample, Arc<EndpointMetrics>)> {
        let sample = |(name, _, metrics): &(String, Arc<ServiceMetrics>, Arc<EndpointMetrics>)| {
            let (service, endpoint, breaker) = (name.clone(), format!("{name}-0"), 0);
            let (forced, ready, ejected, in_flight, instances) = (false, true, false, 3, 2);
            let sample = EndpointSample { service, endpoint, breaker, forced, ready, ejected, in_flight, instances };
            (sample, Arc::clone(metrics))
        };
        self.0.iter().map(sample).collect()
    }

    fn services(&self) -> Vec<(ServiceSample, Arc<ServiceMetrics>)> {
        let sample = |(name, metrics, _): &(String, Arc<ServiceMetrics>, Arc<EndpointMetrics>)| {
            let (name, revision, computed) = (name.clone(), "0123456789ab".into(), Duration::from_millis(1500));
            let (waiting, faults, retry_budget, pool) = (0, 0, 100, PoolSample::default());
            let sample = ServiceSample { name, revision, waiting, faults, retry_budget, pool, computed };
            (sample, Arc::clone(metrics))
        };
        self.0.iter().map(sample).collect()
    }

    fn outside(&self) -> Vec<(OutsideSample, Arc<EndpointMetrics>)> {
        Vec::new()
    }
}

pub(crate) fn bench(criterion: &mut Criterion) {
    let all: Vec<_> =
        (0..SERVICES).map(|n| (format!("service-{n:03}"), Arc::default(), Arc::<EndpointMetrics>::default())).collect();
    let scopes = all.iter().map(|(name, _, _): &(String, Arc<ServiceMetrics>, _)| CountScope {
        route: format!("GET /api/{name}/{{id}}"),
        service: name.clone(),
        outcomes: vec![&[(200, "answer"), (502, "trap")][..]],
    });
    let gateway = Arc::new(GatewayMetrics::new(scopes.collect()));
    let (took, caller) = (Duration::from_millis(7), ServiceName::new("service-000").expect("a legal name"));
    for (at, (_, service, endpoint)) in all.iter().enumerate() {
        gateway.ended(at, 200, "answer", Some(took));
        service.called(took);
        service.called_by(&caller, false);
        endpoint.request();
        endpoint.answered(took);
    }
    let metrics = Metrics::new(Many(all), gateway);
    criterion.bench_function("exposition of 200 services", |bencher| bencher.iter(|| black_box(metrics.encode())));
}
