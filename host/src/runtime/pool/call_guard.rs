//! The caller's guard of the instance that serves it: dropped before the answer is whole, it ends what the instance
//! does for the caller.

use super::kept_instances::KeptCall;
use crate::runtime::instance::guard::InstanceGuard;
use tokio::sync::OwnedSemaphorePermit;

/// The guard of one call, by the kind of instance that serves it.
pub(super) enum CallGuard {
    /// An instance that serves this caller alone. It ends with the call.
    Own(InstanceGuard),
    /// An instance that serves other calls too. If this call got no answer, the instance takes no further call.
    Kept {
        call: KeptCall,
        /// The call's permit among the calls of the endpoint.
        _permit: OwnedSemaphorePermit,
    },
}

impl CallGuard {
    /// The answer is whole: dropping the guard ends nothing any more.
    pub(super) fn release(&mut self) {
        match self {
            Self::Own(guard) => guard.release(),
            Self::Kept { call, .. } => call.answered = true,
        }
    }
}
