//! What the places and the callers have seen, in plain lists: what the mesh says of itself is compared with it.

use super::dice::Dice;
use super::mood::Mood;
use super::world::World;
use host::base::ErrorKind;
use host::breaker;
use host::mesh::{EndpointStats, TrafficSettings};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

pub struct Ledger {
    pub dice: Dice,
    /// A hash over every step.
    pub trace: u64,
    pub calls: u64,
    pub tries: u64,
    /// The first thing that was wrong.
    pub broken: Option<String>,
    pub services: Vec<ServiceBook>,
    pub sites: Vec<SiteBook>,
    /// Calls under way. Only ever asked for one: its order is not the seed's.
    pub open: HashMap<u64, CallBook>,
}

pub struct ServiceBook {
    pub settings: TrafficSettings,
    pub published: bool,
    /// Until then a try may come late, because of a fault on purpose that slows down.
    pub delayed: Option<Instant>,
    /// Whether a fault on purpose was ever put up: then not every try is seen by a place.
    pub faulted: bool,
    pub cancelled: u64,
    /// Calls at a place, or with an answer's body that lives.
    pub active: usize,
    /// The last ten seconds or so of calls, and of further tries.
    pub arrivals: VecDeque<Instant>,
    pub further: VecDeque<Instant>,
    /// Calls that the bulkhead may have at most, after a shrinking.
    pub bound: usize,
}

/// One endpoint, through all of its life.
pub struct SiteBook {
    pub service: usize,
    pub stats: Arc<EndpointStats>,
    pub breaker: breaker::Settings,
    pub weight: u16,
    pub mood: Mood,
    /// When it left the table: the number of the call that came next.
    pub retired: Option<u64>,
    pub seen: u64,
    /// Failures for certain, and perhaps.
    pub failed: u64,
    pub failed_perhaps: u64,
    /// Probes under way in this half-open stretch: which visit, and since when.
    pub probes: Vec<(u64, Instant)>,
    /// When it was last seen not open.
    pub last_unopen: Instant,
    /// If it was open when last seen: the earliest time at which a call may go there.
    pub shut_until: Option<Instant>,
}

/// What may follow a try.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    Any,
    IfSafe,
    Never,
}

pub struct CallBook {
    pub service: usize,
    pub safe: bool,
    pub began: Instant,
    /// The latest moment for the head of its answer.
    pub limit: Instant,
    pub tries: u32,
    pub next: Next,
    pub last: Option<usize>,
    /// What the last try came to.
    pub end: Option<ErrorKind>,
    /// A place said itself that it is full.
    pub full: bool,
    /// Bytes of its body, if it is to come whole.
    pub length: Option<u64>,
}

impl Ledger {
    pub fn new(seed: u64) -> Self {
        Self {
            dice: Dice::new(seed),
            trace: 0xcbf2_9ce4_8422_2325,
            calls: 0,
            tries: 0,
            broken: None,
            services: Vec::new(),
            sites: Vec::new(),
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

    /// Notes the end of a try at a place.
    pub fn ended(&mut self, call: u64, site: usize, next: Next, failed: bool) {
        self.sites[site].failed += u64::from(failed);
        if let Some(call) = self.open.get_mut(&call) {
            call.next = next;
        }
    }
}

impl ServiceBook {
    pub fn new(settings: TrafficSettings) -> Self {
        Self {
            settings,
            published: false,
            delayed: None,
            faulted: false,
            cancelled: 0,
            active: 0,
            arrivals: VecDeque::new(),
            further: VecDeque::new(),
            bound: usize::MAX,
        }
    }

    pub fn is_delayed(&self, now: Instant) -> bool {
        self.delayed.is_some_and(|until| now < until)
    }

    /// Forgets what is older than every window.
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

/// A call at a place, from its arrival to the end of the answer's body.
pub struct Active {
    pub world: Weak<World>,
    pub service: usize,
    pub site: usize,
    /// Whether it is a probe, which is decided by its head; `None`: who knows.
    pub probe: Option<bool>,
}

impl Active {
    /// The answer's body has failed.
    pub fn body_failed(&self) {
        let Some(world) = self.world.upgrade() else { return };
        let mut ledger = world.ledger();
        let site = &mut ledger.sites[self.site];
        match self.probe {
            Some(true) => {}
            Some(false) => site.failed += 1,
            None => site.failed_perhaps += 1,
        }
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        if let Some(world) = self.world.upgrade() {
            world.ledger().services[self.service].active -= 1;
        }
    }
}
