//! The discovery table as metrics see it.

use super::clock;
use super::endpoint::Endpoint;
use super::service::Service;
use crate::breaker::State;
use crate::registry::Registry;
use crate::telemetry::{EndpointMetrics, Sample, ServiceMetrics, Source};
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
                breaker: match state.breaker.state {
                    State::Closed => 0,
                    State::HalfOpen => 1,
                    State::Open => 2,
                },
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

    fn services(&self) -> Vec<(String, Arc<ServiceMetrics>)> {
        let table = self.0.snapshot();
        table.iter().map(|(name, service)| (name.to_string(), Arc::clone(&service.traffic.metrics))).collect()
    }
}
