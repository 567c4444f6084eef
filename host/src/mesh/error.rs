//! A call without an answer.

use crate::base::{ErrorKind, ServiceName};
use std::time::Duration;

/// Why a call has no answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{service}: {kind}: {detail}")]
pub struct CallError {
    /// What happened.
    pub kind: ErrorKind,
    /// The service that was called.
    pub service: ServiceName,
    /// When another try makes sense, where that is known.
    pub retry_after: Option<Duration>,
    /// For the log; never shown outside.
    pub detail: String,
}

impl CallError {
    /// A failed call to `service`.
    pub fn new(service: &ServiceName, kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, service: service.clone(), retry_after: None, detail: detail.into() }
    }
}
