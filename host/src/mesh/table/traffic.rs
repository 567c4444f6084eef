//! The policy of a service's calls, and what that policy remembers. Both live as long as the service, through all of
//! its revisions.

use super::bulkhead::{Bulkhead, BulkheadSettings};
use super::function_texts::FunctionTexts;
use crate::balance::{self, Balancer};
use crate::base::{CallContext, ErrorKind};
use crate::fault::{ActiveFault, ActiveFaults, InjectedFailure};
use crate::mesh::call_rng::CallRng;
use crate::mesh::clock;
use crate::mesh::error::TryError;
use crate::retry::{self, Retry};
use crate::telemetry::ServiceMetrics;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// The settings of one service's calls.
#[derive(Debug, Clone, PartialEq)]
pub struct TrafficSettings {
    /// The longest time of one try to the head of its answer, and the longest silence inside its body. Default 10 s.
    pub timeout: Duration,
    /// The longest time of a call to the head of its answer, with its wait and all of its tries. Default 15 s.
    pub total: Duration,
    /// How many calls may be under way, and how many may wait.
    pub bulkhead: BulkheadSettings,
    /// How an endpoint is picked.
    pub balance: balance::Settings,
    /// When a failed call is tried again.
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

/// The policy of one service's calls, with its counts.
pub struct Traffic {
    /// The longest time of one try to the head of its answer, and the longest silence inside its body.
    pub timeout: Duration,
    /// The longest time of a call to the head of its answer.
    pub total: Duration,
    /// Picks among the endpoints.
    pub balancer: Balancer,
    /// Bounds the calls.
    pub bulkhead: Arc<Bulkhead>,
    /// Decides about further tries.
    pub retry: Retry,
    /// The injected faults.
    pub faults: ActiveFaults,
    /// What is counted for the service.
    pub metrics: Arc<ServiceMetrics>,
    /// The names of its functions in spans.
    pub(crate) texts: FunctionTexts,
}

impl Traffic {
    /// The policy that `settings` describe, with fresh counts.
    pub fn new(settings: TrafficSettings) -> Self {
        Self::with_metrics(settings, Arc::default())
    }

    /// The policy that `settings` describe in place of this one: it goes on with its counts and its faults on purpose.
    #[must_use]
    pub fn succeeded(&self, settings: TrafficSettings) -> Self {
        let next = Self::with_metrics(settings, Arc::clone(&self.metrics));
        let now = clock::now();
        for ActiveFault { id, fault, until, origin } in self.faults.active(now) {
            // There is room for as many.
            let _ = next.faults.add(id, fault, until, origin, now);
        }
        next
    }

    fn with_metrics(settings: TrafficSettings, metrics: Arc<ServiceMetrics>) -> Self {
        Self {
            timeout: settings.timeout,
            total: settings.total,
            balancer: Balancer::new(settings.balance),
            bulkhead: Arc::new(Bulkhead::new(settings.bulkhead, Arc::clone(&metrics))),
            retry: Retry::new(settings.retry),
            faults: ActiveFaults::default(),
            metrics,
            texts: FunctionTexts::default(),
        }
    }

    /// Slows a try down and fails it, where an injected fault wants that. Without a fault it returns at once.
    ///
    /// # Errors
    /// The injected failure; the endpoint is not called then.
    pub(crate) async fn inject_fault(&self, rng: &CallRng, context: &CallContext) -> Result<(), TryError> {
        if self.faults.is_empty() {
            return Ok(());
        }
        // Boxed: calls of services without faults need no room for a timer.
        Box::pin(self.inject_drawn_fault(rng, context)).await
    }

    async fn inject_drawn_fault(&self, rng: &CallRng, context: &CallContext) -> Result<(), TryError> {
        let Some(injected) = self.faults.draw(clock::now(), &mut |bound| rng.below(bound)) else { return Ok(()) };
        if !injected.latency.is_zero() {
            self.metrics.injected("latency");
            let slept = timeout_at(Instant::from_std(context.deadline), sleep(injected.latency)).await;
            let late = |_| TryError::new(ErrorKind::Timeout, "an injected fault delayed the try until its deadline");
            slept.map_err(late)?;
        }
        let (kind, name) = match injected.failure {
            None => return Ok(()),
            Some(InjectedFailure::Error) => (ErrorKind::Reset, "error"),
            Some(InjectedFailure::Trap) => (ErrorKind::Trap, "trap"),
        };
        self.metrics.injected(name);
        Err(TryError::new(kind, "an injected fault failed the try: see `atoll fault list`"))
    }
}
