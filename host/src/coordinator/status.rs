//! What is told of a saga.

use crate::saga::{JournalEntry, SagaMove, SagaOutcome, SagaPhase, SagaRun, StepDirection};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A saga as callers and operators see it; as JSON it is what is kept of an ended one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SagaStatus {
    /// Its id.
    pub id: String,
    /// The saga of the manifest.
    pub saga: String,
    /// `running`, `compensating`, `parked`, `completed` or `compensated`.
    pub state: String,
    /// When it was started, in milliseconds since 1970.
    pub started: u64,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<u64>,
    /// The step that is done or undone now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// How many of its steps are done.
    pub done: usize,
    /// How many steps it has.
    pub steps: usize,
    /// The topic for whose event it waits now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// Its lock, if it needs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<LockStatus>,
    /// How often the function that is next has failed.
    #[serde(default)]
    pub failures: u32,
    /// Why it has failed the last time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Why it has turned, if it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turned: Option<String>,
    /// The result of its last step, if it has completed: JSON with the names of the contract.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Box<RawValue>>,
    /// The digest of its input.
    #[serde(default)]
    pub input: String,
    /// What each step is at; empty once it has ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plan: Vec<StepStatus>,
}

/// The lock of a saga.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockStatus {
    /// Its name.
    pub name: String,
    /// What is locked, as JSON.
    pub value: String,
    /// When the saga loses it at the latest, in milliseconds since 1970. Absent: it waits for its turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
}

/// One step of a saga.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepStatus {
    /// Its name.
    pub name: String,
    /// `waiting`, `under-way`, `done`, `undone`, or `left-out` since the saga turned before it.
    pub state: String,
}

/// How many sagas of one name there are, and have ended since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SagaCounts {
    /// The saga of the manifest.
    pub saga: String,
    /// Those that do their steps.
    pub running: u64,
    /// Those that are undone.
    pub compensating: u64,
    /// Those that wait for a person.
    pub parked: u64,
    /// Those that have completed since the start of the host.
    pub completed: u64,
    /// Those that were compensated since then.
    pub compensated: u64,
    /// Tries of steps that failed since then.
    pub failures: u64,
}

impl SagaStatus {
    /// The status of a saga that has not ended.
    pub(super) fn of(id: &str, run: &SagaRun) -> Self {
        let (failures, failure) = run.failures();
        let definition = run.definition();
        let step = run.current().map(|at| definition.steps[at].name.to_string());
        Self {
            id: id.to_owned(),
            saga: definition.name.to_string(),
            state: run.phase().as_str().to_owned(),
            started: run.started(),
            ended: None,
            step,
            done: run.done(),
            steps: definition.steps.len(),
            waits_for: waits_for(run),
            lock: lock(run),
            failures,
            failure: failure.map(str::to_owned),
            turned: run.turned().map(str::to_owned),
            result: None,
            input: digest(run.input()),
            plan: plan(run),
        }
    }

    /// The status of a saga that ends now.
    pub(super) fn at_end(id: &str, run: &SagaRun, outcome: SagaOutcome, now: u64) -> Self {
        let raw = |json: &str| RawValue::from_string(json.to_owned()).ok();
        let result = run.result().filter(|_| outcome == SagaOutcome::Completed).and_then(raw);
        let state = outcome.as_str().to_owned();
        let (ended, step, waits_for, lock) = (Some(now), None, None, None);
        Self { state, ended, step, waits_for, lock, result, plan: Vec::new(), ..Self::of(id, run) }
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    /// Whether it has ended, and was undone.
    pub fn is_undone(&self) -> bool {
        self.has_ended() && self.state == SagaOutcome::Compensated.as_str()
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts, numbers and JSON are JSON")
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

impl SagaCounts {
    pub(super) fn add(&mut self, phase: SagaPhase) {
        match phase {
            SagaPhase::Forward => self.running += 1,
            SagaPhase::Backward => self.compensating += 1,
            SagaPhase::Parked => self.parked += 1,
        }
    }
}

fn waits_for(run: &SagaRun) -> Option<String> {
    match run.next() {
        SagaMove::Await(step, _) => run.definition().wait(step).map(|wait| wait.topic.to_string()),
        _ => None,
    }
}

fn lock(run: &SagaRun) -> Option<LockStatus> {
    let name = run.definition().lock.as_ref()?.name.to_string();
    Some(LockStatus { name, value: run.locks()?, until: run.locked_until() })
}

fn plan(run: &SagaRun) -> Vec<StepStatus> {
    let steps = run.definition().steps.iter().enumerate();
    steps.map(|(at, step)| StepStatus { name: step.name.to_string(), state: run.step_state(at).to_owned() }).collect()
}

pub(super) fn digest(input: &str) -> String {
    crate::base::Digest::of(input.as_bytes()).to_string()
}

/// The entry that begins the next step, if a step is next.
pub(super) fn next_begun(run: &SagaRun, now: u64) -> Option<JournalEntry> {
    match run.next() {
        SagaMove::Begin(step) => Some(JournalEntry::Begun { step, at: now }),
        _ => None,
    }
}

/// Which of a step's functions is next.
pub(super) fn direction(run: &SagaRun) -> StepDirection {
    if run.turned().is_some() { StepDirection::Undo } else { StepDirection::Action }
}
