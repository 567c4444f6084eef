//! The parts of the room against naive models. The whole is in the seeded simulation, `tests/sim/rollouts`.

use super::{
    CallMemory, CallOutcome, Coin, CoinKey, Evidence, Judge, JudgeReport, RollbackReason, Symptom, TOLERATED, Toss,
    highest_share,
};
use proptest::prelude::*;
use std::collections::HashMap;

fn answered(micros: u64) -> CallOutcome {
    CallOutcome::Answered { micros, memory: None }
}

const FAILED: CallOutcome = CallOutcome::Failed { trap: None };

fn toss(canary: bool, key: u64) -> Toss {
    Toss { canary, share: 0.05, key }
}

/// The formula as it is written: the likelihood ratio of each harm, event by event, multiplied.
fn naive(events: &[(bool, f64)]) -> f64 {
    let odds = |canary: bool, share: f64, rate: f64| {
        let of_canary = rate * share / (rate * share + 1.0 - share);
        if canary { of_canary } else { 1.0 - of_canary }
    };
    let harms = [1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0];
    let ratio = |harm: f64| {
        let one =
            |&(canary, share): &(bool, f64)| odds(canary, share, harm * TOLERATED) / odds(canary, share, TOLERATED);
        events.iter().map(one).product::<f64>()
    };
    harms.into_iter().map(ratio).sum::<f64>() / 7.0
}

proptest! {
    #[test]
    fn the_evidence_is_the_mean_of_the_likelihood_ratios(
        events in prop::collection::vec((any::<bool>(), 0.01..0.99_f64), 0..60)
    ) {
        let mut evidence = Evidence::default();
        events.iter().for_each(|&(canary, share)| evidence.note(canary, share));
        let (value, model) = (evidence.value(), naive(&events));
        prop_assert!((value - model).abs() <= 1e-9 * model.max(1.0), "{value} {model}");
        prop_assert_eq!(Evidence::from_logs(evidence.logs()), evidence);
    }

    /// What makes the 1 % true: at the tolerated harm no event moves the mean of the evidence.
    #[test]
    fn an_event_moves_no_mean_at_the_tolerated_harm(
        before in prop::collection::vec(any::<bool>(), 0..20), share in 0.01..0.99_f64
    ) {
        let mut evidence = Evidence::default();
        before.iter().for_each(|canary| evidence.note(*canary, 0.1));
        let after = |canary| {
            let mut after = evidence;
            after.note(canary, share);
            after.value()
        };
        let of_canary = TOLERATED * share / (TOLERATED * share + 1.0 - share);
        let mean = of_canary * after(true) + (1.0 - of_canary) * after(false);
        prop_assert!((mean - evidence.value()).abs() <= 1e-9 * evidence.value().max(1.0));
        // And with less harm it sinks.
        prop_assert!(share * after(true) + (1.0 - share) * after(false) <= evidence.value() * (1.0 + 1e-9));
    }

    #[test]
    fn of_a_hundred_requests_the_canary_gets_exactly_its_share(share in 0..=100_u8, seed in any::<u64>()) {
        let mut coin = Coin::new(share, seed);
        for hundred in 0..5_u64 {
            let requests = (1..=100).map(|number| CoinKey::Request(hundred * 1000 + number));
            let canary = requests.filter(|key| coin.toss(*key).canary).count();
            prop_assert_eq!(canary, usize::from(share));
        }
    }

    #[test]
    fn a_request_that_is_remembered_gets_one_answer(
        seed in any::<u64>(), keys in prop::collection::vec(1..50_u64, 1..300)
    ) {
        let mut coin = Coin::new(50, seed);
        let mut answers = HashMap::new();
        for key in keys {
            let fell = coin.toss(CoinKey::Request(key << 20)).canary;
            // 50 keys in 1,024 places: two of them may share one.
            let known = *answers.entry(key).or_insert(fell);
            if known != fell {
                answers.insert(key, fell);
            }
            prop_assert_eq!(coin.toss(CoinKey::Request(key << 20)).canary, fell, "at once again");
        }
    }

    #[test]
    fn a_sticky_key_that_the_canary_has_stays_when_the_share_grows(key in any::<u64>(), seed in any::<u64>()) {
        let mut coin = Coin::new(5, seed);
        let mut before = false;
        for share in [5, 25, 50, 100] {
            coin.set_share(share);
            let now = coin.toss(CoinKey::Sticky(key)).canary;
            prop_assert!(now || !before);
            before = now;
        }
        prop_assert!(before, "100 % is everybody");
    }

    #[test]
    fn the_highest_share_is_above_what_was_seen_and_sinks_with_more_calls(failed in 0..50_u64, more in 1..1000_u64) {
        let calls = failed + more;
        let highest = highest_share(failed, calls);
        prop_assert!(highest > failed as f64 / calls as f64 && highest <= 1.0);
        prop_assert!(highest_share(failed, calls * 2) < highest || highest == 1.0);
    }
}

#[test]
fn sticky_keys_are_divided_by_the_share() {
    let mut coin = Coin::new(5, 1);
    let canary = (0..100_000).filter(|key| coin.toss(CoinKey::Sticky(*key)).canary).count();
    assert!((4_700..5_300).contains(&canary), "{canary}");
}

#[test]
fn a_canary_that_always_crashes_is_out_after_three_failed_calls_at_5_percent() {
    let mut judge = Judge::new(None);
    for key in 0..1000 {
        judge.note(toss(false, key), answered(100));
    }
    for key in 2000..2002 {
        judge.note(toss(true, key), FAILED);
        assert_eq!(judge.verdict(), None);
    }
    judge.note(toss(true, 2002), FAILED);
    let Some(reason @ RollbackReason::Worse { symptom: Symptom::Failures, evidence }) = judge.verdict() else {
        panic!("{:?}", judge.report())
    };
    assert!(evidence >= 100.0);
    let sentence = reason.sentence(&judge.report());
    assert!(sentence.starts_with("failed calls: 3 of 3 against 0 of 1000 of the stable revision; "), "{sentence}");
}

#[test]
fn failures_of_one_key_count_once_in_a_step() {
    let mut judge = Judge::new(None);
    for _ in 0..1000 {
        judge.note(toss(true, 7), FAILED);
    }
    assert_eq!((judge.verdict(), judge.report().canary.failed), (None, 1));
    judge.begin_step();
    judge.note(toss(true, 7), FAILED);
    assert_eq!(judge.report().canary.failed, 2);
}

#[test]
fn crashes_that_the_stable_revision_has_shown_are_not_new() {
    let crash = CallOutcome::Failed { trap: Some(1) };
    let mut judge = Judge::new(None);
    judge.note(toss(false, 1), crash);
    let before = judge.report().evidence[Symptom::NewTraps as usize];
    judge.note(toss(true, 2), crash);
    assert_eq!(judge.report().evidence[Symptom::NewTraps as usize], before);
    judge.note(toss(true, 3), CallOutcome::Failed { trap: Some(2) });
    assert!(judge.report().evidence[Symptom::NewTraps as usize] > before);
}

#[test]
fn slow_is_what_95_percent_of_2000_stable_calls_were_faster_than() {
    let mut judge = Judge::new(None);
    for key in 0..2000 {
        assert_eq!(judge.report().slow_above, None);
        // The canary's own calls settle nothing.
        judge.note(toss(true, key), answered(1_000_000));
        judge.note(toss(false, key), answered(key + 1));
    }
    assert_eq!(judge.report().slow_above, Some(1900));
    assert_eq!(judge.report().canary.slow, 0, "what came before counts for neither");
    for key in 3000..3010 {
        judge.note(toss(true, key), answered(1901));
        judge.note(toss(false, key), answered(1900));
    }
    let report = judge.report();
    assert_eq!((report.canary.slow, report.stable.slow), (10, 0));
    assert!(matches!(judge.verdict(), Some(RollbackReason::Worse { symptom: Symptom::SlowCalls, .. })));
}

/// Calls take whole pages of 64 KiB: what 95 % of the stable calls stay at or below is the bound.
#[test]
fn a_canary_that_needs_more_memory_is_found_and_one_that_needs_the_same_is_not() {
    let page = |pages: u64| CallOutcome::Answered { micros: 10, memory: Some(CallMemory::Needed(pages << 16)) };
    let run = |more: u64| {
        let mut judge = Judge::new(None);
        for key in 0..2000 {
            // What the canary needs settles nothing.
            judge.note(toss(true, key), page(100));
            judge.note(toss(false, key), page(if key % 50 == 0 { 9 } else { 3 }));
        }
        assert_eq!((judge.report().heavy_above, judge.report().canary.heavy), (Some(3 << 16), 0));
        for key in 3000..3400 {
            let heavy = if key % 7 == 3 { 9 } else { 3 };
            judge.note(toss(key % 20 == 0, key), page(heavy + if key % 20 == 0 { more } else { 0 }));
        }
        (judge.verdict(), judge.report())
    };
    let (verdict, report) = run(1);
    let Some(reason @ RollbackReason::Worse { symptom: Symptom::Memory, .. }) = verdict else { panic!("{report:?}") };
    let sentence = reason.sentence(&report);
    assert!(sentence.starts_with("calls that need much memory: "), "{sentence}");
    assert_eq!(run(0).0, None);
    // Where nobody knows, nothing is said.
    let mut judge = Judge::new(None);
    (0..9000).for_each(|key| judge.note(toss(key % 20 == 0, key), answered(1)));
    assert_eq!((judge.report().heavy_above, judge.report().evidence[Symptom::Memory as usize]), (None, 1.0));
}

fn grown(bytes: u64, age: u32) -> CallOutcome {
    CallOutcome::Answered { micros: 10, memory: Some(CallMemory::Grown { bytes, age }) }
}

/// What old instances of the stable revision do not do says nothing of young ones, however often they do it.
#[test]
fn growth_is_compared_at_one_age_alone() {
    let mut judge = Judge::new(None);
    for key in 0..20_000 {
        let age = 101 + u32::try_from(key % 800).unwrap();
        judge.note(toss(true, key), grown(1 << 16, age));
        judge.note(toss(false, key), grown(0, age + 9_000));
        // Too old to be compared, on both sides.
        judge.note(toss(true, key), grown(1 << 16, age + 9_000));
    }
    assert_eq!((judge.report().evidence[Symptom::Memory as usize], judge.report().canary.heavy), (1.0, 0));
    let mut keys = 20_000..;
    let found = (101..=900).find(|age| {
        judge.note(toss(false, keys.next().unwrap()), grown(0, *age));
        judge.verdict().is_some()
    });
    // At each age one call of the canary waits for it. 15 events of one against one are enough.
    assert_eq!(found, Some(115), "{:?}", judge.report());
    assert_eq!(judge.report().stable.heavy, 0);
}

/// A call has one that has grown most, or none, and its odds are those of how many were compared.
#[test]
fn the_call_that_has_grown_most_counts_by_how_many_it_was_compared_with() {
    let run = |stable: &[u64], canary: u64| {
        let mut judge = Judge::new(None);
        stable.iter().zip(0..).for_each(|(bytes, key)| judge.note(toss(false, key), grown(*bytes, 200)));
        judge.note(toss(true, 99), grown(canary, 200));
        let JudgeReport { evidence, stable, canary, .. } = judge.report();
        (evidence[Symptom::Memory as usize], stable.heavy, canary.heavy)
    };
    let expected = |canary: bool, calls: f64| naive(&[(canary, 1.0 / calls)]);
    for (stable, canary, (winner, calls)) in [
        (&[0, 3][..], 5, (Some(true), 3.0)),
        (&[0, 3], 1, (Some(false), 3.0)),
        (&[3, 0], 1, (Some(false), 3.0)),
        (&[0, 3], 3, (None, 3.0)),
        (&[3, 3], 1, (None, 3.0)),
        (&[], 9, (None, 1.0)),
        // The four that came last are compared.
        (&[9, 0, 0, 0, 0], 1, (Some(true), 5.0)),
    ] {
        let (evidence, of_stable, of_canary) = run(stable, canary);
        let heavy = (u64::from(winner == Some(false)), u64::from(winner == Some(true)));
        assert_eq!((of_stable, of_canary), heavy, "{stable:?} and {canary}");
        let expected = winner.map_or(1.0, |winner| expected(winner, calls));
        assert!((evidence - expected).abs() < 1e-9, "{stable:?} and {canary}: {evidence}");
    }
}

#[test]
fn the_weights_of_all_symptoms_make_one() {
    // Otherwise the whole would begin elsewhere than at 1, and the bound of 1 % would be another one.
    assert!((Judge::new(None).report().whole - 1.0).abs() < 1e-12);
}

#[test]
fn neutral_outcomes_count_nowhere() {
    let mut judge = Judge::new(Some(0.05));
    let before = judge.report();
    judge.note(toss(true, 1), CallOutcome::Neutral);
    judge.note(toss(false, 2), CallOutcome::Neutral);
    assert_eq!(judge.report(), before);
}

/// An outage that hits both would be the canary's fault otherwise.
#[test]
fn the_absolute_limit_is_silent_while_the_stable_revision_breaks_it_too() {
    let run = |stable_fails: bool| {
        let mut judge = Judge::new(Some(0.05));
        for key in 0..400 {
            let outcome = if stable_fails && key % 5 == 0 { FAILED } else { answered(10) };
            judge.note(toss(false, key), outcome);
        }
        for key in 1000..1100 {
            let outcome = if key % 5 == 0 { FAILED } else { answered(10) };
            judge.note(Toss { canary: true, share: 0.2, key }, outcome);
        }
        judge.verdict()
    };
    assert_eq!(run(true), None);
    assert!(run(false).is_some());
}

/// Seen once: both failed in 30 % of their calls, and the stable one had luck with its first 22.
#[test]
fn the_absolute_limit_waits_until_the_stable_revision_cannot_have_kept_it_by_luck() {
    let mut judge = Judge::new(Some(0.05));
    let mut note = |canary: bool, keys: std::ops::Range<u64>, fail: u64| {
        for key in keys {
            let outcome = if key % 1000 < fail { FAILED } else { answered(10) };
            judge.note(Toss { canary, share: 0.5, key }, outcome);
        }
        judge.verdict()
    };
    assert_eq!(note(false, 0..22, 1), None);
    assert_eq!(note(true, 1000..1020, 6), None, "6 of 20 against 1 of 22");
    assert_eq!(note(false, 22..59, 0), None);
    assert!(matches!(note(false, 59..60, 0), Some(RollbackReason::Limit { .. })), "6 of 20 against 1 of 60");
}

#[test]
fn a_promotion_says_which_harm_is_excluded() {
    let mut judge = Judge::new(None);
    for key in 0..100 {
        judge.note(toss(true, key), answered(1));
    }
    let text = judge.report().to_string();
    assert_eq!(
        text,
        "0 of 100 calls failed; excluded at 99 %: that it fails more than 4.5%; too few failures to compare with the \
         stable revision"
    );
    for key in 1000..2000 {
        judge.note(Toss { canary: key % 2 == 0, share: 0.5, key }, FAILED);
    }
    assert_eq!(judge.report().excluded, Some(1.25));
}

#[test]
fn the_evidence_survives_a_restart() {
    let mut judge = Judge::new(None);
    judge.note(toss(true, 1), FAILED);
    let mut next = Judge::new(None);
    next.resume(judge.evidence());
    assert_eq!(next.report().whole, judge.report().whole);
}
