//! The sources of endpoints, as the metrics read them.

use crate::rollout::Rollout;
use crate::telemetry::{DiscoverySample, DiscoverySource};
use std::sync::Arc;

/// The sources of the services that this deploys.
pub(super) struct DiscoverySamples(pub(super) Arc<Rollout>);

impl DiscoverySource for DiscoverySamples {
    fn sources(&self) -> Vec<DiscoverySample> {
        let all = self.0.all_sources().into_iter();
        all.map(|(service, report)| DiscoverySample {
            service: service.to_string(),
            source: report.address,
            endpoints: report.endpoints,
            age: report.age,
            failures: report.failures,
        })
        .collect()
    }
}
