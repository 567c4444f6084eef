//! Seeded simulation of whole calls: the real mesh with its registry, balancers, breakers, retry budgets and bulkheads,
//! on a paused clock, over places that crash, hang, flap, trickle and recover.
//!
//! One seed determines one run, to the last call: its services and their policies (`scenery`), who calls what and goes
//! away when (`caller`), how the places behave (`place`, `mood`, `stream`), and what happens to them meanwhile
//! (`events`). What must always hold is checked at every step, where a call arrives at a place, where it ends, and by
//! an auditor every 20 ms (`checks`, `ledger`); at the end everything is well again, and each circuit must close and
//! each endpoint get its share (`calm`).
//!
//! `ATOLL_SIM_SEED=n` runs the seed `n` alone, `ATOLL_SIM_SEEDS=n` runs that many from 0.

mod caller;
mod calm;
mod checks;
mod dice;
mod events;
mod ledger;
mod mood;
mod place;
mod scenery;
mod stream;
mod world;

use std::time::Instant;

/// Seeds of a run without further orders: with a debug build about a quarter of a minute.
const SEEDS: u64 = 150;

fn number(name: &str) -> Option<u64> {
    let (_, text) = std::env::vars().find(|(key, _)| key == name)?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// Runs `seed`; what it came to is the same each time.
fn run(seed: u64) -> world::Report {
    world::run(seed).unwrap_or_else(|wrong| panic!("{wrong}\nAgain with: ATOLL_SIM_SEED={seed}"))
}

#[test]
fn what_must_hold_holds_whatever_happens() {
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
    println!("{calls} calls, {tries} tries at a place, in {:?}", began.elapsed());
    assert!(tries > 0 && calls > 1_000);
}

#[test]
fn a_seed_is_the_whole_story() {
    for seed in [3, 4] {
        let (first, second) = (run(seed), run(seed));
        assert_eq!(first, second, "the same seed must give the same run");
        assert_ne!(first.trace, run(seed + 1_000).trace);
    }
}
