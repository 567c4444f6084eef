//! A call between its tries: it holds the bulkhead's permit, gets an endpoint for each try, and decides whether there
//! is time for one more.

use super::try_guard::TryGuard;
use super::try_trace::CallTrace;
use crate::base::{CallContext, DeadlineOwner, SpanId};
use crate::contract::BoundFunction;
use crate::mesh::call_rng::CallRng;
use crate::mesh::clock;
use crate::mesh::error::{CallError, TryError};
use crate::mesh::table::bulkhead::{BulkheadPermit, Entered};
use crate::mesh::table::canary_watch::TossedCall;
use crate::mesh::table::distance::Distance;
use crate::mesh::table::endpoint::{Endpoint, EndpointStats};
use crate::mesh::table::endpoint_group::{EndpointGroup, Picked};
use crate::mesh::table::service::{Canary, Service};
use crate::mesh::table::target::{CallKind, Invoke};
use crate::mesh::table::traffic::Traffic;
use crate::registry::Registry;
use crate::verdict::Toss;
use std::sync::Arc;
use std::time::Duration;
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
    /// The functions of the revision whose types the call has; `None` if they are the same in all revisions.
    routed: Option<&'a Arc<[BoundFunction]>>,
    rng: &'a CallRng,
    /// How far its endpoints may be.
    reach: Distance,
    permit: BulkheadPermit,
    /// How the coin fell, if the service has a canary.
    pub(super) tossed: Option<Box<TossedCall>>,
    tried: u32,
    /// The endpoint of the last try.
    last: Option<Arc<EndpointStats>>,
    /// Its span, if the request is traced.
    last_span: Option<SpanId>,
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
        let context = context.within(now, traffic.total, DeadlineOwner::Total);
        if group.endpoints.is_empty() {
            // Its bulkhead has no permits, so a wait would be in vain.
            return Err(refused(&group, &context, group.no_endpoint()));
        }
        let permit = match traffic.bulkhead.try_enter(now) {
            Some(permit) => permit,
            // Boxed: most calls need not wait.
            None => {
                let wait = CallTrace { context: &context, service: &group.name }.begin_wait(now);
                let entered = Box::pin(traffic.bulkhead.enter(context.deadline)).await;
                drop(wait);
                if let Some(report) = &context.report {
                    report.write(|report| report.queued = Some(clock::now().saturating_duration_since(now)));
                }
                match entered {
                    Ok(Entered { permit, .. }) => permit,
                    Err(full) => return Err(refused(&group, &context, group.overloaded(&full))),
                }
            }
        };
        traffic.retry.called(now);
        let (routed, tossed, last, last_span) = (None, None, None, None);
        // What a handler's commits are bound to is on this node.
        let reach = if context.event.is_some() || context.guard.is_some() { Distance::Here } else { Distance::Far };
        Ok(Self { group, context, registry, routed, rng, reach, permit, tossed, tried: 0, last, last_span })
    }

    /// Lets the call go to endpoints of this node alone.
    pub(super) fn stay_here(&mut self) {
        self.reach = Distance::Here;
    }

    /// Lets no later try go to a revision that has other functions than `routed`.
    pub(super) fn stay_with(&mut self, routed: &'a Arc<[BoundFunction]>) {
        self.routed = Some(routed);
    }

    /// Picks an endpoint for the next try: another one than the last try had, if there is one.
    ///
    /// # Errors
    /// When no endpoint can take the call.
    pub(super) fn next_try(&mut self, kind: CallKind) -> Result<Try<P>, CallError> {
        // The first try begins when the call is let in.
        let now = if self.tried == 0 { self.permit.since() } else { clock::now() };
        let refusal = match self.group.pick((kind, self.reach), now, self.rng, self.last.as_ref()) {
            Ok(Picked { endpoint, permit }) => {
                let Traffic { timeout, total, .. } = &*self.group.traffic;
                let mut context = self.context.within(now, *timeout, DeadlineOwner::Timeout).for_try();
                let left = context.deadline.saturating_duration_since(now);
                let cut = cut(left, *timeout.min(total));
                let mut guard = TryGuard::start(&self.group.name, &endpoint.stats, permit, now, cut);
                if let Some(tossed) = &self.tossed {
                    let (tossed, memory) = tossed.for_try();
                    context.memory = Some(memory);
                    guard = guard.on_trial(tossed);
                }
                let endpoint = Arc::clone(endpoint);
                if context.trace.is_some() {
                    let trace = CallTrace { context: &context, service: &self.group.name };
                    let span = trace.begin_try(&endpoint.stats.id, self.tried, self.last_span, now);
                    if let Some(span) = span {
                        (self.last_span, context.trace) = (Some(span.id()), Some(span.scope()));
                        guard.trace(span);
                    }
                }
                if self.tried > 0 {
                    self.group.traffic.metrics.retried();
                }
                self.tried += 1;
                self.last = Some(Arc::clone(&endpoint.stats));
                self.report(&endpoint);
                return Ok(Try { endpoint, guard, context });
            }
            Err(refusal) => refusal,
        };
        if self.leave_canary() || self.leave_for_manifest_before(kind) {
            return self.next_try(kind);
        }
        // Not counted as a refusal after a try: an endpoint has got the call, so the call fails and is not refused.
        Err(if self.tried > 0 { refusal } else { refused(&self.group, &self.context, refusal) })
    }

    /// Reports a try, if somebody asks.
    fn report(&self, endpoint: &Endpoint<P>) {
        let Some(report) = &self.context.report else { return };
        report.write(|report| {
            report.tries = self.tried;
            report.endpoint = Some(endpoint.stats.id.to_string());
            report.revision = endpoint.target.digest().map(|digest| digest.short());
        });
    }

    /// Hands a call whose canary has no endpoint for it to the stable revision: the canary's circuit is open, or it
    /// does not pass its health checks, and nobody shall be refused because of a canary. The call says nothing of
    /// either revision then. False if it is no call of a canary, or if it has the types of the canary alone.
    fn leave_canary(&mut self) -> bool {
        let (Some(registry), Some(TossedCall { toss: Toss { canary: true, .. }, .. })) =
            (self.registry, self.tossed.as_deref())
        else {
            return false;
        };
        let snapshot = registry.snapshot();
        let stable = snapshot.get(self.group.name.as_str());
        let fits = |entry: &&Arc<Service<P>>| self.routed.is_none_or(|routed| Arc::ptr_eq(routed, &entry.routed));
        let Some(stable) = stable.filter(fits) else { return false };
        self.group = Arc::clone(&stable.group);
        self.tossed = None;
        true
    }

    /// Hands a call of a kind that no endpoint takes any more to the service as the manifest before had it: the request
    /// began under that manifest. False if there is none, or if it has no endpoint for the call either.
    fn leave_for_manifest_before(&mut self, kind: CallKind) -> bool {
        let takes = |group: &EndpointGroup<P>| group.endpoints.iter().any(|endpoint| endpoint.target.takes(kind));
        let Some(registry) = self.registry.filter(|_| !takes(&self.group)) else { return false };
        let snapshot = registry.snapshot();
        let before = snapshot.get(self.group.name.as_str()).and_then(|entry| entry.before.as_ref());
        let Some(before) = before.filter(|before| takes(&before.group)) else { return false };
        self.group = Arc::clone(&before.group);
        true
    }

    /// Whether the coin fell for this canary.
    fn is_for(&self, canary: &Canary<P>) -> bool {
        self.tossed.as_ref().is_some_and(|tossed| tossed.toss.canary && Arc::ptr_eq(&tossed.watch, &canary.watch))
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
        // Boxed: most calls have one try.
        Box::pin(sleep(wait)).await;
        // A swap may have replaced the group during the wait. If the service has left the table, the old group gives
        // the better error.
        if let Some(registry) = self.registry
            && let Some(entry) = registry.snapshot().get(self.group.name.as_str())
        {
            // A further try stays with the revision that the coin fell for, as long as that one is there.
            let canary = entry.canary.as_ref().filter(|canary| self.is_for(canary));
            let entry = canary.map_or(entry, |canary| &canary.service);
            if self.routed.is_none_or(|routed| Arc::ptr_eq(routed, &entry.routed)) {
                self.group = Arc::clone(&entry.group);
            }
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

/// Counts a refusal, and writes it into the request's trace.
fn refused<P: Invoke>(group: &EndpointGroup<P>, context: &CallContext, refusal: CallError) -> CallError {
    CallTrace { context, service: &group.name }.refused(refusal.kind);
    group.refused(refusal)
}

/// The time `left` for a try, if that is clearly less than the service may take for one, which is `own`: then a timeout
/// says nothing of the service.
///
/// A tenth less is no cut. A caller that gives its callee all of its own time keeps a twentieth of it back (see
/// [`CallContext::deeper`]), and has needed some time before the call. If that were a cut, the circuit of a service
/// that hangs would never open where caller and callee have the same `timeout`, as they have by default.
fn cut(left: Duration, own: Duration) -> Option<Duration> {
    (left < own - own / 10).then_some(left)
}
