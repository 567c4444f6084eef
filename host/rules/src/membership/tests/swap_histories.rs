//! Swaps of one service by four nodes at a time, from seeds: nodes sleep and start again in the middle of them, and
//! requests and answers are late or lost. All that operators have heard is recorded, and must be what one register
//! would have answered: a swap that was said to be done took the place of what it says, one that was refused did
//! nothing, and whoever asks what is wanted reads the last one. `ATOLL_SIM_SEED` and `ATOLL_SIM_SEEDS` are as in
//! `simulation`.

use super::history::History;
use super::simulation::seeds;
use super::swap_world::{SwapAction, SwapRules, SwapWorld};

/// The seeds of a run without further orders.
const SEEDS: u64 = 60;
/// So many seeds a mutant may survive at most.
const PATIENCE: u64 = 200;

/// Whether one order explains the history of a seed.
fn holds(seed: u64, rules: SwapRules) -> bool {
    History::new(SwapWorld::run(seed, rules).history).linearizes(None)
}

#[test]
fn what_operators_hear_of_swaps_is_linearizable() {
    let (mut swaps, mut reads, mut doubtful, mut refused) = (0, 0, 0, 0);
    for seed in seeds(SEEDS) {
        let SwapWorld { history, refused: no, .. } = SwapWorld::run(seed, SwapRules::Right);
        for operation in &history {
            match operation.action {
                SwapAction::Exchanged(..) => swaps += 1,
                SwapAction::Doubtful(_) => doubtful += 1,
                SwapAction::Read(_) => reads += 1,
            }
        }
        refused += no;
        let explained = History::new(history.clone()).linearizes(None);
        assert!(explained, "seed {seed}: {history:#?}\nRun it again with: ATOLL_SIM_SEED={seed}");
    }
    println!("{swaps} swaps, {refused} refused, {doubtful} in doubt, {reads} reads");
    assert!(swaps > 10 && reads > 10 && refused > 10, "too calm");
}

#[test]
fn one_seed_is_one_history() {
    let run = |seed| SwapWorld::run(seed, SwapRules::Right).history;
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}

#[test]
fn each_mutant_of_the_protocol_is_noticed() {
    for (mutant, rules) in [
        ("what was agreed on compares with nothing", SwapRules::Blind),
        ("a read does not finish what was agreed on", SwapRules::Hasty),
        ("no answer is taken for a refusal", SwapRules::Sure),
    ] {
        assert!((0..PATIENCE).any(|seed| !holds(seed, rules)), "the histories do not show it: {mutant}");
    }
}
