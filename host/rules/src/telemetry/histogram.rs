//! A histogram of durations that is filled without a lock.

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use std::array::from_fn;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Durations in `N` buckets. Many threads may add to it at once: that takes two atomic additions, where
/// `prometheus_client`'s own histogram takes a lock.
pub(super) struct Histogram<const N: usize> {
    /// The upper bound of each bucket in microseconds, rising.
    bounds: &'static [u64; N],
    counts: [AtomicU64; N],
    /// Durations above the last bound.
    beyond: AtomicU64,
    /// The sum of all durations in nanoseconds. It wraps after 584 years of durations.
    nanos: AtomicU64,
}

/// A histogram at one moment, as it is written.
pub(super) struct HistogramSnapshot {
    /// The sum of all durations in seconds.
    sum: f64,
    count: u64,
    /// The upper bound of each bucket in seconds, and the durations in it alone. The last bound
    /// is infinite: it is written as `+Inf`.
    buckets: Vec<(f64, u64)>,
}

impl<const N: usize> Histogram<N> {
    /// An empty histogram with these upper bounds in microseconds, rising.
    pub(super) fn new(bounds: &'static [u64; N]) -> Self {
        Self { bounds, counts: from_fn(|_| AtomicU64::new(0)), beyond: AtomicU64::new(0), nanos: AtomicU64::new(0) }
    }

    /// Adds a duration. One that equals a bound counts below it.
    pub(super) fn observe(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.counts.get(self.bucket(duration)).unwrap_or(&self.beyond).fetch_add(1, Relaxed);
        self.nanos.fetch_add(nanos, Relaxed);
    }

    /// Whether no duration was added.
    pub(super) fn is_empty(&self) -> bool {
        self.counts().all(|count| count == 0)
    }

    /// How many durations are in each bucket alone, those beyond the last bound at the end.
    pub(super) fn counts(&self) -> impl Iterator<Item = u64> {
        self.counts.iter().chain([&self.beyond]).map(|count| count.load(Relaxed))
    }

    /// The bucket in which a duration counts.
    pub(super) fn bucket(&self, duration: Duration) -> usize {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.bounds.partition_point(|bound| bound * 1_000 < nanos)
    }

    /// What it holds now.
    pub(super) fn snapshot(&self) -> HistogramSnapshot {
        let counts = self.counts.iter().map(|count| count.load(Relaxed));
        #[expect(clippy::cast_precision_loss, reason = "bounds are below 2⁵³, and the sum need not be exact beyond it")]
        let (bounds, sum) =
            (self.bounds.iter().map(|bound| *bound as f64 / 1e6), self.nanos.load(Relaxed) as f64 / 1e9);
        let mut buckets: Vec<_> = bounds.zip(counts).collect();
        buckets.push((f64::INFINITY, self.beyond.load(Relaxed)));
        // The count is that of the buckets that were read, so that both always agree.
        HistogramSnapshot { sum, count: buckets.iter().map(|(_, count)| count).sum(), buckets }
    }
}

impl HistogramSnapshot {
    /// Adds what a histogram with the same bounds holds.
    pub(super) fn add(&mut self, other: &Self) {
        self.sum += other.sum;
        self.count += other.count;
        for ((_, own), (_, count)) in self.buckets.iter_mut().zip(&other.buckets) {
            *own += count;
        }
    }

    /// The same durations in fewer buckets: those up to each of `bounds` in microseconds, which are some of its own.
    pub(super) fn coarser(&self, bounds: &[u64]) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "bounds are below 2⁵³")]
        let bounds = bounds.iter().map(|bound| *bound as f64 / 1e6).chain([f64::INFINITY]);
        let mut left = self.buckets.iter().peekable();
        let buckets = bounds.map(|bound| {
            let mut count = 0;
            while let Some((_, own)) = left.next_if(|(own, _)| *own <= bound) {
                count += own;
            }
            (bound, count)
        });
        Self { sum: self.sum, count: self.count, buckets: buckets.collect() }
    }

    /// The sum of all durations in seconds.
    pub(super) fn sum(&self) -> f64 {
        self.sum
    }

    /// How many durations there are.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The upper bound of each bucket in seconds, and the durations in it alone.
    pub(super) fn buckets(&self) -> &[(f64, u64)] {
        &self.buckets
    }

    /// Whether no duration was added.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl EncodeMetric for HistogramSnapshot {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        encoder.encode_histogram::<NoLabelSet>(self.sum, self.count, &self.buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_in_the_first_bucket_that_holds_it() {
        let histogram = Histogram::new(&[1_000, 2_500]);
        assert!(histogram.is_empty() && histogram.snapshot().is_empty());
        for micros in [0, 1_000, 1_001, 2_500, 2_501, 4_000_000] {
            histogram.observe(Duration::from_micros(micros));
        }
        histogram.observe(Duration::from_nanos(2_500_001));
        assert!(!histogram.is_empty());
        let HistogramSnapshot { sum, count, buckets } = histogram.snapshot();
        assert_eq!((count, buckets), (7, vec![(0.001, 2), (0.0025, 2), (f64::INFINITY, 3)]));
        assert!((sum - 4.009_502_001).abs() < 1e-9, "{sum}");
    }

    #[test]
    fn histograms_add_up_and_get_coarser_without_losing_a_duration() {
        let (one, other) = (Histogram::new(&[1_000, 2_500, 5_000]), Histogram::new(&[1_000, 2_500, 5_000]));
        for micros in [500, 2_000, 4_000] {
            one.observe(Duration::from_micros(micros));
            other.observe(Duration::from_micros(micros + 2_000));
        }
        let mut both = one.snapshot();
        both.add(&other.snapshot());
        assert_eq!(
            (both.count, &both.buckets[..]),
            (6, &[(0.001, 1), (0.0025, 2), (0.005, 2), (f64::INFINITY, 1)][..])
        );
        let coarser = both.coarser(&[2_500]);
        assert_eq!((coarser.count, &coarser.buckets[..]), (6, &[(0.0025, 3), (f64::INFINITY, 3)][..]));
        assert!((coarser.sum - 0.019).abs() < 1e-9, "{}", coarser.sum);
    }
}
