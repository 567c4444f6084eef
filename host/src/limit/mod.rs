//! Floor 2: how many requests one client may make in a time.
//!
//! Owns the [`Rate`], the arithmetic of its token buckets (GCRA), and the [`Limiter`]: one named limit with a bounded
//! table of buckets, one for each key. What always holds: between two moments no key gets more than its burst and what
//! the rate has refilled in between; a full table never refills the bucket of a key that is in it; a refusal costs the
//! client nothing. Never: it reads a clock, waits, or knows what a key stands for (the gateway makes a number of it).
//!
//! Tests: `tests.rs` holds a limiter against a naive token bucket for each key, and a table that is too small against
//! the same model for the keys in it.

mod limiter;
mod rate;
#[cfg(test)]
mod tests;
mod token_bucket;
mod token_bucket_table;

pub use limiter::{Limiter, admit_all};
pub use rate::Rate;
pub use token_bucket::Allowance;
