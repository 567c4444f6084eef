//! What is asked about sagas, and what is told of them.

use crate::coordinator::SagaStatus;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// What an operator wants with sagas.
#[derive(Debug)]
pub enum SagaCommand {
    /// Those that have not ended, the oldest first.
    List {
        /// Those alone that wait for a person.
        parked: bool,
        /// At most so many.
        most: usize,
    },
    /// Those that have ended and are remembered, in the order of their ids.
    Ended {
        /// After this id.
        after: Option<String>,
        /// At most so many.
        most: usize,
    },
    /// One.
    Show(String),
    /// Start one.
    Start(SagaStart),
    /// Try the step of a parked one again.
    Retry(String),
    /// Go on with a parked one as if its step were done, or undone.
    Skip(String),
    /// Undo one.
    Compensate(String),
}

/// The start of a saga.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SagaStart {
    /// The saga of the manifest.
    pub saga: String,
    /// What makes the start repeatable: 1 to 200 visible ASCII characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Its input.
    pub input: Box<RawValue>,
}

/// A saga was started.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SagaStartView {
    /// Its id.
    pub id: String,
    /// Whether it had been started before.
    pub existed: bool,
}

/// The answer to a [`SagaCommand`].
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum SagaAnswer {
    /// Some of them.
    Sagas(Vec<SagaStatus>),
    /// One.
    Saga(Box<SagaStatus>),
    /// It was started.
    Started(SagaStartView),
}
