//! A quota against a naive count for each key, with crashes.

use super::hash;
use crate::limit::{Quota, QuotaAnswer, QuotaEntry, QuotaTable};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// What happens to a host.
#[derive(Debug, Clone)]
enum Event {
    Request(u64),
    /// It is killed, and starts again with what is on disk.
    Crash,
    Seconds(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        40 => (0_u64..4).prop_map(Event::Request),
        1 => Just(Event::Crash),
        1 => (0_u64..50).prop_map(Event::Seconds),
    ]
}

/// A table and its disk.
struct Host {
    quota: Quota,
    table: QuotaTable,
    disk: BTreeMap<(u64, u64), u32>,
    unix: Duration,
}

impl Host {
    fn new(quota: Quota) -> Self {
        Self { quota, table: QuotaTable::new(quota, 1000), disk: BTreeMap::new(), unix: MINUTE * 1000 }
    }

    fn window(&self) -> u64 {
        self.quota.window_at(self.unix)
    }

    fn take(&mut self, key: u64) -> Option<u32> {
        loop {
            match self.table.take(hash(key), self.unix) {
                QuotaAnswer::Admitted { remaining, .. } => return Some(remaining),
                QuotaAnswer::UsedUp { .. } => return None,
                QuotaAnswer::Save(entry) => {
                    self.disk.insert((entry.window, entry.key), entry.count);
                    self.table.saved(entry);
                }
            }
        }
    }

    fn crash(&mut self) {
        self.table = QuotaTable::new(self.quota, 1000);
        let current = self.window();
        for ((window, key), count) in self.disk.iter().filter(|((window, _), _)| *window == current) {
            self.table.load(QuotaEntry { window: *window, key: *key, count: *count });
        }
    }
}

proptest! {
    #[test]
    fn a_crash_gives_nothing_back_and_takes_a_hundredth_at_most(
        most in prop_oneof![1_u32..5, 100_u32..400],
        events in prop::collection::vec(event(), 1..1500),
    ) {
        let mut host = Host::new(Quota::new(most, MINUTE).expect("legal"));
        let (mut admitted, mut crashes) = (BTreeMap::<u64, u32>::new(), 0);
        let step = (most / 100).max(1);
        for event in events {
            let before = host.window();
            match event {
                Event::Crash => {
                    host.crash();
                    crashes += 1;
                }
                Event::Seconds(seconds) => host.unix += Duration::from_secs(seconds),
                Event::Request(key) => {
                    let count = admitted.entry(key).or_default();
                    match host.take(key) {
                        Some(remaining) => {
                            *count += 1;
                            prop_assert!(*count + remaining <= most, "nobody gets more than the quota");
                            prop_assert!(*count + remaining + crashes * step >= most, "nor far less");
                        }
                        None => prop_assert!(*count + crashes * step >= most),
                    }
                }
            }
            if host.window() != before {
                (admitted, crashes) = (BTreeMap::new(), 0);
            }
        }
    }
}

#[test]
fn a_full_table_has_the_late_ones_share() {
    let table = QuotaTable::new(Quota::new(2, MINUTE).expect("legal"), 3);
    let take = |key: u64| loop {
        match table.take(hash(key), MINUTE) {
            QuotaAnswer::Admitted { .. } => return true,
            QuotaAnswer::UsedUp { .. } => return false,
            QuotaAnswer::Save(entry) => table.saved(entry),
        }
    };
    let admitted = (0..100).filter(|key| take(*key)).count();
    assert_eq!(admitted, 3 + 2, "three with a count of their own, and the two of the shared one");
    assert_eq!(table.in_use(), 4);
    assert!(take(0) && take(1) && take(2) && !take(0), "who has a count keeps it");
}

#[test]
fn a_clock_that_is_set_back_begins_no_window_anew() {
    let table = QuotaTable::new(Quota::new(1, MINUTE).expect("legal"), 3);
    let take = |unix: Duration| match table.take(5, unix) {
        QuotaAnswer::Save(entry) => {
            table.saved(entry);
            matches!(table.take(5, unix), QuotaAnswer::Admitted { .. })
        }
        answer => matches!(answer, QuotaAnswer::Admitted { .. }),
    };
    assert!(take(MINUTE * 10) && !take(MINUTE * 10) && !take(MINUTE * 9) && take(MINUTE * 11));
}

#[test]
fn a_quota_has_bounds() {
    assert!(Quota::new(1, MINUTE).is_some() && Quota::new(u32::MAX, MINUTE * 1440 * 366).is_some());
    for (most, window) in [(0, MINUTE), (1, Duration::from_secs(59)), (1, MINUTE * 1440 * 367), (1, MINUTE * 3 / 2)] {
        assert_eq!(Quota::new(most, window), None, "{most} in {window:?}");
    }
}
