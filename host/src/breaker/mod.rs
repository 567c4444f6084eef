//! Floor 2: the circuit breaker of one endpoint.
//!
//! Owns the decision whether a call may be tried now, and what its outcome means for the next ones. Two forms: the full model (faults
//! of the place in a row, the share of faults and of slow calls in a window), and the simple one (every fault counts in a row). Users
//! read `docs/breaker.md`.
//!
//! What always holds:
//! - No more probes are under way than the settings say, whatever the number of threads.
//! - A slot always comes back: a permit that is dropped frees it, and one that is kept too long loses it when its lease runs out.
//! - An outcome counts only in the state that granted its permit: a call that began before a transition decides nothing after it.
//! - Counts are exact: no outcome is lost, counted twice, or counted in another stretch than its own.
//! - A call through a circuit that stays closed takes no lock.
//! - Time is what the caller hands in, chance is the seed: the same calls give the same answers.
//!
//! Never: reads a clock, waits, spawns, or decides what a fault is. The caller hands in `now` and the [`Outcome`].
//!
//! Tests: `tests`, with a property test against a naive model, tests with many threads, and a table of cases from other projects.
//! `tests/loom` at the root of the workspace tries the orders in which two threads may meet here.

#[expect(clippy::module_inception, reason = "a file is named for its main noun")]
mod breaker;
mod permit;
mod probation;
mod settings;
mod state;
mod sync;
#[cfg(all(test, not(loom)))]
mod tests;
mod window;
mod word;

pub use breaker::Breaker;
pub use permit::{Outcome, Permit, Verdict};
pub use settings::{OpenTime, Probes, Settings, Trip, WindowedTrip};
pub use state::{Forced, Refused, State, View};
