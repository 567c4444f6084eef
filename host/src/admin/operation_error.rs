//! Why a change that an operator ordered failed.

use std::error::Error;

/// Why a change failed. The message says what happened and what to do. It is for the operator, and holds no secret.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct OperationError {
    /// What kind of failure it is.
    pub kind: OperationErrorKind,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl OperationError {
    /// A failure of `kind`, which the operator reads as `message`.
    pub fn new(kind: OperationErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// A failure of `kind` with the message of `source`.
    pub fn caused_by(kind: OperationErrorKind, source: impl Error + Send + Sync + 'static) -> Self {
        Self { kind, message: source.to_string(), source: Some(Box::new(source)) }
    }
}

/// The kinds of failed changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperationErrorKind {
    /// There is no such service.
    NotFound,
    /// The service has no such endpoint.
    NoEndpoint,
    /// The cluster has no such node.
    NoNode,
    /// There is no such API key.
    NoKey,
    /// The service has no such rollout or revision.
    NoRollout,
    /// There is no such topic, or no such subscription to it.
    NoTopic,
    /// The subscription has no such dead letter.
    NoLetter,
    /// The event does not fit its topic. Nothing was published.
    BadEvent,
    /// The topic takes no more events for now. Nothing was published.
    TopicFull,
    /// There is no such saga.
    NoSaga,
    /// The input does not fit its saga. Nothing was started.
    BadInput,
    /// The service has no such snapshot of its data.
    NoSnapshot,
    /// Data that are imported are wrong, or broke off. Nothing has changed.
    BadData,
    /// The component is broken, or it cannot serve. Nothing has changed.
    Refused,
    /// The change is not possible now: another change is in progress, there is no revision to return to, the service
    /// has no component, or too many faults are active.
    Conflict,
    /// The host has more to do than it takes on: another try later can do it.
    Overloaded,
    /// The broker of the events cannot be reached. Nothing has changed.
    BrokerAway,
    /// The host failed.
    Internal,
}
