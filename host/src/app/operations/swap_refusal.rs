//! Why a swap was refused, as an operator reads it.

use crate::admin::{OperationError, OperationErrorKind};
use crate::rollout::SwapError;

/// The refusal of a swap, a trial or a rollback.
pub(super) fn refusal(error: SwapError) -> OperationError {
    let kind = match error {
        SwapError::Unknown(_) => OperationErrorKind::NotFound,
        SwapError::NoHistory
        | SwapError::NoComponent(_)
        | SwapError::NoPrevious(_)
        | SwapError::NoShadow(..)
        | SwapError::NoWayBack(..)
        | SwapError::NewerData { .. }
        | SwapError::Migrates(_)
        | SwapError::Rewired
        | SwapError::Replaced(_)
        | SwapError::UnderWay(_)
        | SwapError::Moved(_)
        | SwapError::Busy(_) => OperationErrorKind::Conflict,
        SwapError::Refused(_)
        | SwapError::Unwired(_)
        | SwapError::Undescribed(_)
        | SwapError::Breaks(_)
        | SwapError::Migration(..)
        | SwapError::DoesNotStart(_) => OperationErrorKind::Refused,
        SwapError::NoRollout(_) | SwapError::NotBegun => OperationErrorKind::NoRollout,
        SwapError::Host(_) | SwapError::History(_) | SwapError::Unrecorded(..) | SwapError::MigrationInDoubt(..) => {
            OperationErrorKind::Internal
        }
    };
    OperationError::caused_by(kind, error)
}
