//! Failures: of one try, and of a whole call.

use crate::base::{Cause, DeadlineOwner, ErrorKind, ServiceName};
use crate::runtime::InvokeError;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

/// Whether the endpoint of a try without an answer may have begun the call. The kind of the failure does not say it:
/// the timeout of a call that waited long for its instance is a full pool, and the call has run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallBeginning {
    /// It may have begun it: it is not known that it has not.
    Perhaps,
    /// An endpoint of this node has not begun it.
    NotHere,
    /// Another node was to carry it out and has not begun it: it may go to another endpoint, whatever it does.
    NotThere,
}

/// Why one try has no answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{kind}: {detail}")]
pub struct TryError {
    /// What happened.
    pub kind: ErrorKind,
    /// Of a timeout: whose deadline it was, once the engine has read it from the try's context.
    pub deadline: Option<DeadlineOwner>,
    /// For the log; never shown outside.
    pub detail: String,
    /// Whether a connection broke off that was sending a request's body. If the endpoint has not got the whole body,
    /// it perhaps refuses such a body (RFC 9112, section 9.5), and that says nothing of how it fares.
    pub cut_off: bool,
    /// Whether its endpoint may have begun the call.
    pub beginning: CallBeginning,
    /// The error below, for whoever logs the whole chain. `detail` already tells what it says.
    #[source]
    pub source: Option<Cause>,
}

impl TryError {
    /// A failure of `kind`, described for the log.
    pub fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        let beginning = CallBeginning::Perhaps;
        Self { kind, deadline: None, detail: detail.into(), cut_off: false, beginning, source: None }
    }

    /// The same failure with the error that caused it.
    #[must_use]
    pub fn caused_by(self, source: impl Error + Send + Sync + 'static) -> Self {
        Self { source: Some(Arc::new(source)), ..self }
    }
}

impl From<InvokeError> for TryError {
    fn from(InvokeError { kind, detail, source, not_begun, .. }: InvokeError) -> Self {
        let beginning = if not_begun { CallBeginning::NotHere } else { CallBeginning::Perhaps };
        Self { kind, deadline: None, detail, cut_off: false, beginning, source }
    }
}

/// Why a call has no answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{service}: {kind}: {detail}")]
pub struct CallError {
    /// What happened.
    pub kind: ErrorKind,
    /// The service that was called.
    pub service: ServiceName,
    /// Of a timeout: whose deadline it was.
    pub deadline: Option<DeadlineOwner>,
    /// When another call may succeed, where that is known.
    pub retry_after: Option<Duration>,
    /// Of [`ErrorKind::Forbidden`]: the scope that the caller lacks.
    pub lacks: Option<Arc<str>>,
    /// Whether the endpoint of its last try may have begun it.
    pub beginning: CallBeginning,
    /// For the log; never shown outside.
    pub detail: String,
    /// The error below, for whoever logs the whole chain. `detail` already tells what it says.
    #[source]
    pub source: Option<Cause>,
}

impl CallError {
    /// A failed call to `service`.
    pub fn new(service: &ServiceName, kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self::of_try(service, TryError::new(kind, detail))
    }

    /// A call to `service` that ends with the failure of one of its tries.
    pub fn of_try(service: &ServiceName, error: TryError) -> Self {
        let TryError { kind, deadline, detail, source, beginning, .. } = error;
        Self { kind, service: service.clone(), deadline, retry_after: None, lacks: None, beginning, detail, source }
    }
}
