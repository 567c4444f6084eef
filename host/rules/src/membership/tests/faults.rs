//! What happens by itself, and what breaks.

use super::world::{CANDIDATES, FAULTS_END, LEADER, LEASE, NODES, Step, VIEWERS, World};

impl World {
    /// What happens by itself, and what breaks.
    pub(super) fn plan(&mut self) {
        for node in 0..NODES {
            let first = self.rng.between(0..=1_000);
            self.at(first, Step::Claim { node, life: 1, key: node });
            if node < CANDIDATES {
                let campaign = self.rng.between(1_000..=2_000);
                self.at(campaign, Step::Claim { node, life: 1, key: LEADER });
                self.at(campaign, Step::Decision(node));
            }
            if node < VIEWERS {
                self.at(0, Step::Reconnect(node, 0));
                self.at(500, Step::Review(node));
            }
        }
        for _ in 0..60 {
            let (node, at) = (self.rng.below(NODES), self.rng.between(5_000..=FAULTS_END));
            let kind = self.rng.number();
            self.fault(node, at, kind);
        }
        for _ in 0..3 {
            let (dead, at) = (VIEWERS + self.rng.below(NODES - VIEWERS), self.rng.between(5_000..=FAULTS_END));
            self.at(at, Step::Kill(dead));
        }
        for kind in 0..6 {
            let at = self.rng.between(5_000..=FAULTS_END);
            self.at(at, Step::Leaderless(kind));
        }
        let away = self.rng.between(20_000..=40_000);
        let back = away + self.rng.between(1_000..=30_000);
        self.at(away, Step::StoreAway);
        self.at(back, Step::StoreBack);
    }

    /// From `at` on a node is dead, asleep or cut off, for a while.
    pub(super) fn fault(&mut self, node: usize, at: u64, kind: u64) {
        let ends = (at + self.rng.between(500..=20_000)).min(FAULTS_END + LEASE / 2);
        match kind % 3 {
            0 => {
                self.at(at, Step::Cut(node));
                self.at(ends, Step::Mended(node));
            }
            1 => {
                self.at(at, Step::Kill(node));
                self.at(ends, Step::Start(node));
            }
            _ => self.at(at, Step::Sleep(node, ends)),
        }
    }
}
