//! Floor 9: builds everything in order, runs it, shuts it down in order.
//!
//! Owns the long-lived tasks and the connections between rooms: it gives each room its settings from the manifest, and
//! answers the admin with `rollout` and the discovery table.
//!
//! What always holds: sockets are bound and components checked before the first request; at the end requests finish
//! first, and the store closes last.
//!
//! Never: it holds policy.
//!
//! From the top: `run`, `check` and `inspect` → `assembly` → `load`, `probe`, `trust`, `warnings` → `late_findings`;
//! `run` → `operations`, `audited_operations` and `admin_file`; `assembly` and `operations` → `api_description`.
//! Tests: with the real binary in `tests/it`.

mod admin_file;
mod api_description;
mod assembly;
mod audited_operations;
mod check;
mod inspect;
mod late_findings;
mod load;
mod operations;
mod probe;
mod run;
mod shutdown;
mod trust;
mod warnings;

pub use admin_file::{AdminSource, KnownAdmin, known_admin};
pub use check::{Summary, check};
pub use inspect::{Inspection, ManifestTrial, inspect};
pub use run::run;
