//! The watch over one service's endpoints.

use crate::base::{CallContext, RequestId, ServiceName};
use crate::mesh::{Endpoint, HealthProbe, Invoke, Service};
use crate::registry::Registry;
use crate::telemetry::{ChangeKind, note_change};
use futures_util::future::join_all;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How a service's endpoints are checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What a check sends to an endpoint.
    pub probe: HealthProbe,
    /// How often an endpoint is checked, and how many checks count.
    pub schedule: Schedule,
}

/// How often an endpoint is checked, and how many checks count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// The time from one check to the next: 100 ms to 1 h. Default 5 s.
    pub interval: Duration,
    /// How long a check may take; not longer than the interval. Default 2 s.
    pub timeout: Duration,
    /// After this many failed checks in a row an endpoint gets no more calls: at least 1. Default 3.
    pub down: u32,
    /// After this many passed checks in a row it gets calls again: at least 1. Default 2.
    pub up: u32,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { interval: Duration::from_secs(5), timeout: Duration::from_secs(2), down: 3, up: 2 }
    }
}

/// Checks the endpoints that `service` has in the discovery table, in rounds. The first round begins at once. It ends
/// when it is dropped.
pub async fn watch<P: Invoke>(registry: Arc<Registry<Service<P>>>, service: ServiceName, settings: Settings) {
    let mut rounds = interval(settings.schedule.interval);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        let Some(entry) = registry.snapshot().get(service.as_str()).cloned() else { continue };
        join_all(entry.endpoints().map(|endpoint| check(&service, endpoint, &settings))).await;
    }
}

async fn check<P: Invoke>(service: &ServiceName, endpoint: &Endpoint<P>, settings: &Settings) {
    let now = Instant::now().into_std();
    let context = CallContext::new(RequestId::from_random(rand::random()), now, settings.schedule.timeout);
    let outcome = endpoint.check(&settings.probe, &context).await;
    let id = &*endpoint.stats.id;
    if let Err(reason) = &outcome {
        tracing::debug!(%service, endpoint = id, reason, "a health check failed");
    }
    match (endpoint.stats.readiness.note(outcome.is_ok(), settings.schedule.down, settings.schedule.up), outcome) {
        (Some(true), _) => {
            tracing::info!(%service, endpoint = id, "ready again: it gets calls");
            note_change(ChangeKind::Ready, service.as_str(), Some(id), "its health checks pass again");
        }
        (Some(false), Err(reason)) => {
            tracing::warn!(%service, endpoint = id, reason, "not ready: it gets no calls");
            note_change(ChangeKind::Unready, service.as_str(), Some(id), &reason);
        }
        _ => {}
    }
}
