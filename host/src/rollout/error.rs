//! A swap that was refused. Nothing has changed.

use super::wiring::WireError;
use crate::base::ServiceName;
use crate::runtime::{InvokeError, LoadError};

/// Why a revision was not replaced.
#[derive(Debug, thiserror::Error)]
pub enum SwapError {
    /// No such service.
    #[error("there is no service `{0}`")]
    Unknown(String),
    /// The service is plain HTTP addresses alone.
    #[error("service `{0}` has no component: its `urls` are swapped in the manifest")]
    NoComponent(ServiceName),
    /// Nothing served before.
    #[error("service `{0}` has no revision to go back to")]
    NoPrevious(ServiceName),
    /// The component cannot serve.
    #[error("the component is refused: it {0}")]
    Refused(#[from] LoadError),
    /// Its imports of other services cannot be linked.
    #[error("the component is refused: it {0}")]
    Unwired(#[from] WireError),
    /// Others use what it does not offer, or not as they use it.
    #[error("the component is refused: {}", .0.join(". "))]
    Breaks(Vec<String>),
    /// Since it was loaded its imports have become another service's to answer.
    #[error("the component was linked to services that no longer answer its imports: swap it in again")]
    Rewired,
    /// The component does not start.
    #[error("the component is refused: it does not start: {0}")]
    DoesNotStart(InvokeError),
    /// No instance was free to try the component.
    #[error("the host is too busy to try the component; try again: {0}")]
    Busy(InvokeError),
    /// The host failed while it compiled.
    #[error("the host failed: {0}")]
    Host(String),
}
