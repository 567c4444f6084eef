//! The engine: the one loop that runs the tries of every call.
//!
//! The engine is the mechanism. It gets an endpoint for each try, injects faults, sends, records the outcome, and waits
//! before the next try. What differs between kinds of calls is a [`CallPolicy`]: what a try sends, whether it can be
//! sent again, what its outcome means.

use super::call_in_progress::{CallInProgress, Try};
use super::try_guard::TryGuard;
use crate::base::{Blame, CallContext, ErrorKind, OpenSpan, ServiceName};
use crate::mesh::error::{CallError, TryError};
use crate::mesh::table::target::{CallKind, Invoke};
use crate::mesh::table::traffic::Traffic;

/// What the engine does not know of a call: one value for each call, which sees its tries one after the other.
pub(super) trait CallPolicy: Send {
    /// Only endpoints that take calls of this kind are picked.
    const KIND: CallKind;
    /// What one try sends.
    type Message: Send;
    /// What an endpoint answers.
    type Reply: Send;
    /// What the caller gets.
    type Answer: Send;

    /// What the next try sends; `None` if it cannot be sent again. `again`: whether the settings allow one more try
    /// after this one, so that a copy is worth its cost.
    fn message(&mut self, again: bool) -> Option<Self::Message>;

    /// Sends `message`, and waits for the answer or for its head.
    fn send<P: Invoke>(
        &mut self,
        target: &P,
        message: Self::Message,
        context: &CallContext,
    ) -> impl Future<Output = Result<Self::Reply, TryError>> + Send;

    /// Writes into the span of a try what `message` is.
    fn describe(&self, span: &mut OpenSpan, message: &Self::Message, traffic: &Traffic);

    /// Logs a try that has ended; `failed` is the kind of its failure.
    fn log(&self, _service: &ServiceName, _context: &CallContext, _failed: Option<ErrorKind>) {}

    /// Reads an answer, and records at `guard` what it says of the endpoint. `dependency_failed`: a call of the
    /// service's own has failed.
    fn accept(
        &mut self,
        reply: Self::Reply,
        guard: TryGuard,
        traffic: &Traffic,
        dependency_failed: bool,
    ) -> Accepted<Self::Answer>;

    /// The failure of a try as the call has to see it: the fault may be the client's.
    fn attribute(&self, error: TryError) -> TryError {
        error
    }

    /// What follows this failure.
    fn after_failure(&self, error: &TryError, dependency_failed: bool) -> Next;
}

/// An answer that the policy has read and recorded.
pub(super) struct Accepted<A> {
    pub(super) answer: A,
    pub(super) next: Next,
}

/// What follows a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// The call ends with the outcome of this try.
    End,
    /// The call ends. The failure of the try before says more than this one, if there was one.
    EndWithPrevious,
    /// One more try, if the message, the budget and the time allow it.
    Again,
}

/// What one try came to, when it is recorded.
struct Tried<A> {
    outcome: Result<A, CallError>,
    next: Next,
}

/// Runs the tries of `call`, until one of them decides its outcome.
///
/// # Errors
/// The failure of a try, or the refusal of the first try when no endpoint can be picked.
pub(super) async fn run<P: Invoke, C: CallPolicy>(
    call: &mut CallInProgress<'_, P>,
    policy: &mut C,
) -> Result<C::Answer, CallError> {
    let mut message = policy.message(call.has_tries_left()).expect("every call can be sent once");
    let mut previous: Option<Result<C::Answer, CallError>> = None;
    loop {
        let Try { endpoint, mut guard, context } = match call.next_try(C::KIND) {
            Ok(picked) => picked,
            // That a further try finds no endpoint says less than the outcome of the try before.
            Err(refusal) => return previous.unwrap_or(Err(refusal)),
        };
        if let Some(span) = guard.span() {
            policy.describe(span, &message, &call.group.traffic);
        }
        // An answer of the try before is given up only now that another endpoint will answer; its failure may still be
        // the call's.
        let failure_before = previous.and_then(Result::err);
        let reply = match call.inject_fault(&context).await {
            Ok(()) => policy.send(&endpoint.target, message, &context).await,
            Err(injected) => Err(injected),
        };
        let Tried { outcome, next } = conclude(call, policy, guard, &context, reply);
        match next {
            Next::End => return outcome,
            Next::EndWithPrevious => return failure_before.map_or(outcome, Err),
            Next::Again => {}
        }
        if !call.wait_for_next_try().await {
            return outcome;
        }
        let Some(again) = policy.message(call.has_tries_left()) else { return outcome };
        message = again;
        previous = Some(outcome);
    }
}

/// Records what is known of a try now. An answer's body goes on; the guard inside of it records its end.
fn conclude<P: Invoke, C: CallPolicy>(
    call: &CallInProgress<'_, P>,
    policy: &mut C,
    mut guard: TryGuard,
    context: &CallContext,
    reply: Result<C::Reply, TryError>,
) -> Tried<C::Answer> {
    let failed = reply.as_ref().err().map(|error| error.kind);
    guard.answered(failed);
    policy.log(&call.group.name, context, failed);
    let dependency_failed = context.dependency_failed();
    if dependency_failed && let Some(report) = &context.report {
        report.write(|report| report.dependency_failed = true);
    }
    match reply {
        Ok(reply) => {
            let Accepted { answer, next } = policy.accept(reply, guard, &call.group.traffic, dependency_failed);
            Tried { outcome: Ok(answer), next }
        }
        Err(error) => {
            let mut error = policy.attribute(error);
            guard.note_failure(error.kind);
            if error.kind == ErrorKind::Timeout {
                let owner = context.deadline_owner;
                call.group.traffic.metrics.timed_out(owner);
                error.deadline = Some(owner);
                if let Some(report) = &context.report {
                    report.write(|report| report.deadline = Some(owner));
                }
                error.detail += &format!("; the deadline is {owner}");
            }
            if error.cut_off {
                guard.excused();
            } else {
                guard.crashed(error.kind, &error.detail);
                guard.failed(error.kind, dependency_failed, &error.detail);
            }
            if error.kind.blame() == Blame::Refusal {
                call.group.traffic.metrics.refused(error.kind.as_str());
            }
            let next = policy.after_failure(&error, dependency_failed);
            Tried { outcome: Err(CallError::of_try(&call.group.name, error)), next }
        }
    }
}
