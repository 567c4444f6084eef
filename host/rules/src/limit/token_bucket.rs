//! One bucket: the generic cell rate algorithm (GCRA, ITU-T I.371), in nanoseconds.
//!
//! A bucket is one number, its theoretical arrival time (TAT): the moment at which it will be full again. A bucket
//! whose TAT has passed is full, so it need not be remembered.

use super::rate::Rate;
use std::time::Duration;

/// What a key has left after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Whether the request may go on.
    pub admitted: bool,
    /// How many more requests would be admitted right now.
    pub remaining: u32,
    /// If it was admitted: until the bucket is full again. If not: until the next request would be admitted.
    pub reset: Duration,
}

/// Asks a bucket with this TAT for one request at `now`. Returns the bucket's new TAT, which is the old one if the
/// request is refused.
pub(super) fn ask(rate: &Rate, tat: u64, now: u64) -> (u64, Allowance) {
    let earliest = tat.saturating_sub(rate.tolerance());
    if now < earliest {
        let reset = Duration::from_nanos(earliest - now);
        return (tat, Allowance { admitted: false, remaining: 0, reset });
    }
    let next = tat.max(now).saturating_add(rate.interval());
    let ahead = next - now;
    // What is left of the tolerance holds so many more requests, the next of which needs none of it.
    let spare = rate.tolerance().checked_sub(ahead).map_or(0, |spare| spare / rate.interval() + 1);
    let remaining = u32::try_from(spare).unwrap_or(u32::MAX).min(rate.burst() - 1);
    (next, Allowance { admitted: true, remaining, reset: Duration::from_nanos(ahead) })
}

/// Gives one request back to a bucket: one that was admitted here and refused elsewhere.
pub(super) fn give_back(rate: &Rate, tat: u64) -> u64 {
    tat.saturating_sub(rate.interval())
}
