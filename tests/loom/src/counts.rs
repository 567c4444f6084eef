//! The window's counts.

use crate::breaker::{State, Verdict};
use crate::{LONG, both, every_order, outcome, ratio, record};
use std::sync::Arc;
use std::time::Instant;

#[test]
fn two_faults_in_one_bucket_are_both_counted() {
    every_order(|| {
        let (breaker, now) = (ratio(2), Instant::now());
        let (here, other) = (Arc::clone(&breaker), Arc::clone(&breaker));
        both(move || record(&here, Verdict::RequestFault, now), move || record(&other, Verdict::RequestFault, now));
        assert_eq!(breaker.state(now), State::Open, "the second one saw both");
    });
}

#[test]
fn two_faults_in_two_buckets_are_both_seen() {
    every_order(|| {
        let (breaker, now) = (ratio(2), Instant::now());
        let (here, other) = (Arc::clone(&breaker), Arc::clone(&breaker));
        both(
            move || record(&here, Verdict::RequestFault, now),
            move || record(&other, Verdict::Throttled, now + LONG / 10),
        );
        assert_eq!(breaker.state(now), State::Open, "one of them saw the other");
    });
}

#[test]
fn a_bucket_that_both_restart_counts_both() {
    every_order(|| {
        let (breaker, start) = (ratio(2), Instant::now());
        record(&breaker, Verdict::RequestFault, start);
        // One window later the same bucket holds an older tick, and the two race to restart it.
        let now = start + LONG;
        let (here, other) = (Arc::clone(&breaker), Arc::clone(&breaker));
        both(move || record(&here, Verdict::RequestFault, now), move || record(&other, Verdict::RequestFault, now));
        assert_eq!(breaker.state(now), State::Open);
    });
}

#[test]
fn one_call_before_and_one_after_a_bucket_changed_are_not_together() {
    every_order(|| {
        let (breaker, start) = (ratio(2), Instant::now());
        record(&breaker, Verdict::Success, start);
        // The first bucket is restarted while a late one counts in it: the late one is outside of the window, or
        // counted before.
        let late = breaker.try_acquire(start).expect("closed");
        let other = Arc::clone(&breaker);
        let (_, ()) = both(
            move || late.record(outcome(Verdict::Success), start),
            move || record(&other, Verdict::RequestFault, start + LONG),
        );
        assert_eq!(breaker.state(start + LONG), State::Closed, "one call in the window");
        record(&breaker, Verdict::RequestFault, start + LONG);
        assert_eq!(breaker.state(start + LONG), State::Open, "two calls in the window");
    });
}

#[test]
fn a_count_of_an_older_epoch_is_not_in_the_newer_window() {
    every_order(|| {
        let (breaker, now) = (ratio(2), Instant::now());
        let (early, other) = (breaker.try_acquire(now).expect("closed"), Arc::clone(&breaker));
        both(
            move || early.record(outcome(Verdict::RequestFault), now),
            move || {
                other.reset();
                record(&other, Verdict::RequestFault, now);
            },
        );
        assert_eq!(breaker.state(now), State::Closed, "one fault in the newer stretch");
        record(&breaker, Verdict::RequestFault, now);
        assert_eq!(breaker.state(now), State::Open, "and its own is not lost");
    });
}
