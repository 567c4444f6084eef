//! Floor 2: how many requests one client may make in a time.
//!
//! Owns the [`Rate`], the arithmetic of its token buckets (GCRA), and the [`Limiter`]: one named limit with a bounded
//! table of buckets, one for each key; the [`WorkLimiter`], the same for what requests use up and are charged for
//! afterwards; and the [`QuotaTable`], which counts by windows of the calendar.
//!
//! What always holds: between two moments no key gets more than its burst and what the rate has refilled in between; a
//! full table never refills the bucket of a key that is in it; a refusal costs the client nothing; a crash gives
//! nothing of a quota back. Never: it reads a clock, waits, or knows what a key stands for (the gateway makes a number
//! of it).
//!
//! Tests are in `tests/`: a limiter against a naive token bucket for each key, and a table that is too small against
//! the same model for the keys in it; a work limiter against a naive account; a quota against a naive count, with
//! crashes; and a table under ten million keys.

mod budget;
mod clock_origin;
mod limiter;
mod quota;
mod rate;
#[cfg(test)]
mod tests;
mod token_bucket;
mod token_bucket_table;
mod work_limiter;

pub use budget::{Balance, WorkBudget};
pub use limiter::Limiter;
pub use quota::{Quota, QuotaAnswer, QuotaEntry, QuotaTable};
pub use rate::Rate;
pub use token_bucket::Allowance;
pub use work_limiter::WorkLimiter;
