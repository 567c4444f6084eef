//! The discovery table as metrics see it.

use super::endpoint::Endpoint;
use super::outside::OutsideHost;
use super::service::Service;
use crate::breaker::State;
use crate::mesh::clock;
use crate::registry::Registry;
use crate::runtime::{InstancePool, PoolShare};
use crate::telemetry::{
    EndpointMetrics, EndpointSample, MetricsSource, OutsideSample, PoolSample, ServiceMetrics, ServiceSample,
};
use std::sync::Arc;

/// Hands out the metrics of everything that the discovery table holds at the moment of a scrape.
pub struct Discovered(pub Arc<Registry<Service>>);

impl MetricsSource for Discovered {
    fn endpoints(&self) -> Vec<(EndpointSample, Arc<EndpointMetrics>)> {
        let now = clock::now();
        let table = self.0.snapshot();
        let sample = |service: &Service, endpoint: &Arc<Endpoint>| {
            let state = endpoint.stats.state(now);
            let sample = EndpointSample {
                service: service.group.name.to_string(),
                endpoint: endpoint.stats.id.to_string(),
                breaker: level(state.breaker.state),
                forced: state.breaker.forced.is_some(),
                ready: state.ready,
                ejected: state.ejected,
                in_flight: state.in_flight,
                instances: endpoint.target.instances(),
            };
            (sample, Arc::clone(&endpoint.stats.metrics))
        };
        table
            .iter()
            .flat_map(|(_, service)| service.endpoints().map(move |endpoint| sample(service, endpoint)))
            .collect()
    }

    fn services(&self) -> Vec<(ServiceSample, Arc<ServiceMetrics>)> {
        let now = clock::now();
        let sample = |service: &Service| {
            let traffic = &service.group.traffic;
            let sample = ServiceSample {
                name: service.group.name.to_string(),
                revision: service.revision.as_ref().map(|revision| revision.digest.short()).unwrap_or_default(),
                waiting: traffic.bulkhead.counts().waiting,
                faults: traffic.faults.active(now).len(),
                retry_budget: traffic.retry.budget().balance(now),
                pool: pool(service),
                computed: service.pool().map(InstancePool::computed).unwrap_or_default(),
            };
            (sample, Arc::clone(&traffic.metrics))
        };
        self.0.snapshot().iter().map(|(_, service)| sample(service)).collect()
    }

    fn outside(&self) -> Vec<(OutsideSample, Arc<EndpointMetrics>)> {
        let now = clock::now();
        let table = self.0.snapshot();
        let sample = |service: &Service, OutsideHost { name: host, stats }: OutsideHost| {
            let state = stats.state(now);
            let (service, breaker) = (service.group.name.to_string(), level(state.breaker.state));
            (OutsideSample { service, host, breaker, in_flight: state.in_flight }, Arc::clone(&stats.metrics))
        };
        table
            .iter()
            .flat_map(|(_, service)| service.outside.all().into_iter().map(move |host| sample(service, host)))
            .collect()
    }
}

/// What the service has of the engine's pool.
fn pool(service: &Service) -> PoolSample {
    let Some(pool) = service.pool() else { return PoolSample::default() };
    let PoolShare { held, waiting, longest_wait } = pool.share();
    let (metrics, keeps_state) = (Arc::clone(pool.pool_metrics()), pool.keeps_state());
    PoolSample { held, waiting, longest_wait, metrics, keeps_state }
}

/// A circuit as a gauge.
fn level(state: State) -> u8 {
    match state {
        State::Closed => 0,
        State::HalfOpen => 1,
        State::Open => 2,
    }
}
