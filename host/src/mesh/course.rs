//! The course of one call through its tries: it enters the service's bulkhead, picks an endpoint for each try, and decides whether there is
//! one more.

use super::attempt::TryGuard;
use super::bulkhead::BulkheadPermit;
use super::chance::CallRng;
use super::clock;
use super::endpoint::{Endpoint, EndpointStats};
use super::error::CallError;
use super::place::{CallKind, Invoke};
use super::service::Service;
use crate::base::CallContext;
use crate::registry::Registry;
use std::sync::Arc;
use tokio::time::sleep;

/// One call under way. Its slot of the bulkhead goes back when it is dropped, or with [`CallInProgress::into_slot`].
pub(super) struct CallInProgress<'a, P> {
    /// The service as the last try found it.
    pub(super) entry: Arc<Service<P>>,
    /// With the deadline of all tries together.
    pub(super) context: CallContext,
    /// Where the next try looks for what has replaced the entry meanwhile; without it the entry stays.
    registry: Option<&'a Registry<Service<P>>>,
    chance: &'a CallRng,
    slot: BulkheadPermit,
    tried: u32,
    /// Who had the last try.
    last: Option<Arc<EndpointStats>>,
}

impl<'a, P: Invoke> CallInProgress<'a, P> {
    /// A call of `entry` that is let in, perhaps after a wait.
    ///
    /// # Errors
    /// When the service is full. Nothing was done for the call then.
    pub(super) async fn begin(
        entry: Arc<Service<P>>,
        registry: Option<&'a Registry<Service<P>>>,
        chance: &'a CallRng,
        context: &CallContext,
    ) -> Result<Self, CallError> {
        let now = clock::now();
        let traffic = &entry.traffic;
        let context = context.within(now, traffic.total);
        if entry.endpoints.is_empty() {
            // Its bulkhead has no room, and a wait would not make any.
            return Err(entry.refused(entry.nobody()));
        }
        match traffic.bulkhead.enter(context.deadline).await {
            Ok((slot, waited)) => {
                if let Some(waited) = waited {
                    traffic.metrics.waited(waited);
                }
                traffic.retry.called(now);
                Ok(Self { entry, context, registry, chance, slot, tried: 0, last: None })
            }
            Err(full) => Err(entry.refused(entry.crowded(&full))),
        }
    }

    /// An endpoint for the next try; another one than the last had, if there is one. The context is that of the try.
    ///
    /// # Errors
    /// When no endpoint may be asked.
    pub(super) fn next(&mut self, way: CallKind) -> Result<(Arc<Endpoint<P>>, TryGuard, CallContext), CallError> {
        let now = clock::now();
        match self.entry.pick(way, now, self.chance, self.last.as_ref()) {
            Ok((endpoint, permit)) => {
                let attempt = TryGuard::start(&endpoint.stats, permit, now);
                let endpoint = Arc::clone(endpoint);
                if self.tried > 0 {
                    self.entry.traffic.metrics.retried();
                }
                self.tried += 1;
                self.last = Some(Arc::clone(&endpoint.stats));
                Ok((endpoint, attempt, self.context.within(now, self.entry.traffic.timeout).attempt()))
            }
            // A call that was asked once has failed, and was not refused.
            Err(refusal) if self.tried > 0 => Err(refusal),
            Err(refusal) => Err(self.entry.refused(refusal)),
        }
    }

    /// What comes before a try on purpose: a wait, and perhaps a failure in its place.
    pub(super) async fn disturbed(&self, context: &CallContext) -> Result<(), super::place::Failed> {
        self.entry.traffic.disturb(self.chance, context).await
    }

    /// Waits for the next try, if the policy, the budget and the time allow one; false if not.
    pub(super) async fn again(&mut self) -> bool {
        let now = clock::now();
        let traffic = &self.entry.traffic;
        if self.tried > traffic.retry.settings().tries {
            return false;
        }
        let left = self.context.deadline.saturating_duration_since(now);
        let Some(wait) = traffic.retry.again(self.tried, left, now, &mut |bound| self.chance.below(bound)) else {
            traffic.metrics.retry_denied();
            return false;
        };
        sleep(wait).await;
        // Whatever has replaced the entry may do better; if nothing is there any more, the old one says so best.
        if let Some(entry) =
            self.registry.and_then(|registry| registry.snapshot().get(self.entry.name.as_str()).cloned())
        {
            self.entry = entry;
        }
        tracing::debug!(service = %self.entry.name, request_id = %self.context.request_id, tried = self.tried, "tried again");
        true
    }

    /// The slot alone, for what lasts longer than the tries: the answer's body.
    pub(super) fn into_slot(self) -> BulkheadPermit {
        self.slot
    }
}
