//! The discovery table as metrics see it.

use super::clock;
use super::endpoint::{Endpoint, Vitals};
use super::service::Service;
use crate::breaker::State;
use crate::registry::Registry;
use crate::telemetry::{EndpointMetrics, OutsideSample, Sample, ServiceMetrics, ServiceSample, Source};
use std::sync::Arc;

/// Lends the metrics of everything that the discovery table holds at the moment of a scrape.
pub struct Discovered(pub Arc<Registry<Service>>);

impl Source for Discovered {
    fn endpoints(&self) -> Vec<(Sample, Arc<EndpointMetrics>)> {
        let now = clock::now();
        let table = self.0.snapshot();
        let sample = |service: &Service, endpoint: &Arc<Endpoint>| {
            let state = endpoint.vitals.state(now);
            let sample = Sample {
                service: service.name.to_string(),
                revision: endpoint.place.revision().map(|digest| digest.short()).unwrap_or_default(),
                endpoint: endpoint.vitals.id.clone(),
                breaker: level(state.breaker.state),
                forced: state.breaker.forced.is_some(),
                ready: state.ready,
                ejected: state.ejected,
                in_flight: state.in_flight,
                instances: endpoint.place.instances(),
            };
            (sample, Arc::clone(&endpoint.vitals.metrics))
        };
        table
            .iter()
            .flat_map(|(_, service)| service.endpoints.iter().map(move |endpoint| sample(service, endpoint)))
            .collect()
    }

    fn services(&self) -> Vec<(ServiceSample, Arc<ServiceMetrics>)> {
        let now = clock::now();
        let sample = |service: &Service| {
            let traffic = &service.traffic;
            let (_, _, waiting) = traffic.bulkhead.counts();
            let sample = ServiceSample {
                name: service.name.to_string(),
                waiting,
                faults: traffic.faults.standing(now).len(),
                retry_budget: traffic.retry.budget().balance(now),
            };
            (sample, Arc::clone(&traffic.metrics))
        };
        self.0.snapshot().iter().map(|(_, service)| sample(service)).collect()
    }

    fn outside(&self) -> Vec<(OutsideSample, Arc<EndpointMetrics>)> {
        let now = clock::now();
        let table = self.0.snapshot();
        let sample = |service: &Service, host: String, vitals: &Vitals| {
            let state = vitals.state(now);
            let (service, breaker) = (service.name.to_string(), level(state.breaker.state));
            (OutsideSample { service, host, breaker, in_flight: state.in_flight }, Arc::clone(&vitals.metrics))
        };
        let hosts = |service: &Service| service.traffic.outside.hosts();
        table
            .iter()
            .flat_map(|(_, service)| {
                hosts(service).into_iter().map(move |(host, vitals)| sample(service, host, &vitals))
            })
            .collect()
    }
}

/// A circuit as a gauge.
fn level(state: State) -> u8 {
    match state {
        State::Closed => 0,
        State::HalfOpen => 1,
        State::Open => 2,
    }
}
