//! One row of the discovery table.

use super::readiness::Readiness;
use super::target::{EndpointTarget, Invoke};
use crate::balance::Load;
use crate::breaker::{self, Breaker, Forced};
use crate::telemetry::{EndpointMetrics, RequestCounts};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One replica of a service's revision, or one of its addresses, with its own breaker, load and counters.
pub struct Endpoint<P = EndpointTarget> {
    /// What it calls.
    pub target: P,
    /// How it fares.
    pub stats: Arc<EndpointStats>,
}

/// How one endpoint fares, as far as calls and health checks have shown it.
pub struct EndpointStats {
    /// The endpoint's name within the host: `users-0`, `users-1`, …
    pub id: String,
    /// Whether health checks let calls go to it.
    pub readiness: Readiness,
    pub(crate) breaker: Arc<Breaker>,
    pub(crate) load: Load,
    pub(crate) metrics: Arc<EndpointMetrics>,
}

/// An endpoint at one moment, for people.
#[derive(Debug, Clone)]
pub struct EndpointState {
    /// Its circuit.
    pub breaker: breaker::View,
    /// Whether health checks let calls go to it.
    pub ready: bool,
    /// Whether it rests: it gets no calls for a while, since it fails more often than the service's other endpoints.
    pub ejected: bool,
    /// Its share of the calls, relative to the service's other endpoints.
    pub weight: u16,
    /// How long the heads of its answers take, on average; `None` before the first.
    pub latency: Option<Duration>,
    /// Requests so far.
    pub requests: u64,
    /// Requests that failed by the service's fault.
    pub failures: u64,
    /// Requests under way.
    pub in_flight: usize,
}

/// What an operator may order of a circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerOrder {
    /// No call goes through, until it is reset.
    Open,
    /// Every call goes through, until it is reset.
    Close,
    /// It is closed, with fresh counts.
    Reset,
}

impl<P: Invoke> Endpoint<P> {
    /// A new endpoint with a closed circuit. `weight`: 1 to 1,000; `seed`: for the jitter of its breaker.
    pub fn new(id: String, target: P, breaker: breaker::Settings, weight: u16, now: Instant, seed: u64) -> Self {
        let stats = EndpointStats {
            id,
            readiness: Readiness::default(),
            breaker: Arc::new(Breaker::new(breaker, seed)),
            load: Load::new(weight, now),
            metrics: Arc::default(),
        };
        Self { target, stats: Arc::new(stats) }
    }
}

impl EndpointStats {
    /// The endpoint as it is at `now`.
    pub fn state(&self, now: Instant) -> EndpointState {
        let RequestCounts { requests, failures } = self.metrics.counts();
        EndpointState {
            breaker: self.breaker.view(now),
            ready: self.readiness.is_ready(),
            ejected: self.load.is_ejected(now),
            weight: self.load.weight(),
            latency: self.load.latency(),
            requests,
            failures,
            in_flight: self.load.in_flight(),
        }
    }

    /// Takes over what an operator has forced upon `before`, the endpoint that this one replaces.
    pub fn inherit(&self, before: &Self, now: Instant) {
        if let Some(forced) = before.breaker.view(now).forced {
            self.breaker.force(forced);
        }
    }

    /// Does what an operator orders of its circuit.
    pub fn order(&self, order: BreakerOrder) {
        match order {
            BreakerOrder::Open => self.breaker.force(Forced::Open),
            BreakerOrder::Close => self.breaker.force(Forced::Closed),
            BreakerOrder::Reset => self.breaker.reset(),
        }
    }
}
