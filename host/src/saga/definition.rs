//! The definition of a saga: its steps, and what undoes them.

use super::binding::Binding;
use super::event_wait::EventWait;
use super::saga_lock::SagaLock;
use crate::base::ServiceName;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// The bounds of every saga.
pub mod bound {
    /// The most steps.
    pub const STEPS: usize = 64;
    /// The longest name of a saga or a step, in bytes.
    pub const NAME: usize = 63;
    /// The longest input, in bytes.
    pub const INPUT: usize = 256 << 10;
    /// The longest result of a step, in bytes: an entry is one value of the store.
    pub const RESULT: usize = 512 << 10;
    /// The longest reason of a failure that is kept, in bytes.
    pub const REASON: usize = 512;
}

/// A saga of the manifest, or one that an earlier manifest had and that still runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SagaDefinition {
    /// Its name.
    pub name: Arc<str>,
    /// The WIT type of its input: `shop:checkout/types#checkout`. `None`: any JSON, of which no part can be bound.
    pub input: Option<String>,
    /// How long it may take until its pivot is done. Then it is undone.
    pub deadline: Duration,
    /// What it has alone while it goes on; `None`: nothing.
    pub lock: Option<SagaLock>,
    /// In the order in which they are done; no two with one name, and one at least.
    pub steps: Vec<SagaStep>,
}

/// A step of a saga.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SagaStep {
    /// Its name, by which later steps name its result.
    pub name: Arc<str>,
    /// What it does.
    pub action: StepAction,
    /// What undoes it; `None`: it changes nothing that must be undone.
    pub undo: Option<StepCall>,
    /// Whether the saga only goes forward once this step is done.
    pub pivot: bool,
    /// How long one try of it may take. `None`: as long as `limits` of the service allow.
    pub timeout: Option<Duration>,
    /// How often the action may fail before the saga turns, or waits for a person.
    pub tries: u32,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepAction {
    /// It calls a function.
    Call(StepCall),
    /// It waits for so long, from the moment at which it began.
    Pause(Duration),
    /// It waits for an event, whose payload is its result.
    Wait(EventWait),
}

/// The call of a function of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepCall {
    /// The service.
    pub service: ServiceName,
    /// `function` or `interface#function`.
    pub function: String,
    /// The arguments, by the names of the parameters.
    pub with: Vec<(String, Binding)>,
}

/// Which function of a step is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StepDirection {
    /// Its action.
    Action,
    /// Its compensation.
    Undo,
}

impl StepDirection {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Action => "action",
            Self::Undo => "undo",
        }
    }
}

impl SagaDefinition {
    /// The position of the pivot: no step after it is ever undone.
    pub fn pivot(&self) -> Option<usize> {
        self.steps.iter().position(|step| step.pivot)
    }

    /// The call of a step in this direction; `None` if it has none.
    pub fn call(&self, step: usize, direction: StepDirection) -> Option<&StepCall> {
        let step = self.steps.get(step)?;
        match (direction, &step.action) {
            (StepDirection::Action, StepAction::Call(call)) => Some(call),
            (StepDirection::Action, StepAction::Pause(_) | StepAction::Wait(_)) => None,
            (StepDirection::Undo, _) => step.undo.as_ref(),
        }
    }

    /// Whether an argument of a step after `step` is bound to the result of `step`.
    pub fn is_used_later(&self, step: usize) -> bool {
        let name = &self.steps[step].name;
        let mut later = self.steps[step + 1..].iter();
        later.any(|later| match &later.action {
            StepAction::Call(call) => call.with.iter().any(|(_, binding)| binding.names_step(name)),
            StepAction::Wait(wait) => wait.bindings().any(|binding| binding.names_step(name)),
            StepAction::Pause(_) => false,
        })
    }

    /// What the step waits for, if it waits for an event.
    pub fn wait(&self, step: usize) -> Option<&EventWait> {
        match &self.steps.get(step)?.action {
            StepAction::Wait(wait) => Some(wait),
            StepAction::Call(_) | StepAction::Pause(_) => None,
        }
    }

    /// The topics whose events its steps wait for, each once.
    pub fn topics(&self) -> BTreeSet<Arc<str>> {
        (0..self.steps.len()).filter_map(|step| self.wait(step)).map(|wait| Arc::clone(&wait.topic)).collect()
    }
}
