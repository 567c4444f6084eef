//! Seeded simulation of what goes on behind requests: the real delivery of events and the real coordinator of sagas,
//! on a paused clock, over a disk of the simulation (`disk`) that fails, leaves commits in doubt, and survives crashes;
//! and services (`shop`) that fail, are away, lose their answers and act late.
//!
//! One seed determines the faults and when they come (`world`). The pauses between tries are drawn by the host itself,
//! so two runs of one seed need not be the same step by step; what holds, holds in each.
//!
//! The invariants, checked on the disk at the end, when all faults are over (`verdict`):
//!
//! - **delivered**: every acknowledged event was handled, or is a dead letter since its handler always fails.
//! - **once**: the effect of an event that is a commit of its handler is there once.
//! - **order**: the effects of one key are in the order of its events.
//! - **no saga lost**: each acknowledged start is a saga that has ended, and each event of the topic has started one.
//! - **whole**: a completed saga has the effects of all of its steps, and a compensated one of none.
//!
//! A mutant of the world (`Mutant`) breaks what each of them rests on, and must be caught by it. The host's own rules
//! have their mutants where they are: `saga/tests/walk.rs`, and the models beside `events`.
//!
//! `ATOLL_SIM_SEED=n` runs the seed `n` alone, `ATOLL_SIM_EVENTS=n` runs that many seeds from 0.

mod disk;
mod shop;
mod verdict;
mod world;

use verdict::Invariant;
use world::run;

/// The seeds of a run without further orders.
const SEEDS: u64 = 8;
/// The seeds within which a mutant must be caught.
const MUTANT_SEEDS: u64 = 20;

/// What is broken in a world, so that its invariant must fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// The disk acknowledges commits that are not synced yet, and a crash takes them.
    LateSync,
    /// A handler commits without the note of its event.
    NoNote,
    /// A handler answers before its effect is committed.
    AnswersFirst,
    /// A crash takes the journal of a saga.
    TornJournal,
    /// The commits of actions are not refused once their saga has turned.
    NoGuard,
}

#[test]
fn every_invariant_of_events_and_sagas_holds_for_every_seed() {
    let seeds = match super::number("ATOLL_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..super::number("ATOLL_SIM_EVENTS").unwrap_or(SEEDS),
    };
    let mut sum = world::Report::default();
    for seed in seeds {
        match run(seed, None) {
            Ok(report) => sum.add(report),
            Err(broken) => panic!("seed {seed}: {broken}\nRun it again with: ATOLL_SIM_SEED={seed}"),
        }
    }
    println!("{sum:?}");
    assert!(sum.events > 0 && sum.completed > 0 && sum.compensated > 0 && sum.crashes > 0 && sum.late > 0, "{sum:?}");
}

#[test]
fn a_mutant_for_each_invariant_is_caught_by_it() {
    let mutants = [
        (Mutant::LateSync, Invariant::Delivered),
        (Mutant::NoNote, Invariant::Once),
        (Mutant::AnswersFirst, Invariant::Order),
        (Mutant::TornJournal, Invariant::NoSagaLost),
        (Mutant::NoGuard, Invariant::Whole),
    ];
    for (mutant, invariant) in mutants {
        let mut found = (0..MUTANT_SEEDS).filter_map(|seed| run(seed, Some(mutant)).err());
        let caught = found.any(|broken| broken.invariant == invariant);
        assert!(caught, "{mutant:?} was not caught by {invariant:?}");
        println!("{mutant:?} is caught by {invariant:?}");
    }
}
