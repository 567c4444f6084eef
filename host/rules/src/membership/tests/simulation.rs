//! A seeded simulation of hundreds of nodes with one registry, on a clock of its own: nodes are killed, sleep and are
//! cut off, the registry is away, writes and answers are late or lost, and no two clocks run at one rate.
//!
//! What must hold at each step:
//! - **holder**: of all nodes at most one may act as the leader.
//! - **fence**: what the leader guards is never written by an earlier leader after a later one.
//! - **living**: a node that lives, and has had its connection for most of a lease, is evicted by nobody.
//! - **dead**: a node that is dead for two leases is in no view, if the registry and the viewer were there.
//! - **history**: of all that was asked of the leader's lease and answered, and of all that its holders decided, one
//!   order explains each answer: the lease is a linearizable register.
//! - **agreement**: once all is well for some leases, each view is the set of the living nodes.
//!
//! A mutant has another rule in place of one of the room's, and must break one of these promises. `ATOLL_SIM_SEEDS=n`
//! runs so many seeds, and `ATOLL_SIM_SEED=n` the seed `n` alone.

use super::world::{Promise, Report, Rules, World};
use std::ops::Range;

/// The seeds of a run without further orders: some seconds with a debug build.
const SEEDS: u64 = 4;
/// So many seeds a mutant may survive at most.
const PATIENCE: u64 = 20;

fn number(name: &str) -> Option<u64> {
    let (_, text) = std::env::vars().find(|(key, _)| key == name)?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

/// The seeds of a run: the one that is named, or so many.
pub(super) fn seeds(without_orders: u64) -> Range<u64> {
    match number("ATOLL_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("ATOLL_SIM_SEEDS").unwrap_or(without_orders),
    }
}

#[test]
fn hundreds_of_nodes_keep_every_promise_whatever_breaks() {
    let mut refusals = 0;
    for seed in seeds(SEEDS) {
        let report = World::run(seed, Rules::default());
        let Report { broken, tenures, evictions, writes, refused, operations, .. } = &report;
        assert!(broken.is_empty(), "seed {seed}: {}\nRun it again with: ATOLL_SIM_SEED={seed}", broken.join("\n"));
        assert!(
            *tenures > 2 && *evictions > 10 && *writes > 50 && *operations > 100,
            "seed {seed} is too calm: {report:?}"
        );
        refusals += refused;
    }
    assert!(refusals > 0, "no leader slept long enough");
}

#[test]
fn two_runs_of_one_seed_are_the_same() {
    let (one, two) = (World::run(7, Rules::default()), World::run(7, Rules::default()));
    assert_eq!(one, two);
    assert_ne!(one.trace, World::run(8, Rules::default()).trace);
}

#[test]
fn every_mutant_breaks_its_promise() {
    let mutants = [
        ("no fence", Rules { fence: false, ..Rules::default() }, Promise::Fence),
        ("no margin", Rules { margin: false, ..Rules::default() }, Promise::Holder),
        ("a lease that counts from the answer", Rules { from_answer: true, ..Rules::default() }, Promise::Holder),
        ("no margin, in the history", Rules { margin: false, ..Rules::default() }, Promise::History),
        ("a late count, in the history", Rules { from_answer: true, ..Rules::default() }, Promise::History),
        ("mass eviction", Rules { patient: false, ..Rules::default() }, Promise::Living),
        ("nobody is ever evicted", Rules { frozen: true, ..Rules::default() }, Promise::Dead),
    ];
    for (mutant, rules, promise) in mutants {
        let word = format!("{promise:?}");
        let caught =
            (0..PATIENCE).any(|seed| World::run(seed, rules).broken.iter().any(|line| line.starts_with(&word)));
        assert!(caught, "the simulation does not notice: {mutant}");
    }
}
