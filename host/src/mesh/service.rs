//! What stands behind a name: endpoints and the policy of calling them.

use super::endpoint::{Endpoint, Way};
use crate::balance::Balancer;
use crate::base::{Digest, ServiceName};
use crate::breaker::Permit;
use crate::contract::FunctionName;
use crate::telemetry::ServiceMetrics;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// The revision that a service's instances run.
#[derive(Debug, Clone)]
pub struct RevisionInfo {
    /// The digest of its component.
    pub digest: Digest,
    /// When it began to serve.
    pub since: SystemTime,
    /// Whether it is another component than the manifest's.
    pub differs_from_manifest: bool,
    /// The revision before it, to which a rollback returns.
    pub previous: Option<Digest>,
}

/// One entry of the discovery table: replaced whole, never changed.
pub struct Service {
    /// Its name.
    pub name: ServiceName,
    /// Where it can be called: the replicas of its revision, then its plain HTTP addresses.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// Chooses among them; lives through swaps.
    pub balancer: Arc<Balancer>,
    /// Longest time to the head of an answer, and longest silence inside its body.
    pub timeout: Duration,
    /// What runs here; `None` for a service of plain HTTP addresses alone.
    pub revision: Option<RevisionInfo>,
    /// The functions of which a second call does what one does.
    pub idempotent: Vec<FunctionName>,
    /// What is counted for the service; lives through swaps.
    pub metrics: Arc<ServiceMetrics>,
}

impl Service {
    /// Whether a call of `function` may be made twice.
    pub(super) fn is_idempotent(&self, function: &FunctionName) -> bool {
        let same =
            |own: &FunctionName| own.function == function.function && function.interface.compatible(&own.interface);
        self.idempotent.iter().any(same)
    }

    /// An endpoint that takes such a call and whose breaker grants a permit. Endpoints with an open circuit leave the choice, never the table.
    ///
    /// # Errors
    /// When none grants one: how long until the first of them may.
    pub(super) fn pick(&self, way: Way, now: Instant) -> Result<(&Arc<Endpoint>, Permit), Option<Duration>> {
        let mut soonest: Option<Duration> = None;
        let mut random = |below: usize| rand::random_range(0..below);
        let picked = self.balancer.pick(self.endpoints.len(), &mut random, |index| {
            let endpoint = &self.endpoints[index];
            if !endpoint.takes(way) {
                return None;
            }
            let granted = endpoint.breaker.try_acquire(now);
            granted
                .map_err(|refused| soonest = Some(soonest.map_or(refused.retry_after, |s| s.min(refused.retry_after))))
                .ok()
        });
        picked.map(|(index, permit)| (&self.endpoints[index], permit)).ok_or(soonest)
    }
}
