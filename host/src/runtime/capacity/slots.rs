//! The slots of the engine's pool, shared so that every chain of calls comes to its end.
//!
//! A caller keeps its slot while it waits for its callee's slot. If every call could take every slot, callers could
//! take the whole pool, and each of them would wait for one slot more until its deadline. So calls are sorted into
//! classes by their depth. A call that no service made (depth 0) may take only a part of the pool, a call that such a
//! call makes may take a larger part, and so on: a deeper call always finds slots that no call above it can have taken.
//!
//! Why that is enough: let `d` be the deepest class of all calls that hold a slot. The slots of all these calls count
//! in the part of class `d`, and the part of class `d + 1` is larger. So a call of class `d + 1` finds a slot, is
//! answered, and gives the slot back. The last class has no deeper one: if its calls wait for each other, only their
//! deadlines end the wait.

use super::depth_class::{CLASSES, DepthClass};
use super::pressure::PoolPressure;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};

/// The slots of the pool.
pub struct Slots {
    /// One semaphore for each depth class, with as many permits as calls of this class and of all less deep classes may
    /// hold slots together. A call takes permits from the part of its own class and from the parts of all deeper
    /// classes. The last part is the whole pool, so every call is counted there.
    parts: [Arc<Semaphore>; CLASSES],
    /// The size of the first part, which is the smallest.
    first: usize,
    total: usize,
}

/// Slots that a call has taken, with a permit from each part in which they count. The drop gives them back.
pub struct SlotPermit(
    #[expect(dead_code, reason = "held until it is dropped")] [Option<OwnedSemaphorePermit>; CLASSES],
);

impl Slots {
    /// A pool of `total` slots. Each class but the first may take an eighth of the pool more than the class before it;
    /// in a pool of 6 to 15 slots, one slot more. In a pool of fewer than 6 slots, every class may take all of them.
    pub fn new(total: usize) -> Self {
        let step = (total / 8).max(1).min(total / 6);
        let part = |class: usize| total - (CLASSES - 1 - class) * step;
        Self { parts: std::array::from_fn(|class| Arc::new(Semaphore::new(part(class)))), first: part(0), total }
    }

    /// The most slots that one instance may take, at whatever depth it is called.
    pub fn most(&self) -> usize {
        self.first
    }

    /// Takes `count` slots for a call of `class` if they are free now.
    pub fn try_take(&self, class: DepthClass, count: u32) -> Option<SlotPermit> {
        let mut taken = [const { None }; CLASSES];
        for (part, taken) in self.parts.iter().zip(&mut taken).skip(class.index()) {
            *taken = Some(Arc::clone(part).try_acquire_many_owned(count).ok()?);
        }
        Some(SlotPermit(taken))
    }

    /// Waits for `count` slots for a call of `class`. Calls of one class are served in the order of their arrival.
    pub async fn take(&self, class: DepthClass, count: u32) -> SlotPermit {
        let mut taken = [const { None }; CLASSES];
        // Every call takes its permits in this order, from the smallest part to the whole pool. Two calls in different
        // orders could each hold what the other waits for.
        for (part, taken) in self.parts.iter().zip(&mut taken).skip(class.index()) {
            let permit = Arc::clone(part).acquire_many_owned(count).await;
            *taken = Some(permit.expect("the semaphores are never closed"));
        }
        SlotPermit(taken)
    }

    /// Takes `count` slots for a call of `class`, and waits for them until `deadline` if they are not free now. While
    /// the call waits, idle instances are given up for it (see [`PoolPressure`]).
    ///
    /// # Errors
    /// The slots were not free before the deadline.
    pub(crate) async fn take_until(
        &self,
        class: DepthClass,
        count: u32,
        deadline: Instant,
        pressure: &PoolPressure,
    ) -> Result<SlotPermit, Elapsed> {
        if let Some(slots) = self.try_take(class, count) {
            return Ok(slots);
        }
        let _waiting = pressure.wait_for(class, count);
        timeout_at(deadline, self.take(class, count)).await
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
    fn a_deeper_class_may_take_more_slots() {
        for total in 1..200 {
            let free: Vec<_> = (0..6).map(|depth| count(&Slots::new(total), depth)).collect();
            assert!(free[0] >= total.div_ceil(2) && free[3] == total, "{total}: {free:?}");
            assert!(free[..4].is_sorted() && free[3] == free[5], "{total}: {free:?}");
            assert!(total < 6 || free[..4].windows(2).all(|pair| pair[0] < pair[1]), "{total}: {free:?}");
        }
    }

    #[test]
    fn a_class_that_takes_its_whole_part_leaves_slots_for_the_next_class() {
        let slots = Slots::new(16);
        let mut held = Vec::new();
        for depth in 0..CLASSES {
            let before = held.len();
            held.extend(std::iter::from_fn(|| slots.try_take(DepthClass::of(depth), 1)));
            assert!(held.len() > before, "class {depth} finds slots after the classes above it took theirs");
            assert!(slots.try_take(DepthClass::of(0), 1).is_none());
        }
        assert_eq!(held.len(), 16);
        held.clear();
        assert_eq!(count(&slots, 3), 16, "all slots were given back");
    }

    #[tokio::test(start_paused = true)]
    async fn a_chain_of_calls_as_long_as_there_are_classes_never_deadlocks() {
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
            // The paused clock moves only when no task can run.
            let ended = tokio::time::timeout(std::time::Duration::from_secs(1), all).await;
            assert!(ended.is_ok(), "they wait for each other in a pool of {total}");
            slots.all_free().await;
        }
    }
}
