//! One canary under way: what it is, and how far it has come.

use super::plan::CanaryPlan;
use crate::archive::{HistoryEntry, OpenRollout, RolloutOutcome};
use crate::base::Digest;
use crate::mesh::CanaryWatch;
use crate::runtime::Revision;
use crate::verdict::{JudgeReport, RollbackReason};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// Who orders a rollout, and why.
#[derive(Debug, Clone, Default)]
pub struct RolloutOrder {
    /// How the new revision gets calls; `None`: all at once.
    pub plan: Option<CanaryPlan>,
    /// Whether it stays at its first step until it is promoted or rolled back by hand.
    pub hold: bool,
    /// Who orders it: `admin-token`, `loopback`.
    pub who: String,
    /// Why, in the operator's words.
    pub why: Option<String>,
}

/// A canary that gets calls.
pub(super) struct CanaryRun {
    pub(super) id: u64,
    pub(super) revision: Arc<Revision>,
    pub(super) watch: Arc<CanaryWatch>,
    pub(super) plan: CanaryPlan,
    pub(super) order: RolloutOrder,
    pub(super) began: SystemTime,
    progress: Mutex<CanaryProgress>,
}

/// How far a canary has come.
#[derive(Clone, Copy)]
pub(super) struct CanaryProgress {
    /// From 0.
    pub(super) step: usize,
    /// When the step began.
    pub(super) since: Instant,
    /// Whether an operator was asked in this step.
    pub(super) asked: bool,
    /// The calls that had been judged when the record was written last.
    pub(super) recorded: u64,
}

/// What the next look at a canary has to do.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum NextMove {
    /// Nothing yet; look again after this time at the latest.
    Wait(Duration),
    /// The next step begins.
    Step(usize),
    /// An operator has to decide: the step has lasted long, and has too few calls.
    Ask,
    /// All steps are over.
    Promote,
    /// The canary has to go.
    RollBack(RollbackReason),
}

/// A rollout at one moment.
#[derive(Debug, Clone)]
pub struct RolloutState {
    /// Its number, from 1 for each service.
    pub id: u64,
    /// The digest of the new component.
    pub digest: Digest,
    /// Who ordered it.
    pub who: String,
    /// Why.
    pub why: Option<String>,
    /// When it began.
    pub began: SystemTime,
    /// Of the step: its share in percent, its number from 1, and how many there are.
    pub share: u8,
    /// See `share`.
    pub step: usize,
    /// See `share`.
    pub steps: usize,
    /// How long the step has lasted, and how long it lasts at least.
    pub in_step: Duration,
    /// See `in_step`.
    pub step_lasts: Duration,
    /// How many calls the step has at least.
    pub calls_needed: u64,
    /// Whether it stays at this step until an operator decides.
    pub hold: bool,
    /// Whether the step has too few calls for so long that an operator has to decide.
    pub asks: bool,
    /// The numbers.
    pub report: JudgeReport,
}

impl CanaryRun {
    pub(super) fn new(
        id: u64,
        revision: Arc<Revision>,
        watch: Arc<CanaryWatch>,
        plan: CanaryPlan,
        order: RolloutOrder,
        (began, step): (SystemTime, usize),
    ) -> Self {
        let progress = CanaryProgress { step, since: Instant::now(), asked: false, recorded: 0 };
        Self { id, revision, watch, plan, order, began, progress: Mutex::new(progress) }
    }

    pub(super) fn progress(&self) -> MutexGuard<'_, CanaryProgress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What has to be done now.
    pub(super) fn next_move(&self, now: Instant) -> NextMove {
        let (verdict, in_step) = {
            let judge = self.watch.judge();
            (judge.verdict(), judge.report().in_step)
        };
        if let Some(reason) = verdict {
            return NextMove::RollBack(reason);
        }
        let CanaryProgress { step, since, asked, .. } = *self.progress();
        let lasted = now.saturating_duration_since(since);
        if self.order.hold {
            return NextMove::Wait(RECORDED);
        }
        if lasted < self.plan.step {
            return NextMove::Wait((self.plan.step - lasted).min(RECORDED));
        }
        match in_step >= self.plan.calls {
            true if step + 1 < self.plan.shares.len() => NextMove::Step(step + 1),
            true => NextMove::Promote,
            false if lasted >= self.plan.ask && !asked => NextMove::Ask,
            false => NextMove::Wait(LOOK),
        }
    }

    /// Begins a step.
    pub(super) fn begin_step(&self, step: usize, now: Instant) {
        self.watch.begin_step(self.plan.shares[step]);
        let mut progress = self.progress();
        (progress.step, progress.since, progress.asked) = (step, now, false);
    }

    pub(super) fn state(&self) -> RolloutState {
        let CanaryProgress { step, since, asked, .. } = *self.progress();
        RolloutState {
            id: self.id,
            digest: self.revision.digest(),
            who: self.order.who.clone(),
            why: self.order.why.clone(),
            began: self.began,
            share: self.plan.shares[step],
            step: step + 1,
            steps: self.plan.shares.len(),
            in_step: since.elapsed(),
            step_lasts: self.plan.step,
            calls_needed: self.plan.calls,
            hold: self.order.hold,
            asks: asked,
            report: self.watch.judge().report(),
        }
    }

    /// What the record says of it.
    pub(super) fn to_record(&self) -> OpenRollout {
        OpenRollout {
            id: self.id,
            digest: self.revision.digest().to_string(),
            who: self.order.who.clone(),
            why: self.order.why.clone(),
            began: seconds(self.began),
            step: Some(self.progress().step),
            evidence: self.watch.judge().evidence().map(|evidence| evidence.logs()),
            plan: self.plan.to_record(self.order.hold),
        }
    }

    /// What the history says of its end.
    pub(super) fn entry(&self, outcome: RolloutOutcome, verdict: String) -> HistoryEntry {
        HistoryEntry {
            id: self.id,
            digest: self.revision.digest().to_string(),
            who: self.order.who.clone(),
            why: self.order.why.clone(),
            began: seconds(self.began),
            ended: seconds(SystemTime::now()),
            outcome,
            verdict,
        }
    }
}

/// How often the evidence is written to the disk. What is lost by a crash is lost alike for both revisions.
const RECORDED: Duration = Duration::from_secs(1);
/// How often a step is looked at that has lasted long enough and waits for calls.
const LOOK: Duration = Duration::from_millis(100);

/// Seconds since 1970.
pub(super) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
