//! What stands behind a name: endpoints, and how they are called.

use super::chance::CallRng;
use super::endpoint::{Endpoint, EndpointStats};
use super::error::CallError;
use super::place::{CallKind, EndpointTarget, Invoke};
use super::traffic::Traffic;
use crate::base::{Digest, ErrorKind, ServiceName};
use crate::breaker::{Permit, State};
use crate::contract::FunctionName;
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
pub struct Service<P = EndpointTarget> {
    /// Its name.
    pub name: ServiceName,
    /// Where it can be called: the replicas of its revision, then its plain HTTP addresses.
    pub endpoints: Vec<Arc<Endpoint<P>>>,
    /// How it is called; lives through swaps.
    pub traffic: Arc<Traffic>,
    /// What runs here; `None` for a service of plain HTTP addresses alone.
    pub revision: Option<RevisionInfo>,
    /// The functions of which a second call does what one does.
    pub idempotent: Vec<FunctionName>,
}

/// A caller who is told that all are busy should come again this much later: a second, which is the least that `Retry-After` can say.
const BUSY: Duration = Duration::from_secs(1);

/// Why no endpoint is left to choose: all that was met on the way.
#[derive(Default)]
struct Met {
    open: bool,
    /// When the first of the open circuits may let a call through.
    soonest: Option<Duration>,
    full: bool,
    unready: bool,
}

/// What keeps calls from an endpoint, but its circuit.
enum NotEligible {
    /// It does not take calls of this kind.
    Way,
    /// It does not pass its checks.
    Unready,
    /// It has as many calls as it may have.
    Full,
}

impl<P: Invoke> Service<P> {
    /// Whether a call of `function` may be made twice.
    pub(super) fn is_idempotent(&self, function: &FunctionName) -> bool {
        let same =
            |own: &FunctionName| own.function == function.function && function.interface.compatible(&own.interface);
        self.idempotent.iter().any(same)
    }

    /// An endpoint that takes such a call, is ready, has room, and whose breaker grants a permit. The others leave the choice, never the table.
    /// `avoid` is chosen only if there is no other.
    ///
    /// # Errors
    /// When none is left: why, and when another try makes sense.
    pub(super) fn pick(
        &self,
        way: CallKind,
        now: Instant,
        chance: &CallRng,
        avoid: Option<&Arc<EndpointStats>>,
    ) -> Result<(&Arc<Endpoint<P>>, Permit), CallError> {
        let mut met = Met::default();
        let avoided = |endpoint: &Endpoint<P>| avoid.is_some_and(|avoid| Arc::ptr_eq(avoid, &endpoint.stats));
        if let Some(probed) = self.probe(way, now, &avoided, &mut met) {
            return Ok(probed);
        }
        let mut random = |below: usize| chance.below(below);
        let load = |index: usize| &self.endpoints[index].stats.load;
        let open_to_calls = |index: usize| {
            let endpoint = &self.endpoints[index];
            self.obstacle(endpoint, way).is_none()
                && endpoint.stats.breaker.state(now) == State::Closed
                && !avoided(endpoint)
        };
        let balancer = &self.traffic.balancer;
        let picked = balancer.pick(self.endpoints.len(), load, open_to_calls, now, &mut random, |index| {
            let endpoint = &self.endpoints[index];
            if avoided(endpoint) { None } else { self.admit(endpoint, way, now, &mut met) }
        });
        if let Some((index, permit)) = picked {
            return Ok((&self.endpoints[index], permit));
        }
        if let Some(endpoint) = self.endpoints.iter().find(|endpoint| avoided(endpoint))
            && let Some(permit) = self.admit(endpoint, way, now, &mut met)
        {
            return Ok((endpoint, permit));
        }
        Err(self.refusal(&met))
    }

    /// An endpoint whose circuit waits for a probe. It goes before all others: no policy would choose an endpoint that has just failed, and one
    /// call of many finds out whether it has recovered.
    fn probe(
        &self,
        way: CallKind,
        now: Instant,
        avoided: &dyn Fn(&Endpoint<P>) -> bool,
        met: &mut Met,
    ) -> Option<(&Arc<Endpoint<P>>, Permit)> {
        let several = if self.endpoints.len() > 1 { self.endpoints.as_slice() } else { &[] };
        let half_open =
            |endpoint: &&Arc<Endpoint<P>>| endpoint.stats.breaker.state(now) == State::HalfOpen && !avoided(endpoint);
        let mut waiting = several.iter().filter(half_open);
        waiting.find_map(|endpoint| Some((endpoint, self.admit(endpoint, way, now, met)?)))
    }

    /// Why the endpoint is not asked, whatever its circuit says.
    fn obstacle(&self, endpoint: &Endpoint<P>, way: CallKind) -> Option<NotEligible> {
        let stats = &endpoint.stats;
        if !endpoint.target.takes(way) {
            return Some(NotEligible::Way);
        }
        if !stats.readiness.is_ready() {
            return Some(NotEligible::Unready);
        }
        let full = stats.load.in_flight() >= self.traffic.bulkhead.settings().concurrency;
        full.then_some(NotEligible::Full)
    }

    /// A permit for a call, and a place among the endpoint's calls.
    fn admit(&self, endpoint: &Endpoint<P>, way: CallKind, now: Instant, met: &mut Met) -> Option<Permit> {
        match self.obstacle(endpoint, way) {
            Some(NotEligible::Way) => {}
            Some(NotEligible::Unready) => met.unready = true,
            Some(NotEligible::Full) => met.full = true,
            None => match endpoint.stats.breaker.try_acquire(now) {
                // Others may have come in since the look: of two at the last place, one gets it.
                Ok(permit) if endpoint.stats.load.begin_below(self.traffic.bulkhead.settings().concurrency) => {
                    return Some(permit);
                }
                Ok(_) => met.full = true,
                Err(refused) => {
                    met.open = true;
                    met.soonest = [met.soonest, refused.retry_after].into_iter().flatten().min();
                }
            },
        }
        None
    }

    fn refusal(&self, met: &Met) -> CallError {
        let (kind, detail, retry_after) = match met {
            Met { full: true, .. } => (ErrorKind::Overloaded, "no endpoint has room for one more call", Some(BUSY)),
            Met { open: true, soonest, .. } => (ErrorKind::CircuitOpen, "every endpoint's circuit is open", *soonest),
            Met { unready: true, .. } => (ErrorKind::NoEndpoint, "no endpoint passes its health checks", None),
            _ => (ErrorKind::NoEndpoint, "it has no endpoint for such a call", None),
        };
        CallError { retry_after, ..CallError::new(&self.name, kind, detail) }
    }

    /// What a call is told where nothing can be called.
    pub(super) fn nobody(&self) -> CallError {
        self.refusal(&Met::default())
    }

    /// Counts a refusal.
    pub(super) fn refused(&self, refusal: CallError) -> CallError {
        self.traffic.metrics.refused(refusal.kind.as_str());
        refusal
    }

    /// What a call is told that found the bulkhead full.
    pub(super) fn crowded(&self, full: &super::bulkhead::BulkheadFull) -> CallError {
        CallError { retry_after: Some(BUSY), ..CallError::new(&self.name, ErrorKind::Overloaded, full.to_string()) }
    }
}
