//! The faults that stand for one service.

use super::{Fault, Injected};
use std::sync::RwLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// How many faults of a service may stand at a time: more than a person can keep in mind, few enough to go through for every call.
const MOST: usize = 16;

/// Who put a fault up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultOrigin {
    /// The manifest.
    Manifest,
    /// An operator, through admin.
    Operator,
}

impl FaultOrigin {
    /// A stable name for the admin API: kebab-case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Operator => "operator",
        }
    }
}

/// One fault that stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActiveFault {
    /// The name by which it is removed; whoever adds it chooses one.
    pub id: u64,
    /// What it does.
    pub fault: Fault,
    /// From when on it does nothing any more; `None`: it stands until it is removed.
    pub until: Option<Instant>,
    /// Who put it up.
    pub origin: FaultOrigin,
}

impl ActiveFault {
    fn is_over(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

/// As many faults of a service stand as may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{MOST} faults of this service stand already: clear some of them first")]
pub struct TooMany;

/// The faults that stand for one service: at most 16, none at first.
///
/// One that has run out does nothing, and goes away with the next [`ActiveFaults::add`].
#[derive(Debug, Default)]
pub struct ActiveFaults {
    /// Whether the list is empty or not, so that a call need not take the lock to learn that there is nothing. Changed under the
    /// lock alone. `Relaxed` is enough: whoever finds `true` reads the rest under the lock, and a call that runs beside a change
    /// is before or after it.
    any: AtomicBool,
    /// In the order in which they were added.
    standing: RwLock<Vec<ActiveFault>>,
}

impl ActiveFaults {
    /// Puts up a fault, until it runs out or is removed. One of the same `id` is replaced, in its place. Sweeps those away that have run
    /// out at `now`.
    ///
    /// # Errors
    /// [`TooMany`] when 16 others stand.
    pub fn add(
        &self,
        id: u64,
        fault: Fault,
        until: Option<Instant>,
        origin: FaultOrigin,
        now: Instant,
    ) -> Result<(), TooMany> {
        let added = ActiveFault { id, fault, until, origin };
        self.change(|standing| {
            standing.retain(|other| !other.is_over(now));
            match standing.iter().position(|other| other.id == id) {
                Some(place) => standing[place] = added,
                None if standing.len() < MOST => standing.push(added),
                None => return Err(TooMany),
            }
            Ok(())
        })
    }

    /// Removes all. Answers how many there were, with those that had run out and were not swept away yet.
    pub fn clear(&self) -> usize {
        self.change(|standing| standing.drain(..).count())
    }

    /// Removes the one named `id`. Answers whether there was one, standing or run out.
    pub fn remove(&self, id: u64) -> bool {
        self.change(|standing| {
            let before = standing.len();
            standing.retain(|other| other.id != id);
            standing.len() < before
        })
    }

    /// Those that stand at `now`, in the order in which they were added.
    pub fn standing(&self, now: Instant) -> Vec<ActiveFault> {
        if !self.any.load(Relaxed) {
            return Vec::new();
        }
        self.read(|standing| standing.iter().filter(|one| !one.is_over(now)).copied().collect())
    }

    /// What a call that begins at `now` suffers; `None`: nothing. The latencies of all that stand add up, and the first of them that
    /// fails the call decides how. `random(n)` answers a number below `n`, each as likely as the others; it is asked under a lock, and
    /// must not call back.
    pub fn draw(&self, now: Instant, random: &mut dyn FnMut(usize) -> usize) -> Option<Injected> {
        if !self.any.load(Relaxed) {
            return None;
        }
        let mut injected = Injected { latency: Duration::ZERO, failure: None };
        self.read(|standing| {
            for one in standing.iter().filter(|one| !one.is_over(now)) {
                injected.latency = injected.latency.saturating_add(one.fault.latency);
                injected.failure = injected.failure.or_else(|| one.fault.failure(random));
            }
        });
        (!injected.latency.is_zero() || injected.failure.is_some()).then_some(injected)
    }

    fn read<T>(&self, look: impl FnOnce(&[ActiveFault]) -> T) -> T {
        // A panic of `random` under a read lock poisons nothing.
        look(&self.standing.read().expect("nothing panics while it changes the list"))
    }

    fn change<T>(&self, change: impl FnOnce(&mut Vec<ActiveFault>) -> T) -> T {
        let mut standing = self.standing.write().expect("nothing panics while it changes the list");
        let answer = change(&mut standing);
        self.any.store(!standing.is_empty(), Relaxed);
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Share;

    /// What makes a call without faults cheap, whatever there was before.
    #[test]
    fn an_empty_list_is_seen_without_the_lock() {
        let (faults, now) = (ActiveFaults::default(), Instant::now());
        let fault = Fault::new(Duration::ZERO, Share::ALL, Share::NONE).expect("all calls");
        let add =
            || faults.add(1, fault, Some(now + Duration::from_secs(1)), FaultOrigin::Operator, now).expect("room");
        let any = || faults.any.load(Relaxed);
        assert!(!any());
        add();
        assert!(any());
        faults.clear();
        assert!(!any());
        add();
        assert!(faults.remove(1) && !any());
    }
}
