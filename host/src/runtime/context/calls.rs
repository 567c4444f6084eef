//! The calls that an instance serves, each with its context: a guest's own calls are made on behalf of one of them.

use crate::base::CallContext;
use wasmtime::component::GuestTaskId;

/// The calls and requests that an instance serves. Each is removed when its results, or the head of its answer, are
/// there.
pub(super) struct Calls {
    /// In the order in which they came.
    running: Vec<(GuestTaskId, CallContext)>,
    /// The context of the call that came last, if that call does not run: it has ended, or the instance was made for it
    /// and it has not begun.
    last: Option<CallContext>,
    begun: bool,
    several: bool,
}

impl Calls {
    /// No call runs. `first`: the call that the instance was made for.
    pub(super) fn new(first: CallContext) -> Self {
        Self { running: Vec::with_capacity(1), last: Some(first), begun: false, several: false }
    }

    pub(super) fn begin(&mut self, task: GuestTaskId, context: CallContext) {
        self.several = std::mem::replace(&mut self.begun, true);
        self.last = None;
        self.running.push((task, context));
    }

    pub(super) fn end(&mut self, task: GuestTaskId) {
        let Some(at) = self.running.iter().position(|(running, _)| *running == task) else { return };
        let came_last = self.last.is_none() && at + 1 == self.running.len();
        let (_, context) = self.running.remove(at);
        if came_last {
            self.last = Some(context);
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    /// Whether the instance has begun more than one call. What the guest does need not be for the latest one then: the
    /// work of an earlier call may outlast its answer.
    pub(super) fn are_several(&self) -> bool {
        self.several
    }

    /// The calls that run.
    pub(super) fn running(&self) -> impl Iterator<Item = &CallContext> {
        self.running.iter().map(|(_, context)| context)
    }

    /// The only call that runs; `None` if none or several do.
    pub(super) fn only(&self) -> Option<&CallContext> {
        match self.running.as_slice() {
            [(_, only)] => Some(only),
            _ => None,
        }
    }

    /// The context of the call that came last. What the guest does after its answers is done on behalf of that call.
    pub(super) fn latest(&self) -> &CallContext {
        let running = || self.running.last().map(|(_, context)| context);
        self.last.as_ref().or_else(running).expect("`last` is taken only when a call begins to run")
    }

    /// The context with the latest deadline among the running calls, with the depth of the deepest of them: a circle of
    /// calls must not look shallower than it is.
    pub(super) fn latest_deadline(&self) -> CallContext {
        let running = || self.running.iter().map(|(_, context)| context);
        let mut context = running().max_by_key(|context| context.deadline).unwrap_or(self.latest()).clone();
        context.depth = running().map(|context| context.depth).max().unwrap_or(context.depth);
        context
    }

    /// The context of the call that `task` serves.
    pub(super) fn of(&self, task: GuestTaskId) -> Option<&CallContext> {
        self.running.iter().find(|(running, _)| *running == task).map(|(_, context)| context)
    }
}
