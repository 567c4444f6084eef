//! How a service's calls are made: its policy, and what that remembers. It lives as long as the service, through all revisions.

use super::bulkhead::{Bulkhead, BulkheadSettings};
use super::chance::CallRng;
use super::clock;
use super::outside::{Outside, OutsideSettings};
use super::place::Failed;
use crate::balance::{self, Balancer};
use crate::base::{CallContext, ErrorKind, ServiceName};
use crate::fault::{ActiveFaults, InjectedFailure};
use crate::retry::{self, Retry};
use crate::telemetry::ServiceMetrics;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// The policy of one service's calls.
#[derive(Debug, Clone)]
pub struct TrafficSettings {
    /// Longest time of one try to the head of its answer, and longest silence inside its body. Default 10 s.
    pub timeout: Duration,
    /// Longest time of a call to the head of its answer, with its wait and all of its tries. Default 15 s.
    pub total: Duration,
    /// How many calls at a time, and how many wait.
    pub bulkhead: BulkheadSettings,
    /// How an endpoint is chosen.
    pub balance: balance::Settings,
    /// When a failed call is made again.
    pub retry: retry::Settings,
}

impl Default for TrafficSettings {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            total: Duration::from_secs(15),
            bulkhead: BulkheadSettings::default(),
            balance: balance::Settings::default(),
            retry: retry::Settings::default(),
        }
    }
}

/// How one service's calls are made.
pub struct Traffic {
    /// Longest time of one try to the head of its answer, and longest silence inside its body.
    pub timeout: Duration,
    /// Longest time of a call to the head of its answer.
    pub total: Duration,
    /// Chooses among the endpoints.
    pub balancer: Balancer,
    /// Bounds the calls.
    pub bulkhead: Arc<Bulkhead>,
    /// Decides about further tries.
    pub retry: Retry,
    /// Faults on purpose.
    pub faults: ActiveFaults,
    /// What is counted for the service.
    pub metrics: Arc<ServiceMetrics>,
    /// The outside hosts that the service calls.
    pub outside: Outside,
}

impl Traffic {
    /// The traffic of service `name`, which calls outside hosts as `outside` says.
    pub fn new(name: ServiceName, settings: TrafficSettings, outside: OutsideSettings) -> Self {
        Self {
            timeout: settings.timeout,
            total: settings.total,
            balancer: Balancer::new(settings.balance),
            bulkhead: Arc::new(Bulkhead::new(settings.bulkhead)),
            retry: Retry::new(settings.retry),
            faults: ActiveFaults::default(),
            metrics: Arc::default(),
            outside: Outside::new(name, outside),
        }
    }

    /// Slows a try down and lets it fail, where an operator wants that.
    pub(super) async fn disturb(&self, chance: &CallRng, context: &CallContext) -> Result<(), Failed> {
        let Some(injected) = self.faults.draw(clock::now(), &mut |bound| chance.below(bound)) else { return Ok(()) };
        if !injected.latency.is_zero() {
            self.metrics.injected("latency");
            let slept = timeout_at(Instant::from_std(context.deadline), sleep(injected.latency)).await;
            slept.map_err(|_| (ErrorKind::Timeout, "slowed down on purpose, until the deadline".to_owned()))?;
        }
        let (kind, name) = match injected.failure {
            None => return Ok(()),
            Some(InjectedFailure::Error) => (ErrorKind::Reset, "error"),
            Some(InjectedFailure::Trap) => (ErrorKind::Trap, "trap"),
        };
        self.metrics.injected(name);
        Err((kind, "failed on purpose: see `atoll fault list`".into()))
    }
}
