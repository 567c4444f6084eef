//! Recordings and shadows, as the admin shows them.

use crate::admin::{DifferenceView, RecordingView, ShadowView};
use crate::recording::{DifferenceCount, Recording, ShadowTally};
use crate::rollout::ShadowState;
use crate::runtime::RecordingPlace;

/// All recordings, the last one first.
pub(super) fn recordings(place: &RecordingPlace) -> Vec<RecordingView> {
    place.store.list().iter().map(|(recording, bytes)| view(recording, *bytes)).collect()
}

fn view(recording: &Recording, bytes: usize) -> RecordingView {
    RecordingView {
        number: recording.number,
        request: recording.request.clone(),
        service: recording.service.clone(),
        revision: recording.revision.chars().take(12).collect(),
        call: recording.call.in_words(),
        outcome: recording.outcome.in_words(),
        failed: recording.has_failed(),
        began: recording.began,
        bytes,
    }
}

/// The file of a recording, masked by rule.
pub(super) fn file(place: &RecordingPlace, id: &str, service: Option<&str>) -> Option<Vec<u8>> {
    place.store.find(id, service).map(|recording| place.rules.masked(&recording).to_file())
}

/// What a shadow has found.
pub(super) fn shadow(state: &ShadowState) -> ShadowView {
    let ShadowState { is_under_way, lasts, tally } = state;
    let ShadowTally { compared, differing, stopped, skipped, places } = tally.clone();
    ShadowView {
        under_way: *is_under_way,
        seconds: lasts.as_secs(),
        compared,
        differing,
        stopped,
        skipped,
        differences: places.into_iter().map(difference).collect(),
    }
}

fn difference(DifferenceCount { sample, calls, recording, request }: DifferenceCount) -> DifferenceView {
    let (place, was, is) = (sample.place, sample.was, sample.is);
    DifferenceView { place, calls, was, is, request, recording: Some(recording).filter(|number| *number > 0) }
}
