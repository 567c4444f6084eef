//! The p99 of one route's recent requests, in fixed memory and without a lock.

use std::array::from_fn;
use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Parts of an octave: a bucket is a sixteenth of its octave wide, so the estimate is off by 6 % at most.
const PARTS: usize = 16;
/// The first octave begins at 2¹⁰ ns, about a microsecond.
const FIRST: u32 = 10;
/// The last one ends at 2³⁷ ns, more than two minutes.
const OCTAVES: usize = 27;
const BUCKETS: usize = PARTS * OCTAVES;
/// So few requests have no p99.
const LEAST: u32 = 100;
/// The threshold is computed anew after so many requests.
const RENEW: u32 = 64;
/// At so many requests all counts are halved, so that the recent ones count most.
const HALVE: u32 = 8192;

/// Knows when a request is slower than 99 in 100 of its route. Whoever serves the route has it, and hands it on where
/// another manifest has the same route: it knows nothing of positions.
///
/// Many threads may add to it at once. Of a halving and an addition that race, the addition may be lost, or be halved
/// with the others: an estimate bears that.
pub struct SlowThreshold {
    /// Made by the first request.
    buckets: OnceLock<Box<[AtomicU32; BUCKETS]>>,
    count: AtomicU32,
    /// In nanoseconds; `u64::MAX` while there are too few requests.
    threshold: AtomicU64,
}

impl Default for SlowThreshold {
    fn default() -> Self {
        Self { buckets: OnceLock::new(), count: AtomicU32::new(0), threshold: AtomicU64::new(u64::MAX) }
    }
}

impl fmt::Debug for SlowThreshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SlowThreshold({} ns)", self.threshold.load(Relaxed))
    }
}

impl SlowThreshold {
    /// Adds a request that took so long. Whether it is slower than the p99 of those before it.
    pub(super) fn add(&self, took: Duration) -> bool {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let is_slow = nanos > self.threshold.load(Relaxed);
        let buckets = self.buckets.get_or_init(|| Box::new(from_fn(|_| AtomicU32::new(0))));
        buckets[bucket(nanos)].fetch_add(1, Relaxed);
        let count = self.count.fetch_add(1, Relaxed) + 1;
        if count >= LEAST && count.is_multiple_of(RENEW) {
            self.renew(buckets, count >= HALVE);
        }
        is_slow
    }

    fn renew(&self, buckets: &[AtomicU32; BUCKETS], halve: bool) {
        let counts: Vec<u32> = buckets.iter().map(|bucket| bucket.load(Relaxed)).collect();
        let total: u64 = counts.iter().map(|count| u64::from(*count)).sum();
        // So many are slower, or as slow.
        let beyond = total / 100;
        let mut above = 0;
        for (at, count) in counts.iter().enumerate().rev() {
            let count = u64::from(*count);
            if above + count > beyond {
                // Within the bucket the requests are taken to be spread evenly.
                let (low, high) = (lower(at), lower(at + 1));
                let part = u128::from(high - low) * u128::from(beyond - above) / u128::from(count);
                self.threshold.store(high - u64::try_from(part).unwrap_or(0), Relaxed);
                break;
            }
            above += count;
        }
        if halve {
            for (bucket, count) in buckets.iter().zip(&counts) {
                bucket.fetch_sub(count.div_ceil(2).min(*count), Relaxed);
            }
            self.count.store(HALVE / 2, Relaxed);
        }
    }
}

/// The bucket of a duration.
fn bucket(nanos: u64) -> usize {
    let octave = (nanos.max(1).ilog2()).max(FIRST);
    let octave_start = 1_u64 << octave.min(63);
    let part = nanos.saturating_sub(octave_start) / (octave_start / PARTS as u64);
    let part = usize::try_from(part).unwrap_or(PARTS).min(PARTS - 1);
    ((octave - FIRST) as usize * PARTS + part).min(BUCKETS - 1)
}

/// The shortest duration of a bucket, in nanoseconds.
fn lower(bucket: usize) -> u64 {
    let start = 1_u64 << (FIRST as usize + bucket / PARTS);
    start + start / PARTS as u64 * (bucket % PARTS) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_few_requests_have_no_p99() {
        let threshold = SlowThreshold::default();
        let slow = (0..127).filter(|_| threshold.add(Duration::from_secs(9))).count();
        assert_eq!(slow, 0);
    }

    #[test]
    fn about_one_in_a_hundred_is_slow_and_each_far_slower_one() {
        let threshold = SlowThreshold::default();
        // 1 to 1,000 ms, in an order that repeats each value once.
        let took = |n: u64| Duration::from_millis(1 + n * 7919 % 1000);
        for n in 0..1000 {
            threshold.add(took(n));
        }
        let slow: Vec<Duration> = (1000..9000).map(took).filter(|took| threshold.add(*took)).collect();
        assert!((40..=160).contains(&slow.len()), "{}", slow.len());
        assert!(slow.iter().all(|took| took.as_millis() > 930), "{slow:?}");
        assert!(threshold.add(Duration::from_secs(2)));
    }

    #[test]
    fn it_follows_a_route_that_has_become_slower() {
        let threshold = SlowThreshold::default();
        for _ in 0..20_000 {
            threshold.add(Duration::from_millis(1));
        }
        assert!(threshold.add(Duration::from_millis(10)));
        for _ in 0..20_000 {
            threshold.add(Duration::from_millis(10));
        }
        assert!(!threshold.add(Duration::from_millis(10)));
    }

    #[test]
    fn requests_that_take_the_same_time_are_not_slow() {
        let threshold = SlowThreshold::default();
        let slow = (0..10_000).filter(|_| threshold.add(Duration::from_micros(50))).count();
        assert_eq!(slow, 0);
    }

    proptest! {
        #[test]
        fn a_duration_is_in_its_bucket(nanos: u64) {
            let at = bucket(nanos);
            prop_assert!(at < BUCKETS);
            prop_assert!(at == 0 || lower(at) <= nanos);
            prop_assert!(at == BUCKETS - 1 || nanos < lower(at + 1));
        }
    }
}
