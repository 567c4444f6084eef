//! What must hold, looked at where it could break.

use super::fleet::name;
use super::world::{CANDIDATES, LEASE, NODES, Node, Promise, Step, VIEWERS, World};
use crate::membership::Fence;

impl World {
    fn broke(&mut self, promise: Promise, what: &str) {
        self.report.broken.push(format!("{promise:?} at {} ms: {what}", self.now));
    }

    pub(super) fn review(&mut self, viewer: usize) {
        self.after(500, Step::Review(viewer));
        let now = self.clock(viewer);
        if !self.nodes[viewer].alive {
            return;
        }
        let Some(table) = &mut self.nodes[viewer].table else { return };
        let was_away = table.is_away();
        let gone = table.review(now);
        let (view, slept) = (table.view(), table.is_away() && !was_away);
        if slept {
            self.reconnect(viewer);
        }
        self.report.evictions += gone.len() as u64;
        for (gone, life) in gone {
            let node: usize = gone.as_str()[1..].parse().unwrap();
            let Node { alive, linked, sleeps_until, well, life: now_lives, .. } = self.nodes[node];
            if alive && life.0 == now_lives && linked && sleeps_until <= self.now && well + LEASE * 5 / 6 <= self.now {
                self.broke(Promise::Living, &format!("n{viewer} evicts n{node}, which is well since {well}"));
            }
        }
        let quiet = self.nodes[viewer].well.max(self.registry.since) + 2 * LEASE + 1_000;
        if quiet <= self.now && self.registry.up && self.nodes[viewer].linked {
            let dead = |node: &&Node| !node.alive && node.dead_since + 2 * LEASE + 1_000 <= self.now;
            let dead = self.nodes.iter().enumerate().filter(|(_, node)| dead(node)).map(|(at, _)| at);
            if let Some(node) = dead.into_iter().find(|node| view.nodes.contains_key(&name(*node))) {
                self.broke(Promise::Dead, &format!("n{viewer} has n{node}, which is dead for two leases"));
            }
        }
    }

    /// The tenure of a node that may act as the leader now. One that sleeps does not act; what it decided before, the
    /// fence holds up.
    pub(super) fn leads(&self, node: usize) -> Option<Fence> {
        let this = &self.nodes[node];
        this.leads.holds(self.clock(node)).filter(|_| this.alive && this.sleeps_until <= self.now)
    }

    pub(super) fn look_at_holders(&mut self) {
        let holders: Vec<_> = (0..CANDIDATES).filter(|node| self.leads(*node).is_some()).collect();
        if holders.len() > 1 {
            self.broke(Promise::Holder, &format!("{holders:?} lead"));
        }
    }

    pub(super) fn write(&mut self, fence: u64) {
        if !self.registry.write(Fence(fence), self.rules.fence) {
            self.report.refused += 1;
            return;
        }
        self.report.writes += 1;
        if fence < self.newest {
            self.broke(Promise::Fence, &format!("the leader {fence} writes after {}", self.newest));
        }
        self.newest = self.newest.max(fence);
    }

    /// One order of all that was asked of the leader's lease, and of all that was done as its holder, explains every
    /// answer.
    pub(super) fn explain(&mut self) {
        let history = self.lease.history();
        self.report.operations = history.len();
        if !history.linearizes(None) {
            self.broke(Promise::History, "what was answered about the leader's lease has no order");
        }
    }

    /// All was well for some leases.
    pub(super) fn agree(&mut self) {
        let living: Vec<_> = (0..NODES).filter(|node| self.nodes[*node].alive).map(name).collect();
        for viewer in 0..VIEWERS {
            let Some(table) = self.nodes[viewer].table.as_ref().filter(|_| self.nodes[viewer].alive) else { continue };
            let view = table.view();
            let absent = living.iter().filter(|name| !view.nodes.contains_key(*name)).count();
            if absent > 0 || view.nodes.len() != living.len() || view.stale {
                let what = format!("n{viewer} has {} of {}, {absent} are absent", view.nodes.len(), living.len());
                self.broke(Promise::Agreement, &what);
            }
        }
    }
}
