//! Whose instance it is, and its lines in the host's log.

use crate::base::{Blame, Digest, ErrorKind, RequestId};
use crate::runtime::error::InvokeError;
use crate::runtime::grants::Grants;
use crate::runtime::outcall::OutcallError;
use crate::runtime::tape::call_tape::CallTape;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

/// Which instance it is, and of what. Every log line about the instance names it.
#[derive(Clone)]
pub(crate) struct InstanceIdentity {
    pub(crate) grants: Arc<Grants>,
    pub(crate) revision: Digest,
    /// The instance's number: instances are counted from the start of the host.
    pub(crate) instance: u64,
    pub(crate) request: CurrentRequest,
    /// The tape of the only call that it serves; none if it may serve several.
    pub(crate) tape: CallTape,
}

/// The id of the request that an instance serves. If it serves several, the id of the latest.
#[derive(Clone)]
pub(crate) struct CurrentRequest(Arc<RwLock<RequestId>>);

impl CurrentRequest {
    pub(crate) fn new(id: RequestId) -> Self {
        Self(Arc::new(RwLock::new(id)))
    }

    pub(super) fn replace(&self, id: &RequestId) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = id.clone();
    }
}

impl fmt::Display for CurrentRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&*self.0.read().unwrap_or_else(PoisonError::into_inner), f)
    }
}

impl InstanceIdentity {
    /// Logs that the instance failed, with the guest's backtrace: the one line that has it.
    pub(crate) fn log_failure(&self, error: &InvokeError) {
        if self.tape.is_played() {
            return;
        }
        let Self { grants, revision, instance, request, .. } = self;
        let place = error.place.as_deref();
        // What the host itself made of a failure has no place. Then the text alone tells one from another.
        let cause = place.map_or(&*error.detail, |place| &*place.cause).lines().next();
        let stack = place.map(|place| format!("{:016x}", place.stack));
        tracing::warn!(
            service = %grants.service, revision = %revision.short(), instance, request_id = %request,
            kind = %error.kind, place = place.map(|place| &*place.frame), stack, cause,
            "the instance failed: {}", error.in_full()
        );
    }

    /// Logs that this instance called `callee`, a service or a host outside, and got no answer. `what` is the function,
    /// or how it was called. A refusal is logged at `debug` alone, also one for want of a scope: a flood of refusals
    /// must not become a flood of lines.
    pub(crate) fn log_failed_call(&self, callee: &dyn fmt::Display, what: &str, error: &OutcallError) {
        if self.tape.is_played() {
            return;
        }
        let Self { grants, instance, request, .. } = self;
        let (caller, kind) = (&grants.service, error.kind);
        if kind.blame() == Blame::Refusal || kind == ErrorKind::Forbidden {
            tracing::debug!(
                service = %caller, instance, request_id = %request, %kind,
                "a call of `{callee}` ({what}) was refused: {error}"
            );
        } else {
            tracing::warn!(
                service = %caller, instance, request_id = %request, %kind, %callee,
                "a call of `{callee}` ({what}) failed: {error}"
            );
        }
    }
}
