//! The caller's hold on the instance that serves it: dropped before the answer is whole, it ends what the instance does for it.

use super::warm::Ticket;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::task::AbortHandle;

/// Who holds an instance, and how.
pub(super) enum InstanceGuard {
    /// An instance that serves one caller alone: it ends with him.
    Own {
        /// `None` when it has ended already.
        task: Option<AbortHandle>,
        /// As long as it is there, the instance has the time of an answer that is not whole. `None`: an instance whose streams say that.
        held: Option<oneshot::Sender<()>>,
        whole: bool,
    },
    /// An instance that others use too: it takes no more of them if this caller got no answer.
    Kept {
        ticket: Ticket,
        /// The caller's place among the calls of the endpoint.
        _place: OwnedSemaphorePermit,
    },
}

impl InstanceGuard {
    /// The answer is whole: the guest may finish what it does after it, for as long as its timeout allows.
    pub(super) fn release(&mut self) {
        match self {
            Self::Own { held, whole, .. } => {
                *whole = true;
                *held = None;
            }
            Self::Kept { ticket, .. } => ticket.answered = true,
        }
    }
}

impl Drop for InstanceGuard {
    fn drop(&mut self) {
        if let Self::Own { task: Some(task), whole: false, .. } = self {
            task.abort();
        }
    }
}
