//! One row of the discovery table.

use super::readiness::Readiness;
use super::recent_latency::RecentLatency;
use super::target::{EndpointTarget, Invoke};
use crate::balance::Load;
use crate::base::Digest;
use crate::breaker::{self, Breaker, Forced};
use crate::telemetry::{EndpointMetrics, LastFailure, RequestCounts, TrafficCounts};
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
    pub id: Arc<str>,
    /// Whether it has started, and health checks let calls go to it.
    pub readiness: Readiness,
    pub(crate) breaker: Arc<Breaker>,
    pub(crate) load: Load,
    pub(crate) recent_latency: RecentLatency,
    pub(crate) metrics: Arc<EndpointMetrics>,
    /// The component that it runs; `None` for an address.
    revision: Option<Digest>,
}

/// An endpoint at one moment, for people.
#[derive(Debug, Clone)]
pub struct EndpointState {
    /// Its circuit.
    pub breaker: breaker::View,
    /// Whether it has started, and health checks let calls go to it.
    pub ready: bool,
    /// Whether its code is still being compiled, or that of a service which its own calls.
    pub starting: bool,
    /// Whether it rests: it gets no calls for a while, since it fails more often than the service's other endpoints.
    pub ejected: bool,
    /// Its share of the calls, relative to the service's other endpoints.
    pub weight: u16,
    /// How long the heads of its answers took lately, on average, and failures in their place; `None` before the first.
    pub latency: Option<Duration>,
    /// What the balancer takes for its latency: a peak at once, and a penalty for failures; `None` before the first
    /// call.
    pub balancer_latency: Option<Duration>,
    /// Requests so far, through all swaps.
    pub requests: u64,
    /// Requests that failed by the service's fault, through all swaps.
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
        Self::after(None, id, target, breaker, weight, now, seed)
    }

    /// Like [`Endpoint::new`], but the endpoint takes the place of `before`: it counts on with its counters, so that a
    /// request that is still under way there counts too, and takes over what an operator has forced upon its circuit.
    pub fn after(
        before: Option<&EndpointStats>,
        id: String,
        target: P,
        breaker: breaker::Settings,
        weight: u16,
        now: Instant,
        seed: u64,
    ) -> Self {
        let breaker = Breaker::new(breaker, seed);
        if let Some(forced) = before.and_then(|before| before.breaker.view(now).forced) {
            breaker.force(forced);
        }
        let stats = EndpointStats {
            id: id.into(),
            readiness: Readiness::default(),
            breaker: Arc::new(breaker),
            load: Load::new(weight, now),
            recent_latency: RecentLatency::default(),
            metrics: before.map(|before| Arc::clone(&before.metrics)).unwrap_or_default(),
            revision: target.digest(),
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
            starting: self.readiness.is_starting(),
            ejected: self.load.is_ejected(now),
            weight: self.load.weight(),
            latency: self.recent_latency.average(),
            balancer_latency: self.load.latency(),
            requests,
            failures,
            in_flight: self.load.in_flight(),
        }
    }

    /// Gives the endpoint another weight: 1 to 1,000.
    pub fn set_weight(&self, weight: u16) {
        self.load.set_weight(weight);
    }

    /// Adds what was counted so far to `counts`.
    pub fn count_into(&self, counts: &mut TrafficCounts) {
        self.metrics.count_into(counts);
    }

    /// Remembers what the latest failure was.
    pub(crate) fn note_failure(&self, kind: &'static str, detail: &str) {
        self.metrics.note_failure(kind, detail, self.revision);
    }

    /// The latest failure.
    pub fn last_failure(&self) -> Option<LastFailure> {
        self.metrics.last_failure()
    }

    /// The latest failure of each kind, in the order in which they came.
    pub fn last_failures(&self) -> Vec<LastFailure> {
        self.metrics.last_failures()
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
