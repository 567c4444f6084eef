//! The endpoints among which a call picks one, and the policy by which it does.

use super::bulkhead::BulkheadFull;
use super::distance::Distance;
use super::endpoint::{Endpoint, EndpointStats};
use super::target::{CallKind, EndpointTarget, Invoke};
use super::traffic::Traffic;
use crate::base::{ErrorKind, ServiceName};
use crate::breaker::{Permit, State};
use crate::mesh::call_rng::CallRng;
use crate::mesh::error::CallError;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The endpoints of a service, or the one endpoint of an outside host. A change replaces the group; it never changes in
/// place.
pub struct EndpointGroup<P = EndpointTarget> {
    /// The service that calls name. For an outside host: the service that calls it.
    pub name: ServiceName,
    /// Where a call can go. For a service: the replicas of its revision, then its plain HTTP addresses.
    pub endpoints: Vec<Arc<Endpoint<P>>>,
    /// The policy of its calls; it outlives the group.
    pub traffic: Arc<Traffic>,
    /// How far the farthest of them is.
    reach: Distance,
}

/// The endpoint of the next try.
pub(crate) struct Picked<'a, P> {
    pub(crate) endpoint: &'a Arc<Endpoint<P>>,
    /// Of its breaker. The try also counts in the endpoint's load already.
    pub(crate) permit: Permit,
}

/// What `Retry-After` says when all endpoints are busy: a second, the least that it can say.
const BUSY: Duration = Duration::from_secs(1);
/// What `Retry-After` says while a component is compiled. Small ones take a second or two, and large ones so long that
/// a client which asks every two seconds costs nothing.
const STARTING: Duration = Duration::from_secs(2);

/// Why endpoints did not take a call, collected while one is picked.
#[derive(Default)]
struct Obstacles {
    open: bool,
    /// When the first of the open circuits may let a call through.
    soonest: Option<Duration>,
    full: bool,
    starting: bool,
    unready: bool,
}

/// What keeps calls from an endpoint, apart from its circuit.
enum NotEligible {
    /// It does not take calls of this kind.
    Kind,
    /// Its code is still being compiled.
    Starting,
    /// It does not pass its health checks.
    Unready,
    /// It has as many calls as it may have.
    Full,
}

impl<P: Invoke> EndpointGroup<P> {
    /// The endpoints of `name`, called by the policy of `traffic`.
    pub fn new(name: ServiceName, endpoints: Vec<Arc<Endpoint<P>>>, traffic: Arc<Traffic>) -> Self {
        let reach = endpoints.iter().map(|endpoint| endpoint.target.distance()).max().unwrap_or(Distance::Here);
        Self { name, endpoints, traffic, reach }
    }

    /// How far the farthest of its endpoints is.
    pub(crate) fn reach(&self) -> Distance {
        self.reach
    }

    /// Picks an endpoint that takes calls of this kind, is ready, has room, and whose breaker grants a permit: one of
    /// this node, or else one of its zone, or else any, but none beyond `reach`. `avoid`, the endpoint of the try
    /// before, is picked only if no other is left.
    ///
    /// # Errors
    /// When no endpoint is left: why, and when another call may succeed.
    pub(crate) fn pick(
        &self,
        (kind, reach): (CallKind, Distance),
        now: Instant,
        rng: &CallRng,
        avoid: Option<&Arc<EndpointStats>>,
    ) -> Result<Picked<'_, P>, CallError> {
        let mut obstacles = Obstacles::default();
        let avoided = |endpoint: &Endpoint<P>| avoid.is_some_and(|avoid| Arc::ptr_eq(avoid, &endpoint.stats));
        if let Some(probed) = self.probe((kind, reach), now, &avoided, &mut obstacles) {
            return Ok(probed);
        }
        let mut random = |below: usize| rng.below(below);
        let load = |index: usize| &self.endpoints[index].stats.load;
        let balancer = &self.traffic.balancer;
        for distance in Distance::up_to(reach.min(self.reach)) {
            let meant = |endpoint: &Endpoint<P>| endpoint.target.distance() == distance && !avoided(endpoint);
            let open_to_calls = |index: usize| {
                let endpoint = &self.endpoints[index];
                self.obstacle(endpoint, kind).is_none()
                    && endpoint.stats.breaker.state(now) == State::Closed
                    && meant(endpoint)
            };
            let picked = balancer.pick(self.endpoints.len(), load, open_to_calls, now, &mut random, |index| {
                let endpoint = &self.endpoints[index];
                if meant(endpoint) { self.admit(endpoint, kind, now, &mut obstacles) } else { None }
            });
            if let Some((index, permit)) = picked {
                return Ok(Picked { endpoint: &self.endpoints[index], permit });
            }
        }
        let within = |endpoint: &Endpoint<P>| endpoint.target.distance() <= reach && avoided(endpoint);
        if let Some(endpoint) = self.endpoints.iter().find(|endpoint| within(endpoint))
            && let Some(permit) = self.admit(endpoint, kind, now, &mut obstacles)
        {
            return Ok(Picked { endpoint, permit });
        }
        Err(self.refusal(&obstacles))
    }

    /// An endpoint whose circuit waits for a probe. It goes before all others: no balancing policy would pick an
    /// endpoint that has just failed, and one call of many is enough to find out whether it has recovered.
    fn probe(
        &self,
        (kind, reach): (CallKind, Distance),
        now: Instant,
        avoided: &dyn Fn(&Endpoint<P>) -> bool,
        obstacles: &mut Obstacles,
    ) -> Option<Picked<'_, P>> {
        let several = if self.endpoints.len() > 1 { self.endpoints.as_slice() } else { &[] };
        let half_open = |endpoint: &&Arc<Endpoint<P>>| {
            endpoint.stats.breaker.state(now) == State::HalfOpen
                && endpoint.target.distance() <= reach
                && !avoided(endpoint)
        };
        let mut waiting = several.iter().filter(half_open);
        waiting.find_map(|endpoint| Some(Picked { endpoint, permit: self.admit(endpoint, kind, now, obstacles)? }))
    }

    /// Why the endpoint takes no call of this kind, whatever its circuit says.
    fn obstacle(&self, endpoint: &Endpoint<P>, kind: CallKind) -> Option<NotEligible> {
        let stats = &endpoint.stats;
        if !endpoint.target.takes(kind) {
            return Some(NotEligible::Kind);
        }
        if !stats.readiness.is_ready() {
            // The flag may be cleared between the two reads. The call is refused as unready then, which is as true.
            return Some(if stats.readiness.is_starting() { NotEligible::Starting } else { NotEligible::Unready });
        }
        let full = stats.load.in_flight() >= self.traffic.bulkhead.settings().concurrency;
        full.then_some(NotEligible::Full)
    }

    /// A permit for a call, which counts in the endpoint's load from now on.
    fn admit(&self, endpoint: &Endpoint<P>, kind: CallKind, now: Instant, obstacles: &mut Obstacles) -> Option<Permit> {
        match self.obstacle(endpoint, kind) {
            Some(NotEligible::Kind) => {}
            Some(NotEligible::Starting) => obstacles.starting = true,
            Some(NotEligible::Unready) => obstacles.unready = true,
            Some(NotEligible::Full) => obstacles.full = true,
            None => match endpoint.stats.breaker.try_acquire(now) {
                // Other calls may have come since `obstacle` read the load. `begin_below` compares and counts in one
                // step: of two calls that race for the last room, one gets it.
                Ok(permit) if endpoint.stats.load.begin_below(self.traffic.bulkhead.settings().concurrency) => {
                    return Some(permit);
                }
                Ok(_) => obstacles.full = true,
                Err(refused) => {
                    obstacles.open = true;
                    obstacles.soonest = [obstacles.soonest, refused.retry_after].into_iter().flatten().min();
                }
            },
        }
        None
    }

    fn refusal(&self, obstacles: &Obstacles) -> CallError {
        let (kind, detail, retry_after) = match obstacles {
            Obstacles { full: true, .. } => {
                (ErrorKind::Overloaded, "no endpoint has room for one more call", Some(BUSY))
            }
            // A circuit that opened by itself says when it may let a call through; one that was forced open does not.
            Obstacles { open: true, soonest: None, .. } => (
                ErrorKind::OutOfService,
                "an operator has opened the circuits of all endpoints that could take the call",
                None,
            ),
            Obstacles { open: true, soonest, .. } => {
                (ErrorKind::CircuitOpen, "every endpoint's circuit is open", *soonest)
            }
            Obstacles { starting: true, .. } => {
                let detail = "its component, or that of a service which it calls, is still being compiled";
                (ErrorKind::Starting, detail, Some(STARTING))
            }
            Obstacles { unready: true, .. } => (ErrorKind::NoEndpoint, "no endpoint passes its health checks", None),
            _ => (ErrorKind::NoEndpoint, "it has no endpoint for such a call", None),
        };
        CallError { retry_after, ..CallError::new(&self.name, kind, detail) }
    }

    /// The refusal of a call to a group without endpoints.
    pub(crate) fn no_endpoint(&self) -> CallError {
        self.refusal(&Obstacles::default())
    }

    /// The refusal of a call that the bulkhead did not let in.
    pub(crate) fn overloaded(&self, full: &BulkheadFull) -> CallError {
        CallError { retry_after: Some(BUSY), ..CallError::new(&self.name, ErrorKind::Overloaded, full.to_string()) }
    }

    /// Counts a refusal, and hands it on.
    pub(crate) fn refused(&self, refusal: CallError) -> CallError {
        self.traffic.metrics.refused(refusal.kind.as_str());
        refusal
    }
}
