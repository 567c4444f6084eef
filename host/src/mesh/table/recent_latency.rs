//! How long an endpoint's recent answers took.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A new sample counts for an eighth of the average, as in TCP's round-trip time (RFC 6298, section 2).
const SMOOTHING: u64 = 8;

/// A moving average of latencies, for people. The balancer has an average of its own, in which a failure counts as a
/// long latency: that one is no latency that anybody has measured.
#[derive(Debug, Default)]
pub(crate) struct RecentLatency {
    /// In nanoseconds; 0 before the first sample. Two threads that write at once may lose a sample.
    nanos: AtomicU64,
}

impl RecentLatency {
    /// Adds a sample.
    pub(crate) fn note(&self, took: Duration) {
        let sample = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).clamp(1, u64::MAX / 2);
        let before = self.nanos.load(Relaxed);
        let after = if before == 0 { sample } else { before - before / SMOOTHING + sample / SMOOTHING };
        self.nanos.store(after, Relaxed);
    }

    /// The average; `None` before the first sample.
    pub(crate) fn average(&self) -> Option<Duration> {
        let nanos = self.nanos.load(Relaxed);
        (nanos > 0).then(|| Duration::from_nanos(nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_average_stays_between_the_samples_and_follows_them() {
        let latency = RecentLatency::default();
        assert_eq!(latency.average(), None);
        latency.note(Duration::from_millis(8));
        assert_eq!(latency.average(), Some(Duration::from_millis(8)));
        latency.note(Duration::from_millis(16));
        assert_eq!(latency.average(), Some(Duration::from_millis(9)));
        for _ in 0..64 {
            latency.note(Duration::from_millis(16));
        }
        let average = latency.average().expect("there were samples");
        assert!((15_990..=16_000).contains(&average.as_micros()), "{average:?}");
    }

    #[test]
    fn the_longest_and_the_shortest_sample_do_not_overflow() {
        let latency = RecentLatency::default();
        latency.note(Duration::ZERO);
        assert_eq!(latency.average(), Some(Duration::from_nanos(1)));
        latency.note(Duration::MAX);
        latency.note(Duration::MAX);
        assert!(latency.average() < Some(Duration::from_nanos(u64::MAX / 2)));
    }
}
