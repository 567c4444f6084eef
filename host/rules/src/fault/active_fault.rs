//! The active faults of one service.

use super::fault::{Fault, Injected};
use std::sync::RwLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// The most active faults of a service: more than a person can keep in mind, and few enough to go through for every
/// call.
const MOST_ACTIVE: usize = 16;

/// Who added a fault.
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

/// One active fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActiveFault {
    /// The number by which the fault is removed; the caller that adds the fault chooses it.
    pub id: u64,
    /// What the fault does.
    pub fault: Fault,
    /// When the fault ends; `None`: it is active until it is removed.
    pub until: Option<Instant>,
    /// Who added the fault.
    pub origin: FaultOrigin,
}

impl ActiveFault {
    fn is_over(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

/// The service has as many active faults as it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the service already has {MOST_ACTIVE} active faults, the most that it may have: clear some of them first")]
pub struct TooManyFaults;

/// The active faults of one service: at most 16, none at first.
///
/// A fault whose time is over does nothing. [`ActiveFaults::expire`] removes it from the list, and so does the next
/// [`ActiveFaults::add`].
#[derive(Debug, Default)]
pub struct ActiveFaults {
    /// Whether the list holds a fault, so that a call of a service without faults takes no lock. It changes only under
    /// the lock. `Relaxed` is enough: a reader that finds `true` reads the rest under the lock, and a call that runs
    /// beside a change may count as before or after it.
    any: AtomicBool,
    /// The faults in the order in which they were added.
    list: RwLock<Vec<ActiveFault>>,
}

impl ActiveFaults {
    /// Adds a fault, which is active until `until` or until it is removed. A fault of the same `id` is replaced at its
    /// position in the order. Faults whose time is over at `now` are removed.
    ///
    /// # Errors
    /// [`TooManyFaults`] when 16 other faults are active.
    pub fn add(
        &self,
        id: u64,
        fault: Fault,
        until: Option<Instant>,
        origin: FaultOrigin,
        now: Instant,
    ) -> Result<(), TooManyFaults> {
        let added = ActiveFault { id, fault, until, origin };
        self.change(|list| {
            list.retain(|other| !other.is_over(now));
            match list.iter().position(|other| other.id == id) {
                Some(index) => list[index] = added,
                None if list.len() < MOST_ACTIVE => list.push(added),
                None => return Err(TooManyFaults),
            }
            Ok(())
        })
    }

    /// Removes the faults whose time is over at `now`, and returns them.
    pub fn expire(&self, now: Instant) -> Vec<ActiveFault> {
        if !self.any.load(Relaxed) {
            return Vec::new();
        }
        self.change(|list| list.extract_if(.., |fault| fault.is_over(now)).collect())
    }

    /// Removes all faults. Returns how many there were, including those that are over but were not removed yet.
    pub fn clear(&self) -> usize {
        self.change(|list| list.drain(..).count())
    }

    /// Removes the fault with this `id`. Returns whether the list had it, active or over.
    pub fn remove(&self, id: u64) -> bool {
        self.change(|list| {
            let before = list.len();
            list.retain(|other| other.id != id);
            list.len() < before
        })
    }

    /// The faults that are active at `now`, in the order in which they were added.
    pub fn active(&self, now: Instant) -> Vec<ActiveFault> {
        if !self.any.load(Relaxed) {
            return Vec::new();
        }
        self.read(|list| list.iter().filter(|fault| !fault.is_over(now)).copied().collect())
    }

    /// Whether there is no fault, active or over. Then a call need not know the time to find that it suffers nothing.
    pub fn is_empty(&self) -> bool {
        !self.any.load(Relaxed)
    }

    /// What a call that begins at `now` suffers; `None`: nothing. The latencies of all active faults add up, and the
    /// first fault that fails the call decides how it fails. `random(n)` answers a number below `n`, each as likely as
    /// the others. It is called under a lock, so it must not call these faults.
    pub fn draw(&self, now: Instant, random: &mut dyn FnMut(usize) -> usize) -> Option<Injected> {
        if !self.any.load(Relaxed) {
            return None;
        }
        let mut injected = Injected { latency: Duration::ZERO, failure: None };
        self.read(|list| {
            for active in list.iter().filter(|fault| !fault.is_over(now)) {
                injected.latency = injected.latency.saturating_add(active.fault.slows(random));
                injected.failure = injected.failure.or_else(|| active.fault.failure(random));
            }
        });
        (!injected.latency.is_zero() || injected.failure.is_some()).then_some(injected)
    }

    fn read<T>(&self, read: impl FnOnce(&[ActiveFault]) -> T) -> T {
        // `random` runs under the read lock. If it panics, a read lock is not poisoned.
        read(&self.list.read().expect("nothing panics while it changes the list"))
    }

    fn change<T>(&self, change: impl FnOnce(&mut Vec<ActiveFault>) -> T) -> T {
        let mut list = self.list.write().expect("nothing panics while it changes the list");
        let result = change(&mut list);
        debug_assert!(list.len() <= MOST_ACTIVE, "at most {MOST_ACTIVE} faults of a service are active");
        self.any.store(!list.is_empty(), Relaxed);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Share;

    /// This makes a call of a service without faults cheap, whatever faults it had before.
    #[test]
    fn the_flag_says_whether_the_list_is_empty_after_every_change() {
        let (faults, now) = (ActiveFaults::default(), Instant::now());
        let fault = Fault::new(Duration::ZERO, Share::ALL, Share::NONE).expect("all calls");
        let add =
            || faults.add(1, fault, Some(now + Duration::from_secs(1)), FaultOrigin::Operator, now).expect("room");
        let any = || !faults.is_empty();
        assert!(!any());
        add();
        assert!(any());
        faults.clear();
        assert!(!any());
        add();
        assert!(faults.remove(1) && !any());
    }
}
