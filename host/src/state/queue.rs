//! The commits that wait for the writer: one lane a service, emptied in turns.

use crate::base::ServiceName;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Why an item was not taken in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PushError {
    /// The service's lane is full.
    Full,
    /// The queue is closed.
    Closed,
}

/// A queue with a bound on each lane. Pushing never blocks; taking blocks until something is there.
pub(super) struct Queue<T> {
    state: Mutex<QueueState<T>>,
    filled: Condvar,
    /// Most cost that a lane holds.
    bound: usize,
}

struct QueueState<T> {
    /// Only lanes that hold something; the front one is next.
    lanes: VecDeque<Lane<T>>,
    closed: bool,
}

struct Lane<T> {
    name: ServiceName,
    items: VecDeque<(T, usize)>,
    cost: usize,
}

impl<T> Queue<T> {
    /// An empty queue whose lanes each hold items of `bound` cost in all.
    pub(super) fn new(bound: usize) -> Self {
        let state = QueueState { lanes: VecDeque::new(), closed: false };
        Self { state: Mutex::new(state), filled: Condvar::new(), bound }
    }

    /// Puts `item` at the end of the lane of `name`. An empty lane takes anything, so that no bound is too small for a single item.
    pub(super) fn push(&self, name: &ServiceName, item: T, cost: usize) -> Result<(), PushError> {
        let mut state = self.lock();
        if state.closed {
            return Err(PushError::Closed);
        }
        match state.lanes.iter_mut().find(|lane| lane.name == *name) {
            Some(lane) if lane.cost + cost > self.bound => return Err(PushError::Full),
            Some(lane) => {
                lane.items.push_back((item, cost));
                lane.cost += cost;
            }
            None => state.lanes.push_back(Lane { name: name.clone(), items: VecDeque::from([(item, cost)]), cost }),
        }
        self.filled.notify_one();
        Ok(())
    }

    /// Waits for an item and takes it with those that wait beside it, one of each lane in turn, until there are `max_items` or their cost
    /// reaches `max_cost`. `None` once the queue is closed and empty.
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
            let (item, cost) = lane.items.pop_front().expect("a lane that is kept holds something");
            lane.cost -= cost;
            total += cost;
            batch.push((lane.name.clone(), item));
            if !lane.items.is_empty() {
                state.lanes.push_back(lane);
            }
        }
        Some(batch)
    }

    /// Refuses further items; those that wait are still taken.
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
    fn lanes_take_turns_and_each_keeps_its_order() {
        let queue = Queue::new(100);
        for item in [1, 2, 3, 4] {
            queue.push(&name("flood"), item, 1).unwrap();
        }
        queue.push(&name("quiet"), 10, 1).unwrap();
        assert_eq!(items(queue.take(3, 100)), [1, 10, 2]);
        queue.push(&name("quiet"), 11, 1).unwrap();
        assert_eq!(items(queue.take(100, 100)), [3, 11, 4]);
    }

    #[test]
    fn a_full_lane_refuses_and_the_others_do_not() {
        let queue = Queue::new(10);
        queue.push(&name("large"), 1, 50).unwrap();
        assert_eq!(queue.push(&name("large"), 2, 1), Err(PushError::Full));
        queue.push(&name("small"), 3, 6).unwrap();
        assert_eq!(queue.push(&name("small"), 4, 6), Err(PushError::Full));
        queue.push(&name("small"), 5, 4).unwrap();
        assert_eq!(items(queue.take(2, 100)), [1, 3]);
        queue.push(&name("small"), 6, 6).unwrap();
        assert_eq!(items(queue.take(9, 4)), [5]);
        assert_eq!(items(queue.take(9, 4)), [6]);
    }

    #[test]
    fn a_closed_queue_is_emptied_first() {
        let queue = Queue::new(10);
        queue.push(&name("a"), 1, 1).unwrap();
        queue.close();
        assert_eq!(queue.push(&name("a"), 2, 1), Err(PushError::Closed));
        assert_eq!(items(queue.take(9, 9)), [1]);
        assert!(queue.take(9, 9).is_none());
    }

    #[test]
    fn taking_waits_for_an_item() {
        let queue = Queue::new(10);
        std::thread::scope(|scope| {
            let taker = scope.spawn(|| items(queue.take(1, 1)));
            queue.push(&name("a"), 7, 1).unwrap();
            assert_eq!(taker.join().unwrap(), [7]);
        });
    }
}
