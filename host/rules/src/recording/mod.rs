//! Floor 2: one call of a guest, recorded whole, and what a replay of it is compared by.
//!
//! Owns the [`Recording`] and its file, the [`RecordingStore`] that keeps some within bounds, the [`Playback`] that
//! answers a guest from a recording in place of the world, the comparison of what came of it, the [`WrittenOverlay`]
//! and the [`WayBack`] that tell whether one revision reads what another one has written, and the [`MaskRules`] that
//! say what nobody outside may see.
//!
//! What always holds:
//! - A replay reaches nothing: each question is answered from the recording, or the guest is stopped.
//! - Each replay of one recording gets the same, also what it asks for beyond the recording.
//! - A difference shows masked samples alone, and debug output shows no bytes of a recording.
//! - All recordings together stay within the bound; those of failed calls go last.
//!
//! Never: it reads a clock, knows the engine, or makes a call.
//!
//! From the top: `way_back` → `written_overlay`, `playback`; `shadow_tally` → `playback` → `difference` → `mask_rules`
//! → `secret_values`, `recording` → `exchange` → `blob`; `recording_store` → `recording`. Tests: `tests/`.

mod blob;
mod difference;
mod exchange;
mod mask_rules;
mod playback;
#[expect(clippy::module_inception, reason = "a file is named for its main noun")]
mod recording;
mod recording_store;
mod secret_values;
mod shadow_tally;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod way_back;
mod written_overlay;

pub use blob::Blob;
pub use difference::{Difference, outcome_differences};
pub use exchange::{
    PublishedEvent, RecordedCommit, RecordedExchange, RecordedHeader, RecordedQuestion, RecordedReply, RefusalCase,
};
pub use mask_rules::MaskRules;
pub use playback::{NewQuestion, Playback, PlaybackReport, PlayedAnswer};
pub use recording::{
    RecordedCall, RecordedCaller, RecordedEvent, RecordedInputs, RecordedOutcome, Recording, RecordingError,
};
pub use recording_store::{RecordingBounds, RecordingStore};
pub use shadow_tally::{DifferenceCount, ShadowTally};
pub use way_back::{UnreadableKey, WayBack};
pub use written_overlay::WrittenOverlay;
