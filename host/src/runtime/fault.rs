//! How an instance failed.

use super::error::InvokeError;
use crate::base::ErrorKind;
use std::sync::Arc;
use tokio::sync::SetOnce;
use wasmtime::PoolConcurrencyLimitError;

/// Why an instance ended, set before its store is dropped: whoever then sees a stream end can tell an end from a break.
#[derive(Clone, Default)]
pub(super) struct InstanceFault(Arc<SetOnce<(ErrorKind, String)>>);

impl InstanceFault {
    pub(super) fn get(&self) -> Option<&(ErrorKind, String)> {
        self.0.get()
    }

    /// Notes how the instance failed; the first fault counts.
    pub(super) fn set(&self, kind: ErrorKind, detail: impl Into<String>) {
        let _ = self.0.set((kind, detail.into()));
    }

    /// Waits until it is known.
    pub(super) async fn known(&self) -> InvokeError {
        let (kind, detail) = self.0.wait().await;
        InvokeError::new(*kind, detail.clone())
    }
}

/// How an instance failed, before it is known whose fault that is.
pub(super) enum InstanceFailure {
    /// Before the guest was asked anything.
    Host(wasmtime::Error),
    Instantiation(wasmtime::Error),
    Guest(ErrorKind, wasmtime::Error),
}

impl From<wasmtime::Error> for InstanceFailure {
    fn from(error: wasmtime::Error) -> Self {
        Self::Guest(ErrorKind::Trap, error)
    }
}

impl InstanceFailure {
    /// The guest had all the time that it may have after its answer, and went on.
    pub(super) fn overtime() -> Self {
        Self::Guest(ErrorKind::Timeout, wasmtime::format_err!("worked on long after its answer"))
    }

    /// `denied`: the guest was refused memory before. Allocators abort on that, and the abort itself is a plain trap.
    pub(super) fn explain(self, denied: bool) -> InvokeError {
        let (kind, error) = match self {
            // The host counts slots before it instantiates. Where its count and the pool's differ (a call may need a stack more), it is a
            // full pool all the same, and no fault of this service.
            Self::Instantiation(error) | Self::Guest(_, error) if error.is::<PoolConcurrencyLimitError>() => {
                (ErrorKind::Overloaded, error)
            }
            Self::Host(error) => (ErrorKind::Host, error),
            Self::Instantiation(error) if denied => (ErrorKind::Memory, error),
            Self::Instantiation(error) => (ErrorKind::Instantiation, error),
            Self::Guest(ErrorKind::Trap, error) if denied => (ErrorKind::Memory, error),
            Self::Guest(kind, error) => (kind, error),
        };
        InvokeError::new(kind, format!("{error:#}"))
    }
}
