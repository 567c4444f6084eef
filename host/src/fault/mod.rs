//! Floor 2: faults on purpose.
//!
//! Owns what a fault of a service is (latency, a share of errors, a share of traps), which ones stand, and what the next call suffers
//! from them. What always holds: at most 16 faults of a service stand at a time; one that has run out does nothing; a service without
//! faults pays one atomic load for a call; a [`Fault`] never fails more than all calls. Never: makes its own randomness, sleeps,
//! knows how a call is made to fail.
//!
//! Tests: `tests.rs` holds the standing faults against a naive model; shares are tested beside their noun.

mod injected;
mod share;
mod standing;
#[cfg(test)]
mod tests;

pub use injected::{Fault, Injected, InjectedFailure, InvalidFault};
pub use share::{InvalidShare, Share};
pub use standing::{ActiveFault, ActiveFaults, FaultOrigin, TooMany};
