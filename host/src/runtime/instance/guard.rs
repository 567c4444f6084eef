//! The caller's guard of an instance that serves this caller alone.

use tokio::sync::oneshot;
use tokio::task::AbortHandle;

/// Dropped before the answer is whole, it ends the instance.
pub(crate) struct InstanceGuard {
    /// The instance's task; `None` if the instance has ended already.
    task: Option<AbortHandle>,
    /// Dropping it tells the instance that the answer is whole, and the guest's grace period begins. `None` for a call
    /// with streams: the readers of its streams keep the instance alive.
    answer_pending: Option<oneshot::Sender<()>>,
    whole: bool,
}

impl InstanceGuard {
    /// `task`: the instance's task, unless it has ended. `answer_pending`: dropped when the answer is whole.
    pub(crate) fn new(task: Option<AbortHandle>, answer_pending: Option<oneshot::Sender<()>>) -> Self {
        Self { task, answer_pending, whole: false }
    }

    /// The answer is whole: the guest may finish what it does after the answer, for as long as its timeout allows.
    pub(crate) fn release(&mut self) {
        self.whole = true;
        self.answer_pending = None;
    }
}

impl Drop for InstanceGuard {
    fn drop(&mut self) {
        if let Self { task: Some(task), whole: false, .. } = self {
            task.abort();
        }
    }
}
