//! What admin asks for, answered by the rooms that know.

use crate::admin::{
    BreakerView, EndpointView, OperationError, OperationErrorKind, Operations, Readiness, RouteView, ServiceView,
    SwapView,
};
use crate::breaker::State;
use crate::config::Manifest;
use crate::fault::Origin;
use crate::gateway::Target;
use crate::listen::Drain;
use crate::mesh::{Endpoint, Service};
use crate::registry::Registry;
use crate::rollout::{Rollout, SwapError, Swapped};
use crate::route::{Rewrite, Table};
use crate::telemetry::Metrics;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Instant, SystemTime};

/// The host as operators see it.
pub(super) struct Host {
    pub(super) rollout: Rollout,
    pub(super) registry: Arc<Registry<Service>>,
    pub(super) routes: Arc<Table<Target>>,
    pub(super) metrics: Metrics,
    /// The gateway's.
    pub(super) drain: Drain,
    next_fault: AtomicU64,
}

impl Host {
    pub(super) fn new(
        rollout: Rollout,
        registry: Arc<Registry<Service>>,
        routes: Arc<Table<Target>>,
        metrics: Metrics,
        drain: Drain,
    ) -> Self {
        Self { rollout, registry, routes, metrics, drain, next_fault: AtomicU64::new(1) }
    }

    /// Lets the faults stand that the manifest wants from the start.
    pub(super) fn disturb(&self, manifest: &Manifest) {
        let table = self.registry.snapshot();
        for service in &manifest.services {
            if let (Some(fault), Some(entry)) = (service.fault, table.get(service.name.as_str())) {
                let id = self.next_fault.fetch_add(1, Relaxed);
                let added = entry.traffic.faults.add(id, fault, None, Origin::Manifest, Instant::now());
                added.expect("nothing stands at the start");
                tracing::warn!(service = %service.name, ?fault, "faults on purpose, as the manifest says");
            }
        }
    }
}

impl Operations for Host {
    fn ready(&self) -> Readiness {
        if self.drain.is_started() { Readiness::Draining } else { Readiness::Ready }
    }

    fn metrics(&self) -> String {
        self.metrics.encode()
    }

    fn services(&self) -> Vec<ServiceView> {
        self.registry.snapshot().iter().map(|(_, service)| view(service)).collect()
    }

    fn service(&self, name: &str) -> Option<ServiceView> {
        self.registry.snapshot().get(name).map(|service| view(service))
    }

    fn routes(&self) -> Vec<RouteView> {
        let route = |(rule, target): &(crate::route::Rule, Target)| RouteView {
            matches: rule.description(),
            service: target.service.to_string(),
            call: target
                .typed
                .as_ref()
                .map(|typed| format!("{}#{}", typed.function.interface.short(), typed.function.function)),
            rewrite: match rule.rewrite() {
                Rewrite::None => None,
                rewrite => Some(rewrite.to_string()),
            },
        };
        self.routes.routes().iter().map(route).collect()
    }

    async fn swap(&self, name: &str, component: Bytes) -> Result<SwapView, OperationError> {
        self.rollout.swap(name, component).await.map(|swapped| swap_view(name, &swapped)).map_err(refusal)
    }

    async fn rollback(&self, name: &str) -> Result<SwapView, OperationError> {
        self.rollout.rollback(name).await.map(|swapped| swap_view(name, &swapped)).map_err(refusal)
    }
}

fn view(service: &Service) -> ServiceView {
    let now = Instant::now();
    let revision = service.revision.as_ref();
    ServiceView {
        name: service.name.to_string(),
        revision: revision.map(|revision| revision.digest.short()),
        digest: revision.map(|revision| revision.digest.to_string()),
        // A clock that was set back makes a revision young, not an error.
        age_seconds: revision.map(|r| SystemTime::now().duration_since(r.since).unwrap_or_default().as_secs()),
        differs_from_manifest: revision.is_some_and(|revision| revision.differs_from_manifest),
        previous: revision.and_then(|revision| revision.previous).map(|digest| digest.short()),
        endpoints: service.endpoints.iter().map(|endpoint| endpoint_view(endpoint, now)).collect(),
    }
}

fn endpoint_view(endpoint: &Endpoint, now: Instant) -> EndpointView {
    let state = endpoint.vitals.state(now);
    EndpointView {
        id: endpoint.vitals.id.clone(),
        place: endpoint.place.to_string(),
        breaker: match state.breaker.state {
            State::Closed => BreakerView::Closed,
            State::Open => BreakerView::Open,
            State::HalfOpen => BreakerView::HalfOpen,
        },
        requests: state.requests,
        failures: state.failures,
        in_flight: state.in_flight as u64,
    }
}

fn swap_view(name: &str, swapped: &Swapped) -> SwapView {
    SwapView {
        service: name.to_owned(),
        revision: swapped.revision.short(),
        previous: swapped.previous.map(|digest| digest.short()),
    }
}

fn refusal(error: SwapError) -> OperationError {
    let kind = match error {
        SwapError::Unknown(_) => OperationErrorKind::NotFound,
        SwapError::NoComponent(_) | SwapError::NoPrevious(_) | SwapError::Rewired | SwapError::Busy(_) => {
            OperationErrorKind::Conflict
        }
        SwapError::Refused(_) | SwapError::Unwired(_) | SwapError::Breaks(_) | SwapError::DoesNotStart(_) => {
            OperationErrorKind::Refused
        }
        SwapError::Host(_) => OperationErrorKind::Internal,
    };
    OperationError::new(kind, error.to_string())
}
