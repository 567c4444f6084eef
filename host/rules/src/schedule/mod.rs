//! When something is due that nobody asks for: times by cron or by an interval, and what becomes of those that were
//! missed.
//!
//! What always holds:
//! - A due time is a moment, in milliseconds since 1970: it names a firing, and is the same after a restart.
//! - Which due time fires next follows from the last one that is settled, and from the clock; nothing is remembered
//!   here.
//!
//! Never: reads a clock, waits, or fires (`delivery` does).
//!
//! Tests: beside each file; intervals against a naive model, cron against tables that `date` agrees with.

mod missed_rule;
mod recurrence;

pub use missed_rule::{DuePick, MissedRule};
pub use recurrence::{InvalidRecurrence, Recurrence};
