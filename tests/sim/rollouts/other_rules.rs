//! The rules of others, as far as they decide over the same stream of calls.

use host::verdict::{CallOutcome, Judge, Toss};

/// A rule that may roll back after a call or at the end of a minute.
pub trait Rule {
    fn call(&mut self, toss: Toss, outcome: CallOutcome) -> bool;

    fn minute(&mut self) -> bool {
        false
    }
}

impl Rule for Judge {
    fn call(&mut self, toss: Toss, outcome: CallOutcome) -> bool {
        self.note(toss, outcome);
        self.verdict().is_some()
    }
}

/// Calls and failures of one minute.
#[derive(Default, Clone, Copy)]
struct Minute {
    calls: u64,
    failed: u64,
}

impl Minute {
    fn note(&mut self, outcome: CallOutcome) {
        self.calls += 1;
        self.failed += u64::from(matches!(outcome, CallOutcome::Failed { .. }));
    }

    fn rate(self) -> f64 {
        if self.calls == 0 { 0.0 } else { self.failed as f64 / self.calls as f64 }
    }
}

/// Kayenta's Mann-Whitney test at 98 % on one value a minute, with a tolerance of 25 % of the shift, from 50 points on,
/// each minute anew.
#[derive(Default)]
pub struct Kayenta {
    canary: Minute,
    stable: Minute,
    points: Vec<(f64, f64)>,
}

impl Rule for Kayenta {
    fn call(&mut self, toss: Toss, outcome: CallOutcome) -> bool {
        let side = if toss.canary { &mut self.canary } else { &mut self.stable };
        side.note(outcome);
        false
    }

    fn minute(&mut self) -> bool {
        let (canary, stable) = (std::mem::take(&mut self.canary), std::mem::take(&mut self.stable));
        self.points.push((canary.rate(), stable.rate()));
        self.points.len() >= 50 && mann_whitney_is_higher(&self.points)
    }
}

/// Whether the first values are higher than 1.25 times the second ones, by the normal approximation of the Mann-Whitney
/// test at 98 %, two-sided.
fn mann_whitney_is_higher(points: &[(f64, f64)]) -> bool {
    let size = points.len() as f64;
    let wins = |canary: f64| {
        let one = |stable: f64| match canary.total_cmp(&(stable * 1.25)) {
            std::cmp::Ordering::Greater => 1.0,
            std::cmp::Ordering::Equal => 0.5,
            std::cmp::Ordering::Less => 0.0,
        };
        points.iter().map(|(_, stable)| one(*stable)).sum::<f64>()
    };
    let u: f64 = points.iter().map(|(canary, _)| wins(*canary)).sum();
    let deviation = (size * size * (2.0 * size + 1.0) / 12.0).sqrt();
    (u - size * size / 2.0) / deviation > 2.326
}

/// Flagger's rule: each minute at least 99 % of the canary's calls are good and its 99th percentile is below 500 ms;
/// five failed checks in all end it.
#[derive(Default)]
pub struct Flagger {
    canary: Minute,
    slow: u64,
    failed_checks: u32,
}

impl Rule for Flagger {
    fn call(&mut self, toss: Toss, outcome: CallOutcome) -> bool {
        if toss.canary {
            self.canary.note(outcome);
            self.slow += u64::from(matches!(outcome, CallOutcome::Answered { micros: 500_000.., .. }));
        }
        false
    }

    fn minute(&mut self) -> bool {
        let (canary, slow) = (std::mem::take(&mut self.canary), std::mem::take(&mut self.slow));
        self.failed_checks += u32::from(canary.rate() > 0.01 || slow * 100 > canary.calls);
        self.failed_checks >= 5
    }
}
