//! Owns the data of one store: its identity, its limits, the calls that it serves, its log, its outbound HTTP, and what
//! is noted of its inputs.
//! A guest reaches what its grants name and nothing else, and every table that it can fill has a bound.
//! Never: makes a store, runs a guest, or knows the engine.

pub(super) mod call_notes;
mod calls;
#[expect(clippy::module_inception, reason = "a file is named for its main noun")]
pub(super) mod context;
mod guest_level;
pub(super) mod identity;
pub(super) mod line_fields;
mod log;
pub(super) mod memory;
mod open_bodies;
mod outbound;
