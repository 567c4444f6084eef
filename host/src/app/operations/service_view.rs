//! Parts of a service as the admin shows them.

use super::fault_views::faults;
use crate::admin::{BreakerView, EndpointView, PoolView, ServiceView, SourceView};
use crate::breaker::State;
use crate::discovery::SourceReport;
use crate::mesh::{Endpoint, Service};
use crate::runtime::PoolShare;
use std::time::{Duration, Instant, SystemTime};

/// The service, without what the host alone knows of it.
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
        endpoints: service.endpoints().map(|endpoint| endpoint_view(endpoint, now)).collect(),
        balance: service.group.traffic.balancer.settings().policy.to_string(),
        waiting: service.group.traffic.bulkhead.counts().waiting as u64,
        pool: service.pool().map(|pool| pool_view(pool.share())),
        faults: faults(service, now),
        left_out: None,
        canary: None,
        lasts: false,
        of_cluster: false,
        sources: Vec::new(),
    }
}

pub(super) fn breaker_view(state: State) -> BreakerView {
    match state {
        State::Closed => BreakerView::Closed,
        State::Open => BreakerView::Open,
        State::HalfOpen => BreakerView::HalfOpen,
    }
}

pub(super) fn source_view(report: SourceReport) -> SourceView {
    SourceView {
        address: report.address,
        endpoints: report.endpoints as u64,
        zones: report.zones.into_iter().map(|(zone, count)| (zone, count as u64)).collect(),
        unhealthy: report.unhealthy as u64,
        unusable: report.unusable as u64,
        age_seconds: report.age.map(|age| age.as_secs()),
        failures: report.failures,
        error: report.error,
    }
}

fn pool_view(PoolShare { held, waiting, longest_wait }: PoolShare) -> PoolView {
    let longest_wait_ms = u64::try_from(longest_wait.as_millis()).unwrap_or(u64::MAX);
    PoolView { held: held as u64, waiting: waiting as u64, longest_wait_ms }
}

pub(super) fn endpoint_view(endpoint: &Endpoint, now: Instant) -> EndpointView {
    let state = endpoint.stats.state(now);
    EndpointView {
        id: endpoint.stats.id.to_string(),
        place: endpoint.target.to_string(),
        node: endpoint.target.node().map(str::to_owned),
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
