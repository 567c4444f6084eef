//! Seeded simulation of rollouts: the coin and the judge over streams of calls, beside the rules that others decide by.
//!
//! - **false alarms**: of rollouts of two equal revisions, with outages that hit both, clients that fail in clumps, and
//!   any share, less than 1 % are rolled back.
//! - **detection**: how many canary calls a bad canary has until it is found. The numbers stand in `docs/rollouts.md`.
//! - **share**: over 100 requests the canary gets exactly its share.
//!
//! `ATOLL_SIM_ROLLOUTS=n` runs n rollouts of equal revisions. `-- --ignored table_of_rules --nocapture` prints the
//! table of `docs/rollouts.md`, with `ATOLL_SIM_TABLE=n` of n rollouts for each cell.

mod kept_instances;
mod other_rules;
mod stream;

use super::rng::SimRng;
use host::verdict::{Coin, CoinKey, Judge, RollbackReason, Symptom};
use other_rules::{Flagger, Kayenta, Rule};
use stream::{CallStream, Conduct};

/// The rollouts of equal revisions in a run without further orders.
const ROLLOUTS: u64 = 2_000;
/// The shares of the steps, and the calls of each.
const STEPS: [u8; 4] = [1, 5, 25, 50];
const CALLS: u64 = 500;

/// Whether a rollout of two equal revisions is rolled back.
fn false_alarm(seed: u64) -> Option<String> {
    let mut rng = SimRng::new(seed);
    let mut stream = CallStream::equal(&mut rng, STEPS.len() as u64 * CALLS);
    let (mut coin, mut judge) = (Coin::new(STEPS[0], rng.number()), Judge::new(None));
    for share in STEPS {
        coin.set_share(share);
        judge.begin_step();
        for _ in 0..CALLS {
            let key = stream.next_key();
            let toss = coin.toss(CoinKey::Request(key));
            judge.note(toss, stream.outcome(toss.canary));
            if let Some(reason) = judge.verdict() {
                return Some(format!("seed {seed}: {}", reason.sentence(&judge.report())));
            }
        }
    }
    None
}

#[test]
fn less_than_one_in_a_hundred_equal_revisions_is_rolled_back() {
    let rollouts = super::number("ATOLL_SIM_ROLLOUTS").unwrap_or(ROLLOUTS);
    let alarms: Vec<_> = (0..rollouts).filter_map(false_alarm).collect();
    println!("{} of {rollouts} rollouts of equal revisions were rolled back", alarms.len());
    assert!((alarms.len() as u64) * 100 < rollouts, "{alarms:#?}");
}

/// The canary's calls until it is rolled back, and how many of them failed; `None`: it is not within `most` of them.
fn found(seed: u64, share: u8, stable: Conduct, canary: Conduct, most: u64) -> Option<(u64, u64)> {
    let mut rng = SimRng::new(seed);
    let (mut coin, mut judge) = (Coin::new(share, rng.number()), Judge::new(None));
    let mut stream = CallStream::of(&mut rng, stable, canary);
    let mut calls = 0;
    while calls < most {
        let toss = coin.toss(CoinKey::Request(stream.next_key()));
        calls += u64::from(toss.canary);
        judge.note(toss, stream.outcome(toss.canary));
        if judge.verdict().is_some() {
            return Some((calls, judge.report().canary.failed));
        }
    }
    None
}

/// The value below which `percent` of the sorted numbers are.
fn percentile(numbers: &mut [u64], percent: usize) -> u64 {
    numbers.sort_unstable();
    numbers[(numbers.len() - 1) * percent / 100]
}

#[test]
fn a_canary_that_always_crashes_is_out_after_three_failed_calls_at_5_percent() {
    for seed in 0..200 {
        let (_, failed) = found(seed, 5, Conduct::failing(0.0), Conduct::failing(1.0), 1000).unwrap();
        assert!(failed <= 3, "seed {seed}: {failed}");
    }
}

#[test]
fn ten_times_the_failures_are_found_within_1500_canary_calls() {
    let run = |seed| found(seed, 5, Conduct::failing(0.001), Conduct::failing(0.01), 20_000);
    let mut calls: Vec<u64> = (0..1000).map(|seed| run(seed).map_or(u64::MAX, |(calls, _)| calls)).collect();
    let late = percentile(&mut calls, 95);
    println!("ten times the failures are found within {late} canary calls");
    // With other seeds a 95th percentile of 1,000 runs may be 45 calls larger.
    assert!(late <= 1500, "the 95th percentile is {late}");
}

#[test]
fn a_slower_canary_is_found_by_its_slow_calls() {
    let run = |seed: u64| {
        let mut rng = SimRng::new(seed);
        let (mut coin, mut judge) = (Coin::new(5, rng.number()), Judge::new(None));
        let mut stream = CallStream::of(&mut rng, Conduct::failing(0.0), Conduct::slower(1.5));
        let mut calls = 0;
        loop {
            let toss = coin.toss(CoinKey::Request(stream.next_key()));
            judge.note(toss, stream.outcome(toss.canary));
            // Before the bound is settled nothing can be found.
            calls += u64::from(toss.canary && judge.report().slow_above.is_some());
            if judge.verdict().is_some() {
                assert!(judge.report().evidence[Symptom::SlowCalls as usize] > 100.0);
                return calls;
            }
            assert!(calls < 20_000, "seed {seed}: never found");
        }
    };
    let mut calls: Vec<u64> = (0..20).map(run).collect();
    assert!(percentile(&mut calls, 50) <= 500, "{calls:?}");
}

#[test]
fn a_heavier_canary_is_found_by_its_memory() {
    let run = |seed: u64| {
        let mut rng = SimRng::new(seed);
        let (mut coin, mut judge) = (Coin::new(5, rng.number()), Judge::new(None));
        let mut stream = CallStream::of(&mut rng, Conduct::failing(0.0), Conduct::heavier(8));
        let mut calls = 0;
        loop {
            let toss = coin.toss(CoinKey::Request(stream.next_key()));
            judge.note(toss, stream.outcome(toss.canary));
            calls += u64::from(toss.canary && judge.report().heavy_above.is_some());
            if let Some(reason) = judge.verdict() {
                assert!(matches!(reason, RollbackReason::Worse { symptom: Symptom::Memory, .. }), "{reason:?}");
                return calls;
            }
            assert!(calls < 20_000, "seed {seed}: never found");
        }
    };
    let mut calls: Vec<u64> = (0..20).map(run).collect();
    assert!(percentile(&mut calls, 50) <= 50, "{calls:?}");
}

/// How often each rule rolls back within an hour at 1,200 calls a minute and a share of 5 %, and after how many canary
/// calls (the median).
#[test]
#[ignore = "it takes minutes in a debug build: `just sim` runs it, and prints the table of docs/rollouts.md"]
fn table_of_rules() {
    let runs = super::number("ATOLL_SIM_TABLE").unwrap_or(200);
    const MINUTES: u64 = 60;
    const CALLS_A_MINUTE: u64 = 1200;
    let good = Conduct::failing(0.001);
    let outage = Conduct { outage: Some(((10..15).into(), 0.5)), ..good };
    let cases = [
        ("equal, 0.1 % fail", good, good),
        ("equal, 0.5 % fail", Conduct::failing(0.005), Conduct::failing(0.005)),
        ("equal, an outage of 5 min hits both", outage, outage),
        ("0.1 to 0.8 %", good, Conduct::failing(0.008)),
        ("0.1 to 1 %", good, Conduct::failing(0.01)),
        ("0.1 to 5 %", good, Conduct::failing(0.05)),
        ("always crashes", good, Conduct::failing(1.0)),
        ("half a MiB more of memory", good, Conduct { heavier: 8, ..good }),
    ];
    println!("| case | Atoll | Kayenta | Flagger |\n| --- | --- | --- | --- |");
    for (name, stable, canary) in cases {
        let mut cells = Vec::new();
        for rule in 0..3 {
            let mut calls = Vec::new();
            for seed in 0..runs {
                let mut rule: Box<dyn Rule> = match rule {
                    0 => Box::new(Judge::new(None)),
                    1 => Box::new(Kayenta::default()),
                    _ => Box::new(Flagger::default()),
                };
                calls.extend(run_rule(seed, &mut *rule, (stable, canary), (MINUTES, CALLS_A_MINUTE)));
            }
            let share = calls.len() as f64 * 100.0 / runs as f64;
            assert!(rule > 0 || !name.starts_with("equal") || share <= 1.0, "{name}: {share} % rolled back");
            let median = if calls.is_empty() { "-".into() } else { percentile(&mut calls, 50).to_string() };
            cells.push(format!("{share:.1} %, {median}"));
        }
        println!("| {name} | {} |", cells.join(" | "));
    }
}

fn run_rule(
    seed: u64,
    rule: &mut dyn Rule,
    (stable, canary): (Conduct, Conduct),
    (minutes, calls): (u64, u64),
) -> Option<u64> {
    let mut rng = SimRng::new(seed);
    let mut coin = Coin::new(5, rng.number());
    let mut stream = CallStream::of(&mut rng, stable, canary);
    let mut of_canary = 0;
    for minute in 0..minutes {
        stream.minute = minute;
        for _ in 0..calls {
            let toss = coin.toss(CoinKey::Request(stream.next_key()));
            of_canary += u64::from(toss.canary);
            if rule.call(toss, stream.outcome(toss.canary)) {
                return Some(of_canary);
            }
        }
        if rule.minute() {
            return Some(of_canary);
        }
    }
    None
}
