//! The breaker against a naive model, and under many threads. Time is fed by hand.

use super::*;
use proptest::prelude::*;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

const RECOVERY: Duration = Duration::from_millis(50);
const LEASE: Duration = Duration::from_millis(30);

fn breaker(failure_threshold: u32) -> Arc<Breaker> {
    Arc::new(Breaker::new(Settings { failure_threshold, recovery_timeout: RECOVERY, probe_lease: LEASE }))
}

fn record(breaker: &Arc<Breaker>, verdict: Verdict, now: Instant) {
    breaker.try_acquire(now).expect("a permit").record(verdict, now);
}

/// A breaker that opened at `now`.
fn opened(now: Instant) -> Arc<Breaker> {
    let breaker = breaker(1);
    record(&breaker, Verdict::Failure, now);
    assert_eq!(breaker.state(now), State::Open);
    breaker
}

fn refused(breaker: &Arc<Breaker>, now: Instant) -> Duration {
    breaker.try_acquire(now).expect_err("a refusal").retry_after
}

#[test]
fn only_failures_in_a_row_open() {
    let (breaker, now) = (breaker(3), Instant::now());
    for verdict in [Verdict::Failure, Verdict::Failure, Verdict::Success, Verdict::Failure, Verdict::Failure] {
        record(&breaker, verdict, now);
    }
    record(&breaker, Verdict::Neutral, now);
    assert_eq!(breaker.state(now), State::Closed);
    record(&breaker, Verdict::Failure, now);
    assert_eq!(breaker.state(now), State::Open);
    assert_eq!(refused(&breaker, now + RECOVERY / 2), RECOVERY / 2);
}

#[test]
fn a_wait_is_never_zero() {
    let now = Instant::now();
    let breaker = opened(now);
    assert_eq!(refused(&breaker, now + RECOVERY - Duration::from_nanos(1)), Duration::from_millis(1));
}

#[test]
fn a_threshold_of_zero_counts_as_one_and_the_largest_does_not_overflow() {
    let now = Instant::now();
    let eager = breaker(0);
    record(&eager, Verdict::Failure, now);
    assert_eq!(eager.state(now), State::Open);
    let patient = breaker(u32::MAX);
    record(&patient, Verdict::Failure, now);
    assert_eq!(patient.state(now), State::Closed);
}

#[test]
fn endless_times_do_not_overflow() {
    let endless = Settings { failure_threshold: 1, recovery_timeout: Duration::MAX, probe_lease: Duration::MAX };
    let (breaker, now) = (Arc::new(Breaker::new(endless)), Instant::now());
    record(&breaker, Verdict::Failure, now);
    assert_eq!(refused(&breaker, now), Duration::MAX);
}

#[test]
fn a_probe_decides() {
    let start = Instant::now();
    let breaker = opened(start);
    let now = start + RECOVERY;
    assert_eq!(breaker.state(now), State::HalfOpen);
    record(&breaker, Verdict::Failure, now);
    assert_eq!(breaker.state(now), State::Open);
    assert_eq!(refused(&breaker, now), RECOVERY, "the timeout starts afresh");
    let now = now + RECOVERY;
    record(&breaker, Verdict::Success, now);
    assert_eq!(breaker.state(now), State::Closed);
}

#[test]
fn a_probe_without_a_verdict_frees_its_slot() {
    let start = Instant::now();
    let breaker = opened(start);
    let now = start + RECOVERY;
    drop(breaker.try_acquire(now).expect("the first probe"));
    record(&breaker, Verdict::Neutral, now);
    assert_eq!(breaker.state(now), State::HalfOpen);
    record(&breaker, Verdict::Success, now);
    assert_eq!(breaker.state(now), State::Closed);
}

#[test]
fn a_probe_that_overstays_loses_its_slot_and_its_say() {
    let start = Instant::now();
    let breaker = opened(start);
    let now = start + RECOVERY;
    let slow = breaker.try_acquire(now).expect("the slow probe");
    assert_eq!(refused(&breaker, now + LEASE / 3), LEASE - LEASE / 3);
    let now = now + LEASE;
    let next = breaker.try_acquire(now).expect("the next probe");
    slow.record(Verdict::Success, now);
    assert_eq!(breaker.state(now), State::HalfOpen, "the slow probe's verdict is stale");
    assert_eq!(refused(&breaker, now), LEASE, "and it does not free the next one's slot");
    next.record(Verdict::Success, now);
    assert_eq!(breaker.state(now), State::Closed);
}

#[test]
fn verdicts_from_before_the_circuit_opened_are_stale() {
    let start = Instant::now();
    let breaker = breaker(1);
    let early: Vec<Permit> = (0..3).map(|_| breaker.try_acquire(start).expect("closed")).collect();
    record(&breaker, Verdict::Failure, start);
    let [success, failure, failure_after] = early.try_into().expect("three");
    success.record(Verdict::Success, start);
    assert_eq!(breaker.state(start), State::Open);
    let now = start + RECOVERY;
    let probe = breaker.try_acquire(now).expect("the probe");
    failure.record(Verdict::Failure, now);
    assert_eq!(breaker.state(now), State::HalfOpen);
    probe.record(Verdict::Success, now);
    failure_after.record(Verdict::Failure, now);
    assert_eq!(breaker.state(now), State::Closed);
}

#[test]
fn verdicts_from_an_earlier_closed_stretch_are_stale() {
    let (breaker, start) = (breaker(2), Instant::now());
    let [success, failure] = [(); 2].map(|()| breaker.try_acquire(start).expect("closed"));
    record(&breaker, Verdict::Failure, start);
    record(&breaker, Verdict::Failure, start);
    let now = start + RECOVERY;
    record(&breaker, Verdict::Success, now);
    record(&breaker, Verdict::Failure, now);
    failure.record(Verdict::Failure, now);
    assert_eq!(breaker.state(now), State::Closed, "the old failure does not lengthen the run");
    success.record(Verdict::Success, now);
    record(&breaker, Verdict::Failure, now);
    assert_eq!(breaker.state(now), State::Open, "the old success does not end it");
}

/// Runs `work` on `threads` threads that start together.
fn together<T: Send>(threads: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let barrier = Barrier::new(threads);
    let run = |thread| {
        barrier.wait();
        work(thread)
    };
    thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|thread| scope.spawn(move || run(thread))).collect();
        handles.into_iter().map(|handle| handle.join().expect("no panic")).collect()
    })
}

#[test]
fn of_many_threads_one_gets_the_probe() {
    for _ in 0..200 {
        let start = Instant::now();
        let breaker = opened(start);
        let answers = together(8, |_| breaker.try_acquire(start + RECOVERY));
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    }
}

#[test]
fn however_often_the_slot_changes_hands_one_holds_it() {
    let start = Instant::now();
    let breaker = opened(start);
    let (holders, probes) = (AtomicU32::new(0), AtomicU32::new(0));
    together(4, |thread| {
        for round in 0..5_000_u32 {
            // A failed probe's open time is over at once for the next caller, so that every transition but the closing one is in play.
            let now = start + RECOVERY * (round + 1);
            if let Ok(permit) = breaker.try_acquire(start + RECOVERY * 10_000) {
                assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0);
                probes.fetch_add(1, Ordering::Relaxed);
                holders.fetch_sub(1, Ordering::SeqCst);
                let verdict =
                    if (thread + round as usize).is_multiple_of(2) { Verdict::Failure } else { Verdict::Neutral };
                permit.record(verdict, now);
            }
        }
    });
    assert!(probes.into_inner() > 0);
    assert_ne!(breaker.state(start), State::Closed);
}

#[test]
fn no_failure_is_lost_between_threads() {
    const EACH: u32 = 2_000;
    for (threshold, state) in [(4 * EACH, State::Open), (4 * EACH + 1, State::Closed)] {
        let (breaker, now) = (breaker(threshold), Instant::now());
        together(4, |_| (0..EACH).for_each(|_| record(&breaker, Verdict::Failure, now)));
        assert_eq!(breaker.state(now), state);
    }
}

#[test]
fn successes_and_failures_at_once_leave_a_consistent_breaker() {
    for _ in 0..50 {
        let (breaker, now) = (breaker(2), Instant::now());
        together(4, |thread| {
            for round in 0..200 {
                if let Ok(permit) = breaker.try_acquire(now) {
                    permit.record(if (thread + round) % 3 == 0 { Verdict::Success } else { Verdict::Failure }, now);
                }
            }
        });
        let later = now + RECOVERY;
        record(&breaker, Verdict::Success, later);
        assert_eq!(breaker.state(later), State::Closed);
    }
}

/// What the breaker ought to do, told without epochs: every phase is kept for ever, and a permit knows the phase that it came from.
struct Model {
    threshold: u32,
    phases: Vec<ModelPhase>,
}

enum ModelPhase {
    Closed {
        failures: u32,
    },
    Open {
        since: Instant,
    },
    /// The slot is free.
    Free,
    Probing {
        since: Instant,
    },
}

impl Model {
    fn acquire(&mut self, now: Instant) -> Result<usize, Duration> {
        let wait = match self.phases.last().expect("never empty") {
            ModelPhase::Closed { .. } => return Ok(self.phases.len() - 1),
            ModelPhase::Open { since } => (*since + RECOVERY).saturating_duration_since(now),
            ModelPhase::Probing { since } => (*since + LEASE).saturating_duration_since(now),
            ModelPhase::Free => Duration::ZERO,
        };
        if !wait.is_zero() {
            return Err(wait);
        }
        self.phases.push(ModelPhase::Probing { since: now });
        Ok(self.phases.len() - 1)
    }

    fn record(&mut self, phase: usize, verdict: Verdict, now: Instant) {
        if phase + 1 != self.phases.len() {
            return;
        }
        let next = match (&mut self.phases[phase], verdict) {
            (ModelPhase::Closed { .. }, Verdict::Neutral) => return,
            (ModelPhase::Closed { failures }, Verdict::Success) => {
                *failures = 0;
                return;
            }
            (ModelPhase::Closed { failures }, Verdict::Failure) => {
                *failures += 1;
                if *failures < self.threshold {
                    return;
                }
                ModelPhase::Open { since: now }
            }
            (_, Verdict::Failure) => ModelPhase::Open { since: now },
            (_, Verdict::Success) => ModelPhase::Closed { failures: 0 },
            (_, Verdict::Neutral) => ModelPhase::Free,
        };
        self.phases.push(next);
    }

    fn state(&self, now: Instant) -> State {
        match self.phases.last().expect("never empty") {
            ModelPhase::Closed { .. } => State::Closed,
            ModelPhase::Open { since } if now < *since + RECOVERY => State::Open,
            _ => State::HalfOpen,
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    Acquire,
    Record(prop::sample::Index, Verdict),
    Drop(prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    let verdict = prop_oneof![
        3 => Just(Verdict::Failure),
        2 => Just(Verdict::Success),
        1 => Just(Verdict::Neutral),
    ];
    prop_oneof![
        1 => (0..40_u64).prop_map(Step::Wait),
        1 => Just(Step::Wait(50)),
        4 => Just(Step::Acquire),
        4 => (any::<prop::sample::Index>(), verdict).prop_map(|(which, verdict)| Step::Record(which, verdict)),
        1 => any::<prop::sample::Index>().prop_map(Step::Drop),
    ]
}

proptest! {
    #[test]
    fn the_breaker_does_what_the_model_does(threshold in 1..4_u32, steps in prop::collection::vec(step(), 0..200)) {
        let breaker = breaker(threshold);
        let mut model = Model { threshold, phases: vec![ModelPhase::Closed { failures: 0 }] };
        let mut permits: Vec<(Permit, usize)> = Vec::new();
        let mut now = Instant::now();
        for step in steps {
            match step {
                Step::Wait(millis) => now += Duration::from_millis(millis),
                Step::Acquire => match (breaker.try_acquire(now), model.acquire(now)) {
                    (Ok(permit), Ok(phase)) => permits.push((permit, phase)),
                    (Err(refused), Err(wait)) => prop_assert_eq!(refused.retry_after, wait),
                    (real, wanted) => prop_assert!(false, "{:?} instead of {:?}", real, wanted),
                },
                Step::Record(which, verdict) if !permits.is_empty() => {
                    let (permit, phase) = permits.swap_remove(which.index(permits.len()));
                    permit.record(verdict, now);
                    model.record(phase, verdict, now);
                }
                Step::Drop(which) if !permits.is_empty() => {
                    let (permit, phase) = permits.swap_remove(which.index(permits.len()));
                    drop(permit);
                    model.record(phase, Verdict::Neutral, now);
                }
                Step::Record(..) | Step::Drop(_) => {}
            }
            prop_assert_eq!(breaker.state(now), model.state(now));
        }
    }
}
