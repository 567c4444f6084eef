//! The promises of the budget and of the waits.

use super::*;
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

fn seeded(seed: u64) -> impl FnMut(usize) -> usize {
    let mut rng = StdRng::seed_from_u64(seed);
    move |below| rng.random_range(0..below)
}

/// Always draws the longest wait.
fn longest(below: usize) -> usize {
    below - 1
}

fn drain(budget: &Budget, now: Instant) -> u64 {
    (0..).take_while(|_| budget.take(now)).count() as u64
}

/// The budget by its definition: it keeps the second of everything that happened, and adds all up each time.
struct Model {
    percent: u64,
    floor: u64,
    calls: Vec<u64>,
    tries: Vec<u64>,
}

impl Model {
    fn unspent(&self, second: u64) -> i64 {
        let within = |seconds: &[u64]| seconds.iter().filter(|&&at| at <= second && second < at + 10).count() as u64;
        let paid = within(&self.calls) * self.percent + self.floor * 10 * 100;
        i64::try_from(paid).expect("small") - i64::try_from(within(&self.tries) * 100).expect("small")
    }
}

#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    Calls(usize),
    Takes(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..2_500_u64).prop_map(Step::Wait),
        1 => (8_500..11_500_u64).prop_map(Step::Wait),
        4 => (1..40_usize).prop_map(Step::Calls),
        4 => (1..15_usize).prop_map(Step::Takes),
    ]
}

proptest! {
    #[test]
    fn the_budget_agrees_with_a_model_that_keeps_every_call_and_try(
        percent in prop_oneof![Just(0_u8), Just(20), 1..=100_u8],
        floor in 0..3_u32,
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let budget = Budget::new(percent, floor);
        let mut model = Model { percent: percent.into(), floor: floor.into(), calls: Vec::new(), tries: Vec::new() };
        let start = Instant::now();
        let mut millis = 0;
        // The first use sets the origin.
        prop_assert_eq!(budget.balance(start), u64::from(floor) * 10);
        for step in steps {
            if let Step::Wait(more) = step {
                millis += more;
            }
            let (now, second) = (start + Duration::from_millis(millis), millis / 1000);
            match step {
                Step::Calls(calls) => (0..calls).for_each(|_| {
                    budget.called(now);
                    model.calls.push(second);
                }),
                Step::Takes(takes) => {
                    for _ in 0..takes {
                        let granted = budget.take(now);
                        prop_assert_eq!(granted, model.unspent(second) >= 100);
                        model.tries.extend(granted.then_some(second));
                    }
                }
                Step::Wait(_) => {}
            }
            prop_assert_eq!(budget.balance(now), u64::try_from(model.unspent(second)).unwrap_or(0) / 100);
        }
    }

    /// A thread may read the clock early and come late. That may cost a try, and never grants one that the calls did
    /// not pay for.
    #[test]
    fn times_out_of_order_never_grant_too_much(
        percent in 1..=100_u8,
        floor in 0..2_u32,
        events in prop::collection::vec((0..40_u64, any::<bool>()), 0..400),
    ) {
        let budget = Budget::new(percent, floor);
        let mut model = Model { percent: percent.into(), floor: floor.into(), calls: Vec::new(), tries: Vec::new() };
        let start = Instant::now();
        budget.called(start);
        model.calls.push(0);
        let mut newest = 0;
        for (second, is_call) in events {
            let now = start + SECOND * u32::try_from(second).expect("small");
            if is_call {
                budget.called(now);
                model.calls.push(second);
            } else {
                newest = second.max(newest);
                if budget.take(now) {
                    prop_assert!(model.unspent(newest) >= 100);
                    model.tries.push(newest);
                }
            }
        }
    }

    #[test]
    fn a_wait_is_within_its_bounds_and_paid_for_only_if_granted(
        tries in 0..40_u32,
        tried in 0..45_u32,
        backoff in 0..100_000_u64,
        most in 0..1_000_000_u64,
        left in 0..1_500_000_u64,
        seed in any::<u64>(),
    ) {
        let (backoff, most) = (Duration::from_micros(backoff), Duration::from_micros(most));
        let left = Duration::from_micros(left);
        let bounds = Settings { tries, backoff, backoff_most: most, ..Settings::default() };
        let settings = Settings { budget: 0, budget_floor: 1, ..bounds };
        let retry = Retry::new(settings);
        let now = Instant::now();
        let bound = (1..tried).fold(backoff, |wait, _| (wait * 2).min(HOUR)).min(most);
        let mut drawn = None;
        let mut random = seeded(seed);
        let wait = retry.again(tried, left, now, &mut |below| {
            drawn = Some(Duration::from_micros(random(below) as u64));
            drawn.expect("just drawn").as_micros() as usize
        });
        if tried.max(1) > tries {
            prop_assert_eq!((wait, drawn), (None, None));
        } else {
            let drawn = drawn.expect("a try that is left draws its wait");
            prop_assert!(drawn <= bound, "{:?} of {:?}", drawn, bound);
            prop_assert_eq!(wait, (drawn < left).then_some(drawn));
        }
        prop_assert_eq!(retry.budget().balance(now), 10 - u64::from(wait.is_some()), "paid for if and only if granted");
    }
}

#[test]
fn the_default_settings_are_those_of_the_docs() {
    let settings = Settings::default();
    assert_eq!((settings.tries, settings.budget, settings.budget_floor, settings.body), (1, 20, 10, 65_536));
    assert_eq!((settings.backoff.as_millis(), settings.backoff_most.as_millis()), (25, 250));
    assert_eq!(*Retry::new(settings).settings(), settings);
}

#[test]
fn the_window_is_ten_whole_seconds() {
    let start = Instant::now();
    let budget = Budget::new(20, 0);
    (0..50).for_each(|_| budget.called(start));
    assert_eq!(
        budget.balance(start + SECOND * 10 - Duration::from_nanos(1)),
        10,
        "calls count until the end of the ninth second after theirs"
    );
    assert_eq!(budget.balance(start + SECOND * 10), 0);
    // Tries leave the window as calls do, with their own second.
    let budget = Budget::new(0, 1);
    assert_eq!(drain(&budget, start), 10);
    assert_eq!(drain(&budget, start + SECOND * 10 - Duration::from_nanos(1)), 0);
    assert_eq!(drain(&budget, start + SECOND * 10), 10);
}

#[test]
fn tries_outlive_the_calls_that_paid_for_them_by_a_window_at_most() {
    let start = Instant::now();
    let budget = Budget::new(100, 0);
    (0..5).for_each(|_| budget.called(start));
    assert_eq!(drain(&budget, start + SECOND * 9), 5);
    (0..3).for_each(|_| budget.called(start + SECOND * 10));
    assert_eq!(budget.balance(start + SECOND * 10), 0, "five tries within the window, three calls");
    (0..3).for_each(|_| budget.called(start + SECOND * 10));
    assert_eq!(drain(&budget, start + SECOND * 10), 1);
}

/// Many threads take tries while others call: the sum of what they get is exact.
#[test]
fn threads_together_take_exactly_what_was_paid() {
    const THREADS: usize = 8;
    const CALLS: usize = 1_000;
    let start = Instant::now();
    for round in 0..20 {
        let (budget, barrier) = (Budget::new(20, 1), Barrier::new(THREADS));
        let granted: usize = thread::scope(|scope| {
            let run = |thread: usize| {
                let (budget, barrier) = (&budget, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    let mut granted = 0;
                    for call in 0..CALLS {
                        // The second advances while the threads run; all seconds are within one window.
                        let now =
                            start + SECOND * u32::try_from((call + thread) * 9 / (CALLS + THREADS)).expect("small");
                        budget.called(now);
                        granted += usize::from(budget.take(now));
                        granted += usize::from(budget.take(now));
                    }
                    granted
                })
            };
            let handles: Vec<_> = (0..THREADS).map(run).collect();
            handles.into_iter().map(|handle| handle.join().expect("no panic")).sum()
        });
        let rest = drain(&budget, start + SECOND * 9 - Duration::from_nanos(1));
        assert_eq!(granted as u64 + rest, (THREADS * CALLS / 5) as u64 + 10, "round {round}");
    }
}

/// Threads pay at once, without a lock, and nobody takes: every payment counts.
#[test]
fn payments_of_several_threads_at_once_all_count() {
    let (start, budget, barrier) = (Instant::now(), Budget::new(100, 0), Barrier::new(4));
    budget.called(start);
    let pay = || {
        barrier.wait();
        (0..200_000).for_each(|call| budget.called(start + SECOND * (call / 20_000)));
    };
    thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(pay))));
    assert_eq!(budget.balance(start + SECOND * 9), 800_001);
}

/// Threads take at once, and nobody pays: one try too many would show.
#[test]
fn two_threads_never_take_the_same_try() {
    const THREADS: usize = 4;
    let now = Instant::now();
    let budgets: Vec<_> = (0..3_000).map(|_| Budget::new(0, 1)).collect();
    let barrier = Barrier::new(THREADS);
    let take = || {
        let taken = |budget: &Budget| {
            barrier.wait();
            (0..10).filter(|_| budget.take(now)).count()
        };
        budgets.iter().map(taken).collect::<Vec<_>>()
    };
    let taken: Vec<Vec<usize>> = thread::scope(|scope| {
        let handles: Vec<_> = (0..THREADS).map(|_| scope.spawn(take)).collect();
        handles.into_iter().map(|handle| handle.join().expect("no panic")).collect()
    });
    for round in 0..budgets.len() {
        assert_eq!(taken.iter().map(|of_one| of_one[round]).sum::<usize>(), 10, "round {round}");
    }
}

#[test]
fn a_call_from_before_the_window_does_not_empty_a_newer_bucket() {
    let start = Instant::now();
    let budget = Budget::new(100, 0);
    budget.called(start);
    (0..5).for_each(|_| budget.called(start + SECOND * 20));
    // This second and the newest share a bucket.
    budget.called(start + SECOND * 10);
    assert_eq!(budget.balance(start + SECOND * 20), 5);
    budget.called(start + SECOND * 11);
    assert_eq!(budget.balance(start + SECOND * 20), 6, "a late call within the window counts");
}

#[test]
fn waits_double_up_to_the_longest() {
    let retry = Retry::new(Settings { tries: 100, ..Settings::default() });
    let now = Instant::now();
    let wait = |tried| retry.again(tried, HOUR, now, &mut longest).expect("a try").as_millis();
    assert_eq!([1, 2, 3, 4, 5, 6, 33, 34, 100].map(wait), [25, 50, 100, 200, 250, 250, 250, 250, 250]);
    assert_eq!(retry.again(101, HOUR, now, &mut longest), None);
}

#[test]
fn waits_are_uniform_from_zero_to_the_longest() {
    let settings = Settings { backoff: Duration::from_micros(3), budget_floor: 2_000, ..Settings::default() };
    let (retry, now, mut random) = (Retry::new(settings), Instant::now(), seeded(7));
    let mut seen = [0_i32; 4];
    for _ in 0..16_000 {
        seen[retry.again(1, HOUR, now, &mut random).expect("a try").as_micros() as usize] += 1;
    }
    // 4,000 each with a standard deviation of 55; the seed is fixed.
    assert!(seen.iter().all(|count| (count - 4_000).abs() < 300), "{seen:?}");
}

#[test]
fn a_wait_that_would_use_up_the_time_is_refused_and_costs_nothing() {
    let retry = Retry::new(Settings { budget: 0, budget_floor: 1, ..Settings::default() });
    let now = Instant::now();
    let backoff = retry.settings().backoff;
    assert_eq!(retry.again(1, backoff, now, &mut longest), None);
    assert_eq!(retry.again(1, Duration::ZERO, now, &mut |_| 0), None, "not even without a wait");
    assert_eq!(retry.budget().balance(now), 10, "a refusal costs nothing");
    assert_eq!(retry.again(1, backoff + Duration::from_nanos(1), now, &mut longest), Some(backoff));
    assert_eq!(retry.budget().balance(now), 9);
}

#[test]
fn a_spent_budget_refuses_until_calls_fill_it_again() {
    let retry = Retry::new(Settings { budget: 20, budget_floor: 0, ..Settings::default() });
    let now = Instant::now();
    let again = || retry.again(1, HOUR, now, &mut |_| 0).is_some();
    (0..4).for_each(|_| retry.called(now));
    assert!(!again(), "four calls pay 80 hundredths");
    retry.called(now);
    assert!(again());
    assert!(!again());
}

#[test]
fn a_service_without_further_tries_counts_no_calls() {
    let retry = Retry::new(Settings { tries: 0, budget: 100, budget_floor: 0, ..Settings::default() });
    let now = Instant::now();
    retry.called(now);
    assert_eq!(retry.budget().balance(now), 0);
    assert_eq!(retry.again(1, HOUR, now, &mut |_| 0), None);
    assert_eq!(retry.again(0, HOUR, now, &mut |_| 0), None);
}
