//! Floor 2: whether a canary is worse than the stable revision beside it.
//!
//! Owns the [`Coin`] that says which revision a call goes to, and the [`Judge`] that says after each outcome whether
//! the canary has to go. The method is an e-process (a test that may be looked at as often as one likes): given that a
//! call failed, was it the canary's? With equal revisions the odds are those of the coin.
//!
//! What always holds:
//! - A canary that is no worse than the stable revision, with failures up to [`TOLERATED`] times as frequent, is
//!   rolled back by the evidence with a probability of 1 % at most, over the whole rollout, however often one looks,
//!   whatever the shares, and whatever outages hit both (Ville's inequality). For what kept instances grow by that
//!   supposes that instances of equal revisions grow alike at the same age, whenever they reach it.
//! - Of 100 requests in a row the coin gives the canary exactly its share. Calls of one request get one answer, as long
//!   as the coin remembers the request; calls of one sticky key always get one.
//! - Failures of one key count once in a step: a client that fails again and again is one failure.
//!
//! Never: it reads a clock, draws by itself (its seed comes from outside), or knows what a revision is.
//!
//! From the top: `judge` → `symptom` → `evidence`, `threshold`, `growth_match`; `judge` → `limit_evidence`,
//! `excluded_harm`; `coin` stands apart, and all use `toss`. Tests: `tests/` holds the parts against naive models, and
//! the whole against seeded streams of calls, beside the rules of Kayenta and Flagger.

mod coin;
mod evidence;
mod excluded_harm;
mod growth_match;
mod judge;
mod limit_evidence;
mod symptom;
#[cfg(test)]
mod tests;
mod threshold;
mod toss;

pub use coin::Coin;
pub use evidence::{Evidence, TOLERATED};
pub use excluded_harm::{ExcludedHarm, highest_share};
pub use judge::{CallMemory, CallOutcome, Judge, JudgeReport, RollbackReason, SideCounts};
pub use symptom::Symptom;
pub use toss::{CoinKey, Toss};
