//! A work limiter against a naive account for each key.

use super::hash;
use crate::limit::{Balance, WorkBudget, WorkLimiter};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// An account in units times nanoseconds of the period, so that the model is exact. It fills by the budget's amount in
/// each nanosecond, and may be below zero.
struct Account {
    balance: i128,
    since: i128,
}

struct Model {
    amount: i128,
    period: i128,
    accounts: BTreeMap<u64, Account>,
}

impl Model {
    fn new(budget: &WorkBudget) -> Self {
        let period = i128::try_from(budget.period().as_nanos()).expect("a day");
        Self { amount: i128::from(budget.amount()), period, accounts: BTreeMap::new() }
    }

    fn account(&mut self, key: u64, now: i128) -> &mut Account {
        let full = self.amount * self.period;
        let account = self.accounts.entry(key).or_insert(Account { balance: full, since: now });
        account.balance = (account.balance + (now - account.since) * self.amount).min(full);
        account.since = now;
        account
    }

    fn ask(&mut self, key: u64, now: i128) -> (bool, i128) {
        let period = self.period;
        let balance = self.account(key, now).balance;
        (balance > 0, balance.max(0) / period)
    }

    fn charge(&mut self, key: u64, units: u64, now: i128) {
        let cost = i128::from(units) * self.period;
        self.account(key, now).balance -= cost;
    }
}

/// Budgets whose unit is refilled in a whole number of nanoseconds: then nothing is rounded.
fn budget() -> impl Strategy<Value = WorkBudget> {
    (1_u64..5000, prop::sample::select(vec![1_u64, 10, 1000, 50_000, 1_000_000]))
        .prop_map(|(millis, amount)| WorkBudget::new(amount, Duration::from_millis(millis)).expect("legal"))
}

proptest! {
    #[test]
    fn a_key_is_admitted_while_its_account_is_above_zero(
        budget in budget(),
        steps in prop::collection::vec((0_u64..2_000_000, 0_u64..5, 0_u64..3000), 1..200),
    ) {
        let origin = Instant::now();
        let limiter = WorkLimiter::new(budget, 1024, origin);
        let (mut model, mut micros) = (Model::new(&budget), 0_u64);
        for (pause, key, thousandths) in steps {
            micros += pause;
            let now = origin + Duration::from_micros(micros);
            let at = i128::from(micros) * 1000;
            let Balance { admitted, remaining, reset } = limiter.ask(hash(key), now);
            prop_assert_eq!((admitted, i128::from(remaining)), model.ask(key, at));
            if !admitted {
                // It is told when to come back: not too early, and not too late.
                prop_assert!(!limiter.ask(hash(key), now + reset - Duration::from_nanos(1)).admitted);
                prop_assert!(limiter.ask(hash(key), now + reset).admitted);
                continue;
            }
            let units = budget.amount() * thousandths / 1000;
            limiter.charge(hash(key), units, now);
            model.charge(key, units, at);
        }
        prop_assert_eq!(limiter.shared(), 0);
    }

    #[test]
    fn nothing_is_charged_too_little(
        amount in 1_u64..10_000_000_000,
        millis in 1_u64..86_400_000,
        units in prop::collection::vec(1_u64..1_000_000_000, 1..50),
    ) {
        // Where the time to refill is no whole number of nanoseconds, it is rounded up.
        let budget = WorkBudget::new(amount, Duration::from_millis(millis)).expect("legal");
        let (origin, period) = (Instant::now(), u128::from(millis) * 1_000_000);
        let limiter = WorkLimiter::new(budget, 8, origin);
        let total: u128 = units.iter().copied().map(u128::from).sum();
        for units in units {
            limiter.charge(1, units, origin);
        }
        let balance = limiter.ask(1, origin);
        let owed = total * period;
        let has = u128::from(amount) * period;
        prop_assert_eq!(balance.admitted, owed < has);
        if !balance.admitted {
            let time = (owed - has) / u128::from(amount);
            prop_assert!(balance.reset.as_nanos() > time && balance.reset.as_nanos() <= time + 52);
        }
    }
}

#[test]
fn who_costs_fifty_times_more_gets_fifty_times_fewer() {
    let budget = WorkBudget::new(2_000_000_000, Duration::from_secs(10)).expect("legal");
    let origin = Instant::now();
    let limiter = WorkLimiter::new(budget, 1024, origin);
    let mut admitted = [0_u32; 2];
    // Ten minutes in which both ask a thousand times a second. One request costs 1 ms, the other 50 ms.
    for millis in 0..600_000 {
        let now = origin + Duration::from_millis(millis);
        for (at, cost) in [(0, 1_000_000), (1, 50_000_000)] {
            if limiter.ask(hash(at), now).admitted {
                admitted[usize::try_from(at).expect("0 or 1")] += 1;
                limiter.charge(hash(at), cost, now);
            }
        }
    }
    // 2 s of each 10 s are 120 s in ten minutes, and one whole budget at once.
    let [cheap, dear] = admitted;
    assert!(cheap.abs_diff(122_000) <= 1220 && dear.abs_diff(2440) <= 25, "{cheap} and {dear}");
}

#[test]
fn a_budget_has_bounds() {
    let second = Duration::from_secs(1);
    assert!(WorkBudget::new(1, second).is_some());
    for (amount, period) in [(0, second), (1, Duration::ZERO), (1, 25 * 3600 * second)] {
        assert_eq!(WorkBudget::new(amount, period), None);
    }
}

#[test]
fn an_endless_debt_does_not_overflow() {
    let budget = WorkBudget::new(1, Duration::from_secs(24 * 3600)).expect("legal");
    let origin = Instant::now();
    let limiter = WorkLimiter::new(budget, 8, origin);
    for at in 0..10 {
        limiter.charge(1, u64::MAX, origin + Duration::from_secs(at));
        assert!(!limiter.ask(1, origin + Duration::from_secs(at)).admitted);
    }
}
