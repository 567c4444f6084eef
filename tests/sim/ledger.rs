//! What the endpoints and the callers have seen, in plain lists. The checks compare it with what the mesh reports of
//! itself.

use super::behaviour::Behaviour;
use super::rng::SimRng;
use super::world::World;
use host::base::ErrorKind;
use host::breaker;
use host::mesh::{EndpointStats, TrafficSettings};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

pub struct Ledger {
    pub rng: SimRng,
    /// A hash over every step of the run.
    pub trace: u64,
    pub calls: u64,
    pub tries: u64,
    /// The first invariant that did not hold.
    pub broken: Option<String>,
    pub services: Vec<ServiceRecord>,
    pub endpoints: Vec<EndpointRecord>,
    /// Calls under way. Never walk over it: its order is not determined by the seed.
    pub open: HashMap<u64, CallRecord>,
}

pub struct ServiceRecord {
    pub settings: TrafficSettings,
    pub published: bool,
    /// Until then a try may come late, because an injected fault delays it.
    pub delayed: Option<Instant>,
    /// Whether there ever was an injected fault: then some tries never reach an endpoint.
    pub faulted: bool,
    pub cancelled: u64,
    /// Calls that ended with a timeout. If an injected fault delayed the last try until a deadline that its caller had
    /// cut, that try neither arrived nor failed.
    pub timed_out: u64,
    /// Calls at an endpoint, or whose answer's body is not dropped yet.
    pub active: usize,
    /// When calls came, and when further tries came, for somewhat more than the last ten seconds.
    pub arrivals: VecDeque<Instant>,
    pub further: VecDeque<Instant>,
    /// The most calls that may be under way: after a shrinking more than the bulkhead's size.
    pub bound: usize,
}

/// One endpoint, during all of its life.
pub struct EndpointRecord {
    pub service: usize,
    pub stats: Arc<EndpointStats>,
    pub breaker: breaker::Settings,
    pub weight: u16,
    pub behaviour: Behaviour,
    /// The number of the first call after it left the table.
    pub retired: Option<u64>,
    /// Tries that arrived.
    pub seen: u64,
    /// Failures that must count.
    pub failed: u64,
    /// Failures that may count: whether they were probes, which their heads decide, is not known.
    pub failed_perhaps: u64,
    /// Probes under way since the circuit became half-open: the number of the try, and since when.
    pub probes: Vec<(u64, Instant)>,
    /// When the circuit was last seen in another state than open.
    pub last_unopen: Instant,
    /// If the circuit was open when last seen: the earliest time at which it may leave this state.
    pub shut_until: Option<Instant>,
}

/// Whether the call may be sent again after a try.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    Any,
    IfSafe,
    Never,
}

pub struct CallRecord {
    pub service: usize,
    pub safe: bool,
    pub began: Instant,
    /// The latest time for the head of its answer.
    pub limit: Instant,
    pub tries: u32,
    pub next: Next,
    pub last: Option<usize>,
    /// How the last try failed.
    pub end: Option<ErrorKind>,
    /// Whether an endpoint itself refused it, as a full pool does.
    pub full: bool,
    /// The length of its body in bytes, if the caller sends it whole.
    pub length: Option<u64>,
}

impl Ledger {
    pub fn new(seed: u64) -> Self {
        Self {
            rng: SimRng::new(seed),
            trace: 0xcbf2_9ce4_8422_2325,
            calls: 0,
            tries: 0,
            broken: None,
            services: Vec::new(),
            endpoints: Vec::new(),
            open: HashMap::new(),
        }
    }

    pub fn mix(&mut self, words: &[u64]) {
        for word in words {
            self.trace = (self.trace ^ word).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
        }
    }

    pub fn broken(&mut self, what: impl FnOnce() -> String) {
        if self.broken.is_none() {
            self.broken = Some(what());
        }
    }

    /// Records the end of a try at an endpoint. `failed`: whether it must count as a failure; `None` if that is not
    /// known.
    pub fn ended(&mut self, call: u64, endpoint: usize, next: Next, failed: Option<bool>) {
        self.endpoints[endpoint].failed += u64::from(failed == Some(true));
        self.endpoints[endpoint].failed_perhaps += u64::from(failed.is_none());
        if let Some(call) = self.open.get_mut(&call) {
            call.next = next;
        }
    }
}

impl ServiceRecord {
    pub fn new(settings: TrafficSettings) -> Self {
        Self {
            settings,
            published: false,
            delayed: None,
            faulted: false,
            cancelled: 0,
            timed_out: 0,
            active: 0,
            arrivals: VecDeque::new(),
            further: VecDeque::new(),
            bound: usize::MAX,
        }
    }

    pub fn is_delayed(&self, now: Instant) -> bool {
        self.delayed.is_some_and(|until| now < until)
    }

    /// Forgets what is older than every window of the checks.
    pub fn prune(&mut self, now: Instant) {
        let old = |at: &Instant| now.saturating_duration_since(*at) > Duration::from_secs(14);
        while self.arrivals.front().is_some_and(old) {
            self.arrivals.pop_front();
        }
        while self.further.front().is_some_and(old) {
            self.further.pop_front();
        }
    }
}

/// A call at an endpoint, from its arrival to the end of the answer's body.
pub struct ActiveCall {
    pub world: Weak<World>,
    pub service: usize,
    pub endpoint: usize,
    /// Whether it is a probe, whose outcome the head decides; `None` if that is not known.
    pub probe: Option<bool>,
}

impl ActiveCall {
    /// Records that the answer's body has failed.
    pub fn body_failed(&self) {
        let Some(world) = self.world.upgrade() else { return };
        let mut ledger = world.ledger();
        let endpoint = &mut ledger.endpoints[self.endpoint];
        match self.probe {
            Some(true) => {}
            Some(false) => endpoint.failed += 1,
            None => endpoint.failed_perhaps += 1,
        }
    }
}

impl Drop for ActiveCall {
    fn drop(&mut self) {
        if let Some(world) = self.world.upgrade() {
            world.ledger().services[self.service].active -= 1;
        }
    }
}
