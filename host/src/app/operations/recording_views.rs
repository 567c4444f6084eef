//! Recordings and shadows, as the admin shows them.

use crate::admin::{DifferenceView, RecordingView, ShadowView};
use crate::recording::{DifferenceCount, MaskRules, Recording, ShadowTally};
use crate::rollout::ShadowState;
use crate::runtime::RecordingPlace;

/// All recordings, the last one first.
pub(super) fn recordings(place: &RecordingPlace) -> Vec<RecordingView> {
    place.store.list().iter().map(|(recording, bytes)| view(&place.rules, recording, *bytes)).collect()
}

fn view(rules: &MaskRules, recording: &Recording, bytes: usize) -> RecordingView {
    let rules = rules.with_secrets_of(recording);
    RecordingView {
        number: recording.number,
        request: recording.request.clone(),
        service: recording.service.clone(),
        revision: recording.revision.chars().take(12).collect(),
        call: rules.text_without_secrets(&recording.call.in_words()),
        outcome: rules.text_without_secrets(&recording.outcome.in_words()),
        failed: recording.has_failed(),
        began: recording.began,
        bytes,
    }
}

/// The file of a recording, masked by rule; `random`: with the random bytes of the guest.
pub(super) fn file(place: &RecordingPlace, id: &str, service: Option<&str>, random: bool) -> Option<Vec<u8>> {
    let recording = place.store.find(id, service)?;
    let rules = &place.rules;
    let copy = if random { rules.masked_for_replay(&recording) } else { rules.masked(&recording) };
    Some(copy.to_file())
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
