//! Who calls a service: a counter of calls and failures for each of its callers.

use crate::base::ServiceName;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The most callers that are counted apart. A manifest grants calls, so there are few; the calls of further ones are
/// counted together.
const MOST: usize = 32;
/// Who the calls of further callers are said to be of: no service has such a name.
const OTHERS: &str = "(others)";

/// The calls of one service by their callers. A caller gets its place by its first call; finding it takes no lock.
#[derive(Default)]
pub(super) struct CallerCounters {
    places: [OnceLock<CallerPlace>; MOST],
    others: CallCounts,
}

/// A caller, with its counts.
struct CallerPlace {
    caller: ServiceName,
    counts: CallCounts,
}

#[derive(Default)]
struct CallCounts {
    calls: AtomicU64,
    failures: AtomicU64,
}

impl CallerCounters {
    /// Counts a call by `caller`.
    pub(super) fn count(&self, caller: &ServiceName, failed: bool) {
        let counts = self.of(caller);
        counts.calls.fetch_add(1, Relaxed);
        if failed {
            counts.failures.fetch_add(1, Relaxed);
        }
    }

    fn of(&self, caller: &ServiceName) -> &CallCounts {
        for place in &self.places {
            // Two callers that race for a free place: one gets it, and the other one goes on to the next.
            let place = place.get_or_init(|| CallerPlace { caller: caller.clone(), counts: CallCounts::default() });
            if place.caller == *caller {
                return &place.counts;
            }
        }
        &self.others
    }

    /// Each caller with its calls, and how many of them failed.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, u64, u64)> {
        let read = |counts: &CallCounts| (counts.calls.load(Relaxed), counts.failures.load(Relaxed));
        let places = self.places.iter().filter_map(OnceLock::get);
        let named = places.map(move |place| {
            let (calls, failures) = read(&place.counts);
            (place.caller.as_str(), calls, failures)
        });
        let (calls, failures) = read(&self.others);
        named.chain((calls > 0).then_some((OTHERS, calls, failures)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_caller_counts_apart_up_to_a_bound() {
        let counters = CallerCounters::default();
        let name = |n: usize| ServiceName::new(&format!("caller-{n}")).unwrap();
        for n in 0..MOST + 5 {
            counters.count(&name(n), n % 2 == 0);
            counters.count(&name(n), false);
        }
        let all: Vec<_> = counters.iter().collect();
        assert_eq!(all.len(), MOST + 1);
        assert_eq!((all[0], all[1], all[MOST]), (("caller-0", 2, 1), ("caller-1", 2, 0), (OTHERS, 10, 3)));
    }

    #[test]
    fn callers_that_race_for_a_place_lose_no_call() {
        let counters = CallerCounters::default();
        std::thread::scope(|scope| {
            for n in 0..4 {
                let counters = &counters;
                scope.spawn(move || {
                    let name = ServiceName::new(&format!("caller-{n}")).unwrap();
                    (0..1000).for_each(|_| counters.count(&name, false));
                });
            }
        });
        let mut all: Vec<_> = counters.iter().map(|(name, calls, _)| (name.to_owned(), calls)).collect();
        all.sort();
        assert_eq!(all, (0..4).map(|n| (format!("caller-{n}"), 1000)).collect::<Vec<_>>());
    }
}
