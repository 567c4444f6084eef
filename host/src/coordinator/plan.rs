//! A saga whose functions were found: what can be run.

use super::error::SagaError;
use crate::contract::json::{self, ReadError};
use crate::contract::{Names, Type};
use crate::events::Backoff;
use crate::mesh::Value;
use crate::saga::{EventMark, SagaDefinition, StepDirection, bound, mark_of_values};
use serde::de::IgnoredAny;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The bounds of all sagas together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SagaSettings {
    /// The most sagas that have not ended: 1 to 1,000,000. Default 10,000.
    pub most: usize,
    /// The most steps that are called at once: 1 to 10,000. Default 256.
    pub concurrency: usize,
    /// The most bytes of one saga's journal: 4 KiB to 4 MiB. Default 1 MiB.
    pub journal: usize,
    /// How long an ended saga is remembered: 1 h to 3,650 d. Default 24 h.
    pub kept: Duration,
    /// The pauses between the tries of a step. Default 1 s to 100 s.
    pub backoff: Backoff,
}

impl Default for SagaSettings {
    fn default() -> Self {
        Self {
            most: 10_000,
            concurrency: 256,
            journal: 1 << 20,
            kept: Duration::from_secs(86_400),
            backoff: Backoff { first: Duration::from_secs(1), most: Duration::from_secs(100) },
        }
    }
}

/// The functions of a step, by their positions among those that the host calls of their services (`Service::routed`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StepTargets {
    /// The action's; `None`: it calls none.
    pub action: Option<usize>,
    /// The compensation's; `None`: there is none.
    pub undo: Option<usize>,
}

/// A definition with its functions.
#[derive(Debug, Clone)]
pub struct SagaPlan {
    /// The definition.
    pub definition: Arc<SagaDefinition>,
    /// The type of its input; `None`: any JSON.
    pub input: Option<Type>,
    /// One for each step.
    pub targets: Vec<StepTargets>,
    /// For each step that waits for an event, the types of the parts by which the event is known, in the order of
    /// [`EventWait::bindings`](crate::saga::EventWait::bindings).
    pub waits: BTreeMap<usize, Vec<Type>>,
    /// Whether it is in the manifest: another one only runs to its end.
    pub is_current: bool,
}

impl SagaPlan {
    /// The function of a step.
    pub(super) fn target(&self, step: usize, direction: StepDirection) -> Option<usize> {
        let targets = self.targets.get(step)?;
        match direction {
            StepDirection::Action => targets.action,
            StepDirection::Undo => targets.undo,
        }
    }

    /// The mark of the event that a step waits for, whose parts have these values. `Ok(None)`: one of them is absent,
    /// so no event is the one.
    ///
    /// # Errors
    /// A value is not of its type, which is told.
    pub(super) fn mark(&self, step: usize, values: &[String]) -> Result<Option<EventMark>, String> {
        let types = self.waits.get(&step).map(Vec::as_slice).unwrap_or_default();
        let written = types.iter().zip(values).map(|(ty, json)| {
            if json == "null" {
                return Ok(json.clone());
            }
            let value = json::read::<Value>(ty, Names::Kebab, json.as_bytes()).map_err(|error| told(&error))?;
            let mut text = Vec::new();
            json::write(ty, Names::Kebab, &value, &mut text).map_err(|error| format!("{error:?}"))?;
            Ok(String::from_utf8_lossy(&text).into_owned())
        });
        let written: Vec<_> = written.collect::<Result<_, String>>()?;
        Ok(mark_of_values(&written))
    }

    /// The input as it is kept: JSON with the names of the contract.
    pub(super) fn accept(&self, input: &[u8], names: Names, journal: usize) -> Result<String, SagaError> {
        let most = bound::INPUT.min(journal / 2);
        if input.len() > most {
            return Err(SagaError::Input(format!("it is longer than {most} bytes")));
        }
        let Some(ty) = &self.input else {
            serde_json::from_slice::<IgnoredAny>(input).map_err(|error| SagaError::Input(error.to_string()))?;
            return Ok(String::from_utf8_lossy(input).trim().to_owned());
        };
        let value = json::read::<Value>(ty, names, input).map_err(|error| SagaError::Input(told(&error)))?;
        let mut text = Vec::new();
        json::write(ty, Names::Kebab, &value, &mut text).map_err(|error| SagaError::Input(format!("{error:?}")))?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

/// A misread, as whoever sent the text reads it.
fn told(error: &ReadError) -> String {
    match error {
        ReadError::Violations(violations) => {
            let one = |violation: &json::Violation| {
                let place = if violation.pointer.is_empty() { "the whole" } else { &violation.pointer };
                format!("{place} {}", violation.detail)
            };
            violations.iter().take(10).map(one).collect::<Vec<_>>().join("; ")
        }
        ReadError::Malformed { .. } => error.to_string(),
    }
}
