//! Floor 2: the circuit breaker of one endpoint.
//!
//! Owns the decision whether a call may be sent now, and what its outcome means for the next calls. A breaker has one
//! of two forms. The full model counts consecutive endpoint faults, and the share of faults and of slow calls in a
//! window. The simple form counts every fault in a streak. The guide for users is `docs/breaker.md`.
//!
//! What always holds:
//! - No more probes are under way than the settings allow, whatever the number of threads.
//! - A probe's slot always becomes free: when its permit is recorded or dropped, and at the latest when its lease runs
//!   out.
//! - An outcome counts only in the state that granted its permit: a call that began before a transition decides nothing
//!   after it.
//! - Counts are exact: no outcome is lost, counted twice, or counted in another stretch than its own. (A stretch is
//!   the time between two transitions; its number is the epoch.)
//! - A call through a circuit that stays closed takes no lock.
//! - Time and the seed of the jitter are arguments: the same calls give the same answers.
//!
//! Never: reads a clock, waits, spawns, or decides what a fault is. The caller hands in `now` and the [`Outcome`].
//!
//! Tests: `tests`, with a property test against a naive model, tests with many threads, and a table of cases from
//! other projects. `tests/loom` at the root of the workspace tries every order in which the steps of two threads may
//! meet here.

#[expect(clippy::module_inception, reason = "a file is named for its main noun")]
mod breaker;
mod outcome;
mod packed_state;
mod permit;
mod probation;
mod settings;
mod splitmix;
mod state;
mod sync;
#[cfg(all(test, not(loom)))]
mod tests;
mod window;

pub use breaker::Breaker;
pub use outcome::{Outcome, Verdict};
pub use permit::Permit;
pub use settings::{OpenTime, Probes, Settings, Trip, WindowedTrip};
pub use state::{Forced, Refused, State, View};
