//! Parts of a service as the admin shows them.

use crate::admin::{BreakerView, EndpointView, PoolView};
use crate::breaker::State;
use crate::mesh::Endpoint;
use crate::runtime::PoolShare;
use std::time::{Duration, Instant};

pub(super) fn breaker_view(state: State) -> BreakerView {
    match state {
        State::Closed => BreakerView::Closed,
        State::Open => BreakerView::Open,
        State::HalfOpen => BreakerView::HalfOpen,
    }
}

pub(super) fn pool_view(PoolShare { held, waiting, longest_wait }: PoolShare) -> PoolView {
    let longest_wait_ms = u64::try_from(longest_wait.as_millis()).unwrap_or(u64::MAX);
    PoolView { held: held as u64, waiting: waiting as u64, longest_wait_ms }
}

pub(super) fn endpoint_view(endpoint: &Endpoint, now: Instant) -> EndpointView {
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
