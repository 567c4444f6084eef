//! Floor 2: the circuit breaker of one endpoint.
//!
//! Owns the decision whether a call may be tried now, and what its outcome means for the next ones. This is the simple form: failures
//! count in a row, and one probe at a time decides about a circuit that opened.
//!
//! What always holds:
//! - At most one probe holds the half-open slot, whatever the number of threads.
//! - A slot always comes back: a permit that is dropped frees it, and one that is kept too long loses it when its lease runs out.
//! - A verdict counts only in the state that granted its permit: a call that began before the circuit opened neither closes it nor
//!   opens it again.
//! - A call through a circuit that stays closed takes no lock.
//!
//! Never: reads a clock, waits, spawns, or decides what a failure is. The caller hands in `now` and the [`Verdict`].
//!
//! Tests: `tests.rs`, with a property test against a naive model and tests with many threads.

#[expect(clippy::module_inception, reason = "a file is named for its main noun")]
mod breaker;
mod permit;
#[cfg(test)]
mod tests;

pub use breaker::{Breaker, Refused, Settings, State};
pub use permit::{Permit, Verdict};
