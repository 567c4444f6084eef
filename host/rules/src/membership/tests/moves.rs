//! A seeded simulation of services that move: nodes come, are killed, drained and cordoned, each knows the others late
//! and for itself, and the registry is away for some of them for a while.
//!
//! What must hold:
//! - **served**: a service that some node had ready has a ready one at each later moment, unless one of those on
//!   which it stood was killed; and then again within two leases.
//! - **still**: a node whose table is stale neither begins nor ends to have instances.
//! - **settled**: once all is well, exactly the nodes that should have instances do, on as many as there should be.
//! - **calm**: so far as all is well, a killed node moves no more than it had.
//!
//! A mutant has another rule, and must break a promise. `ATOLL_SIM_SEED=n` runs the seed `n` alone.

use super::sim_rng::SimRng;
use crate::base::{Digest, ServiceName};
use crate::membership::{
    ClusterView, Incarnation, NodeName, NodeRow, PlaceOrder, Placement, ServiceRow, Standing, ZoneName,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// In steps of the clock, 100 ms each.
const LEASE: u64 = 60;
/// How long a row takes to each of the others at most.
const NEWS: u64 = 8;
/// How long instances take until they are ready.
const READY: u64 = 15;
/// How long a node has told that it has none of a service before it ends what it has.
const FAREWELL: u64 = LEASE;
const SEEDS: u64 = 6;
/// So many seeds a mutant may survive at most.
const PATIENCE: u64 = 30;
const FAULTS_END: u64 = 2_000;
const END: u64 = FAULTS_END + 6 * LEASE;

/// The rules in use; a mutant has another one.
#[derive(Debug, Clone, Copy)]
struct Rules {
    /// A node waits for those in its place.
    waits: bool,
    /// A node that leaves tells it first.
    tells: bool,
    /// A node whose table is stale does nothing.
    stands_still: bool,
    /// The places are ranks, and not positions in the list of the nodes.
    ranks: bool,
}

const RULES: Rules = Rules { waits: true, tells: true, stands_still: true, ranks: true };

struct SimNode {
    row: NodeRow,
    alive: bool,
    died: u64,
    stale: bool,
    /// From when on the instances of each service are ready.
    has: BTreeMap<ServiceName, u64>,
    /// Since when it tells that it has none of these.
    leaving: BTreeMap<ServiceName, u64>,
    /// The rows as the others have heard of them: when, and what.
    told: Vec<(u64, Arc<NodeRow>)>,
}

struct Sim {
    rng: SimRng,
    rules: Rules,
    now: u64,
    nodes: Vec<SimNode>,
    services: Vec<(ServiceName, Placement)>,
    /// Since when a service has nobody, and whether its last one was killed.
    unserved: BTreeMap<ServiceName, u64>,
    broken: Vec<String>,
    moves: usize,
}

impl Sim {
    fn new(seed: u64, rules: Rules) -> Self {
        let mut rng = SimRng::new(seed);
        let count = 4 + rng.below(9);
        let zones = 1 + rng.below(4);
        let node = |at: usize| SimNode {
            row: NodeRow {
                name: super::fleet::name(at),
                incarnation: Incarnation(1),
                zone: Some(ZoneName::new(&format!("z{}", at % zones)).unwrap()),
                address: String::new(),
                standing: Standing::Living,
                services: Vec::new(),
                cannot: BTreeSet::new(),
                gateway: None,
            },
            alive: true,
            died: 0,
            stale: false,
            has: BTreeMap::new(),
            leaving: BTreeMap::new(),
            told: Vec::new(),
        };
        let service = |at: usize| {
            let name = ServiceName::new(&format!("s{at}")).unwrap();
            (name, Placement { rules: Vec::new(), count: 1 + at % 3 })
        };
        let (nodes, services) = ((0..count).map(node).collect(), (0..6).map(service).collect());
        Self { rng, rules, now: 0, nodes, services, unserved: BTreeMap::new(), broken: Vec::new(), moves: 0 }
    }

    /// What the node `own` knows now: a living node late, a dead one until its lease has ended.
    fn view(&self, own: usize) -> ClusterView {
        let known = self.nodes.iter().enumerate().filter_map(|(at, node)| {
            if at == own {
                return Some(Arc::new(node.row.clone()));
            }
            let knows = node.alive || self.now < node.died + LEASE + 3;
            let told = node.told.iter().rev().find(|(at, _)| *at <= self.now);
            told.filter(|_| knows).map(|(_, row)| Arc::clone(row))
        });
        let nodes = known.map(|row| (row.name.clone(), row)).collect();
        ClusterView { own: self.nodes[own].row.name.clone(), nodes, stale: self.nodes[own].stale }
    }

    fn order(&self, view: &ClusterView, (service, placement): &(ServiceName, Placement)) -> PlaceOrder {
        // The rule in use answers for itself, also by a table of the past.
        if self.rules.waits && self.rules.ranks {
            return placement.order(service, view);
        }
        let wanted = self.wanted(service, placement, view);
        let serves = |name: &NodeName| view.nodes.get(name).is_some_and(|row| row.service(service.as_str()).is_some());
        match wanted.contains(&view.own) {
            _ if view.stale => PlaceOrder::Stay,
            true => PlaceOrder::Have,
            false if self.rules.waits && !wanted.iter().all(serves) => PlaceOrder::Stay,
            false => PlaceOrder::Leave,
        }
    }

    /// Whether a node that leaves may end what it has. What it tells goes on for as long as it leaves.
    fn has_told(&mut self, at: usize, service: &ServiceName) -> bool {
        let since = *self.nodes[at].leaving.entry(service.clone()).or_insert(self.now);
        !self.rules.tells || self.now >= since + FAREWELL
    }

    fn wanted(&self, service: &ServiceName, placement: &Placement, view: &ClusterView) -> BTreeSet<NodeName> {
        if self.rules.ranks {
            return placement.nodes(service, view);
        }
        let fit: Vec<_> = view.nodes.values().filter(|row| row.standing == Standing::Living).collect();
        let first = service.as_str().bytes().map(usize::from).sum::<usize>();
        let places = (0..placement.count.min(fit.len())).map(|at| fit[(first + at) % fit.len()].name.clone());
        places.collect()
    }

    fn tell(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let ready = node.has.iter().filter(|(name, from)| **from <= self.now && !node.leaving.contains_key(*name));
        let served = |(service, _): (&ServiceName, &u64)| ServiceRow {
            service: service.clone(),
            revision: Digest([7; 32]),
            replicas: 1,
            load: 0,
        };
        let row = NodeRow { services: ready.map(served).collect(), ..node.row.clone() };
        if node.told.last().is_none_or(|(_, before)| **before != row) {
            // A later row never comes before an earlier one.
            let at = (self.now + self.rng.between(1..=NEWS)).max(node.told.last().map_or(0, |(at, _)| *at));
            node.told.push((at, Arc::new(row.clone())));
            node.row = row;
        }
    }

    fn fault(&mut self) {
        let at = self.rng.below(self.nodes.len());
        let dead = self.nodes.iter().filter(|node| !node.alive || node.stale).count();
        match self.rng.below(6) {
            0 if dead == 0 => {
                let killed = &mut self.nodes[at];
                (killed.alive, killed.died) = (false, self.now);
                killed.has.clear();
            }
            1 => {
                let lease = self.now.saturating_sub(LEASE + 3);
                if let Some(node) = self.nodes.iter_mut().find(|node| !node.alive && node.died < lease) {
                    (node.alive, node.stale, node.told) = (true, false, Vec::new());
                    (node.row.standing, node.row.services) = (Standing::Living, Vec::new());
                    node.leaving.clear();
                }
            }
            2 => self.nodes[at].row.standing = Standing::Draining,
            3 => self.nodes[at].row.standing = Standing::Cordoned,
            4 => self.nodes[at].row.standing = Standing::Living,
            _ if dead == 0 => self.nodes[at].stale = self.nodes[at].alive,
            _ => self.nodes.iter_mut().for_each(|node| node.stale = false),
        }
    }

    fn step(&mut self) {
        for at in 0..self.nodes.len() {
            if !self.nodes[at].alive {
                continue;
            }
            let mut view = self.view(at);
            if view.stale && !self.rules.stands_still {
                view.stale = false;
            }
            for service in self.services.clone() {
                let has = self.nodes[at].has.contains_key(&service.0);
                let order = self.order(&view, &service);
                if order != PlaceOrder::Leave {
                    self.nodes[at].leaving.remove(&service.0);
                }
                let leaves = order == PlaceOrder::Leave && has && self.has_told(at, &service.0);
                let moves = (order == PlaceOrder::Have && !has) || leaves;
                if !moves {
                    continue;
                }
                if self.nodes[at].stale {
                    self.broken.push(format!("still: {} moved {} at {}", at, service.0, self.now));
                }
                self.moves += 1;
                match order {
                    PlaceOrder::Have => drop(self.nodes[at].has.insert(service.0, self.now + READY)),
                    _ => drop(self.nodes[at].has.remove(&service.0)),
                }
            }
            self.tell(at);
        }
        for (service, _) in self.services.clone() {
            let ready = |node: &SimNode| node.alive && node.has.get(&service).is_some_and(|from| *from <= self.now);
            if self.nodes.iter().any(ready) {
                self.unserved.remove(&service);
                continue;
            }
            let since = *self.unserved.entry(service.clone()).or_insert(self.now);
            // Whoever leaves counts on those in its place for as long as their leases last.
            let killed = self.nodes.iter().any(|node| !node.alive && node.died + LEASE + 2 * NEWS >= since);
            if self.now > 2 * LEASE && !killed && since == self.now {
                self.broken.push(format!("served: {service} has nobody at {}, and nobody was killed", self.now));
            }
            let can = self.nodes.iter().any(|node| node.alive && !node.stale && node.row.standing == Standing::Living);
            if can && self.now == since + 2 * LEASE {
                self.broken.push(format!("served: {service} has nobody for two leases at {}", self.now));
            }
        }
    }

    fn run(mut self) -> Self {
        while self.now < FAULTS_END {
            if self.now > 2 * LEASE && self.rng.percent(8) {
                self.fault();
            }
            self.step();
            self.now += 1;
        }
        self.nodes.iter_mut().for_each(|node| node.stale = false);
        if self.nodes.iter().all(|node| !node.alive || node.row.standing != Standing::Living) {
            let alive = self.nodes.iter_mut().find(|node| node.alive).unwrap();
            alive.row.standing = Standing::Living;
        }
        while self.now < END {
            self.step();
            self.now += 1;
        }
        for (service, placement) in self.services.clone() {
            let whole = self.view(self.nodes.iter().position(|node| node.alive).unwrap());
            let have = self.nodes.iter().filter(|node| node.alive && node.has.contains_key(&service));
            let have: BTreeSet<_> = have.map(|node| node.row.name.clone()).collect();
            if have != placement.nodes(&service, &whole) {
                self.broken.push(format!("settled: {service} is on {have:?}"));
            }
        }
        self.kill_one();
        self
    }

    /// All is well: a node is killed, and nothing moves but what it had.
    fn kill_one(&mut self) {
        let fit = |node: &&SimNode| node.alive && node.row.standing == Standing::Living;
        if self.nodes.iter().filter(fit).count() < 2 {
            return;
        }
        let victim = self.nodes.iter().position(|node| fit(&node)).unwrap();
        let had = self.nodes[victim].has.len();
        (self.nodes[victim].alive, self.nodes[victim].died) = (false, self.now);
        self.nodes[victim].has.clear();
        let before = self.moves;
        for _ in 0..3 * LEASE {
            self.step();
            self.now += 1;
        }
        if self.moves - before > had {
            self.broken.push(format!("calm: {} moves for {had} places", self.moves - before));
        }
    }
}

#[test]
fn services_move_and_are_served_whatever_breaks() {
    let one = std::env::vars().find(|(key, _)| key == "ATOLL_SIM_SEED").map(|(_, seed)| seed.parse().unwrap());
    let seeds = one.map_or(0..SEEDS, |seed: u64| seed..seed + 1);
    let mut moves = 0;
    for seed in seeds.clone() {
        let sim = Sim::new(seed, RULES).run();
        assert!(
            sim.broken.is_empty(),
            "seed {seed}: {}\nRun it again with: ATOLL_SIM_SEED={seed}",
            sim.broken.join("\n")
        );
        moves += sim.moves;
    }
    assert!(moves > 20 * usize::try_from(seeds.end - seeds.start).unwrap(), "too calm: {moves}");
}

#[test]
fn every_mutant_of_a_move_breaks_its_promise() {
    for (mutant, rules, promise) in [
        ("a node that leaves before the others are ready", Rules { waits: false, ..RULES }, "served"),
        ("a node that leaves without a word before", Rules { tells: false, ..RULES }, "served"),
        ("a node that moves by a table of the past", Rules { stands_still: false, ..RULES }, "still"),
        ("places by position", Rules { ranks: false, ..RULES }, "calm"),
    ] {
        let caught = |seed| Sim::new(seed, rules).run().broken.iter().any(|line| line.starts_with(promise));
        assert!((0..PATIENCE).any(caught), "the simulation does not notice: {mutant}");
    }
}
