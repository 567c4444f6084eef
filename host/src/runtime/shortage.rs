//! Who waits for the pool while kept instances rest in it.
//!
//! An instance that rests between two calls holds its slots of the pool. When the pool is full, whoever waits for slots must not wait until
//! somebody else's instance has rested for long enough: instances that rest give way, the longest-resting first, and as long as anybody
//! waits none begins to rest.

use super::slots::DepthClass;
use super::warm::KeptInstances;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError, Weak};

#[derive(Default)]
pub(super) struct PoolPressure {
    waiting: AtomicUsize,
    /// Where instances rest.
    shelves: Mutex<Vec<Weak<KeptInstances>>>,
}

/// Somebody waits.
pub(super) struct Waiting<'a>(&'a PoolPressure);

impl PoolPressure {
    /// From now on what rests on this shelf gives way.
    pub(super) fn watch(&self, shelf: Weak<KeptInstances>) {
        let mut shelves = self.shelves.lock().unwrap_or_else(PoisonError::into_inner);
        // Those of revisions that are gone; there are as many as services have replicas, so this is rare and short.
        shelves.retain(|shelf| shelf.strong_count() > 0);
        shelves.push(shelf);
    }

    /// Whether an instance that has nothing to do must end.
    pub(super) fn is_felt(&self) -> bool {
        self.waiting.load(SeqCst) > 0
    }

    /// A call of `class` waits for so many slots: as many instances that rest are given up, those first whose slots it may have. One that begins to rest at the same moment either finds
    /// that somebody waits, or is found here: the count goes up before the look, and an instance is put on its shelf before it counts.
    pub(super) fn wait_for(&self, class: DepthClass, slots: u32) -> Waiting<'_> {
        self.waiting.fetch_add(1, SeqCst);
        for _ in 0..slots {
            // A slot that was taken for a deeper call counts in fewer parts of the pool, and may free none that this one needs.
            if !self.give_up_one(class) && !self.give_up_one(DepthClass::LAST) {
                break;
            }
        }
        Waiting(self)
    }

    fn give_up_one(&self, most: DepthClass) -> bool {
        let shelves: Vec<_> = {
            let shelves = self.shelves.lock().unwrap_or_else(PoisonError::into_inner);
            shelves.iter().filter_map(Weak::upgrade).collect()
        };
        let resting = shelves.iter().filter_map(|shelf| Some((shelf.resting_since(most)?, shelf)));
        let oldest = resting.min_by_key(|(since, _)| *since);
        if let Some((_, shelf)) = oldest {
            shelf.give_up_one(most);
        }
        oldest.is_some()
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, SeqCst);
    }
}
