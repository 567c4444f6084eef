//! The judge of one rollout: it takes the outcome of each call, and says when the canary has to go.

use super::evidence::Evidence;
use super::excluded_harm::{ExcludedHarm, highest_share};
use super::growth_match::GrowthMatch;
use super::limit_evidence::LimitEvidence;
use super::symptom::Symptom;
use super::threshold::Threshold;
use super::toss::Toss;
use std::collections::HashSet;
use std::fmt;

/// The evidence at which the canary is rolled back: 1 % of the canaries that are no worse reach it at most.
const ENOUGH: f64 = 100.0;
/// The most keys and kinds of traps that are remembered. Beyond them, no new one counts: alike for both revisions.
const MOST_KEYS: usize = 65_536;
const MOST_KINDS: usize = 1024;
/// With fewer calls of the stable revision nobody knows whether it keeps the limit.
const LEAST_OF_STABLE: u64 = 20;
/// Nor before it has had so many calls that the limit would have permitted this many of them to fail: one that breaks
/// the limit may have failed less by luck. One that fails six times as often as permitted has failed less than three
/// times by then in one of 300,000 cases (Poisson, 2 or fewer of 18), one that fails twice as often in one of 16; but
/// the less both break the limit, the longer the canary takes to show it.
const PERMITTED_OF_STABLE: f64 = 3.0;

/// How one call ended, as far as the service is responsible for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallOutcome {
    /// It was answered.
    Answered {
        /// How long that took, in microseconds.
        micros: u64,
        /// The memory that it is answerable for; `None` if nobody knows.
        memory: Option<CallMemory>,
    },
    /// The service failed it.
    Failed {
        /// If it crashed: a hash of how.
        trap: Option<u64>,
    },
    /// It says nothing of the service: a refusal, an answer of 4xx, a client that went away.
    Neutral,
}

/// The memory that a call is answerable for, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallMemory {
    /// What the instance had that served this call alone.
    Needed(u64),
    /// What an instance that is kept between calls had grown by.
    Grown {
        /// Since the call before.
        bytes: u64,
        /// The number of the call among those of the instance, from 1.
        age: u32,
    },
}

/// What one revision had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SideCounts {
    /// Calls, without the neutral ones.
    pub calls: u64,
    /// Calls that failed; failures of one key count once in a step.
    pub failed: u64,
    /// Calls that were slow.
    pub slow: u64,
    /// Calls that needed much memory, or whose kept instance had grown more than others of its age.
    pub heavy: u64,
}

/// Judges one rollout.
#[derive(Debug, Clone)]
pub struct Judge {
    evidence: [Evidence; 4],
    /// All of it, weighed. It changes with an event alone, and each call asks for it.
    whole: f64,
    harm: ExcludedHarm,
    limit: Option<LimitEvidence>,
    slow: Threshold,
    memory: Threshold,
    growth: GrowthMatch,
    /// The keys that have had an event of each kind in this step.
    failed_keys: HashSet<u64>,
    slow_keys: HashSet<u64>,
    heavy_keys: HashSet<u64>,
    /// How the stable revision has crashed.
    known_traps: HashSet<u64>,
    stable: SideCounts,
    canary: SideCounts,
    /// The canary's calls in this step.
    in_step: u64,
}

/// Why a canary has to go.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RollbackReason {
    /// The evidence is enough; `symptom` contributes most of it.
    Worse {
        /// What the canary is worse in.
        symptom: Symptom,
        /// The evidence of all symptoms together: 100 at least.
        evidence: f64,
    },
    /// It breaks the absolute limit, and the stable revision does not.
    Limit {
        /// The share of failed calls that the limit permits.
        limit: f64,
    },
}

/// The numbers of a rollout.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct JudgeReport {
    /// What the stable revision had.
    pub stable: SideCounts,
    /// What the canary had.
    pub canary: SideCounts,
    /// The canary's calls in this step, without the neutral ones.
    pub in_step: u64,
    /// The evidence of each symptom, in the order of [`Symptom::ALL`].
    pub evidence: [f64; 4],
    /// The evidence of all together. The canary is rolled back at 100.
    pub whole: f64,
    /// Above how many microseconds a call is slow; `None` before 2,000 calls of the stable revision.
    pub slow_above: Option<u64>,
    /// Above how many bytes a call needs much memory; `None` before 2,000 calls of the stable revision of which that is
    /// known, and where instances are kept.
    pub heavy_above: Option<u64>,
    /// Failures are less than so many times as frequent at the canary, at 99 %.
    pub excluded: Option<f64>,
    /// The canary fails at most this share of its calls, at 99 %.
    pub highest: f64,
}

impl Judge {
    /// A judge that has seen nothing. `limit`: the share of failed calls that is permitted, more than 0 and less than
    /// 1; `None`: no such limit.
    pub fn new(limit: Option<f64>) -> Self {
        Self {
            evidence: [Evidence::default(); 4],
            whole: weighed(&[Evidence::default(); 4]),
            harm: ExcludedHarm::default(),
            limit: limit.map(LimitEvidence::new),
            slow: Threshold::default(),
            memory: Threshold::default(),
            growth: GrowthMatch::default(),
            failed_keys: HashSet::new(),
            slow_keys: HashSet::new(),
            heavy_keys: HashSet::new(),
            known_traps: HashSet::new(),
            stable: SideCounts::default(),
            canary: SideCounts::default(),
            in_step: 0,
        }
    }

    /// Goes on with the evidence of an earlier judge of the same rollout, from before a restart of the host.
    pub fn resume(&mut self, evidence: [Evidence; 4]) {
        (self.evidence, self.whole) = (evidence, weighed(&evidence));
    }

    /// What has to be kept for [`Judge::resume`].
    pub fn evidence(&self) -> [Evidence; 4] {
        self.evidence
    }

    /// Begins a step with another share.
    pub fn begin_step(&mut self) {
        self.failed_keys.clear();
        self.slow_keys.clear();
        self.heavy_keys.clear();
        self.in_step = 0;
    }

    /// Takes one outcome into account.
    pub fn note(&mut self, toss: Toss, outcome: CallOutcome) {
        match outcome {
            CallOutcome::Neutral => {}
            CallOutcome::Answered { micros, memory } => {
                self.side(toss.canary).calls += 1;
                self.count(toss.canary, false);
                if self.slow.exceeds(micros, toss.canary) == Some(true) && first(&mut self.slow_keys, toss.key) {
                    self.side(toss.canary).slow += 1;
                    self.add(Symptom::SlowCalls, toss);
                }
                let heavy = memory.and_then(|memory| self.heavy_call(toss, memory));
                if let Some(toss) = heavy.filter(|heavy| first(&mut self.heavy_keys, heavy.key)) {
                    self.side(toss.canary).heavy += 1;
                    self.add(Symptom::Memory, toss);
                }
            }
            CallOutcome::Failed { trap } => {
                self.side(toss.canary).calls += 1;
                if !first(&mut self.failed_keys, toss.key) {
                    self.in_step += u64::from(toss.canary);
                    return;
                }
                self.side(toss.canary).failed += 1;
                self.count(toss.canary, true);
                self.add(Symptom::Failures, toss);
                self.harm.note(toss.canary, toss.share);
                // Whether a kind is new is known before it is known whose the crash is: that keeps the odds right.
                if let Some(kind) = trap.filter(|kind| !self.known_traps.contains(kind)) {
                    self.add(Symptom::NewTraps, toss);
                    if !toss.canary && self.known_traps.len() < MOST_KINDS {
                        self.known_traps.insert(kind);
                    }
                }
            }
        }
    }

    /// The call that is heavy by what is known now, which may have been before this one, with its odds.
    fn heavy_call(&mut self, toss: Toss, memory: CallMemory) -> Option<Toss> {
        match memory {
            CallMemory::Needed(bytes) => (self.memory.exceeds(bytes, toss.canary) == Some(true)).then_some(toss),
            CallMemory::Grown { bytes, age } => self.growth.note(toss, bytes, age),
        }
    }

    fn count(&mut self, canary: bool, failed: bool) {
        if canary {
            self.in_step += 1;
            if let Some(limit) = &mut self.limit {
                limit.note(failed);
            }
        }
    }

    fn side(&mut self, canary: bool) -> &mut SideCounts {
        if canary { &mut self.canary } else { &mut self.stable }
    }

    fn add(&mut self, symptom: Symptom, toss: Toss) {
        self.evidence[symptom as usize].note(toss.canary, toss.share);
        self.whole = weighed(&self.evidence);
    }

    /// Why the canary has to go; `None`: it may stay.
    pub fn verdict(&self) -> Option<RollbackReason> {
        let evidence = self.whole;
        if evidence >= ENOUGH {
            let weighty = |symptom: &Symptom| symptom.weight() * self.evidence[*symptom as usize].value();
            let symptom = Symptom::ALL.into_iter().max_by(|one, other| weighty(one).total_cmp(&weighty(other)));
            return Some(RollbackReason::Worse { symptom: symptom.unwrap_or(Symptom::Failures), evidence });
        }
        let broken = self.limit.filter(|limit| limit.reaches(ENOUGH))?;
        let SideCounts { calls, failed, .. } = self.stable;
        // Where the stable one breaks the limit too, something else has failed: to go back would not help.
        let permitted = broken.limit() * calls as f64;
        let is_known = calls >= LEAST_OF_STABLE && permitted >= PERMITTED_OF_STABLE;
        let kept = is_known && (failed as f64) < permitted;
        kept.then_some(RollbackReason::Limit { limit: broken.limit() })
    }

    /// The numbers so far.
    pub fn report(&self) -> JudgeReport {
        JudgeReport {
            stable: self.stable,
            canary: self.canary,
            in_step: self.in_step,
            evidence: self.evidence.map(|evidence| evidence.value()),
            whole: self.whole,
            slow_above: self.slow.bound(),
            heavy_above: self.memory.bound(),
            excluded: self.harm.least(),
            highest: highest_share(self.canary.failed, self.canary.calls),
        }
    }
}

/// The evidence of all symptoms together, each with its weight.
fn weighed(evidence: &[Evidence; 4]) -> f64 {
    Symptom::ALL.into_iter().map(|symptom| symptom.weight() * evidence[symptom as usize].value()).sum()
}

/// Whether the key is new to a bounded set, which it is in then.
fn first(keys: &mut HashSet<u64>, key: u64) -> bool {
    keys.len() < MOST_KEYS && keys.insert(key)
}

impl RollbackReason {
    /// The reason in one sentence with the numbers of `report`.
    pub fn sentence(&self, report: &JudgeReport) -> String {
        let JudgeReport { stable, canary, .. } = report;
        let counts = |failed: fn(&SideCounts) -> u64| {
            format!("{} of {} against {} of {}", failed(canary), canary.calls, failed(stable), stable.calls)
        };
        match self {
            Self::Worse { symptom, evidence } => {
                let counts = match symptom {
                    Symptom::SlowCalls => counts(|side| side.slow),
                    Symptom::Memory => counts(|side| side.heavy),
                    Symptom::Failures | Symptom::NewTraps => counts(|side| side.failed),
                };
                format!("{symptom}: {counts} of the stable revision; evidence {evidence:.0} of {ENOUGH}")
            }
            Self::Limit { limit } => {
                let (limit, counts) = (percent(*limit), counts(|side| side.failed));
                format!("it fails more than max_errors ({limit}): {counts} of the stable revision")
            }
        }
    }
}

impl fmt::Display for JudgeReport {
    /// What is excluded at 99 %, as a promotion says it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SideCounts { calls, failed, .. } = self.canary;
        write!(
            f,
            "{failed} of {calls} calls failed; excluded at 99 %: that it fails more than {}",
            percent(self.highest)
        )?;
        match self.excluded {
            Some(harm) => write!(f, ", or {harm} times as often as the stable revision"),
            None => f.write_str("; too few failures to compare with the stable revision"),
        }
    }
}

/// A share with one decimal at most: `8.8%`, `5%`.
fn percent(share: f64) -> String {
    let tenths = (share * 1000.0).round() / 10.0;
    format!("{tenths}%")
}
