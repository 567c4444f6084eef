//! A fair queue: the commits that wait for the writer, in one lane for each service. The writer takes from the lanes
//! in turn.

use crate::base::ServiceName;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Why an item was not queued.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PushError {
    /// The service's lane is full.
    Full,
    /// The queue is closed.
    Closed,
}

/// Whether the bound of a lane holds for an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LaneBound {
    /// It holds.
    Holds,
    /// It yields, for the one migration of a service: to run it again would cost more than its room.
    Yields,
}

/// A queue with a bound on the cost of each lane. `push` never blocks; `take` blocks until there is an item.
pub(super) struct FairQueue<T> {
    state: Mutex<QueueState<T>>,
    /// Wakes the thread in `take` when an item comes or the queue closes.
    filled: Condvar,
    /// The most cost that a lane holds.
    bound: usize,
}

struct QueueState<T> {
    /// Only lanes that hold an item. The front lane is next.
    lanes: VecDeque<Lane<T>>,
    closed: bool,
}

struct Lane<T> {
    name: ServiceName,
    items: VecDeque<QueuedItem<T>>,
    /// The cost of all items.
    cost: usize,
}

struct QueuedItem<T> {
    item: T,
    cost: usize,
}

impl<T> FairQueue<T> {
    /// An empty queue, each lane of which holds items of at most `bound` cost together.
    pub(super) fn new(bound: usize) -> Self {
        let state = QueueState { lanes: VecDeque::new(), closed: false };
        Self { state: Mutex::new(state), filled: Condvar::new(), bound }
    }

    /// Puts `item` at the end of the lane of `name`. An empty lane takes any item, so that no bound is too small for a
    /// single item.
    pub(super) fn push(&self, name: &ServiceName, item: T, cost: usize, bound: LaneBound) -> Result<(), PushError> {
        let mut state = self.lock();
        if state.closed {
            return Err(PushError::Closed);
        }
        match state.lanes.iter_mut().find(|lane| lane.name == *name) {
            Some(lane) if bound == LaneBound::Holds && lane.cost + cost > self.bound => {
                return Err(PushError::Full);
            }
            Some(lane) => {
                lane.items.push_back(QueuedItem { item, cost });
                lane.cost += cost;
            }
            None => {
                let items = VecDeque::from([QueuedItem { item, cost }]);
                state.lanes.push_back(Lane { name: name.clone(), items, cost });
            }
        }
        self.filled.notify_one();
        Ok(())
    }

    /// Waits for an item, and takes it together with others that wait, one from each lane in turn, until there are
    /// `max_items` or their cost reaches `max_cost`. `None` once the queue is closed and empty.
    pub(super) fn take(&self, max_items: usize, max_cost: usize) -> Option<Vec<(ServiceName, T)>> {
        let mut state = self.lock();
        while state.lanes.is_empty() {
            if state.closed {
                return None;
            }
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let mut batch = Vec::new();
        let mut total = 0;
        while batch.len() < max_items.max(1) && total < max_cost {
            let Some(mut lane) = state.lanes.pop_front() else { break };
            let QueuedItem { item, cost } = lane.items.pop_front().expect("a lane in the queue holds an item");
            lane.cost -= cost;
            total += cost;
            batch.push((lane.name.clone(), item));
            debug_assert!(lane.cost == 0 || !lane.items.is_empty(), "the cost of a lane is that of its items");
            if !lane.items.is_empty() {
                state.lanes.push_back(lane);
            }
        }
        Some(batch)
    }

    /// Refuses further items. Those that wait are still taken.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, QueueState<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ServiceName {
        ServiceName::new(text).unwrap()
    }

    fn items(batch: Option<Vec<(ServiceName, u32)>>) -> Vec<u32> {
        batch.unwrap().into_iter().map(|(_, item)| item).collect()
    }

    #[test]
    fn items_come_from_the_lanes_in_turn_and_each_lane_keeps_its_order() {
        let queue = FairQueue::new(100);
        for item in [1, 2, 3, 4] {
            queue.push(&name("flood"), item, 1, LaneBound::Holds).unwrap();
        }
        queue.push(&name("quiet"), 10, 1, LaneBound::Holds).unwrap();
        assert_eq!(items(queue.take(3, 100)), [1, 10, 2]);
        queue.push(&name("quiet"), 11, 1, LaneBound::Holds).unwrap();
        assert_eq!(items(queue.take(100, 100)), [3, 11, 4]);
    }

    #[test]
    fn a_full_lane_refuses_items_and_other_lanes_still_take_them() {
        let queue = FairQueue::new(10);
        queue.push(&name("large"), 1, 50, LaneBound::Holds).unwrap();
        assert_eq!(queue.push(&name("large"), 2, 1, LaneBound::Holds), Err(PushError::Full));
        queue.push(&name("small"), 3, 6, LaneBound::Holds).unwrap();
        assert_eq!(queue.push(&name("small"), 4, 6, LaneBound::Holds), Err(PushError::Full));
        queue.push(&name("small"), 5, 4, LaneBound::Holds).unwrap();
        assert_eq!(items(queue.take(2, 100)), [1, 3]);
        queue.push(&name("small"), 6, 6, LaneBound::Holds).unwrap();
        assert_eq!(items(queue.take(9, 4)), [5]);
        assert_eq!(items(queue.take(9, 4)), [6]);
    }

    #[test]
    fn an_item_for_which_the_bound_yields_waits_behind_the_others() {
        let queue = FairQueue::new(10);
        queue.push(&name("a"), 1, 1, LaneBound::Holds).unwrap();
        assert_eq!(queue.push(&name("a"), 2, 50, LaneBound::Holds), Err(PushError::Full));
        queue.push(&name("a"), 3, 50, LaneBound::Yields).unwrap();
        assert_eq!(queue.push(&name("a"), 4, 1, LaneBound::Holds), Err(PushError::Full));
        assert_eq!(items(queue.take(9, 100)), [1, 3]);
    }

    #[test]
    fn a_closed_queue_refuses_items_and_is_still_emptied() {
        let queue = FairQueue::new(10);
        queue.push(&name("a"), 1, 1, LaneBound::Holds).unwrap();
        queue.close();
        assert_eq!(queue.push(&name("a"), 2, 1, LaneBound::Holds), Err(PushError::Closed));
        assert_eq!(items(queue.take(9, 9)), [1]);
        assert!(queue.take(9, 9).is_none());
    }

    #[test]
    fn take_waits_for_an_item() {
        let queue = FairQueue::new(10);
        std::thread::scope(|scope| {
            let taker = scope.spawn(|| items(queue.take(1, 1)));
            queue.push(&name("a"), 7, 1, LaneBound::Holds).unwrap();
            assert_eq!(taker.join().unwrap(), [7]);
        });
    }
}
