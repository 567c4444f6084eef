//! One canary under way: what it is, and how far it has come.

use super::plan::CanaryPlan;
use super::shadow_run::ShadowRun;
use crate::archive::{HistoryEntry, OpenRollout, RolloutOutcome};
use crate::base::Digest;
use crate::contract::HeldTo;
use crate::mesh::CanaryWatch;
use crate::recording::ShadowTally;
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
    /// Whether it may be promoted though the revision before cannot read what it has written.
    pub no_way_back: bool,
    /// Who orders it: `admin-token`, `loopback`.
    pub who: String,
    /// Why, in the operator's words.
    pub why: Option<String>,
    /// How far the component is held to the WIT files of its service.
    pub held: HeldTo,
}

/// A canary that gets calls.
pub(super) struct CanaryRun {
    pub(super) id: u64,
    pub(super) revision: Arc<Revision>,
    pub(super) watch: Arc<CanaryWatch>,
    pub(super) plan: CanaryPlan,
    pub(super) order: RolloutOrder,
    pub(super) began: SystemTime,
    /// What is compared before its first step.
    pub(super) shadow: Option<ShadowRun>,
    progress: Mutex<CanaryProgress>,
}

/// How far a canary has come.
#[derive(Clone, Copy)]
pub(super) struct CanaryProgress {
    /// Whether it is compared in the shadow, before its first step.
    pub(super) in_shadow: bool,
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
    /// The shadow is over: the first step begins, or it is promoted if it has none.
    EndShadow,
    /// It differs in the shadow, and has to go for that.
    Differs,
    /// The next step begins.
    Step(usize),
    /// An operator has to decide: the step has lasted long, and has too few calls.
    Ask,
    /// All steps are over.
    Promote,
    /// The canary has to go.
    RollBack(RollbackReason),
}

/// What a shadow has found so far.
#[derive(Debug, Clone)]
pub struct ShadowState {
    /// Whether it goes on.
    pub is_under_way: bool,
    /// How long it lasts at least.
    pub lasts: Duration,
    /// The counts.
    pub tally: ShadowTally,
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
    /// What the shadow has found, if it had one.
    pub shadow: Option<ShadowState>,
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
        (began, step, shadow): (SystemTime, usize, Option<ShadowRun>),
    ) -> Self {
        let in_shadow = shadow.is_some();
        let progress = CanaryProgress { in_shadow, step, since: Instant::now(), asked: false, recorded: 0 };
        Self { id, revision, watch, plan, order, began, shadow, progress: Mutex::new(progress) }
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
        let CanaryProgress { in_shadow, step, since, asked, .. } = *self.progress();
        let lasted = now.saturating_duration_since(since);
        if let Some(shadow) = self.shadow.as_ref().filter(|_| in_shadow) {
            return self.next_of_shadow(&shadow.tally(), lasted, asked);
        }
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

    fn next_of_shadow(&self, tally: &ShadowTally, lasted: Duration, asked: bool) -> NextMove {
        let lasts = self.plan.shadow.unwrap_or_default();
        if self.plan.fail_on_diff && tally.differs() {
            return NextMove::Differs;
        }
        if lasted < lasts {
            return NextMove::Wait((lasts - lasted).min(LOOK));
        }
        match tally.compared {
            // Nothing was compared: that says nothing.
            0 if lasted >= self.plan.ask && !asked => NextMove::Ask,
            0 => NextMove::Wait(LOOK),
            _ if self.order.hold && self.plan.shares.is_empty() => NextMove::Wait(RECORDED),
            _ => NextMove::EndShadow,
        }
    }

    /// Ends the shadow: the first step begins.
    pub(super) fn end_shadow(&self, now: Instant) {
        if let Some(shadow) = &self.shadow {
            shadow.end();
        }
        let mut progress = self.progress();
        (progress.in_shadow, progress.since, progress.asked) = (false, now, false);
    }

    /// Begins a step.
    pub(super) fn begin_step(&self, step: usize, now: Instant) {
        self.watch.begin_step(self.plan.shares[step]);
        let mut progress = self.progress();
        (progress.step, progress.since, progress.asked) = (step, now, false);
    }

    pub(super) fn state(&self) -> RolloutState {
        let CanaryProgress { in_shadow, step, since, asked, .. } = *self.progress();
        let shadow = self.shadow.as_ref().map(|shadow| ShadowState {
            is_under_way: in_shadow,
            lasts: self.plan.shadow.unwrap_or_default(),
            tally: shadow.tally(),
        });
        let share = self.plan.shares.get(step).copied().filter(|_| !in_shadow).unwrap_or_default();
        RolloutState {
            id: self.id,
            digest: self.revision.digest(),
            who: self.order.who.clone(),
            why: self.order.why.clone(),
            began: self.began,
            share,
            step: step + 1,
            steps: self.plan.shares.len(),
            in_step: since.elapsed(),
            step_lasts: self.plan.step,
            calls_needed: self.plan.calls,
            hold: self.order.hold,
            asks: asked,
            shadow,
            report: self.watch.judge().report(),
        }
    }

    /// What the record says of it.
    pub(super) fn to_record(&self) -> OpenRollout {
        // Copied: two locks in one expression would both be held to its end.
        let CanaryProgress { in_shadow, step, .. } = *self.progress();
        OpenRollout {
            id: self.id,
            digest: self.revision.digest().to_string(),
            who: self.order.who.clone(),
            why: self.order.why.clone(),
            began: seconds(self.began),
            step: Some(step),
            in_shadow,
            evidence: self.watch.judge().evidence().map(|evidence| evidence.logs()),
            plan: self.plan.to_record(self.order.hold, self.order.no_way_back),
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
            verdict: match self.shadow.as_ref().map(|shadow| shadow.tally().in_words()) {
                Some(shadow) => format!("{verdict}; {shadow}"),
                None => verdict,
            },
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
