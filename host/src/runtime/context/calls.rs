//! The calls that an instance serves, each with its context: a guest's own calls are made on behalf of one of them.

use crate::base::CallContext;
use wasmtime::component::GuestTaskId;

/// The calls and requests that an instance serves. Each is removed when its results, or the head of its answer, are
/// there.
pub(super) struct Calls {
    /// The context of the call that came last. What the guest does after its answers is done on behalf of that call.
    pub(super) latest: CallContext,
    pub(super) running: Vec<(GuestTaskId, CallContext)>,
    /// Whether the instance has begun more than one call. What the guest does need not be for the latest one then: the
    /// work of an earlier call may outlast its answer.
    pub(super) several: bool,
    begun: bool,
}

impl Calls {
    /// No call runs. `first`: the call that the instance was made for.
    pub(super) fn new(first: CallContext) -> Self {
        Self { latest: first, running: Vec::new(), several: false, begun: false }
    }

    pub(super) fn begin(&mut self, task: GuestTaskId, context: CallContext) {
        self.several = std::mem::replace(&mut self.begun, true);
        self.latest = context.clone();
        self.running.push((task, context));
    }

    pub(super) fn end(&mut self, task: GuestTaskId) {
        self.running.retain(|(running, _)| *running != task);
    }

    pub(super) fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    /// The context with the latest deadline among the running calls, with the depth of the deepest of them: a circle of
    /// calls must not look shallower than it is.
    pub(super) fn latest_deadline(&self) -> CallContext {
        let running = || self.running.iter().map(|(_, context)| context);
        let mut context = running().max_by_key(|context| context.deadline).unwrap_or(&self.latest).clone();
        context.depth = running().map(|context| context.depth).max().unwrap_or(context.depth);
        context
    }

    /// The context of the call that `task` serves.
    pub(super) fn of(&self, task: GuestTaskId) -> Option<&CallContext> {
        self.running.iter().find(|(running, _)| *running == task).map(|(_, context)| context)
    }
}
