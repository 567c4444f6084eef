//! What one instance has handed over so far.

use super::guest_sample::{GuestSample, GuestValue, SampleStart};
use std::collections::HashMap;
use std::hash::BuildHasher;

/// The most series of which the last value is remembered. Further ones are left out.
const MOST: usize = 256;
/// The most numbers of their histograms, bounds and counts. With 64 bytes for each series this is 32 KiB, and 50 KiB
/// with what a table and its parts take beside.
const MOST_NUMBERS: usize = 2_048;

/// The last values of the series of one instance: what it hands over next is cumulative, and only the difference is
/// new. They are no part of the memory that an instance may have, so they are small and bounded.
#[derive(Debug, Default)]
pub struct GuestCounters {
    /// By the hashes of their names and labels, which are long. The hash has a random key of this instance.
    last: HashMap<u64, GuestValue>,
    numbers: usize,
}

/// The name of a series, with its labels.
pub(super) type SeriesKey = (String, Vec<(String, String)>);

impl GuestCounters {
    /// What `sample` adds to what its instance has handed over before. `None`: it cannot be added, or is one too many.
    pub fn news(&mut self, sample: &GuestSample) -> Option<GuestValue> {
        if !sample.value.is_right() {
            return None;
        }
        if sample.since == SampleStart::Last || matches!(sample.value, GuestValue::Gauge(_)) {
            return Some(sample.value.clone());
        }
        let key = self.last.hasher().hash_one((&sample.name, &sample.labels));
        let before = self.last.get(&key);
        let numbers = self.numbers - before.map_or(0, GuestValue::numbers) + sample.value.numbers();
        if numbers > MOST_NUMBERS || (before.is_none() && self.last.len() >= MOST) {
            return None;
        }
        let news = before.map_or_else(|| sample.value.clone(), |before| sample.value.since(before));
        self.numbers = numbers;
        self.last.insert(key, sample.value.clone());
        Some(news)
    }
}
