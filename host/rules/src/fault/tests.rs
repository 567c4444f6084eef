//! The tests of active faults.

use super::*;
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::thread;
use std::time::{Duration, Instant};

const MILLION: usize = 1_000_000;

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn share(millionths: u32) -> Share {
    Share::from_millionths(millionths).expect("at most a million")
}

fn fault(latency: u64, error: u32, trap: u32) -> Fault {
    Fault::new(millis(latency), share(error), share(trap)).expect("at most all calls")
}

fn injected(latency: u64, failure: Option<InjectedFailure>) -> Option<Injected> {
    Some(Injected { latency: millis(latency), failure })
}

/// A source of random numbers that must not be asked.
fn never(_: usize) -> usize {
    panic!("no random number is needed here")
}

#[test]
fn the_shares_of_a_fault_are_at_most_all_calls_together() {
    let all = Share::ALL;
    assert!(Fault::new(Duration::ZERO, share(400_000), share(600_000)).is_ok());
    assert!(Fault::new(Duration::MAX, Share::NONE, all).is_ok());
    let error = Fault::new(Duration::ZERO, share(400_001), share(600_000)).expect_err("one in a million too many");
    assert_eq!(error.to_string(), "error 40.0001% and trap 60% are more than 100% of the calls together");
    assert_eq!(error.help(), "no call fails in both ways, so lower one of them");
    assert!(Fault::new(Duration::ZERO, all, all).is_err());
    assert!(fault(0, 0, 0).is_nothing());
    assert!(![fault(1, 0, 0), fault(0, 1, 0), fault(0, 0, 1)].iter().any(Fault::is_nothing));
}

/// Goes through every number that can be drawn: exactly `error` of a million are errors, and exactly `trap` are traps.
#[test]
fn one_random_number_decides_by_exact_shares() {
    let now = Instant::now();
    for (error, trap) in [(0, 1), (1, 0), (100_000, 10_000), (400_000, 600_000), (1_000_000, 0), (0, 1_000_000)] {
        let faults = ActiveFaults::default();
        faults.add(1, fault(0, error, trap), None, FaultOrigin::Operator, now).expect("room");
        let (mut errors, mut traps) = (0, 0);
        for drawn in 0..MILLION {
            let mut draws = 0;
            let injected = faults.draw(now, &mut |below| {
                assert_eq!(below, MILLION);
                draws += 1;
                drawn
            });
            assert_eq!(draws, 1);
            match injected {
                Some(Injected { failure: Some(InjectedFailure::Error), .. }) => errors += 1,
                Some(Injected { failure: Some(InjectedFailure::Trap), .. }) => traps += 1,
                Some(Injected { failure: None, .. }) => panic!("a call suffers something that does nothing"),
                None => {}
            }
        }
        assert_eq!((errors, traps), (error, trap));
    }
}

#[test]
fn without_an_active_fault_that_does_something_no_number_is_drawn() {
    let (faults, now) = (ActiveFaults::default(), Instant::now());
    assert_eq!((faults.draw(now, &mut never), faults.active(now)), (None, Vec::new()));
    assert_eq!((faults.clear(), faults.remove(0)), (0, false));
    faults.add(1, fault(0, 0, 0), None, FaultOrigin::Manifest, now).expect("room");
    assert_eq!(faults.draw(now, &mut never), None, "it is active and does nothing");
    assert_eq!(faults.active(now).len(), 1);
}

#[test]
fn latency_applies_to_every_call_and_draws_no_number() {
    let (faults, now) = (ActiveFaults::default(), Instant::now());
    faults.add(1, fault(200, 0, 0), None, FaultOrigin::Operator, now).expect("room");
    assert_eq!(faults.draw(now, &mut never), injected(200, None));
    faults.add(2, fault(50, 0, 500_000), None, FaultOrigin::Operator, now).expect("room");
    assert_eq!(faults.draw(now, &mut |_| 499_999), injected(250, Some(InjectedFailure::Trap)));
    assert_eq!(faults.draw(now, &mut |_| 500_000), injected(250, None));
    faults
        .add(3, Fault::new(Duration::MAX, Share::NONE, Share::NONE).expect("valid"), None, FaultOrigin::Operator, now)
        .expect("room");
    assert_eq!(faults.draw(now, &mut |_| MILLION - 1).map(|injected| injected.latency), Some(Duration::MAX));
}

/// Goes through every number that can be drawn: exactly the share of calls is slower, also of those that fail.
#[test]
fn a_latency_may_be_for_a_share_of_calls() {
    let now = Instant::now();
    for slow in [1, 300_000, 999_999] {
        let faults = ActiveFaults::default();
        let fault = fault(200, 0, 1_000_000).with_latency_share(share(slow));
        faults.add(1, fault, None, FaultOrigin::Operator, now).expect("room");
        let is_slow = |drawn| match faults.draw(now, &mut |_| drawn) {
            Some(Injected { latency, failure: Some(InjectedFailure::Trap) }) => !latency.is_zero(),
            other => panic!("{other:?}"),
        };
        assert_eq!((0..MILLION).filter(|drawn| is_slow(*drawn)).count(), slow as usize);
    }
    assert!(fault(200, 0, 0).with_latency_share(Share::NONE).is_nothing());
    let text = fault(200, 0, 10_000).with_latency_share(share(300_000)).to_string();
    assert_eq!(text, "latency 200ms of 30%, error 0%, trap 1%");
}

#[test]
fn the_first_fault_that_fails_a_call_decides_how_and_all_latencies_add_up() {
    let (faults, now) = (ActiveFaults::default(), Instant::now());
    for (id, fault) in [(7, fault(1, 0, 1_000_000)), (3, fault(2, 1_000_000, 0)), (5, fault(4, 1_000_000, 0))] {
        faults.add(id, fault, None, FaultOrigin::Operator, now).expect("room");
    }
    assert_eq!(faults.draw(now, &mut |_| 0), injected(7, Some(InjectedFailure::Trap)));
    assert!(faults.remove(7));
    assert_eq!(faults.draw(now, &mut |_| 0), injected(6, Some(InjectedFailure::Error)));
    assert!(!faults.remove(7));
}

#[test]
fn at_most_sixteen_faults_are_active_and_those_that_are_over_make_room() {
    let (faults, start) = (ActiveFaults::default(), Instant::now());
    let add = |id, until, now| faults.add(id, fault(1, 0, 0), until, FaultOrigin::Operator, now);
    for id in 0..16 {
        assert_eq!(add(id, Some(start + millis(id.max(1) * 10)), start), Ok(()));
    }
    let error = add(16, None, start + millis(9)).expect_err("the seventeenth");
    let full = "the service already has 16 active faults, the most that it may have: clear some of them first";
    assert_eq!(error.to_string(), full);
    assert_eq!(add(3, None, start), Ok(()), "it replaces the one of the same id");
    assert_eq!(add(16, None, start + millis(10)), Ok(()), "0 and 1 are over");
    assert_eq!(add(17, None, start + millis(10)), Ok(()));
    assert_eq!(add(18, None, start + millis(10)), Err(TooManyFaults));
    assert_eq!(faults.draw(start + millis(1000), &mut never), injected(3, None), "3, 16, 17 have no end");
    assert_eq!(faults.clear(), 16);
    assert_eq!(faults.draw(start, &mut never), None);
}

/// The naive model: a list that is filtered at every question.
#[derive(Debug, Default)]
struct Model(Vec<ActiveFault>);

impl Model {
    fn active(&self, now: Instant) -> Vec<ActiveFault> {
        self.0.iter().filter(|one| one.until.is_none_or(|until| now < until)).copied().collect()
    }

    fn draw(&self, now: Instant, drawn: &[usize]) -> Option<Injected> {
        let (mut latency, mut failure, mut drawn) = (Duration::ZERO, None, drawn.iter());
        for ActiveFault { fault, .. } in self.active(now) {
            let slow = fault.latency_share.millionths() as usize;
            // A number is drawn only where it decides.
            let decides = slow > 0 && slow < MILLION && !fault.latency.is_zero();
            if if decides { *drawn.next().expect("enough numbers") < slow } else { slow == MILLION } {
                latency += fault.latency;
            }
            let (error, trap) = (fault.error.millionths() as usize, fault.trap.millionths() as usize);
            if failure.is_none() && error + trap > 0 {
                let number = *drawn.next().expect("enough numbers");
                let is = |yes, failure| if yes { Some(failure) } else { None };
                failure =
                    is(number < error, InjectedFailure::Error).or(is(number < error + trap, InjectedFailure::Trap));
            }
        }
        (latency > Duration::ZERO || failure.is_some()).then_some(Injected { latency, failure })
    }
}

#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    Add(u64, Fault, Option<u64>, FaultOrigin),
    Remove(u64),
    Expire,
    Clear,
    Draw(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let slow = prop_oneof![2 => Just(1_000_000_u32), 2 => 0..=1_000_000_u32, 1 => Just(0)];
    let faults = (0..3_u64, slow, 0..=300_000_u32, 0..=300_000_u32, any::<[bool; 2]>()).prop_map(
        |(latency, slow, error, trap, [errors, traps])| {
            let fault = fault(latency, if errors { error } else { 0 }, if traps { trap } else { 0 });
            fault.with_latency_share(share(slow))
        },
    );
    let origin = prop_oneof![Just(FaultOrigin::Manifest), Just(FaultOrigin::Operator)];
    prop_oneof![
        3 => (0..30_u64).prop_map(Step::Wait),
        9 => (0..20_u64, faults, prop::option::of(0..200_u64), origin)
            .prop_map(|(id, fault, lasts, origin)| Step::Add(id, fault, lasts, origin)),
        1 => (0..20_u64).prop_map(Step::Remove),
        1 => Just(Step::Expire),
        1 => prop_oneof![19 => Just(Step::Wait(0)), 1 => Just(Step::Clear)],
        4 => any::<u64>().prop_map(Step::Draw),
    ]
}

proptest! {
    /// Property: after any steps, faults are added, removed, listed and drawn exactly as in the model.
    #[test]
    fn the_active_faults_do_what_the_model_does(steps in prop::collection::vec(step(), 0..150)) {
        let (faults, mut model, mut now) = (ActiveFaults::default(), Model::default(), Instant::now());
        for step in steps {
            match step {
                Step::Wait(more) => now += millis(more),
                Step::Add(id, fault, lasts, origin) => {
                    let until = lasts.map(|lasts| now + millis(lasts));
                    let added = ActiveFault { id, fault, until, origin };
                    model.0 = model.active(now);
                    let room = match model.0.iter().position(|one| one.id == id) {
                        Some(index) => {
                            model.0[index] = added;
                            true
                        }
                        None if model.0.len() < 16 => {
                            model.0.push(added);
                            true
                        }
                        None => false,
                    };
                    let wanted = if room { Ok(()) } else { Err(TooManyFaults) };
                    prop_assert_eq!(faults.add(id, fault, until, origin, now), wanted);
                }
                Step::Remove(id) => {
                    let before = model.0.len();
                    model.0.retain(|one| one.id != id);
                    prop_assert_eq!(faults.remove(id), model.0.len() < before);
                }
                Step::Expire => {
                    let active = model.active(now);
                    let over = model.0.iter().filter(|one| !active.contains(one)).copied().collect::<Vec<_>>();
                    model.0 = active;
                    prop_assert_eq!(faults.expire(now), over);
                }
                Step::Clear => prop_assert_eq!(faults.clear(), std::mem::take(&mut model.0).len()),
                Step::Draw(seed) => {
                    let mut rng = StdRng::seed_from_u64(seed);
                    let drawn: Vec<usize> = (0..40).map(|_| rng.random_range(0..MILLION)).collect();
                    let mut numbers = drawn.iter().copied();
                    let real = faults.draw(now, &mut |_| numbers.next().expect("enough numbers"));
                    prop_assert_eq!(real, model.draw(now, &drawn));
                }
            }
            prop_assert_eq!(faults.active(now), model.active(now));
        }
    }
}

/// Calls draw while another thread changes the list: each call sees the list before or after a change, and the last
/// change is seen.
#[test]
fn a_call_beside_a_change_sees_the_list_before_or_after_it() {
    let (faults, now) = (ActiveFaults::default(), Instant::now());
    thread::scope(|scope| {
        let draws = || {
            for _ in 0..20_000 {
                let latency = faults.draw(now, &mut never).map(|injected| injected.latency);
                assert!([None, Some(millis(1)), Some(millis(3))].contains(&latency), "{latency:?}");
            }
        };
        scope.spawn(draws);
        scope.spawn(draws);
        for _ in 0..2_000 {
            faults.add(1, fault(1, 0, 0), None, FaultOrigin::Operator, now).expect("room");
            faults.add(2, fault(2, 0, 0), None, FaultOrigin::Operator, now).expect("room");
            assert_eq!(faults.draw(now, &mut never), injected(3, None));
            assert_eq!(faults.clear(), 2);
            assert_eq!(faults.draw(now, &mut never), None);
        }
        faults.add(1, fault(1, 0, 0), None, FaultOrigin::Operator, now).expect("room");
    });
    assert_eq!(faults.draw(now, &mut never), injected(1, None));
}
