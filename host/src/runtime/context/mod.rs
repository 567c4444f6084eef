//! The data of one store: whose instance it is, which calls it serves, what it may use, its log and its outbound HTTP.
//! A guest gets what its grants name and nothing else, and every table that it can fill has a bound.
//! Never: makes a store or runs a guest; knows the engine.

mod calls;
#[expect(clippy::module_inception, reason = "a file is named for its main noun")]
pub(super) mod context;
pub(super) mod identity;
mod log;
pub(super) mod memory;
mod outbound;
