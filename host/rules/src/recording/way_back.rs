//! Whether the revision before could go on with what a new one has written: what a rehearsal of it has found.

use super::blob::Blob;
use super::playback::PlaybackReport;
use super::recording::Recording;
use super::written_overlay::WrittenOverlay;
use std::collections::BTreeSet;

/// The outcome of a rehearsal: recorded calls, replayed by the revision before, which read what the new one has
/// written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WayBack {
    /// The keys that the new revision has written, by its recorded calls.
    pub written: usize,
    /// Those of them that the revision before has read, in calls that it answered.
    read: BTreeSet<Blob>,
    /// The calls that it answered.
    calls: u64,
    /// The first key that it cannot read.
    unreadable: Option<UnreadableKey>,
}

/// A key whose value the revision before cannot read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableKey {
    /// The key, as text.
    pub key: String,
    /// How the call failed: `trap: wasm trap: …`, `500`.
    pub outcome: String,
    /// The request whose recorded call it was.
    pub request: String,
}

impl WayBack {
    /// A rehearsal that has replayed nothing yet.
    pub fn new(overlay: &WrittenOverlay) -> Self {
        Self { written: overlay.keys(), ..Self::default() }
    }

    /// Counts one replay of a recording that had not failed, laid over with `overlay`.
    ///
    /// A call that asks for something new says nothing: the two revisions differ, and there is no answer for it. Nor
    /// does one that fails before it has read anything of the new revision's, or that takes too long: on a host with
    /// much to do that is no fault of the revision.
    pub fn count(&mut self, overlay: &WrittenOverlay, recording: &Recording, report: &PlaybackReport) {
        let Some(outcome) = report.outcome.as_ref().filter(|outcome| !outcome.is_late()) else { return };
        let read = || report.read.iter().filter(|key| overlay.has(key));
        if !outcome.has_failed() {
            self.calls += u64::from(read().next().is_some());
            self.read.extend(read().cloned());
        } else if let (None, Some(key)) = (&self.unreadable, read().last()) {
            let key = String::from_utf8_lossy(key.bytes()).escape_debug().to_string();
            let (outcome, request) = (outcome.in_words(), recording.request.clone());
            self.unreadable = Some(UnreadableKey { key, outcome, request });
        }
    }

    /// The first key that the revision before cannot read, as far as it was seen.
    pub fn unreadable(&self) -> Option<&UnreadableKey> {
        self.unreadable.as_ref()
    }

    /// What was found, in one sentence that claims no more.
    pub fn in_words(&self) -> String {
        let Self { written, read, calls, unreadable } = self;
        match unreadable {
            Some(UnreadableKey { key, outcome, request }) => format!(
                "the revision before cannot read `{key}` as this one writes it: request {request} ends with {outcome}"
            ),
            None if *written == 0 => {
                "the way back is not rehearsed: no recorded call of it has written anything".into()
            }
            None if read.is_empty() => {
                format!(
                    "the way back is not rehearsed: no recorded call reads any of the {written} keys that it has \
                     written"
                )
            }
            None => format!(
                "the revision before reads {} of the {written} keys that it has written, in {calls} recorded calls",
                read.len()
            ),
        }
    }
}
