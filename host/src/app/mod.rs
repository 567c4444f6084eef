//! Floor 9: builds everything in order, runs it, shuts it down in order.
//!
//! Owns the long-lived tasks and the connections between rooms: what the manifest says becomes the settings of each room, `rollout` and
//! the discovery table become what admin asks for. What always holds: sockets are bound and components checked before the first
//! request; at the end requests finish first, the store closes last. Never: it holds no policy.
//! Tests: with the real binary in `tests/it`.

mod assembly;
mod build;
mod check;
mod inspect;
mod operations;
mod probe;
mod run;
mod trust;

pub use check::{Summary, check};
pub use inspect::{Inspection, Trial, inspect};
pub use run::run;
