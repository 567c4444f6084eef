//! What a shadow has found: how many calls were compared, and where they differ.

use super::difference::Difference;
use super::playback::PlaybackReport;
use crate::base::counted;

/// The most places of differences that are told apart.
const MOST_PLACES: usize = 64;

/// The counts of one shadow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShadowTally {
    /// Calls that were compared.
    pub compared: u64,
    /// Of these: calls that differ.
    pub differing: u64,
    /// Calls that could not be compared to their end: the candidate asked for something that was not recorded.
    pub stopped: u64,
    /// Calls that were not compared: the shadow was busy, or they were larger than a recording may be.
    pub skipped: u64,
    /// The differences by their places, in the order in which they were found; at most 64.
    pub places: Vec<DifferenceCount>,
}

/// How many calls differ at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DifferenceCount {
    /// The first of them, as a sample: masked by rule.
    pub sample: Difference,
    /// How many calls.
    pub calls: u64,
    /// The number of the recording in which it was found first; 0: that one is not kept.
    pub recording: u64,
    /// The request in which it was found first.
    pub request: String,
}

impl ShadowTally {
    /// Counts one replay.
    pub fn count(&mut self, report: &PlaybackReport, number: u64, request: &str) {
        self.compared += 1;
        if report.is_equal() {
            return;
        }
        self.differing += u64::from(!report.differences.is_empty());
        self.stopped += u64::from(report.stopped.is_some());
        let new = report.stopped.iter().map(|new| {
            let place = super::difference::general(new);
            Difference { place, was: super::difference::NOTHING.into(), is: new.clone() }
        });
        let mut seen: Vec<&str> = Vec::new();
        let all: Vec<_> = report.differences.iter().cloned().chain(new).collect();
        for difference in &all {
            // A list of which all items differ is one call.
            if seen.contains(&difference.place.as_str()) {
                continue;
            }
            seen.push(&difference.place);
            if let Some(count) = self.places.iter_mut().find(|count| count.sample.place == difference.place) {
                count.calls += 1;
            } else if self.places.len() < MOST_PLACES {
                let (sample, request) = (difference.clone(), request.to_owned());
                self.places.push(DifferenceCount { sample, calls: 1, recording: number, request });
            }
        }
    }

    /// How it stands, in one sentence.
    pub fn in_words(&self) -> String {
        let Self { compared, differing, stopped, skipped, places } = self;
        let compared = counted(*compared, "call", "calls");
        let mut text = format!("{compared} compared in the shadow, {differing} differ");
        if *stopped > 0 {
            text.push_str(&format!(", {stopped} ask for something new"));
        }
        if *skipped > 0 {
            text.push_str(&format!(", {skipped} skipped"));
        }
        if let Some(first) = places.first() {
            text.push_str(&format!("; first of {}: {}", places.len(), first.sample.in_words()));
        }
        text
    }

    /// Whether the candidate did something else than the revision that serves.
    pub fn differs(&self) -> bool {
        self.differing + self.stopped > 0
    }
}
