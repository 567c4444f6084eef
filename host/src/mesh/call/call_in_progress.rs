//! A call between its tries: it holds the bulkhead's permit, gets an endpoint for each try, and decides whether there
//! is time for one more.

use super::try_guard::TryGuard;
use crate::base::CallContext;
use crate::mesh::call_rng::CallRng;
use crate::mesh::clock;
use crate::mesh::error::{CallError, TryError};
use crate::mesh::table::bulkhead::{BulkheadPermit, Entered};
use crate::mesh::table::endpoint::{Endpoint, EndpointStats};
use crate::mesh::table::endpoint_group::{EndpointGroup, Picked};
use crate::mesh::table::service::Service;
use crate::mesh::table::target::{CallKind, Invoke};
use crate::registry::Registry;
use std::sync::Arc;
use tokio::time::sleep;

/// One call under way. Its bulkhead permit goes back when it is dropped; [`CallInProgress::into_permit`] keeps the
/// permit longer.
pub(super) struct CallInProgress<'a, P> {
    /// The endpoints, as the last try found them.
    pub(super) group: Arc<EndpointGroup<P>>,
    /// With the deadline of all tries together.
    context: CallContext,
    /// Where the next try finds the group that has replaced this one meanwhile; `None` for an outside host, whose group
    /// stays.
    registry: Option<&'a Registry<Service<P>>>,
    rng: &'a CallRng,
    permit: BulkheadPermit,
    tried: u32,
    /// The endpoint of the last try.
    last: Option<Arc<EndpointStats>>,
}

/// What one try needs.
pub(super) struct Try<P> {
    pub(super) endpoint: Arc<Endpoint<P>>,
    /// Records the outcome.
    pub(super) guard: TryGuard,
    /// With the try's own deadline.
    pub(super) context: CallContext,
}

impl<'a, P: Invoke> CallInProgress<'a, P> {
    /// Lets a call of `group` into its bulkhead, perhaps after a wait.
    ///
    /// # Errors
    /// The group has no endpoint, or its bulkhead is full. Nothing was done for the call then.
    pub(super) async fn begin(
        group: Arc<EndpointGroup<P>>,
        registry: Option<&'a Registry<Service<P>>>,
        rng: &'a CallRng,
        context: &CallContext,
    ) -> Result<Self, CallError> {
        let now = clock::now();
        let traffic = &group.traffic;
        let context = context.within(now, traffic.total);
        if group.endpoints.is_empty() {
            // Its bulkhead has no permits, so a wait would be in vain.
            return Err(group.refused(group.no_endpoint()));
        }
        match traffic.bulkhead.enter(context.deadline).await {
            Ok(Entered { permit, .. }) => {
                traffic.retry.called(now);
                Ok(Self { group, context, registry, rng, permit, tried: 0, last: None })
            }
            Err(full) => Err(group.refused(group.overloaded(&full))),
        }
    }

    /// Picks an endpoint for the next try: another one than the last try had, if there is one.
    ///
    /// # Errors
    /// When no endpoint can take the call.
    pub(super) fn next_try(&mut self, kind: CallKind) -> Result<Try<P>, CallError> {
        let now = clock::now();
        match self.group.pick(kind, now, self.rng, self.last.as_ref()) {
            Ok(Picked { endpoint, permit }) => {
                let guard = TryGuard::start(&endpoint.stats, permit, now);
                let endpoint = Arc::clone(endpoint);
                if self.tried > 0 {
                    self.group.traffic.metrics.retried();
                }
                self.tried += 1;
                self.last = Some(Arc::clone(&endpoint.stats));
                let context = self.context.within(now, self.group.traffic.timeout).for_try();
                Ok(Try { endpoint, guard, context })
            }
            // Not counted as a refusal: an endpoint has got the call before, so the call fails and is not refused.
            Err(refusal) if self.tried > 0 => Err(refusal),
            Err(refusal) => Err(self.group.refused(refusal)),
        }
    }

    /// Delays or fails a try, where an injected fault wants that.
    pub(super) async fn inject_fault(&self, context: &CallContext) -> Result<(), TryError> {
        self.group.traffic.inject_fault(self.rng, context).await
    }

    /// Whether the settings allow one more try after the next one.
    pub(super) fn has_tries_left(&self) -> bool {
        self.tried < self.group.traffic.retry.settings().tries
    }

    /// Waits for the next try. False, without a wait, if the settings, the budget or the time do not allow one.
    pub(super) async fn wait_for_next_try(&mut self) -> bool {
        let now = clock::now();
        let traffic = &self.group.traffic;
        if self.tried > traffic.retry.settings().tries {
            return false;
        }
        let left = self.context.deadline.saturating_duration_since(now);
        let Some(wait) = traffic.retry.again(self.tried, left, now, &mut |bound| self.rng.below(bound)) else {
            traffic.metrics.retry_denied();
            return false;
        };
        sleep(wait).await;
        // A swap may have replaced the group during the wait. If the service has left the table, the old group gives
        // the better error.
        if let Some(registry) = self.registry
            && let Some(entry) = registry.snapshot().get(self.group.name.as_str())
        {
            self.group = Arc::clone(&entry.group);
        }
        let (service, request_id) = (&self.group.name, &self.context.request_id);
        tracing::debug!(%service, %request_id, tried = self.tried, "tried again");
        true
    }

    /// The bulkhead's permit alone, for what outlasts the tries: the answer's body.
    pub(super) fn into_permit(self) -> BulkheadPermit {
        self.permit
    }
}
