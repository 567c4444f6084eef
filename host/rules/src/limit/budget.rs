//! How much of something that is measured may be used up in a time.

use super::rate::Rate;
use std::time::Duration;

/// `amount` units in each `period`. What a unit is, the caller knows: a nanosecond of processor time, for example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkBudget {
    amount: u64,
    period: Duration,
}

impl WorkBudget {
    /// A budget; `None` unless there is at least a unit, and the period is 1 ms to a day.
    pub fn new(amount: u64, period: Duration) -> Option<Self> {
        let legal = amount > 0 && (Duration::from_millis(1)..=Rate::LONGEST).contains(&period);
        legal.then_some(Self { amount, period })
    }

    /// The units of one period. So many may be used up at once.
    pub fn amount(&self) -> u64 {
        self.amount
    }

    /// The period.
    pub fn period(&self) -> Duration {
        self.period
    }

    /// The time that refills an empty bucket, in nanoseconds.
    fn whole(&self) -> u64 {
        u64::try_from(self.period.as_nanos()).expect("a day has 2^47 ns")
    }

    /// The time that refills what `units` have taken, in nanoseconds, rounded up.
    fn refill(&self, units: u64) -> u64 {
        let time = (u128::from(units) * u128::from(self.whole())).div_ceil(u128::from(self.amount));
        u64::try_from(time).unwrap_or(u64::MAX).min(u64::MAX / 4)
    }
}

/// What a key has left of a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    /// Whether it is above zero: then a request may go on, and be charged for afterwards.
    pub admitted: bool,
    /// How many units are left; 0 in debt.
    pub remaining: u64,
    /// If it is above zero: until nothing is used up any more. If not: until it is above zero.
    pub reset: Duration,
}

/// The balance of a bucket that will be full at `tat`.
pub(super) fn balance(budget: &WorkBudget, tat: u64, now: u64) -> Balance {
    let (ahead, whole) = (tat.saturating_sub(now), budget.whole());
    if ahead >= whole {
        // One nanosecond more than at zero: then it is above.
        return Balance { admitted: false, remaining: 0, reset: Duration::from_nanos(ahead - whole + 1) };
    }
    let remaining = u128::from(whole - ahead) * u128::from(budget.amount) / u128::from(whole);
    let remaining = u64::try_from(remaining).expect("at most the amount");
    Balance { admitted: true, remaining, reset: Duration::from_nanos(ahead) }
}

/// When a bucket that would have been full at `tat` will be full after `units` were taken at `now`. There is no bound
/// on the debt but the time that it takes to refill it: 2^62 ns.
pub(super) fn charge(budget: &WorkBudget, tat: u64, now: u64, units: u64) -> u64 {
    let most = now.saturating_add(u64::MAX / 4);
    tat.max(now).saturating_add(budget.refill(units)).min(most)
}
