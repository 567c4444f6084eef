//! A limiter against a token bucket for each key, counted in whole intervals.

mod many_keys;
mod quotas;
mod work;

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A token bucket as a textbook has it: it fills by one each interval, up to the burst. In nanoseconds, so that the
/// model is exact.
struct Model {
    interval: u128,
    burst: u128,
    /// For each key: the credit, in nanoseconds of refilling, and the moment at which that was so.
    credit: BTreeMap<u64, (u128, u128)>,
}

impl Model {
    fn new(rate: &Rate) -> Self {
        let interval = rate.period().as_nanos() / u128::from(rate.count());
        Self { interval, burst: u128::from(rate.burst()), credit: BTreeMap::new() }
    }

    fn admit(&mut self, key: u64, now: u128) -> (bool, u128) {
        let most = self.burst * self.interval;
        let (credit, then) = self.credit.get(&key).copied().unwrap_or((most, now));
        let credit = (credit + (now - then)).min(most);
        let admitted = credit >= self.interval;
        let left = if admitted { credit - self.interval } else { credit };
        self.credit.insert(key, (left, now));
        (admitted, left / self.interval)
    }
}

fn rate() -> impl Strategy<Value = Rate> {
    (1_u32..200, 1_u64..20_000, 1_u32..30)
        .prop_map(|(count, millis, burst)| Rate::new(count, Duration::from_millis(millis), burst).expect("legal"))
}

/// Requests: the pause before each, in microseconds, and its key.
fn requests() -> impl Strategy<Value = Vec<(u64, u64)>> {
    prop::collection::vec((prop_oneof![Just(0), 0_u64..3000, 0_u64..3_000_000], 0_u64..6), 1..200)
}

/// A key as a hash: its set depends on the high bits.
fn hash(key: u64) -> u64 {
    key.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1
}

proptest! {
    #[test]
    fn a_limiter_admits_what_a_token_bucket_admits(rate in rate(), requests in requests()) {
        let origin = Instant::now();
        let limiter = Limiter::new(rate, 1024, origin);
        let (mut model, mut micros) = (Model::new(&rate), 0_u64);
        for (pause, key) in requests {
            micros += pause;
            let now = origin + Duration::from_micros(micros);
            let (admitted, remaining) = model.admit(key, u128::from(micros) * 1000);
            let allowance = limiter.admit(hash(key), now);
            prop_assert_eq!((allowance.admitted, u128::from(allowance.remaining)), (admitted, remaining));
            if !admitted {
                // The wait is neither too long nor too short. The request is given back: the model has not seen it.
                let later = now + allowance.reset;
                prop_assert!(!limiter.admit(hash(key), later - Duration::from_nanos(1)).admitted);
                prop_assert!(limiter.admit(hash(key), later).admitted);
                limiter.give_back(hash(key), later);
            }
        }
        prop_assert_eq!(limiter.shared(), 0);
    }

    #[test]
    fn a_full_table_refills_no_bucket(requests in prop::collection::vec(0_u64..400, 1..600)) {
        // A table of one set. The first key floods; whoever comes later must not get it a new bucket.
        let origin = Instant::now();
        let rate = Rate::new(1, Duration::from_secs(1000), 3).expect("legal");
        let limiter = Limiter::new(rate, 8, origin);
        let mut admitted = BTreeMap::<u64, u32>::new();
        for key in requests {
            *admitted.entry(key).or_default() += u32::from(limiter.admit(hash(key), origin).admitted);
        }
        prop_assert!(admitted.values().all(|count| *count <= 3));
        // Eight buckets of their own and a shared one.
        prop_assert!(admitted.values().sum::<u32>() <= 9 * 3);
    }
}

#[test]
fn a_rate_has_bounds() {
    let second = Duration::from_secs(1);
    assert!(Rate::new(100, second, 20).is_some());
    for (count, period, burst) in
        [(0, second, 1), (1, second, 0), (1, Duration::ZERO, 1), (1, 2 * Rate::LONGEST, 1), (u32::MAX, second, 1)]
    {
        assert_eq!(Rate::new(count, period, burst), None);
    }
}

#[test]
fn a_long_burst_does_not_overflow() {
    let rate = Rate::new(1, Rate::LONGEST, u32::MAX).expect("legal");
    let (origin, hour) = (Instant::now(), Duration::from_secs(3600));
    let limiter = Limiter::new(rate, 8, origin);
    for at in 0..100 {
        assert!(limiter.admit(1, origin + hour * at).admitted);
    }
}
