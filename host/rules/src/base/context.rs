//! What travels with a call from the gateway to the last service: the request id, the deadline, the depth, who calls,
//! the place in the request's trace.

use super::call_inputs::InputWatch;
use super::call_report::CallReporter;
use super::commit_guard::CommitGuard;
use super::deadline::DeadlineOwner;
use super::handled_event::HandledEvent;
use super::identity::Identity;
use super::memory_note::MemoryNote;
use super::request_id::RequestId;
use super::saga_call::SagaCall;
use super::trace_tree::TraceScope;
use super::work::WorkPayer;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The most that a caller keeps of its own time when it calls another service: enough to report that no answer came,
/// even on a busy machine.
const KEPT: Duration = Duration::from_millis(50);

/// Fields of a request at the gateway, each by its name with its value.
pub type StickyFields = Arc<[(Arc<str>, String)]>;

/// The context of one call. A call on its behalf gets what is left of it.
#[derive(Clone, Debug)]
pub struct CallContext {
    /// The request at the gateway that this call serves.
    pub request_id: RequestId,
    /// When the caller stops waiting for the head of the answer.
    pub deadline: Instant,
    /// Who has set that deadline.
    pub deadline_owner: DeadlineOwner,
    /// How many calls lie above this one: 0 for a call of the gateway.
    pub depth: usize,
    /// Who the request is made for; `None` if nobody has asked. All calls on its behalf have the same.
    pub identity: Option<Arc<Identity>>,
    /// The fields of the request at the gateway that stick to a revision, each with its value; `None` if no service of
    /// the manifest has such a field.
    pub sticky_fields: Option<StickyFields>,
    /// The event that this call handles; `None` if it handles none. Calls on its behalf handle none.
    pub event: Option<Arc<HandledEvent>>,
    /// The step of a saga that makes this call; `None`: no saga does. Calls on its behalf are made by none.
    pub saga: Option<Arc<SagaCall>>,
    /// What refuses the commits of this call, and of those on its behalf, once they are too late; `None`: nothing.
    pub guard: Option<Arc<CommitGuard>>,
    /// Who pays for what guests take for the request; `None`: nobody, and it is not measured. All calls on its behalf
    /// have the same.
    pub payer: Option<Arc<dyn WorkPayer>>,
    /// Who watches what guests are handed; `None`: nobody. Calls on its behalf are watched by the same.
    pub watch: Option<Arc<dyn InputWatch>>,
    /// Its place in the request's trace; `None` if the request has none.
    pub trace: Option<TraceScope>,
    /// Where the mesh reports how it made the call; `None` if nobody asks. Calls on its behalf report nothing.
    pub report: Option<CallReporter>,
    /// Where the memory of its instance is noted; `None`: nobody asks. Calls on its behalf note nothing.
    pub memory: Option<Arc<MemoryNote>>,
    /// Whether a call on behalf of this one has failed. The contexts of those calls share the flag, and set it. `None`
    /// outside of a try: nobody asks there.
    dependency_failed: Option<Arc<AtomicBool>>,
}

impl CallContext {
    /// The header of a call over plain HTTP that carries how long its caller waits, in whole milliseconds.
    pub const TIMEOUT_HEADER: &str = "x-atoll-timeout-ms";
    /// The header that carries how many calls lie above it.
    pub const DEPTH_HEADER: &str = "x-atoll-depth";
    /// The name by which [`CallContext::sticky`] finds who calls.
    pub const SUBJECT: &str = "subject";

    /// A context whose call must be answered within `timeout` from `now`, the `timeout` of its route.
    pub fn new(request_id: RequestId, now: Instant, timeout: Duration) -> Self {
        let (deadline, deadline_owner) = (now + timeout, DeadlineOwner::Route);
        let (identity, sticky_fields, event, saga, guard, payer) = (None, None, None, None, None, None);
        let (watch, trace, report, memory) = (None, None, None, None);
        Self {
            request_id,
            deadline,
            deadline_owner,
            depth: 0,
            identity,
            sticky_fields,
            event,
            saga,
            guard,
            payer,
            watch,
            trace,
            report,
            memory,
            dependency_failed: None,
        }
    }

    /// The same call with at most `timeout` from `now`, a bound of `owner`. A deadline never grows.
    #[must_use]
    pub fn within(&self, now: Instant, timeout: Duration, owner: DeadlineOwner) -> Self {
        match now.checked_add(timeout).filter(|end| *end < self.deadline) {
            Some(end) => Self { deadline: end, deadline_owner: owner, ..self.clone() },
            None => self.clone(),
        }
    }

    /// The context of a call that is made at `now` on behalf of this one: the same request, one deeper, and less time.
    ///
    /// Of the time that is left, a twentieth is kept back for the caller, but at most 50 ms. If the callee does not
    /// answer, the caller still has this time to report that. Otherwise both would run out of time at the same moment,
    /// and the caller would be blamed for the timeout.
    #[must_use]
    pub fn deeper(&self, now: Instant) -> Self {
        let kept = (self.deadline.saturating_duration_since(now) / 20).min(KEPT);
        let (deadline, deadline_owner) = (self.deadline - kept, DeadlineOwner::Caller);
        Self {
            depth: self.depth + 1,
            deadline,
            deadline_owner,
            event: None,
            saga: None,
            report: None,
            memory: None,
            ..self.clone()
        }
    }

    /// What sticks to a revision of a service: the value of the field `name` of the request, or who calls if `name` is
    /// [`CallContext::SUBJECT`]. `None`: the request has no such field.
    pub fn sticky(&self, name: &str) -> Option<&str> {
        if name == Self::SUBJECT {
            return self.identity.as_deref().map(|identity| identity.subject.as_str());
        }
        let fields = self.sticky_fields.as_deref()?;
        fields.iter().find(|(own, _)| **own == *name).map(|(_, value)| value.as_str())
    }

    /// The same call, watched by `watch`.
    #[must_use]
    pub fn watched_by(self, watch: Arc<dyn InputWatch>) -> Self {
        Self { watch: Some(watch), ..self }
    }

    /// Whether guests are not to be handed the ids of its request and of its trace.
    pub fn hides_ids(&self) -> bool {
        self.watch.as_ref().is_some_and(|watch| watch.hides_ids())
    }

    /// The same call, made for nobody in particular, for no event, and by no saga.
    #[must_use]
    pub fn anonymous(self) -> Self {
        Self { identity: None, event: None, saga: None, ..self }
    }

    /// The same call, made for nobody in particular, for no event, by no saga, outside of its request's trace, and with
    /// nothing that refuses its commits.
    #[must_use]
    pub fn unattributed(self) -> Self {
        Self { identity: None, event: None, saga: None, guard: None, trace: None, ..self }
    }

    /// Whether it has no identity, no event, no saga, no guard and no place in a trace.
    pub fn is_unattributed(&self) -> bool {
        let by_nobody = self.identity.is_none() && self.event.is_none() && self.saga.is_none();
        by_nobody && self.guard.is_none() && self.trace.is_none()
    }

    /// The same call with `depth` calls above it.
    #[must_use]
    pub fn at_depth(self, depth: usize) -> Self {
        Self { depth, ..self }
    }

    /// The context of one try of this call, with a flag of its own: the try starts without a failed dependency.
    #[must_use]
    pub fn for_try(&self) -> Self {
        Self { dependency_failed: Some(Arc::default()), ..self.clone() }
    }

    /// Tells the call above that this call, made on its behalf, has failed.
    pub fn mark_dependency_failed(&self) {
        if let Some(flag) = &self.dependency_failed {
            flag.store(true, Ordering::Relaxed);
        }
    }

    /// Whether a call on behalf of this one has failed. Then a failure of this one need not be the fault of the service
    /// that was called.
    pub fn dependency_failed(&self) -> bool {
        self.dependency_failed.as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_never_grows() {
        let now = Instant::now();
        let context = CallContext::new(RequestId::from_random(1), now, Duration::from_secs(5));
        let within = |seconds| {
            let context = context.within(now, Duration::from_secs(seconds), DeadlineOwner::Total);
            (context.deadline - now, context.deadline_owner)
        };
        assert_eq!(within(9), (Duration::from_secs(5), DeadlineOwner::Route));
        assert_eq!(within(5), (Duration::from_secs(5), DeadlineOwner::Route));
        assert_eq!(within(2), (Duration::from_secs(2), DeadlineOwner::Total));
    }

    #[test]
    fn a_caller_keeps_a_twentieth_of_its_time_and_50_ms_at_most() {
        let now = Instant::now();
        let context = CallContext::new(RequestId::from_random(1), now, Duration::from_secs(5));
        let inner = context.deeper(now).within(now, Duration::from_secs(9), DeadlineOwner::Timeout).deeper(now);
        assert_eq!((inner.depth, inner.deadline), (2, context.deadline - 2 * KEPT));
        assert_eq!(inner.deadline_owner, DeadlineOwner::Caller);
        let short = context.within(now, Duration::from_millis(100), DeadlineOwner::Route);
        assert_eq!(short.deeper(now).deadline, now + Duration::from_millis(95));
        assert_eq!(short.deeper(now + Duration::from_secs(1)).deadline, short.deadline, "nothing is left to keep");
    }

    #[test]
    fn the_calls_of_a_call_are_made_by_no_saga() {
        let now = Instant::now();
        let mut context = CallContext::new(RequestId::from_random(1), now, Duration::from_secs(5));
        let call = SagaCall { saga: "buy/1".into(), step: "charge".into(), undo: false };
        assert_eq!(call.key(), "buy/1/charge");
        context.saga = Some(Arc::new(call.clone()));
        let within = context.within(now, Duration::from_secs(1), DeadlineOwner::Timeout).for_try();
        assert_eq!(within.saga.as_deref(), Some(&call));
        assert!(within.deeper(now).saga.is_none() && !within.is_unattributed());
        assert!(within.unattributed().is_unattributed());
    }

    #[test]
    fn a_failed_call_marks_the_try_above_and_no_other() {
        let gateway = CallContext::new(RequestId::from_random(1), Instant::now(), Duration::from_secs(5));
        let (first, second) = (gateway.for_try(), gateway.for_try());
        let now = Instant::now();
        let below = first.deeper(now).within(now, Duration::from_secs(1), DeadlineOwner::Timeout);
        below.for_try().deeper(now).mark_dependency_failed();
        assert!(!first.dependency_failed(), "the call in between may have recovered from a failure two below");
        below.mark_dependency_failed();
        assert!(first.dependency_failed() && !second.dependency_failed() && !gateway.dependency_failed());
    }
}
