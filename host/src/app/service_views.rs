//! What the admin tells of a service, its endpoints, and the faults on purpose that it has.

use crate::admin::{BreakerView, EndpointView, FaultView, OriginView, PoolView, ServiceView};
use crate::breaker::State;
use crate::fault::{ActiveFault, FaultOrigin};
use crate::mesh::{Endpoint, Service};
use crate::runtime::PoolShare;
use std::time::{Duration, Instant, SystemTime};

pub(super) fn faults(service: &Service, now: Instant) -> Vec<FaultView> {
    let active = service.group.traffic.faults.active(now);
    active.iter().map(|one| fault_view(service.group.name.as_str(), one, now)).collect()
}

pub(super) fn fault_view(service: &str, active: &ActiveFault, now: Instant) -> FaultView {
    // Rounded up, so that an active fault never has 0 seconds left.
    let whole_seconds = |left: Duration| left.as_secs() + u64::from(left.subsec_nanos() > 0);
    FaultView {
        id: active.id,
        service: service.to_owned(),
        latency_ms: u64::try_from(active.fault.latency.as_millis()).unwrap_or(u64::MAX),
        latency_share: active.fault.latency_share.to_string(),
        error: active.fault.error.to_string(),
        trap: active.fault.trap.to_string(),
        seconds_left: active.until.map(|until| whole_seconds(until.saturating_duration_since(now))),
        origin: match active.origin {
            FaultOrigin::Manifest => OriginView::Manifest,
            FaultOrigin::Operator => OriginView::Operator,
        },
    }
}

pub(super) fn breaker_view(state: State) -> BreakerView {
    match state {
        State::Closed => BreakerView::Closed,
        State::Open => BreakerView::Open,
        State::HalfOpen => BreakerView::HalfOpen,
    }
}

pub(super) fn view(service: &Service) -> ServiceView {
    let now = Instant::now();
    let revision = service.revision.as_ref();
    ServiceView {
        name: service.group.name.to_string(),
        revision: revision.map(|revision| revision.digest.short()),
        digest: revision.map(|revision| revision.digest.to_string()),
        // If the clock was set back, the age is 0.
        age_seconds: revision.map(|r| SystemTime::now().duration_since(r.since).unwrap_or_default().as_secs()),
        differs_from_manifest: revision.is_some_and(|revision| revision.differs_from_manifest),
        previous: revision.and_then(|revision| revision.previous).map(|digest| digest.short()),
        endpoints: service.group.endpoints.iter().map(|endpoint| endpoint_view(endpoint, now)).collect(),
        balance: service.group.traffic.balancer.settings().policy.to_string(),
        waiting: service.group.traffic.bulkhead.counts().waiting as u64,
        pool: service.pool().map(|pool| pool_view(pool.share())),
        faults: faults(service, now),
        left_out: None,
    }
}

fn pool_view(PoolShare { held, waiting, longest_wait }: PoolShare) -> PoolView {
    let longest_wait_ms = u64::try_from(longest_wait.as_millis()).unwrap_or(u64::MAX);
    PoolView { held: held as u64, waiting: waiting as u64, longest_wait_ms }
}

fn endpoint_view(endpoint: &Endpoint, now: Instant) -> EndpointView {
    let state = endpoint.stats.state(now);
    EndpointView {
        id: endpoint.stats.id.clone(),
        place: endpoint.target.to_string(),
        breaker: breaker_view(state.breaker.state),
        forced: state.breaker.forced.is_some(),
        ready: state.ready,
        starting: state.starting,
        ejected: state.ejected,
        weight: state.weight,
        latency_ms: state.latency.map(milliseconds),
        balancer_ms: state.balancer_latency.map(milliseconds),
        requests: state.requests,
        failures: state.failures,
        in_flight: state.in_flight as u64,
    }
}

fn milliseconds(latency: Duration) -> f64 {
    latency.as_secs_f64() * 1000.0
}
