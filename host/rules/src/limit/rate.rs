//! A rate, and how much of it may be used at once.

use std::time::Duration;

/// `count` requests in each `period`, of which `burst` may come at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    count: u32,
    period: Duration,
    burst: u32,
}

impl Rate {
    /// The longest period: a day.
    pub const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

    /// A rate; `None` unless `count` and `burst` are at least 1, the period is 1 ms to a day, and there is at least a
    /// nanosecond for each request.
    pub fn new(count: u32, period: Duration, burst: u32) -> Option<Self> {
        let legal = count > 0 && burst > 0 && (Duration::from_millis(1)..=Self::LONGEST).contains(&period);
        let rate = Self { count, period, burst };
        (legal && rate.interval() > 0).then_some(rate)
    }

    /// The requests of one period.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The period.
    pub fn period(&self) -> Duration {
        self.period
    }

    /// The requests that may come at once.
    pub fn burst(&self) -> u32 {
        self.burst
    }

    /// The time in which one request is refilled, in nanoseconds, rounded down. The `T` of GCRA.
    pub(super) fn interval(&self) -> u64 {
        let period = u64::try_from(self.period.as_nanos()).expect("a day has 2^47 ns");
        period / u64::from(self.count)
    }

    /// How far ahead of time a bucket may be that still admits a request, in nanoseconds: `(burst - 1) * T`, the `τ` of
    /// GCRA. Never more than 2^47 * 2^32, which is cut to half of the range, so that sums with a time do not overflow.
    pub(super) fn tolerance(&self) -> u64 {
        self.interval().saturating_mul(u64::from(self.burst - 1)).min(u64::MAX / 4)
    }
}
