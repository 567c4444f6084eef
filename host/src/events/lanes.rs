//! Which event a subscription hands out next.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

/// The events that a subscription has read and not settled, in lanes: one for each key, and one for each event without
/// a key. The first event of a lane is under way, ready, or waits for its next try; those behind it wait for it.
#[derive(Debug)]
pub struct Lanes {
    /// The most events under way.
    concurrency: usize,
    /// The most events held.
    bound: usize,
    held: BTreeMap<u64, LaneEvent>,
    /// The events of each key, in their order.
    keys: HashMap<Arc<str>, VecDeque<u64>>,
    ready: BTreeSet<u64>,
    /// Failed events by the time of their next try.
    due: BTreeSet<(Instant, u64)>,
    under_way: usize,
}

#[derive(Debug)]
struct LaneEvent {
    key: Option<Arc<str>>,
    /// How often it has failed.
    failed: u32,
}

impl Lanes {
    /// Empty lanes of which at most `concurrency` events are under way, and which hold at most `bound`.
    pub fn new(concurrency: usize, bound: usize) -> Self {
        Self {
            concurrency,
            bound,
            held: BTreeMap::new(),
            keys: HashMap::new(),
            ready: BTreeSet::new(),
            due: BTreeSet::new(),
            under_way: 0,
        }
    }

    /// How many more events it takes.
    pub fn room(&self) -> usize {
        self.bound.saturating_sub(self.held.len())
    }

    /// How many events are under way.
    pub fn under_way(&self) -> usize {
        self.under_way
    }

    /// Takes an event, which comes after all of its key that were taken before. It has failed `failed` times; if that
    /// is not 0, it is not ready before `due`.
    pub fn admit(&mut self, number: u64, key: Option<&str>, failed: u32, due: Instant) {
        let key: Option<Arc<str>> = key.map(Into::into);
        let first = key.as_ref().is_none_or(|key| {
            let lane = self.keys.entry(Arc::clone(key)).or_default();
            lane.push_back(number);
            lane.len() == 1
        });
        self.held.insert(number, LaneEvent { key, failed });
        if first {
            self.wait(number, failed, due);
        }
    }

    /// Takes an event without a key that is under way at once: one that is not tried, and waits for its end alone.
    pub fn admit_under_way(&mut self, number: u64) {
        self.held.insert(number, LaneEvent { key: None, failed: 0 });
        self.under_way += 1;
    }

    fn wait(&mut self, number: u64, failed: u32, due: Instant) {
        if failed == 0 {
            self.ready.insert(number);
        } else {
            self.due.insert((due, number));
        }
    }

    /// The next event to try at `now`, which is under way from then on: the oldest that is ready.
    pub fn next(&mut self, now: Instant) -> Option<u64> {
        while let Some(&(due, number)) = self.due.first()
            && due <= now
        {
            self.due.pop_first();
            self.ready.insert(number);
        }
        if self.under_way >= self.concurrency {
            return None;
        }
        let next = self.ready.pop_first()?;
        self.under_way += 1;
        Some(next)
    }

    /// When an event that has failed is due, if one waits.
    pub fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// How often the event has failed.
    pub fn failed(&self, number: u64) -> u32 {
        self.held.get(&number).map_or(0, |held| held.failed)
    }

    /// The event, which is under way, has failed and is tried again at `due`. `counted`: whether that was a failure of
    /// its own.
    pub fn retry(&mut self, number: u64, due: Instant, counted: bool) {
        let Some(held) = self.held.get_mut(&number) else { return };
        held.failed += u32::from(counted);
        self.under_way -= 1;
        self.due.insert((due, number));
    }

    /// The event, which is under way, is settled: the next one of its key may go.
    pub fn settle(&mut self, number: u64) {
        let Some(LaneEvent { key, .. }) = self.held.remove(&number) else { return };
        self.under_way -= 1;
        let Some(key) = key else { return };
        let Some(lane) = self.keys.get_mut(&key) else { return };
        lane.pop_front();
        match lane.front() {
            Some(&next) => drop(self.ready.insert(next)),
            None => drop(self.keys.remove(&key)),
        }
    }

    /// The oldest event that is not settled.
    pub fn oldest(&self) -> Option<u64> {
        self.held.first_key_value().map(|(number, _)| *number)
    }

    /// The oldest event that has failed: its number, its key, and how often. The key is stuck.
    pub fn stuck(&self) -> Option<(u64, Option<&str>, u32)> {
        let (number, held) = self.held.iter().find(|(_, held)| held.failed > 0)?;
        Some((*number, held.key.as_deref(), held.failed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    const BOUND: usize = 12;

    /// Each event with its key, whether it is under way, and until when it waits.
    #[derive(Debug, Clone)]
    struct ModelEvent {
        number: u64,
        key: Option<u8>,
        under_way: bool,
        due: u64,
    }

    /// The naive answer: the first event in order that is the first of its key, not under way, and due.
    fn next(model: &[ModelEvent], now: u64, concurrency: usize) -> Option<usize> {
        if model.iter().filter(|event| event.under_way).count() >= concurrency {
            return None;
        }
        (0..model.len()).find(|&at| {
            let event = &model[at];
            let first = event.key.is_none() || model[..at].iter().all(|before| before.key != event.key);
            first && !event.under_way && event.due <= now
        })
    }

    proptest! {
        #[test]
        fn events_go_out_as_from_a_naive_list(
            concurrency in 1usize..4,
            steps in proptest::collection::vec((0u8..5, any::<u8>()), 1..200),
        ) {
            let start = Instant::now();
            let at = |ms: u64| start + Duration::from_millis(ms);
            let (mut lanes, mut now, mut number) = (Lanes::new(concurrency, BOUND), 0, 0);
            let mut model: Vec<ModelEvent> = Vec::new();
            for (step, draw) in steps {
                let running: Vec<usize> = (0..model.len()).filter(|&at| model[at].under_way).collect();
                let one = running.get(usize::from(draw) % running.len().max(1)).copied();
                match (step, one) {
                    (0 | 1, _) if lanes.room() > 0 => {
                        number += 1;
                        let key = (draw % 4 > 0).then_some(draw % 4);
                        lanes.admit(number, key.map(|key| key.to_string()).as_deref(), 0, start);
                        model.push(ModelEvent { number, key, under_way: false, due: 0 });
                    }
                    (2, Some(one)) => {
                        lanes.settle(model[one].number);
                        model.remove(one);
                    }
                    (3, Some(one)) => {
                        let due = now + u64::from(draw % 7);
                        lanes.retry(model[one].number, at(due), draw % 2 == 0);
                        model[one].under_way = false;
                        model[one].due = due;
                    }
                    _ => now += 1,
                }
                let expected = next(&model, now, concurrency);
                prop_assert_eq!(lanes.next(at(now)), expected.map(|at| model[at].number));
                if let Some(expected) = expected {
                    model[expected].under_way = true;
                }
                prop_assert_eq!(lanes.oldest(), model.first().map(|event| event.number));
                prop_assert_eq!(lanes.room(), BOUND - model.len());
            }
        }
    }

    #[test]
    fn a_failing_key_holds_up_its_own_events_and_no_others() {
        let now = Instant::now();
        let mut lanes = Lanes::new(8, 100);
        for number in 1..=6 {
            lanes.admit(number, Some(if number % 2 == 1 { "bad" } else { "good" }), 0, now);
        }
        assert_eq!((lanes.next(now), lanes.next(now), lanes.next(now)), (Some(1), Some(2), None));
        lanes.retry(1, now + Duration::from_secs(60), true);
        for good in [2, 4, 6] {
            lanes.settle(good);
            assert_eq!(lanes.next(now), (good < 6).then_some(good + 2));
        }
        assert_eq!(lanes.stuck(), Some((1, Some("bad"), 1)));
        assert_eq!(lanes.next_due(), Some(now + Duration::from_secs(60)));
        assert_eq!(lanes.next(now + Duration::from_secs(60)), Some(1));
        lanes.settle(1);
        assert_eq!((lanes.next(now), lanes.stuck()), (Some(3), None));
    }
}
