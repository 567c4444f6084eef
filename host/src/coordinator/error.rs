//! Why nothing was started or changed.

use super::lock_table::LockHolder;
use crate::saga::RefusedOrder;
use crate::state::StateError;

/// Why a saga was not started, shown or changed.
#[derive(Debug, thiserror::Error)]
pub enum SagaError {
    /// There is no such saga in the manifest, or none with this id.
    #[error("{0}")]
    Unknown(String),
    /// The input is not of the saga's type; each violation with its pointer.
    #[error("the input does not fit: {0}")]
    Input(String),
    /// The id was used with another input.
    #[error("the key was used with another input")]
    OtherInput,
    /// There are as many sagas as there may be.
    #[error("there are {0} sagas that have not ended, and no more may be started")]
    Full(usize),
    /// Another saga has what this one locks.
    #[error("saga `{}` {} has the lock `{}`: start this one when it has ended", .0.saga, .0.id, .0.lock)]
    Locked(LockHolder),
    /// The events that the saga waits for cannot be read now.
    #[error("{0}")]
    Unread(String),
    /// The order does not fit what the saga is at.
    #[error("{0}")]
    Refused(#[from] RefusedOrder),
    /// The store refused or failed.
    #[error("the store: {0}")]
    State(#[from] StateError),
    /// The host is stopping.
    #[error("the host is stopping")]
    Stopping,
}
