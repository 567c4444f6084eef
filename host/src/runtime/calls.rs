//! On whose behalf a guest calls: the contexts of the calls that an instance serves.

use super::context::Context;
use crate::base::CallContext;
use wasmtime::StoreContextMut;
use wasmtime::component::GuestTaskId;

/// The calls and requests that an instance serves, each until its results, or the head of its answer, are there.
pub(super) struct Calls {
    /// The call that came last. What a guest does after its answers is done on behalf of that one.
    latest: CallContext,
    running: Vec<(GuestTaskId, CallContext)>,
}

impl Calls {
    pub(super) fn new(first: CallContext) -> Self {
        Self { latest: first, running: Vec::new() }
    }

    pub(super) fn begin(&mut self, task: GuestTaskId, context: CallContext) {
        self.latest = context.clone();
        self.running.push((task, context));
    }

    pub(super) fn end(&mut self, task: GuestTaskId) {
        self.running.retain(|(running, _)| *running != task);
    }

    pub(super) fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    /// The call that has the most time left, as deep as the deepest of them: a circle of calls must not look shallower than it is.
    pub(super) fn most_patient(&self) -> CallContext {
        let running = || self.running.iter().map(|(_, context)| context);
        let mut context = running().max_by_key(|context| context.deadline).unwrap_or(&self.latest).clone();
        context.depth = running().map(|context| context.depth).max().unwrap_or(context.depth);
        context
    }

    fn of(&self, task: GuestTaskId) -> Option<&CallContext> {
        self.running.iter().find(|(running, _)| *running == task).map(|(_, context)| context)
    }
}

/// The call on whose behalf the guest in `store` calls the host right now. Among several it is found by the guest's task: the youngest on
/// its stack that is a call.
pub(super) fn caller(store: &mut StoreContextMut<'_, Context>) -> CallContext {
    match store.data().calls.running.as_slice() {
        [] => return store.data().calls.latest.clone(),
        // The call that came last may have been answered before this one.
        [(_, only)] => return only.clone(),
        _ => {}
    }
    let stack: Vec<GuestTaskId> = store.async_call_stack().map(Iterator::collect).unwrap_or_default();
    let calls = &store.data().calls;
    stack.into_iter().find_map(|task| calls.of(task)).unwrap_or(&calls.latest).clone()
}
