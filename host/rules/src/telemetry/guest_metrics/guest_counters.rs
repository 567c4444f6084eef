//! What one instance has handed over so far.

use super::guest_sample::{GuestSample, GuestValue, SampleStart};
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// The most series of which the last value is remembered. Further ones are left out.
const MOST: usize = 256;

/// The last values of the series of one instance: what it hands over next is cumulative, and only the difference is
/// new.
#[derive(Debug, Default)]
pub struct GuestCounters {
    last: HashMap<SeriesKey, GuestValue>,
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
        let is_full = self.last.len() >= MOST;
        match self.last.entry((sample.name.clone(), sample.labels.clone())) {
            Entry::Occupied(mut last) => Some(sample.value.since(&last.insert(sample.value.clone()))),
            Entry::Vacant(_) if is_full => None,
            Entry::Vacant(place) => {
                place.insert(sample.value.clone());
                Some(sample.value.clone())
            }
        }
    }
}
