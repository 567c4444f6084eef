//! Floor 2: faults that are injected on purpose.
//!
//! Owns what a fault of a service is (a latency for a share of calls, a share of errors, a share of traps), which
//! faults are active, and what the next call suffers from them.
//!
//! What always holds: a service has at most 16 active faults; a fault whose time is over does nothing; a service
//! without faults pays one atomic load for a call; a [`Fault`] never fails more than all calls.
//!
//! Never: makes its own randomness, sleeps, knows how a call is made to fail.
//!
//! Tests: `tests.rs` compares the active faults with a naive model; shares are tested in their own file.

mod active_fault;
#[expect(clippy::module_inception, reason = "a file is named for its main noun")]
mod fault;
mod share;
#[cfg(test)]
mod tests;

pub use active_fault::{ActiveFault, ActiveFaults, FaultOrigin, TooManyFaults};
pub use fault::{Fault, Injected, InjectedFailure, InvalidFault};
pub use share::{InvalidShare, Share};
