//! Parts of the host under loom: it runs each test in every order in which the steps of a few threads may meet.
//!
//! The source is the host's own, read by path, and takes loom's types in the place of the standard ones: the breaker by
//! `cfg(loom)`, which `build.rs` sets, and inline polling by a `sync.rs` of this crate. Every test is small on purpose,
//! and bounds how often one thread interrupts another: loom runs it once for each order.
#![cfg(test)]

// The tests call a part of what the host calls.
#[allow(dead_code, unused_imports, unreachable_pub, reason = "the room is the host's")]
#[path = "../../../host/rules/src/breaker/mod.rs"]
mod breaker;

mod counts;
mod inline_poll;
mod permits;

use breaker::{Breaker, OpenTime, Outcome, Probes, Settings, Trip, Verdict, WindowedTrip};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often one thread may interrupt another. Most races need one or two interruptions (Musuvathi and Qadeer, 2007).
const PREEMPTIONS: usize = 3;

/// The lease of a probe, and the window.
const LONG: Duration = Duration::from_secs(10);
/// The open time.
const SHORT: Duration = Duration::from_secs(1);

/// Runs `test` in every order of its threads' steps.
fn every_order(test: impl Fn() + Sync + Send + 'static) {
    every_order_within(PREEMPTIONS, test);
}

/// Likewise, with another bound on how often one thread interrupts another.
fn every_order_within(preemptions: usize, test: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(test);
}

fn simple(failure_threshold: u32, at_a_time: u32, successes: u32) -> Arc<Breaker> {
    breaker(Trip::Simple { failure_threshold }, at_a_time, successes)
}

/// A breaker that opens by its ratio of faults, from `least_calls` calls on, and never by a streak.
fn ratio(least_calls: u32) -> Arc<Breaker> {
    breaker(Trip::Full(WindowedTrip { in_a_row: u32::MAX, least_calls, ..WindowedTrip::default() }), 1, 1)
}

fn breaker(trip: Trip, at_a_time: u32, successes: u32) -> Arc<Breaker> {
    let open = OpenTime { least: SHORT, most: SHORT * 8, jitter: 0 };
    let probes = Probes { at_a_time, successes, lease: LONG };
    Arc::new(Breaker::new(Settings { trip, open, probes }, 7))
}

fn record(breaker: &Arc<Breaker>, verdict: Verdict, now: Instant) {
    if let Ok(permit) = breaker.try_acquire(now) {
        permit.record(outcome(verdict), now);
    }
}

fn outcome(verdict: Verdict) -> Outcome {
    Outcome { verdict, took: Duration::ZERO, retry_after: None }
}

/// Runs both at once, each on a thread of its own, and waits for them.
fn both<A: 'static, B: 'static>(one: impl FnOnce() -> A + 'static, other: impl FnOnce() -> B + 'static) -> (A, B) {
    let other = loom::thread::spawn(other);
    let one = one();
    (one, other.join().expect("no panic"))
}
