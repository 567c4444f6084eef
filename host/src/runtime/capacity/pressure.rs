//! Calls that wait for slots of the pool while idle instances hold some.
//!
//! An instance that is kept between two calls holds its slots of the pool. When the pool is full, a call that needs
//! slots must not wait for the idle timeout of another service's instance. So idle instances are given up for the call,
//! the longest idle first. And as long as a call waits, an instance that would become idle ends instead.

use super::depth_class::DepthClass;
use crate::runtime::lock::lock;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, Weak};
use std::time::Instant;

/// A list of instances that are kept between calls, some of which are idle.
pub(crate) trait IdleInstances: Send + Sync {
    /// Since when the longest-idle instance is idle, among those made for a call of class `most` or of a shallower one.
    /// `reserve`: those count too whose slots are of the reserve.
    fn idle_since(&self, most: DepthClass, reserve: bool) -> Option<Instant>;

    /// Gives up the longest-idle instance among those for which [`IdleInstances::idle_since`] speaks. It ends in order.
    fn give_up_one(&self, most: DepthClass, reserve: bool);
}

/// How many calls wait for the pool, and the idle instances that can be given up for them.
#[derive(Default)]
pub(crate) struct PoolPressure {
    waiting: AtomicUsize,
    lists: Mutex<Vec<Weak<dyn IdleInstances>>>,
}

/// A call that waits for slots. Dropped, it waits no more.
pub(crate) struct WaitingCall<'a>(&'a PoolPressure);

impl PoolPressure {
    /// From now on idle instances of `list` are given up when a call waits for slots.
    pub(crate) fn watch(&self, list: Weak<dyn IdleInstances>) {
        let mut lists = lock(&self.lists);
        // Forgets the lists of revisions that are gone. There is one list for each replica of a service, so the scan is
        // short, and it is rare.
        lists.retain(|list| list.strong_count() > 0);
        lists.push(list);
    }

    /// Whether a call waits for slots. An instance that has nothing to do must end then.
    pub(crate) fn has_waiting_calls(&self) -> bool {
        self.waiting.load(SeqCst) > 0
    }

    /// A call of `class` begins to wait for so many slots. As many idle instances are given up, first those whose slots
    /// the call may use.
    ///
    /// This races with an instance that becomes idle: if neither noticed the other, the instance would keep its slots
    /// and the call would wait for the idle timeout. The counter goes up here before the lists are read, and an
    /// instance is put on its list before it reads the counter. So either the instance sees the waiting call, or it is
    /// found here.
    pub(crate) fn wait_for(&self, class: DepthClass, slots: u32) -> WaitingCall<'_> {
        self.waiting.fetch_add(1, SeqCst);
        for _ in 0..slots {
            // A slot that was taken for a deeper call counts in fewer parts of the pool, and a slot of the reserve in
            // none, so giving it up may free nothing for this call.
            let choices = [(class, false), (DepthClass::LAST, false), (DepthClass::LAST, true)];
            if !choices.into_iter().any(|(most, reserve)| self.give_up_one(most, reserve)) {
                break;
            }
        }
        WaitingCall(self)
    }

    fn give_up_one(&self, most: DepthClass, reserve: bool) -> bool {
        let lists: Vec<Arc<_>> = lock(&self.lists).iter().filter_map(Weak::upgrade).collect();
        let idle = lists.iter().filter_map(|list| Some((list.idle_since(most, reserve)?, list)));
        let longest = idle.min_by_key(|(since, _)| *since);
        if let Some((_, list)) = longest {
            list.give_up_one(most, reserve);
        }
        longest.is_some()
    }
}

impl Drop for WaitingCall<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, SeqCst);
    }
}
