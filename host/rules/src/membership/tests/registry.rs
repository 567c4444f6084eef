//! The registry of the simulation: leases that are compared and that run out, and one value that a leader guards.

use crate::membership::Fence;
use std::collections::BTreeMap;

/// A lease in the registry.
pub(super) struct StoredLease {
    pub(super) node: usize,
    pub(super) life: u64,
    pub(super) revision: u64,
    /// When it runs out, in milliseconds.
    pub(super) ends: u64,
}

/// What becomes of a write, as its writer learns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    Stored(u64),
    /// The registry has the lease as this node wrote it.
    Own(u64),
    Lost,
    Unknown,
}

/// The registry.
pub(super) struct Registry {
    pub(super) leases: BTreeMap<usize, StoredLease>,
    revision: u64,
    pub(super) up: bool,
    /// Since when it is up, in milliseconds.
    pub(super) since: u64,
    guarded: Option<Fence>,
}

impl Registry {
    pub(super) fn new() -> Self {
        Self { leases: BTreeMap::new(), revision: 0, up: true, since: 0, guarded: None }
    }

    /// A write of the lease `key`, which lasts until `ends` if it is stored.
    pub(super) fn claim(
        &mut self,
        (node, life): (usize, u64),
        key: usize,
        expected: Option<u64>,
        ends: u64,
    ) -> Outcome {
        match self.leases.get(&key) {
            Some(stored) if Some(stored.revision) == expected => {}
            Some(stored) if (stored.node, stored.life) == (node, life) => return Outcome::Own(stored.revision),
            None if expected.is_none() => {}
            _ => return Outcome::Lost,
        }
        self.revision += 1;
        let revision = self.revision;
        self.leases.insert(key, StoredLease { node, life, revision, ends });
        Outcome::Stored(revision)
    }

    /// Whether the lease `key` ends now, which was last written as `revision`.
    pub(super) fn expire(&mut self, key: usize, revision: u64) -> bool {
        let ends = self.up && self.leases.get(&key).is_some_and(|lease| lease.revision == revision);
        if ends {
            self.leases.remove(&key);
            // The marker.
            self.revision += 1;
        }
        ends
    }

    /// It is there again, without what ran out meanwhile.
    pub(super) fn back(&mut self, now: u64) {
        (self.up, self.since) = (true, now);
        self.leases.retain(|_, lease| lease.ends > now);
        self.revision += 1;
    }

    /// A write of what the leader guards. Returns whether it is taken.
    pub(super) fn write(&mut self, fence: Fence, is_fenced: bool) -> bool {
        let taken = self.up && (!is_fenced || fence.may_follow(self.guarded));
        if taken {
            self.guarded = Some(fence);
        }
        taken
    }
}
