//! The nodes, the registry between them, and what breaks.

use super::fleet::{name, row};
use super::lease_history::{LeaseAction, LeaseRecorder};
use super::registry::{Outcome, Registry};
use super::sim_rng::SimRng;
use crate::membership::{Campaign, EvictionRule, Incarnation, LeaseClaim, LeaseTerms, MemberTable, Standing};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

/// How many nodes there are, how many of them have a table, and how many may lead: the first ones.
pub(super) const NODES: usize = 200;
pub(super) const VIEWERS: usize = 6;
pub(super) const CANDIDATES: usize = 12;
/// The length of a lease, in milliseconds.
pub(super) const LEASE: u64 = 6_000;
/// When faults end, and when the run ends, in milliseconds.
pub(super) const FAULTS_END: u64 = 90_000;
const END: u64 = FAULTS_END + 5 * LEASE;
/// The key of the leader's lease; the others are the numbers of nodes.
pub(super) const LEADER: usize = usize::MAX;
/// How long a node waits for an answer.
const ANSWER: u64 = 1_000;

/// The rules that a run is under: those of the room, or a mutant's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) fence: bool,
    pub(super) margin: bool,
    /// Whether the holder counts from the answer to its write.
    pub(super) from_answer: bool,
    /// Whether eviction waits for a lease of connection, and has a bound.
    pub(super) patient: bool,
    /// Whether nobody is evicted.
    pub(super) frozen: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self { fence: true, margin: true, from_answer: false, patient: true, frozen: false }
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Promise {
    Holder,
    Fence,
    Living,
    Dead,
    Agreement,
    History,
}

/// What a run was like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Report {
    /// The promises that were broken.
    pub(super) broken: Vec<String>,
    pub(super) tenures: u64,
    pub(super) evictions: u64,
    /// Writes of leaders that were taken, and that were refused.
    pub(super) writes: u64,
    pub(super) refused: u64,
    /// What was asked of the leader's lease and answered.
    pub(super) operations: usize,
    /// A digest of each step.
    pub(super) trace: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum News {
    Lease(usize, u64),
    Ended(usize),
    Listed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// A node writes a lease, if that is due: its own, or the leader's.
    Claim {
        node: usize,
        life: u64,
        key: usize,
    },
    Arrival {
        node: usize,
        life: u64,
        key: usize,
        expected: Option<u64>,
    },
    Answer {
        node: usize,
        life: u64,
        key: usize,
        outcome: Outcome,
    },
    Expiry {
        key: usize,
        revision: u64,
    },
    /// Something reaches a viewer, if its connection is still that one.
    Told {
        viewer: usize,
        connection: u64,
        news: News,
    },
    Review(usize),
    /// A leader decides on a write; later it reaches the store.
    Decision(usize),
    Write {
        fence: u64,
    },
    Kill(usize),
    Start(usize),
    Sleep(usize, u64),
    Cut(usize),
    Mended(usize),
    StoreAway,
    StoreBack,
    Reconnect(usize, u64),
    /// Somebody cuts off, kills or stops whoever leads.
    Leaderless(u64),
}

pub(super) struct Node {
    pub(super) life: u64,
    pub(super) alive: bool,
    pub(super) sleeps_until: u64,
    pub(super) linked: bool,
    /// Since when it lives, is awake and has its connection.
    pub(super) well: u64,
    pub(super) dead_since: u64,
    /// Its clock's rate, in millionths.
    pub(super) rate: u64,
    pub(super) claim: LeaseClaim,
    pub(super) leads: LeaseClaim,
    pub(super) table: Option<MemberTable>,
    pub(super) connection: u64,
    /// When the last news reaches it: they come in order.
    pub(super) told: u64,
}

pub(super) struct World {
    pub(super) rules: Rules,
    pub(super) rng: SimRng,
    base: Instant,
    pub(super) now: u64,
    steps: BinaryHeap<Reverse<(u64, u64, Step)>>,
    number: u64,
    pub(super) nodes: Vec<Node>,
    pub(super) registry: Registry,
    terms: LeaseTerms,
    rule: EvictionRule,
    /// The newest fence of a write that was taken.
    pub(super) newest: u64,
    pub(super) report: Report,
    pub(super) lease: LeaseRecorder,
}

impl World {
    pub(super) fn run(seed: u64, rules: Rules) -> Report {
        let mut world = Self::new(seed, rules);
        world.plan();
        while let Some(Reverse((at, _, step))) = world.steps.pop() {
            if at > END {
                break;
            }
            world.now = at;
            let digest = format!("{at} {step:?}")
                .bytes()
                .fold(world.report.trace, |all, byte| (all ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
            world.report.trace = digest;
            world.step(step);
            if world.report.broken.len() > 3 {
                break;
            }
        }
        if world.report.broken.len() <= 3 {
            world.agree();
        }
        world.explain();
        world.report
    }

    fn new(seed: u64, rules: Rules) -> Self {
        let mut rng = SimRng::new(seed);
        let base = Instant::now();
        let length = Duration::from_millis(LEASE);
        let margin = if rules.margin { length / 4 } else { Duration::ZERO };
        let terms = LeaseTerms { length, margin };
        let (long, none) = (Duration::from_secs(1 << 30), Duration::ZERO);
        let rule = match rules {
            Rules { frozen: true, .. } => EvictionRule { grace: long, floor: 0, one_in: usize::MAX, probe: none },
            Rules { patient: false, .. } => EvictionRule { grace: none, floor: usize::MAX, one_in: 1, probe: none },
            _ => EvictionRule::of(length),
        };
        let node = |at: usize| Node {
            life: 1,
            alive: true,
            sleeps_until: 0,
            linked: true,
            well: 0,
            dead_since: 0,
            rate: rng.between(990_000..=1_010_000),
            claim: LeaseClaim::new(terms),
            leads: LeaseClaim::new(terms),
            table: (at < VIEWERS).then(|| MemberTable::new(rule, row(at, 1), base)),
            connection: 0,
            told: 0,
        };
        let nodes = (0..NODES).map(node).collect();
        let (steps, registry, report) = (BinaryHeap::new(), Registry::new(), Report::default());
        let (now, number, newest, lease) = (0, 0, 0, LeaseRecorder::default());
        Self { rules, rng, base, now, steps, number, nodes, registry, terms, rule, newest, report, lease }
    }

    pub(super) fn at(&mut self, at: u64, step: Step) {
        self.number += 1;
        self.steps.push(Reverse((at, self.number, step)));
    }

    pub(super) fn after(&mut self, wait: u64, step: Step) {
        self.at(self.now + wait, step);
    }

    fn latency(&mut self) -> u64 {
        self.rng.between(1..=60)
    }

    /// The time of a node's own clock.
    pub(super) fn clock(&self, node: usize) -> Instant {
        self.base + Duration::from_micros(self.now * self.nodes[node].rate / 1_000)
    }

    fn step(&mut self, step: Step) {
        // A node that sleeps does it when it wakes up.
        if let Step::Claim { node, .. }
        | Step::Answer { node, .. }
        | Step::Review(node)
        | Step::Decision(node)
        | Step::Told { viewer: node, .. }
        | Step::Reconnect(node, _) = step
            && self.nodes[node].sleeps_until > self.now
        {
            self.at(self.nodes[node].sleeps_until, step);
            return;
        }
        match step {
            Step::Claim { node, life, key } => self.claim(node, life, key),
            Step::Arrival { node, life, key, expected } => self.arrive(node, life, key, expected),
            Step::Answer { node, life, key, outcome } => self.answered(node, life, key, outcome),
            Step::Expiry { key, revision } => self.expire(key, revision),
            Step::Told { viewer, connection, news } => self.told(viewer, connection, news),
            Step::Review(viewer) => self.review(viewer),
            Step::Decision(node) => self.decide(node),
            Step::Write { fence } => self.write(fence),
            Step::Kill(node) => self.kill(node),
            Step::Start(node) => self.start(node),
            Step::Sleep(node, until) => {
                let node = &mut self.nodes[node];
                (node.sleeps_until, node.well) = (until, until.max(node.well));
            }
            Step::Cut(node) => self.cut(node),
            Step::Mended(node) => {
                let this = &mut self.nodes[node];
                (this.linked, this.well) = (true, self.now.max(this.sleeps_until));
                self.reconnect(node);
            }
            Step::StoreAway => {
                self.registry.up = false;
                (0..VIEWERS).for_each(|viewer| self.lose(viewer));
            }
            Step::StoreBack => {
                let led = self.registry.leases.get(&LEADER).map(|lease| (lease.node, lease.life));
                self.registry.back(self.now);
                if let Some(led) = led.filter(|_| !self.registry.leases.contains_key(&LEADER)) {
                    self.lease.at_once(self.now, LeaseAction::Ended(led));
                }
                (0..VIEWERS).for_each(|viewer| self.reconnect(viewer));
            }
            Step::Reconnect(viewer, connection) => self.list(viewer, connection),
            Step::Leaderless(kind) => {
                if let Some(leader) = self.registry.leases.get(&LEADER).map(|lease| lease.node) {
                    self.fault(leader, self.now, kind);
                }
            }
        }
    }

    fn claim(&mut self, node: usize, life: u64, key: usize) {
        let (now, draw) = (self.clock(node), self.rng.number() % 1_000);
        let is_led = self.registry.leases.contains_key(&LEADER);
        let campaign = Campaign { standing: Standing::Living, is_member: true, is_stale: false, is_led };
        let campaigns = campaign.waits(&self.terms, f64::from(u16::try_from(draw).unwrap()) / 1_000.0).is_some();
        let this = &mut self.nodes[node];
        if !this.alive || this.life != life {
            return;
        }
        let claim = if key == LEADER { &mut this.leads } else { &mut this.claim };
        if !this.linked || (key == LEADER && claim.revision().is_none() && !campaigns) {
            let wait = self.rng.between(20..=LEASE / 8);
            self.after(wait, Step::Claim { node, life, key });
            return;
        }
        claim.sending(now);
        let expected = claim.revision();
        if key == LEADER {
            self.lease.asked((node, life), expected.is_none(), self.now);
        }
        if self.rng.percent(1) {
            self.after(ANSWER, Step::Answer { node, life, key, outcome: Outcome::Unknown });
        } else {
            let there = self.latency();
            self.after(there, Step::Arrival { node, life, key, expected });
        }
    }

    fn arrive(&mut self, node: usize, life: u64, key: usize, expected: Option<u64>) {
        if !self.registry.up || !self.nodes[node].linked {
            self.after(ANSWER, Step::Answer { node, life, key, outcome: Outcome::Unknown });
            return;
        }
        // The registry's clock is the fastest of all.
        let ends = self.now + LEASE * 98 / 100;
        let outcome = self.registry.claim((node, life), key, expected, ends);
        if let Outcome::Stored(revision) = outcome {
            self.at(ends, Step::Expiry { key, revision });
            if key != LEADER {
                self.tell(News::Lease(node, life));
            } else {
                self.lease.stored((node, life));
                if self.now < FAULTS_END && self.rng.percent(3) {
                    // It stops between a renewal and the answer to it.
                    self.after(0, Step::Sleep(node, self.now + 2 * LEASE));
                }
            }
        }
        let (wait, outcome) = if self.rng.percent(2) { (ANSWER, Outcome::Unknown) } else { (self.latency(), outcome) };
        self.after(wait, Step::Answer { node, life, key, outcome });
    }

    fn answered(&mut self, node: usize, life: u64, key: usize, outcome: Outcome) {
        let (now, from_answer) = (self.clock(node), self.rules.from_answer);
        let this = &mut self.nodes[node];
        if !this.alive || this.life != life {
            return;
        }
        if key == LEADER {
            self.lease.answered((node, life), outcome, self.now);
        }
        let claim = if key == LEADER { &mut this.leads } else { &mut this.claim };
        let had = claim.revision();
        if from_answer && outcome != Outcome::Unknown {
            claim.sending(now);
        }
        match outcome {
            Outcome::Stored(revision) => claim.stored(revision),
            Outcome::Own(revision) => claim.found_own(revision),
            Outcome::Lost => claim.lost(),
            Outcome::Unknown => {}
        }
        let (got, lost) = (had.is_none() && claim.revision().is_some(), outcome == Outcome::Lost);
        if key == LEADER && got {
            self.report.tenures += 1;
            self.look_at_holders();
        }
        let wait = match (key, lost, outcome) {
            (LEADER, true, _) => self.rng.between(20..=LEASE / 8),
            (_, true, _) | (_, _, Outcome::Unknown) => self.rng.between(50..=300),
            _ => LEASE / 4,
        };
        self.after(wait, Step::Claim { node, life, key });
    }

    fn expire(&mut self, key: usize, revision: u64) {
        let holder = self.registry.leases.get(&key).map(|lease| (lease.node, lease.life));
        if self.registry.expire(key, revision) {
            match holder {
                Some(holder) if key == LEADER => self.lease.at_once(self.now, LeaseAction::Ended(holder)),
                _ => self.tell(News::Ended(key)),
            }
        }
    }

    fn tell(&mut self, news: News) {
        for viewer in 0..VIEWERS {
            let connection = self.nodes[viewer].connection;
            self.tell_one(viewer, connection, news);
        }
    }

    fn tell_one(&mut self, viewer: usize, connection: u64, news: News) {
        if self.nodes[viewer].linked && self.nodes[viewer].alive && self.registry.up {
            let at = (self.now + self.latency()).max(self.nodes[viewer].told);
            self.nodes[viewer].told = at;
            self.at(at, Step::Told { viewer, connection, news });
        }
    }

    fn told(&mut self, viewer: usize, connection: u64, news: News) {
        let now = self.clock(viewer);
        let this = &mut self.nodes[viewer];
        let Some(table) = this.table.as_mut().filter(|_| this.connection == connection && this.alive) else { return };
        match news {
            News::Lease(node, life) => {
                table.lease(&name(node), Incarnation(life));
                table.row(row(node, life));
            }
            News::Ended(node) => table.lease_ended(&name(node), now),
            News::Listed => table.listed(now),
        }
    }

    /// The viewer's connection is gone, which it may notice later: no more news come by it.
    fn lose(&mut self, viewer: usize) {
        let now = self.clock(viewer);
        self.nodes[viewer].connection += 1;
        if let Some(table) = &mut self.nodes[viewer].table {
            table.away(now);
        }
    }

    pub(super) fn reconnect(&mut self, viewer: usize) {
        if viewer < VIEWERS {
            self.nodes[viewer].connection += 1;
            let (wait, connection) = (self.rng.between(1..=LEASE / 4), self.nodes[viewer].connection);
            self.after(wait, Step::Reconnect(viewer, connection));
        }
    }

    fn list(&mut self, viewer: usize, connection: u64) {
        let now = self.clock(viewer);
        let this = &mut self.nodes[viewer];
        if this.connection != connection || !this.linked || !this.alive || !self.registry.up {
            return;
        }
        if let Some(table) = &mut this.table {
            table.listing(now);
        }
        let there = self.registry.leases.iter().filter(|(key, _)| **key != LEADER);
        let there: Vec<_> = there.map(|(_, lease)| (lease.node, lease.life)).collect();
        for (node, life) in there {
            self.tell_one(viewer, connection, News::Lease(node, life));
        }
        self.tell_one(viewer, connection, News::Listed);
    }

    fn decide(&mut self, node: usize) {
        let wait = self.rng.between(50..=400);
        self.after(wait, Step::Decision(node));
        let Some(fence) = self.leads(node) else { return };
        self.lease.at_once(self.now, LeaseAction::Kept((node, self.nodes[node].life)));
        self.look_at_holders();
        // A collector of garbage, a full disk, SIGSTOP: the write comes later than the decision.
        let late = if self.rng.percent(12) { self.rng.between(1_000..=3 * LEASE) } else { self.latency() };
        self.after(late, Step::Write { fence: fence.0 });
    }

    fn kill(&mut self, node: usize) {
        let now = self.now;
        let this = &mut self.nodes[node];
        if this.alive {
            (this.alive, this.dead_since, this.sleeps_until) = (false, now, 0);
            this.connection += 1;
        }
    }

    fn start(&mut self, node: usize) {
        let (now, terms, rule, clock) = (self.now, self.terms, self.rule, self.clock(node));
        let this = &mut self.nodes[node];
        if this.alive {
            return;
        }
        (this.alive, this.life, this.well) = (true, this.life + 1, now);
        (this.claim, this.leads) = (LeaseClaim::new(terms), LeaseClaim::new(terms));
        let life = this.life;
        if let Some(table) = &mut this.table {
            // A process that begins knows nobody.
            *table = MemberTable::new(rule, row(node, life), clock);
        }
        self.after(10, Step::Claim { node, life, key: node });
        if node < CANDIDATES {
            self.after(500, Step::Claim { node, life, key: LEADER });
        }
        self.reconnect(node);
    }

    fn cut(&mut self, node: usize) {
        self.nodes[node].linked = false;
        if node < VIEWERS {
            self.lose(node);
        }
    }
}
