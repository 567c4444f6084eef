//! How an instance failed.

use super::error::InvokeError;
use crate::base::ErrorKind;
use std::sync::Arc;
use tokio::sync::SetOnce;
use wasmtime::PoolConcurrencyLimitError;
use wasmtime_wasi::I32Exit;

/// Why an instance ended: set once, before the instance's store is dropped. A stream closes in both cases, when the
/// guest ends it and when the store goes; the fault tells its reader which of the two happened.
#[derive(Clone, Default)]
pub(crate) struct InstanceFault(Arc<SetOnce<InvokeError>>);

impl InstanceFault {
    /// The fault, if the instance has failed.
    pub(crate) fn get(&self) -> Option<&InvokeError> {
        self.0.get()
    }

    /// Records how the instance failed. Only the first fault counts.
    pub(crate) fn set(&self, error: InvokeError) {
        let _ = self.0.set(error);
    }

    /// Waits until the fault is recorded.
    pub(crate) async fn known(&self) -> InvokeError {
        self.0.wait().await.clone()
    }
}

/// An instance's failure before it is decided whose fault it is.
pub(crate) enum InstanceFailure {
    /// The host failed before it called the guest.
    Host(wasmtime::Error),
    /// The component could not be instantiated.
    Instantiation(wasmtime::Error),
    /// The guest failed, with this kind of error.
    Guest(ErrorKind, wasmtime::Error),
}

impl From<wasmtime::Error> for InstanceFailure {
    fn from(error: wasmtime::Error) -> Self {
        Self::Guest(ErrorKind::Trap, error)
    }
}

impl InstanceFailure {
    /// The guest went on working for longer after its answer than it may.
    pub(crate) fn overtime() -> Self {
        Self::Guest(ErrorKind::Timeout, wasmtime::format_err!("worked on long after its answer"))
    }

    /// Whether the guest ended itself with exit code 0, as it may when it has answered. A call without an answer fails
    /// by it all the same.
    pub(crate) fn is_exit(&self) -> bool {
        matches!(self, Self::Guest(_, error) if matches!(error.downcast_ref(), Some(I32Exit(0))))
    }

    /// The error that callers get. `denied`: the host refused the guest more memory before it failed. A guest's
    /// allocator aborts then, and that abort looks like any other trap.
    pub(crate) fn explain(self, denied: bool) -> InvokeError {
        let instantiates = matches!(self, Self::Instantiation(_));
        let (kind, error) = match self {
            // The host counts slots before it instantiates. Its count and the pool's may differ, since a call may need
            // one stack more. That is a full pool all the same, and no fault of this service.
            Self::Instantiation(error) | Self::Guest(_, error) if error.is::<PoolConcurrencyLimitError>() => {
                (ErrorKind::Overloaded, error)
            }
            Self::Host(error) => (ErrorKind::Host, error),
            Self::Instantiation(error) if denied => (ErrorKind::Memory, error),
            Self::Instantiation(error) => (ErrorKind::Instantiation, error),
            Self::Guest(ErrorKind::Trap, error) if denied => (ErrorKind::Memory, error),
            Self::Guest(kind, error) => (kind, error),
        };
        let not_begun = instantiates && kind == ErrorKind::Overloaded;
        InvokeError { not_begun, ..InvokeError::caused_by(kind, error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error;

    #[test]
    fn the_callers_error_shows_the_texts_of_all_causes_and_keeps_them_as_sources() {
        let failure = wasmtime::Error::new(std::io::Error::other("the disk failed")).context("cannot start");
        let error = InstanceFailure::Instantiation(failure).explain(false);
        assert_eq!(error.to_string(), "instantiation: cannot start: the disk failed");
        let sources = std::iter::successors(error.source(), |source: &&dyn Error| (*source).source());
        assert_eq!(sources.map(ToString::to_string).collect::<Vec<_>>(), ["cannot start", "the disk failed"]);
    }

    #[test]
    fn a_trap_after_refused_memory_is_a_memory_error() {
        let trap = || InstanceFailure::from(wasmtime::format_err!("unreachable"));
        assert_eq!(trap().explain(true).kind, ErrorKind::Memory);
        assert_eq!(trap().explain(false).kind, ErrorKind::Trap);
    }

    #[tokio::test]
    async fn only_the_first_fault_counts() {
        let fault = InstanceFault::default();
        assert!(fault.get().is_none());
        fault.set(InvokeError::new(ErrorKind::Trap, "first"));
        fault.set(InvokeError::new(ErrorKind::Host, "second"));
        assert_eq!(fault.known().await.to_string(), "trap: first");
    }
}
