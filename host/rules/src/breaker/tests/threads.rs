//! The breaker under many threads: its counts are exact, and it never grants more than it may. `tests/loom` tries the
//! orders of steps that these runs do not happen to meet.

use super::rig::{full_with, ms, outcome, probing, s};
use crate::breaker::window::{Counts, Window};
use crate::breaker::*;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

/// Runs `work` on `threads` threads that start together.
fn together<T: Send>(threads: u32, work: impl Fn(u32) -> T + Sync) -> Vec<T> {
    let barrier = Barrier::new(threads as usize);
    let run = |thread| {
        barrier.wait();
        work(thread)
    };
    thread::scope(|scope| {
        let run = &run;
        let handles: Vec<_> = (0..threads).map(|thread| scope.spawn(move || run(thread))).collect();
        handles.into_iter().map(|handle| handle.join().expect("no panic")).collect()
    })
}

fn breaker(settings: Settings) -> Arc<Breaker> {
    Arc::new(Breaker::new(settings, 7))
}

fn record(breaker: &Arc<Breaker>, verdict: Verdict, now: Instant) {
    breaker.try_acquire(now).expect("a permit").record(outcome(verdict), now);
}

/// A breaker that opened at `now`, for a second.
fn opened(settings: Settings, now: Instant) -> Arc<Breaker> {
    let breaker = breaker(settings);
    (0..3).for_each(|_| record(&breaker, Verdict::EndpointFault, now));
    assert_eq!(breaker.state(now), State::Open);
    breaker
}

#[test]
fn of_many_threads_exactly_at_a_time_get_a_probe() {
    for at_a_time in [1, 3] {
        for _ in 0..100 {
            let start = Instant::now();
            let breaker = opened(probing(at_a_time, 9), start);
            let answers = together(8, |_| breaker.try_acquire(start + s(1)));
            assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), at_a_time as usize);
        }
    }
}

#[test]
fn threads_that_reuse_probe_slots_never_hold_more_than_there_are() {
    let start = Instant::now();
    let breaker = opened(probing(2, 100_000), start);
    let (holders, probes) = (AtomicU32::new(0), AtomicU32::new(0));
    together(4, |thread| {
        for round in 0..5_000_u32 {
            // So late that every open time is over. No probe fails here: a failed probe would end the stretch while
            // other threads hold their permits, and the count of holders would be wrong.
            let late = start + s(100_000);
            if let Ok(permit) = breaker.try_acquire(late) {
                assert!(holders.fetch_add(1, Ordering::SeqCst) < 2);
                probes.fetch_add(1, Ordering::Relaxed);
                holders.fetch_sub(1, Ordering::SeqCst);
                let verdict = if (thread + round).is_multiple_of(2) { Verdict::Success } else { Verdict::Neutral };
                permit.record(outcome(verdict), late);
            }
        }
    });
    assert!(probes.into_inner() > 0);
    assert_eq!(breaker.state(start + s(100_000)), State::HalfOpen);
}

#[test]
fn no_fault_is_lost_from_the_streak() {
    const EACH: u32 = 2_000;
    let full = |in_a_row| full_with(|full| (full.in_a_row, full.ratio) = (in_a_row, 101));
    let simple = |in_a_row| Settings::simple(in_a_row, s(5), s(6));
    for (settings, state) in [
        (full(4 * EACH), State::Open),
        (full(4 * EACH + 1), State::Closed),
        (simple(4 * EACH), State::Open),
        (simple(4 * EACH + 1), State::Closed),
    ] {
        let (breaker, now) = (breaker(settings), Instant::now());
        together(4, |_| (0..EACH).for_each(|_| record(&breaker, Verdict::EndpointFault, now)));
        assert_eq!(breaker.state(now), state);
    }
}

#[test]
fn the_ratio_opens_with_the_last_fault_and_not_before() {
    const EACH: u32 = 2_000;
    for (least_calls, state) in [(4 * EACH, State::Open), (4 * EACH + 1, State::Closed)] {
        let (breaker, now) = (breaker(full_with(|full| full.least_calls = least_calls)), Instant::now());
        let permits = AtomicU32::new(0);
        // The calls fall into all ten buckets, in another order for each thread.
        together(4, |thread| {
            for call in 0..EACH {
                let now = now + ms(1_000 * u64::from((call + thread) % 10));
                if let Ok(permit) = breaker.try_acquire(now) {
                    permits.fetch_add(1, Ordering::Relaxed);
                    permit.record(outcome(Verdict::RequestFault), now);
                }
            }
        });
        assert_eq!(breaker.state(now), state);
        assert_eq!(permits.into_inner(), 4 * EACH, "it opened with the last one");
    }
}

#[test]
fn a_window_that_many_threads_count_in_is_exact() {
    const EACH: u32 = 100;
    for _ in 0..20 {
        let (window, start) = (Window::new(ms(100)), Instant::now());
        // Every thread goes through fifty ticks at its own pace, so threads restart buckets while others count in them.
        together(4, |_| {
            for tick in 0..50 {
                for call in 0..EACH {
                    let now = start + ms(10 * tick) + Duration::from_nanos(u64::from(call));
                    window.count(1, || 1, call % 2 == 0, call % 5 == 0, now);
                }
            }
        });
        let calls = 4 * 10 * u64::from(EACH);
        assert_eq!(window.counts(1), Counts { calls, faults: calls / 2, slow: calls / 5 });
        assert_eq!(window.counts(2), Counts::default());
    }
}

#[test]
fn calls_and_operators_at_once_leave_a_consistent_breaker() {
    for _ in 0..30 {
        let (breaker, start) = (breaker(probing(2, 2)), Instant::now());
        together(4, |thread| {
            for round in 0..300 {
                let now = start + ms(100 * u64::from(round));
                if let Ok(permit) = breaker.try_acquire(now) {
                    let verdict = [Verdict::Success, Verdict::EndpointFault, Verdict::RequestFault, Verdict::Neutral];
                    permit.record(outcome(verdict[(thread + round) as usize % 4]), now);
                }
                match (thread, round % 100) {
                    (0, 40) => breaker.force(Forced::Open),
                    (1, 60) => breaker.force(Forced::Closed),
                    (_, 80) => breaker.reset(),
                    _ => {}
                }
            }
        });
        breaker.reset();
        let now = start + s(1_000);
        (0..3).for_each(|_| record(&breaker, Verdict::EndpointFault, now));
        assert_eq!(breaker.state(now), State::Open);
        (0..2).for_each(|_| record(&breaker, Verdict::Success, now + s(1)));
        assert_eq!(breaker.state(now + s(1)), State::Closed);
    }
}
