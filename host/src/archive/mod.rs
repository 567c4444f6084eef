//! Floor 3: what was deployed before, and what a rollout has reached: on the disk.
//!
//! Owns a folder with the components by their digests, and one record for each service: what was promoted, the rollout
//! under way, and the rollouts that have ended, each with who, why and the verdict.
//!
//! What always holds:
//! - A file is written aside, synced and renamed, and the folder is synced: after a crash there is the old one or the
//!   new one.
//! - A component that is loaded has the digest of its name: a damaged file is refused.
//! - A service has at most so many revisions as the settings say, and none that is older, except for those in use. A
//!   component that no record names is removed, once one has named it.
//!
//! Never: it knows what a component does, or decides what serves.
//!
//! From the top: `archive` → `service_record` → `history_entry`; `error` stands apart. Tests:
//! `tests.rs`, and hosts that are ended at each moment of each write in `tests/it/rollouts/stops.rs`.

#[expect(clippy::module_inception, reason = "a file is named for its main noun")]
mod archive;
mod error;
mod history_entry;
mod service_record;
#[cfg(test)]
mod tests;

pub use archive::{Archive, Settings, WriteHook};
pub use error::ArchiveError;
pub use history_entry::{HistoryEntry, RolloutOutcome};
pub use service_record::{OpenRollout, Promotion, RecordedPlan, ServiceRecord};
