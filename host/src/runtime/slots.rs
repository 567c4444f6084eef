//! The slots of the engine's pool, shared so that chains of calls come to their end.
//!
//! A caller keeps its slot while it waits for its callee's. Were the pool open to everybody, callers could take all of it, and each would
//! wait for one more until its deadline. So a call that no service made may take only a part of the pool, one that such a call makes a
//! larger part, and so on: whoever stands deeper always finds slots that nobody above it can have taken.
//!
//! Why that is enough: let `d` be the deepest class that runs. All that runs was counted in the part of class `d`, which is smaller than
//! that of `d + 1`; so a call into class `d + 1` finds a slot, is answered, and gives it back. From the last class on only deadlines help.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Classes of calls by their depth; the last is that of all deeper ones.
const CLASSES: usize = 4;

/// How deep in a chain a call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DepthClass(usize);

impl DepthClass {
    /// That of the deepest calls.
    pub(super) const LAST: Self = Self(CLASSES - 1);

    /// The class of a call with so many calls above it.
    pub fn of(depth: usize) -> Self {
        Self(depth.min(CLASSES - 1))
    }
}

/// The slots of the pool.
pub struct Slots {
    /// What each class may take. All that a class takes counts in the parts of the deeper ones, too; the last part is the pool.
    parts: [Arc<Semaphore>; CLASSES],
    first: usize,
    total: usize,
}

/// Slots that were taken, in each part in which they count. They go back when it is dropped.
pub struct SlotPermit(
    #[expect(dead_code, reason = "held until it is dropped")] [Option<OwnedSemaphorePermit>; CLASSES],
);

impl Slots {
    /// A pool of `total` slots. An eighth of it is kept for each class but the first; below 6 slots nothing is.
    pub fn new(total: usize) -> Self {
        let step = (total / 8).max(1).min(total / 6);
        let part = |class: usize| total - (CLASSES - 1 - class) * step;
        Self { parts: std::array::from_fn(|class| Arc::new(Semaphore::new(part(class)))), first: part(0), total }
    }

    /// The most that one instance may take, whoever calls it.
    pub fn most(&self) -> usize {
        self.first
    }

    /// Takes `count` slots for a call of `class`, if they are free.
    pub fn try_take(&self, class: DepthClass, count: u32) -> Option<SlotPermit> {
        let mut taken = [const { None }; CLASSES];
        for (part, taken) in self.parts.iter().zip(&mut taken).skip(class.0) {
            *taken = Some(Arc::clone(part).try_acquire_many_owned(count).ok()?);
        }
        Some(SlotPermit(taken))
    }

    /// Waits for `count` slots for a call of `class`; first come, first served among those of a class.
    pub async fn take(&self, class: DepthClass, count: u32) -> SlotPermit {
        let mut taken = [const { None }; CLASSES];
        // In the same order for all, from the smallest part to the whole.
        for (part, taken) in self.parts.iter().zip(&mut taken).skip(class.0) {
            let permit = Arc::clone(part).acquire_many_owned(count).await;
            *taken = Some(permit.expect("the semaphores are never closed"));
        }
        SlotPermit(taken)
    }

    /// Waits until every slot is free.
    pub async fn all_free(&self) {
        let pool = &self.parts[CLASSES - 1];
        let _ = pool.acquire_many(u32::try_from(self.total).unwrap_or(u32::MAX)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(slots: &Slots, depth: usize) -> usize {
        std::iter::from_fn(|| slots.try_take(DepthClass::of(depth), 1)).collect::<Vec<_>>().len()
    }

    #[test]
    fn whoever_stands_deeper_finds_more() {
        for total in 1..200 {
            let free: Vec<_> = (0..6).map(|depth| count(&Slots::new(total), depth)).collect();
            assert!(free[0] >= total.div_ceil(2) && free[3] == total, "{total}: {free:?}");
            assert!(free[..4].is_sorted() && free[3] == free[5], "{total}: {free:?}");
            assert!(total < 6 || free[..4].windows(2).all(|pair| pair[0] < pair[1]), "{total}: {free:?}");
        }
    }

    #[test]
    fn a_full_part_leaves_the_next_one_open() {
        let slots = Slots::new(16);
        let mut held = Vec::new();
        for depth in 0..CLASSES {
            let before = held.len();
            held.extend(std::iter::from_fn(|| slots.try_take(DepthClass::of(depth), 1)));
            assert!(held.len() > before, "class {depth} finds slots when all above it have taken theirs");
            assert!(slots.try_take(DepthClass::of(0), 1).is_none());
        }
        assert_eq!(held.len(), 16);
        held.clear();
        assert_eq!(count(&slots, 3), 16, "all came back");
    }

    #[tokio::test(start_paused = true)]
    async fn chains_of_every_length_up_to_the_classes_end() {
        for total in [6, 8, 13] {
            let slots = Arc::new(Slots::new(total));
            let chains = (0..50).map(|_| {
                let slots = Arc::clone(&slots);
                tokio::spawn(async move {
                    let mut held = Vec::new();
                    for depth in 0..CLASSES {
                        held.push(slots.take(DepthClass::of(depth), 1).await);
                        tokio::task::yield_now().await;
                    }
                })
            });
            let all = futures_util::future::join_all(chains.collect::<Vec<_>>());
            // The clock stands still as long as anything can go on.
            let ended = tokio::time::timeout(std::time::Duration::from_secs(1), all).await;
            assert!(ended.is_ok(), "they wait for each other in a pool of {total}");
            slots.all_free().await;
        }
    }
}
