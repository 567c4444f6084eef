//! A saga as its journal tells it, and what comes next.

use super::binding::{BindingRoot, BindingScope, quoted};
use super::definition::{SagaDefinition, StepAction, StepDirection};
use super::entry::JournalEntry;
use std::sync::Arc;

/// How a saga ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SagaOutcome {
    /// All of its steps are done.
    Completed,
    /// It has turned, and every step that had begun is undone.
    Compensated,
}

impl SagaOutcome {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Compensated => "compensated",
        }
    }
}

/// What a saga that has not ended is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SagaPhase {
    /// It does its steps.
    Forward,
    /// It undoes them.
    Backward,
    /// It waits for a person, since a function has failed too often that it cannot do without.
    Parked,
}

impl SagaPhase {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Forward => "running",
            Self::Backward => "compensating",
            Self::Parked => "parked",
        }
    }
}

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SagaMove {
    /// [`JournalEntry::Begun`] of this step is to be written.
    Begin(usize),
    /// The action of this step is to be called.
    Act(usize),
    /// The saga waits in this step until this time, in milliseconds since 1970.
    Pause(usize, u64),
    /// The compensation of this step is to be called.
    Undo(usize),
    /// A person has to decide.
    Wait,
    /// The saga has ended.
    End(SagaOutcome),
}

/// Why an operator's order is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefusedOrder {
    /// It waits for nobody.
    #[error("the saga is not parked: it goes on by itself")]
    NotParked,
    /// It goes backwards already.
    #[error("the saga is being compensated already")]
    Turned,
    /// It cannot be undone any more.
    #[error("the pivot of the saga is done, or may be done: it only goes forward")]
    PastPivot,
    /// A later step needs the result.
    #[error("a later step is bound to the result of `{0}`, so it cannot be skipped")]
    ResultNeeded(Arc<str>),
}

/// One saga: its definition, and what its journal tells.
#[derive(Debug, Clone)]
pub struct SagaRun {
    definition: Arc<SagaDefinition>,
    key: String,
    started: u64,
    input: String,
    /// When each step began; as many as have begun.
    begun: Vec<u64>,
    /// The results of the steps that are done; as many as are done.
    results: Vec<String>,
    turned: Option<String>,
    /// How many of the begun steps are not undone yet, once it has turned.
    to_undo: usize,
    /// How often the function that is next has failed since a person looked at it.
    failures: u32,
    /// Why it has failed the last time.
    last_failure: Option<String>,
    /// Whether the action of the step that has begun may have had an effect already.
    doubt: bool,
}

impl SagaRun {
    /// The saga `id` that its first entry starts: `None` for any other entry.
    pub fn begin(definition: Arc<SagaDefinition>, id: &str, first: &JournalEntry) -> Option<Self> {
        let JournalEntry::Started { at, input, .. } = first else { return None };
        Some(Self {
            key: format!("{}/{id}", definition.name),
            started: *at,
            input: input.clone(),
            begun: Vec::new(),
            results: Vec::new(),
            turned: None,
            to_undo: 0,
            failures: 0,
            last_failure: None,
            doubt: false,
            definition,
        })
    }

    /// Takes an entry that is on disk. `false`: it does not follow from those before, and was not taken.
    pub fn apply(&mut self, entry: &JournalEntry) -> bool {
        let current = self.begun.len().checked_sub(1).filter(|at| self.results.len() == *at);
        match entry {
            JournalEntry::Started { .. } => return false,
            JournalEntry::Begun { step, at } => {
                let is_next = current.is_none() && *step == self.begun.len() && *step < self.definition.steps.len();
                if !is_next || self.turned.is_some() {
                    return false;
                }
                self.begun.push(*at);
                self.settle();
            }
            JournalEntry::Done { step, result } => {
                if current != Some(*step) || self.turned.is_some() {
                    return false;
                }
                self.results.push(result.clone());
                self.settle();
            }
            JournalEntry::Failed { step, direction, reason } => {
                let expected = match direction {
                    StepDirection::Action => current.filter(|_| self.turned.is_none()),
                    StepDirection::Undo => self.to_undo.checked_sub(1),
                };
                if expected != Some(*step) {
                    return false;
                }
                self.failures = self.failures.saturating_add(1);
                self.last_failure = Some(reason.clone());
                self.doubt = true;
            }
            JournalEntry::Turned { reason } => {
                let is_done = self.results.len() == self.definition.steps.len();
                if self.turned.is_some() || self.pivot_is_done() || is_done {
                    return false;
                }
                self.turned = Some(reason.clone());
                self.to_undo = self.begun.len();
                self.settle();
                self.pass_steps_without_undo();
            }
            JournalEntry::Undone { step } => return self.undone(*step),
            JournalEntry::Skipped { step } => {
                if self.turned.is_some() {
                    return self.undone(*step);
                }
                if current != Some(*step) {
                    return false;
                }
                self.results.push("null".to_owned());
                self.settle();
            }
            JournalEntry::Resumed => self.failures = 0,
        }
        true
    }

    /// After a restart: the action that had begun may have been called, and its answer is lost.
    pub fn recover(&mut self) {
        self.doubt |= self.begun.len() > self.results.len();
    }

    fn settle(&mut self) {
        (self.failures, self.last_failure, self.doubt) = (0, None, false);
    }

    fn undone(&mut self, step: usize) -> bool {
        if self.turned.is_none() || self.to_undo.checked_sub(1) != Some(step) {
            return false;
        }
        self.to_undo = step;
        self.settle();
        self.pass_steps_without_undo();
        true
    }

    fn pass_steps_without_undo(&mut self) {
        while self.to_undo.checked_sub(1).is_some_and(|step| self.definition.steps[step].undo.is_none()) {
            self.to_undo -= 1;
        }
    }

    fn pivot_is_done(&self) -> bool {
        self.definition.pivot().is_some_and(|pivot| pivot < self.results.len())
    }

    /// Whether the saga may turn now. `refused`: the function has said by an error of its own that it has done nothing.
    ///
    /// A pivot that nothing undoes is special: once it may have had an effect, the saga cannot go back.
    pub fn may_turn(&self, refused: bool) -> bool {
        let at_pivot = self.begun.len() > self.results.len() && self.definition.pivot() == Some(self.results.len());
        let undoable = self.begun.len().checked_sub(1).is_some_and(|step| self.definition.steps[step].undo.is_some());
        let certain = !at_pivot || undoable || (refused && !self.doubt);
        self.turned.is_none() && !self.pivot_is_done() && certain && self.results.len() < self.definition.steps.len()
    }

    /// What comes next.
    pub fn next(&self) -> SagaMove {
        if self.turned.is_some() {
            return match self.to_undo.checked_sub(1) {
                None => SagaMove::End(SagaOutcome::Compensated),
                Some(_) if self.is_parked() => SagaMove::Wait,
                Some(step) => SagaMove::Undo(step),
            };
        }
        let step = self.results.len();
        let Some(current) = self.definition.steps.get(step) else { return SagaMove::End(SagaOutcome::Completed) };
        let Some(began) = self.begun.get(step) else { return SagaMove::Begin(step) };
        match &current.action {
            StepAction::Pause(pause) => {
                SagaMove::Pause(step, began.saturating_add(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX)))
            }
            StepAction::Call(_) if self.is_parked() => SagaMove::Wait,
            StepAction::Call(_) => SagaMove::Act(step),
        }
    }

    /// Whether the function that is next has failed as often as it may.
    pub fn is_exhausted(&self) -> bool {
        let at = if self.turned.is_some() { self.to_undo.saturating_sub(1) } else { self.results.len() };
        self.definition.steps.get(at).is_some_and(|step| self.failures >= step.tries)
    }

    /// Whether it waits for a person: a saga that can turn does that instead.
    fn is_parked(&self) -> bool {
        self.is_exhausted() && !self.may_turn(false)
    }

    /// What it is at.
    pub fn phase(&self) -> SagaPhase {
        match (self.next(), &self.turned) {
            (SagaMove::Wait, _) => SagaPhase::Parked,
            (_, Some(_)) => SagaPhase::Backward,
            (_, None) => SagaPhase::Forward,
        }
    }

    /// The entry by which an operator has a parked saga try again.
    ///
    /// # Errors
    /// It is not parked.
    pub fn retry(&self) -> Result<JournalEntry, RefusedOrder> {
        if self.next() == SagaMove::Wait { Ok(JournalEntry::Resumed) } else { Err(RefusedOrder::NotParked) }
    }

    /// The entry by which an operator has a parked saga go on as if the step were done, or undone.
    ///
    /// # Errors
    /// It is not parked, or a later step needs the result.
    pub fn skip(&self) -> Result<JournalEntry, RefusedOrder> {
        if self.next() != SagaMove::Wait {
            return Err(RefusedOrder::NotParked);
        }
        if self.turned.is_some() {
            return Ok(JournalEntry::Skipped { step: self.to_undo - 1 });
        }
        let step = self.results.len();
        if self.definition.is_used_later(step) {
            return Err(RefusedOrder::ResultNeeded(Arc::clone(&self.definition.steps[step].name)));
        }
        Ok(JournalEntry::Skipped { step })
    }

    /// The entry by which an operator has the saga go back.
    ///
    /// # Errors
    /// It goes back already, or cannot any more.
    pub fn compensate(&self) -> Result<JournalEntry, RefusedOrder> {
        match () {
            () if self.turned.is_some() => Err(RefusedOrder::Turned),
            () if self.may_turn(false) => Ok(JournalEntry::turned("an operator wants it undone")),
            () => Err(RefusedOrder::PastPivot),
        }
    }

    /// Its definition.
    pub fn definition(&self) -> &Arc<SagaDefinition> {
        &self.definition
    }

    /// Its key: `checkout/ID`, the same in all of its calls.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// When it was started, in milliseconds since 1970.
    pub fn started(&self) -> u64 {
        self.started
    }

    /// When it turns if its pivot is not done by then, in milliseconds since 1970.
    pub fn deadline(&self) -> u64 {
        self.started.saturating_add(u64::try_from(self.definition.deadline.as_millis()).unwrap_or(u64::MAX))
    }

    /// Its input, as JSON with the names of the contract.
    pub fn input(&self) -> &str {
        &self.input
    }

    /// Why it has turned, if it has.
    pub fn turned(&self) -> Option<&str> {
        self.turned.as_deref()
    }

    /// How often the function that is next has failed, and why the last time.
    pub fn failures(&self) -> (u32, Option<&str>) {
        (self.failures, self.last_failure.as_deref())
    }

    /// The position of the step that is done or undone now; `None` if it has ended.
    pub fn current(&self) -> Option<usize> {
        match (&self.turned, self.results.len()) {
            (Some(_), _) => self.to_undo.checked_sub(1),
            (None, step) => (step < self.definition.steps.len()).then_some(step),
        }
    }

    /// What the step with this index is at: `waiting` for its turn, `under-way`, `done`, `undone`, or `left-out` since
    /// the saga turned before it.
    pub fn step_state(&self, at: usize) -> &'static str {
        match () {
            () if at >= self.begun.len() => {
                if self.turned.is_some() {
                    "left-out"
                } else {
                    "waiting"
                }
            }
            () if self.current() == Some(at) => "under-way",
            // Whether a step without a compensation was passed or undone is the same to its reader.
            () if self.turned.is_some() && at >= self.to_undo => "undone",
            () => "done",
        }
    }

    /// How many steps are done.
    pub fn done(&self) -> usize {
        self.results.len()
    }

    /// The result of the last step that called a function, as JSON with the names of the contract.
    pub fn result(&self) -> Option<&str> {
        let of = self.definition.steps.iter().zip(&self.results).rev();
        of.filter(|(step, _)| matches!(step.action, StepAction::Call(_))).map(|(_, result)| result.as_str()).next()
    }

    /// The arguments of a call, by the names of the parameters, each as JSON with the names of the contract.
    pub fn arguments(&self, step: usize, direction: StepDirection) -> Vec<(String, String)> {
        let Some(call) = self.definition.call(step, direction) else { return Vec::new() };
        let known = KnownValues { run: self, key: quoted(&self.key) };
        call.with.iter().map(|(name, binding)| (name.clone(), binding.json(&known))).collect()
    }
}

/// What a run knows.
struct KnownValues<'a> {
    run: &'a SagaRun,
    key: String,
}

impl BindingScope for KnownValues<'_> {
    fn json(&self, root: &BindingRoot) -> Option<&str> {
        match root {
            BindingRoot::Input => Some(&self.run.input),
            BindingRoot::Key => Some(&self.key),
            BindingRoot::Step(name) => {
                let at = self.run.definition.steps.iter().position(|step| step.name == *name)?;
                self.run.results.get(at).map(String::as_str)
            }
        }
    }
}
