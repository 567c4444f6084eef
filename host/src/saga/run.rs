//! A saga as its journal tells it, and what comes next.

use super::binding::{Binding, BindingRoot, BindingScope, quoted};
use super::definition::{SagaDefinition, StepAction, StepDirection};
use super::entry::JournalEntry;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

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
    /// It needs its lock before it begins: then [`JournalEntry::Locked`] is to be written.
    Lock,
    /// [`JournalEntry::Begun`] of this step is to be written.
    Begin(usize),
    /// The action of this step is to be called.
    Act(usize),
    /// The saga waits in this step until this time, in milliseconds since 1970.
    Pause(usize, u64),
    /// The step waits for an event: until this time, in milliseconds since 1970, if it does not wait for as long as the
    /// saga may turn.
    Await(usize, Option<u64>),
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
    /// Since when it has its lock, if it needs one.
    locked: Option<u64>,
    /// The number of the event of each topic after which its next wait looks.
    following: BTreeMap<String, u64>,
    /// When a person has last wanted a step tried again.
    resumed: u64,
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
            locked: None,
            following: BTreeMap::new(),
            resumed: 0,
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
        let forward = self.turned.is_none();
        match entry {
            JournalEntry::Started { .. } => return false,
            JournalEntry::Following { topics } => {
                if !self.begun.is_empty() || !forward {
                    return false;
                }
                self.following.clone_from(topics);
            }
            JournalEntry::Locked { at } => {
                if self.next() != SagaMove::Lock {
                    return false;
                }
                self.locked = Some(*at);
            }
            JournalEntry::Begun { step, at } => {
                if self.next() != SagaMove::Begin(*step) {
                    return false;
                }
                self.begun.push(*at);
                self.settle();
            }
            JournalEntry::Done { step, result } => {
                return current == Some(*step) && self.definition.wait(*step).is_none() && self.done_with(result);
            }
            JournalEntry::Received { step, event, result } => {
                let Some(wait) = self.definition.wait(*step) else { return false };
                let topic = wait.topic.to_string();
                if current != Some(*step) || !self.done_with(result) {
                    return false;
                }
                self.following.insert(topic, *event);
            }
            JournalEntry::Failed { step, direction, reason } => {
                let expected = match direction {
                    StepDirection::Action => current.filter(|_| forward),
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
                if !forward || self.pivot_is_done() || is_done {
                    return false;
                }
                self.turned = Some(reason.clone());
                self.to_undo = self.begun.len();
                self.settle();
                self.pass_steps_without_undo();
            }
            JournalEntry::Undone { step } => return self.undone(*step),
            JournalEntry::Skipped { step } => {
                if !forward {
                    return self.undone(*step);
                }
                return current == Some(*step) && self.done_with("null");
            }
            JournalEntry::Resumed { at } => (self.failures, self.resumed) = (0, *at),
        }
        true
    }

    /// After a restart: the action that had begun may have been called, and its answer is lost.
    pub fn recover(&mut self) {
        self.doubt |= self.begun.len() > self.results.len();
    }

    /// The current step has this result. `false`: the saga has turned.
    fn done_with(&mut self, result: &str) -> bool {
        if self.turned.is_some() {
            return false;
        }
        self.results.push(result.to_owned());
        self.settle();
        true
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
        // What calls nothing has no effect.
        let calls = self.definition.call(self.results.len(), StepDirection::Action).is_some();
        let certain = !at_pivot || undoable || !calls || (refused && !self.doubt);
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
        if self.definition.lock.is_some() && self.locked.is_none() {
            return SagaMove::Lock;
        }
        let step = self.results.len();
        let Some(current) = self.definition.steps.get(step) else { return SagaMove::End(SagaOutcome::Completed) };
        let Some(began) = self.begun.get(step) else { return SagaMove::Begin(step) };
        match &current.action {
            StepAction::Pause(pause) => SagaMove::Pause(step, later(*began, *pause)),
            StepAction::Call(_) | StepAction::Wait(_) if self.is_parked() => SagaMove::Wait,
            StepAction::Call(_) => SagaMove::Act(step),
            StepAction::Wait(wait) => {
                SagaMove::Await(step, wait.timeout.map(|timeout| later(self.resumed.max(*began), timeout)))
            }
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

    /// The entry by which an operator has a parked saga try again at the time `at`, in milliseconds since 1970.
    ///
    /// # Errors
    /// It is not parked.
    pub fn retry(&self, at: u64) -> Result<JournalEntry, RefusedOrder> {
        if self.next() == SagaMove::Wait { Ok(JournalEntry::Resumed { at }) } else { Err(RefusedOrder::NotParked) }
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
        later(self.started, self.definition.deadline)
    }

    /// The value that it locks, as JSON; `None` if it locks nothing.
    pub fn locks(&self) -> Option<String> {
        let lock = self.definition.lock.as_ref()?;
        Some(Binding::Path(lock.value.clone()).json(&KnownValues { run: self, key: String::new() }))
    }

    /// Until when it has its lock, in milliseconds since 1970; `None`: it has none, or not yet.
    pub fn locked_until(&self) -> Option<u64> {
        Some(later(self.locked?, self.definition.lock.as_ref()?.expires))
    }

    /// The number of the event of `topic` after which its waits look; `None`: none of its waits is for that topic.
    pub fn follows(&self, topic: &str) -> Option<u64> {
        self.following.get(topic).copied()
    }

    /// The first wait for an event of `topic` that is not over, if the saga may come to one.
    pub fn next_wait(&self, topic: &str) -> Option<usize> {
        let open = self.results.len()..self.definition.steps.len();
        let mut waits = open.filter(|step| self.definition.wait(*step).is_some_and(|wait| *wait.topic == *topic));
        waits.next().filter(|_| self.turned.is_none())
    }

    /// What the parts of the event must be that the step waits for, each as JSON, in the order of
    /// [`EventWait::bindings`](super::EventWait::bindings).
    pub fn awaited(&self, step: usize) -> Vec<String> {
        let known = KnownValues { run: self, key: quoted(&self.key) };
        let wait = self.definition.wait(step).into_iter();
        wait.flat_map(|wait| wait.bindings()).map(|binding| binding.json(&known)).collect()
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

/// The time `wait` after `at`, in milliseconds since 1970.
fn later(at: u64, wait: Duration) -> u64 {
    at.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
}
