//! A stream of calls of a service with two revisions.

use super::SimRng;
use host::verdict::{CallMemory, CallOutcome};
use std::ops::Range;

/// How a revision fares.
#[derive(Clone, Copy)]
pub struct Conduct {
    /// The share of its calls that fail.
    pub failing: f64,
    /// How many times as slow it is.
    pub slower: f64,
    /// How many pages of memory more its calls need.
    pub heavier: u64,
    /// The minutes of an outage, and the share of calls that fail then.
    pub outage: Option<(Span, f64)>,
}

/// A span of minutes that can be copied.
#[derive(Clone, Copy)]
pub struct Span {
    start: u64,
    end: u64,
}

impl From<Range<u64>> for Span {
    fn from(range: Range<u64>) -> Self {
        Self { start: range.start, end: range.end }
    }
}

impl Conduct {
    pub fn failing(failing: f64) -> Self {
        Self { failing, slower: 1.0, heavier: 0, outage: None }
    }

    pub fn slower(slower: f64) -> Self {
        Self { slower, ..Self::failing(0.0) }
    }

    pub fn heavier(heavier: u64) -> Self {
        Self { heavier, ..Self::failing(0.0) }
    }
}

/// Calls one after the other.
pub struct CallStream {
    rng: SimRng,
    stable: Conduct,
    canary: Conduct,
    /// Of equal revisions: the calls of an outage, and the share that fails then.
    outage: Range<u64>,
    outage_failing: f64,
    /// How many further calls the client of the last key makes, which all fail.
    clump: u64,
    clumps: bool,
    number: u64,
    key: u64,
    pub minute: u64,
}

impl CallStream {
    /// Two equal revisions for `calls` calls: any rate of failures, perhaps an outage, perhaps poisonous clients.
    pub fn equal(rng: &mut SimRng, calls: u64) -> Self {
        let conduct = Conduct::failing(rng.of(&[0.0, 0.001, 0.005, 0.02, 0.1, 0.3]));
        let start = rng.number() % calls;
        let outage = if rng.percent(50) { start..start + rng.between(10..=600) } else { 0..0 };
        let (outage_failing, clumps) = (rng.of(&[0.2, 0.5, 1.0]), rng.percent(50));
        Self { outage, outage_failing, clumps, ..Self::of(rng, conduct, conduct) }
    }

    pub fn of(rng: &mut SimRng, stable: Conduct, canary: Conduct) -> Self {
        let (rng, outage) = (SimRng::new(rng.number()), 0..0);
        Self { rng, stable, canary, outage, outage_failing: 0.0, clump: 0, clumps: false, number: 0, key: 0, minute: 0 }
    }

    /// The key of the next call: that of the call before, if its client sends the same again.
    pub fn next_key(&mut self) -> u64 {
        self.number += 1;
        if self.clump > 0 {
            self.clump -= 1;
        } else {
            self.key = self.rng.number();
            if self.clumps && self.rng.number().is_multiple_of(200) {
                self.clump = self.rng.between(3..=30);
            }
        }
        self.key
    }

    /// How the call ends.
    pub fn outcome(&mut self, canary: bool) -> CallOutcome {
        let conduct = if canary { self.canary } else { self.stable };
        let mut failing = conduct.failing;
        if let Some((Span { start, end }, during)) = conduct.outage
            && (start..end).contains(&self.minute)
        {
            failing = during;
        }
        if self.outage.contains(&self.number) {
            failing = self.outage_failing;
        }
        if self.clump > 0 {
            failing = 1.0;
        }
        if self.unit() < failing {
            return CallOutcome::Failed { trap: None };
        }
        // A long tail: the logarithm of the latency is a sum of uniform numbers.
        let log: f64 = (0..4).map(|_| self.unit()).sum::<f64>() * 1.5;
        let micros = 300.0 * log.exp() * conduct.slower;
        // Most calls fit in 17 pages of 64 KiB, and some need more, by the size of what they are about.
        let pages = 17 + conduct.heavier + (self.unit().powi(8) * 12.0) as u64;
        CallOutcome::Answered { micros: micros as u64, memory: Some(CallMemory::Needed(pages << 16)) }
    }

    fn unit(&mut self) -> f64 {
        (self.rng.number() >> 11) as f64 / (1_u64 << 53) as f64
    }
}
