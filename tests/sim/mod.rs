//! Seeded simulation of whole calls: the real mesh with its registry, balancers, breakers, retry budgets and bulkheads,
//! on a paused clock, over fake endpoints that crash, hang, flap, trickle and recover.
//!
//! One seed determines one run, to the last call: its services with their policies (`policies`), which calls callers
//! make and when they go away (`caller`), how the endpoints behave (`fake_target`, `behaviour`, `stream`), and what
//! happens to the services meanwhile (`events`). At the end all endpoints are well again (`final_phase`).
//!
//! The invariants. The first group is checked when a call arrives at an endpoint (`checks`), some of it by an audit
//! every 20 ms too; the second where a call ends (`caller`, `fake_target`); the third in the final phase
//! (`final_phase`).
//!
//! - **circuit**: no call passes an open circuit, or goes to an endpoint that is not ready.
//! - **open time**: a circuit that has opened stays open for its least time.
//! - **probes**: at most the permitted number of probes are under way, each with its lease.
//! - **table**: after a swap, neither a call that begins later nor a further try goes to an old endpoint.
//! - **repetition**: a call is sent again only if that does no harm, no more often than the settings and the budget
//!   allow, and to another endpoint if one takes it.
//! - **bounds**: the calls under way and the waiting calls stay within the settings of the endpoint and of the
//!   bulkhead.
//!
//! - **deadline**: a try begins, and a call ends, within the deadlines of the try and of the call.
//! - **refusal**: no endpoint has seen a call that was refused.
//! - **body**: a request's body arrives whole, in each try that reads it to its end.
//! - **neutrality**: a caller that goes away changes no circuit and no count.
//!
//! - **quiet**: when no call is under way, no permit, no load and no probe is taken.
//! - **recovery**: when all endpoints are well and get some traffic, every circuit closes and every ejected endpoint
//!   comes back.
//! - **shares**: then each endpoint gets its share of the calls.
//! - **accounts**: each outcome is counted exactly once, by the endpoint that it happened at.
//!
//! `rollouts` simulates the judge of rollouts, and `asynchronous` events and sagas.
//!
//! `ATOLL_SIM_SEED=n` runs the seed `n` alone, `ATOLL_SIM_SEEDS=n` runs that many seeds from 0.

mod asynchronous;
mod behaviour;
mod caller;
mod checks;
mod events;
mod fake_target;
mod final_phase;
mod ledger;
mod policies;
mod rng;
mod rollouts;
mod stream;
mod world;

use std::time::Instant;

/// The number of seeds of a run without further orders: about a quarter of a minute with a debug build.
const SEEDS: u64 = 150;

fn number(name: &str) -> Option<u64> {
    let (_, text) = std::env::vars().find(|(key, _)| key == name)?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

/// Runs `seed`. The report is the same each time.
fn run(seed: u64) -> world::Report {
    world::run(seed).unwrap_or_else(|wrong| panic!("{wrong}\nRun it again with: ATOLL_SIM_SEED={seed}"))
}

#[test]
fn every_invariant_holds_for_every_seed() {
    let began = Instant::now();
    let seeds = match number("ATOLL_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("ATOLL_SIM_SEEDS").unwrap_or(SEEDS),
    };
    let (mut calls, mut tries) = (0, 0);
    for seed in seeds {
        let report = run(seed);
        calls += report.calls;
        tries += report.tries;
    }
    println!("{calls} calls, {tries} tries that reached an endpoint, in {:?}", began.elapsed());
    assert!(tries > 0 && calls > 1_000);
}

#[test]
fn two_runs_of_one_seed_are_the_same_step_by_step() {
    for seed in [3, 4] {
        let (first, second) = (run(seed), run(seed));
        assert_eq!(first, second, "two runs of the seed {seed} differ");
        assert_ne!(first.trace, run(seed + 1_000).trace);
    }
}
