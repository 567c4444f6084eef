//! Permits and transitions.

use crate::breaker::{Forced, State, Verdict, View};
use crate::{SHORT, both, every_order, outcome, record, simple};
use std::sync::Arc;
use std::time::Instant;

#[test]
fn never_more_probes_than_may_be() {
    every_order(|| {
        let (breaker, start) = (simple(1, 1, 2), Instant::now());
        record(&breaker, Verdict::EndpointFault, start);
        let (later, other) = (start + SHORT, Arc::clone(&breaker));
        let here = Arc::clone(&breaker);
        let (one, two) = both(move || here.try_acquire(later), move || other.try_acquire(later));
        assert_eq!(u32::from(one.is_ok()) + u32::from(two.is_ok()), 1);
        assert!(breaker.try_acquire(later).is_err(), "the slot is taken");
    });
}

#[test]
fn a_third_probe_waits_for_one_of_two() {
    every_order(|| {
        let (breaker, start) = (simple(1, 2, 9), Instant::now());
        record(&breaker, Verdict::EndpointFault, start);
        let later = start + SHORT;
        let held = breaker.try_acquire(later).expect("the first");
        let (here, other) = (Arc::clone(&breaker), Arc::clone(&breaker));
        let (one, two) = both(move || here.try_acquire(later), move || other.try_acquire(later));
        assert_eq!(u32::from(one.is_ok()) + u32::from(two.is_ok()), 1);
        drop(held);
    });
}

#[test]
fn two_last_faults_open_once() {
    every_order(|| {
        let (breaker, now) = (simple(2, 1, 1), Instant::now());
        let [one, two] = [(); 2].map(|()| breaker.try_acquire(now).expect("closed"));
        both(
            move || one.record(outcome(Verdict::EndpointFault), now),
            move || two.record(outcome(Verdict::RequestFault), now),
        );
        assert_eq!(breaker.state(now), State::Open);
        // Opened twice it would stay open twice as long.
        assert_eq!(breaker.try_acquire(now).expect_err("open").retry_after, Some(SHORT));
        // And in one step: a probe's permit is of the second epoch, so a close is the third transition.
        record(&breaker, Verdict::Success, now + SHORT);
        assert_eq!(breaker.state(now + SHORT), State::Closed);
    });
}

#[test]
fn two_faults_that_are_not_the_last_do_not_open_and_neither_is_lost() {
    every_order(|| {
        let (breaker, now) = (simple(3, 1, 1), Instant::now());
        let (here, other) = (Arc::clone(&breaker), Arc::clone(&breaker));
        both(move || record(&here, Verdict::EndpointFault, now), move || record(&other, Verdict::EndpointFault, now));
        assert_eq!(breaker.state(now), State::Closed);
        record(&breaker, Verdict::EndpointFault, now);
        assert_eq!(breaker.state(now), State::Open);
    });
}

#[test]
fn a_stale_success_does_not_close() {
    every_order(|| {
        let (breaker, start) = (simple(1, 1, 1), Instant::now());
        let early = breaker.try_acquire(start).expect("closed");
        record(&breaker, Verdict::EndpointFault, start);
        let (later, here) = (start + SHORT, Arc::clone(&breaker));
        let (probe, _) = both(move || here.try_acquire(later), move || early.record(outcome(Verdict::Success), later));
        assert_eq!(breaker.state(later), State::HalfOpen);
        drop(probe);
    });
}

#[test]
fn a_stale_fault_does_not_open_the_next_closed_stretch() {
    every_order(|| {
        let (breaker, start) = (simple(1, 1, 1), Instant::now());
        let early = breaker.try_acquire(start).expect("closed");
        record(&breaker, Verdict::EndpointFault, start);
        let probe = breaker.try_acquire(start + SHORT).expect("the probe");
        both(
            move || probe.record(outcome(Verdict::Success), start + SHORT),
            move || early.record(outcome(Verdict::EndpointFault), start + SHORT),
        );
        assert_eq!(breaker.state(start + SHORT), State::Closed);
    });
}

#[test]
fn a_dropped_probe_frees_its_slot() {
    every_order(|| {
        let (breaker, start) = (simple(1, 1, 1), Instant::now());
        record(&breaker, Verdict::EndpointFault, start);
        let later = start + SHORT;
        let (probe, other) = (breaker.try_acquire(later).expect("the probe"), Arc::clone(&breaker));
        let ((), second) = both(move || drop(probe), move || other.try_acquire(later));
        // Whoever came first: with the second one's permit gone too, there is room.
        drop(second);
        assert!(breaker.try_acquire(later).is_ok());
    });
}

#[test]
fn two_probes_of_which_one_fails_open_again() {
    every_order(|| {
        let (breaker, start) = (simple(1, 2, 2), Instant::now());
        record(&breaker, Verdict::EndpointFault, start);
        let later = start + SHORT;
        let [one, two] = [(); 2].map(|()| breaker.try_acquire(later).expect("a probe"));
        both(
            move || one.record(outcome(Verdict::Success), later),
            move || two.record(outcome(Verdict::Throttled), later),
        );
        assert_eq!(breaker.state(later), State::Open);
    });
}

#[test]
fn what_an_operator_forces_stands_whatever_is_recorded() {
    for (forced, state) in [(Forced::Open, State::Open), (Forced::Closed, State::Closed)] {
        every_order(move || {
            let (breaker, now) = (simple(1, 1, 1), Instant::now());
            let (here, other) = (Arc::clone(&breaker), Arc::clone(&breaker));
            both(move || record(&here, Verdict::EndpointFault, now), move || other.force(forced));
            assert_eq!(breaker.view(now), View { state, forced: Some(forced) });
            breaker.reset();
            assert_eq!(breaker.view(now), View { state: State::Closed, forced: None });
        });
    }
}

#[test]
fn a_reset_leaves_nothing_of_a_fault_at_the_same_time() {
    every_order(|| {
        let (breaker, now) = (simple(2, 1, 1), Instant::now());
        let (permit, other) = (breaker.try_acquire(now).expect("closed"), Arc::clone(&breaker));
        both(move || permit.record(outcome(Verdict::EndpointFault), now), move || other.reset());
        record(&breaker, Verdict::EndpointFault, now);
        assert_eq!(breaker.state(now), State::Closed, "the fault before the reset is stale");
    });
}
