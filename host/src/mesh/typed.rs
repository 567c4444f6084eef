//! One typed call, from the name of a function to its results.

use super::attempt::TryGuard;
use super::call::{Mesh, blames_upstream, send};
use super::course::CallInProgress;
use super::error::CallError;
use super::place::{CallKind, Invoke};
use crate::base::{Blame, Body, CallContext, ServiceName};
use crate::breaker::Verdict;
use crate::contract::{FunctionName, UNAVAILABLE, Value as _};
use crate::egress::EgressRule;
use crate::runtime::{DetachedValues, Outcall, OutcallError, OutcallFuture, Value};

impl<P: Invoke> Mesh<P> {
    /// Calls a function of `service` with plain values; `None` when it has no result.
    ///
    /// # Errors
    /// As [`Mesh::carry`].
    pub async fn invoke(
        &self,
        service: &ServiceName,
        function: &FunctionName,
        arguments: Vec<Value>,
        context: &CallContext,
    ) -> Result<Option<Value>, CallError> {
        let results = self.carry(service, function, DetachedValues::new(arguments), context).await?;
        Ok(results.into_values().pop())
    }

    /// Calls a function of `service`. One that the manifest calls idempotent is called again when an instance failed, as the service's retry
    /// policy says, unless a stream is among its arguments.
    ///
    /// An error that the function itself answers is an answer like any other; the cases `unavailable` and `internal` count as the
    /// service's fault, the others neither count nor clear. Nor does an `unavailable` of one whose own call has failed: otherwise one service
    /// that fails would open the circuits of all that call it. Dropping the future ends the call and is nobody's fault.
    ///
    /// # Errors
    /// No endpoint to ask, or the fault of the one that was asked; see [`ErrorKind`](crate::base::ErrorKind).
    pub async fn carry(
        &self,
        service: &ServiceName,
        function: &FunctionName,
        mut arguments: DetachedValues,
        context: &CallContext,
    ) -> Result<DetachedValues, CallError> {
        let entry = self.resolve(service, context)?;
        let mut tries = if entry.is_idempotent(function) { entry.traffic.retry.settings().tries } else { 0 };
        let mut course = CallInProgress::begin(entry, Some(&self.registry), &self.chance, context).await?;
        let mut last = None;
        loop {
            let spare = if tries > 0 { arguments.copy() } else { None };
            let (outcome, dependency_failed) = attempt(&mut course, function, arguments).await;
            let outcome = match outcome {
                // That a further try is refused says less than what the one before it came to.
                Err(refusal) if refusal.kind.blame() == Blame::Refusal => return Err(last.unwrap_or(refusal)),
                outcome => outcome,
            };
            let (Err(error), Some(spare)) = (&outcome, spare) else { return outcome };
            // The call that let it down had its own tries.
            if error.kind.blame() != Blame::Service || dependency_failed || !course.again().await {
                return outcome;
            }
            (arguments, tries, last) = (spare, tries - 1, outcome.err());
        }
    }
}

/// One try at one endpoint, and whether a call of its own has let it down.
async fn attempt<P: Invoke>(
    course: &mut CallInProgress<'_, P>,
    function: &FunctionName,
    arguments: DetachedValues,
) -> (Result<DetachedValues, CallError>, bool) {
    let (endpoint, mut attempt, context) = match course.next(CallKind::Typed) {
        Ok(next) => next,
        Err(refusal) => return (Err(refusal), false),
    };
    let outcome = match course.disturbed(&context).await {
        Ok(()) => endpoint.target.call(function, arguments, &context).await,
        Err(failed) => Err(failed),
    };
    let failed = outcome.as_ref().err().map(|(kind, _)| *kind);
    attempt.answered(failed);
    let service = &course.entry;
    let CallContext { request_id, depth, .. } = &context;
    tracing::debug!(target: "calls", service = %service.name, %function, %request_id, depth, ?failed, "called");
    let dependency_failed = context.dependency_failed();
    let outcome = match outcome {
        Ok(results) => {
            record(&mut attempt, &results, dependency_failed);
            Ok(results)
        }
        Err((kind, detail)) => {
            attempt.failed(kind, dependency_failed);
            if kind.blame() == Blame::Refusal {
                service.traffic.metrics.refused(kind.as_str());
            }
            Err(CallError::new(&service.name, kind, detail))
        }
    };
    (outcome, dependency_failed)
}

/// What an answer says about the service, by the conventions of its error's cases.
fn record(attempt: &mut TryGuard, results: &DetachedValues, dependency_failed: bool) {
    match fault(results) {
        Some("internal") => attempt.admitted(Verdict::RequestFault),
        Some(UNAVAILABLE) if !dependency_failed => attempt.admitted(Verdict::EndpointFault),
        Some(_) => attempt.blames_another(),
        None => attempt.succeeded(),
    }
}

/// The case of the error that a function answers; empty for an error that has none.
fn fault(results: &DetachedValues) -> Option<&str> {
    let error = results.values().first()?.as_result()?.err()?;
    let case = error.and_then(|error| error.as_variant().map(|(case, _)| case).or_else(|| error.as_enumeration()));
    Some(case.unwrap_or_default())
}

/// A guest's calls go the way of all calls.
impl Outcall for Mesh {
    fn invoke<'a>(
        &'a self,
        service: &'a ServiceName,
        function: &'a FunctionName,
        arguments: DetachedValues,
        context: CallContext,
    ) -> OutcallFuture<'a, DetachedValues> {
        Box::pin(async move {
            let outcome = self.carry(service, function, arguments, &context).await;
            if outcome.as_ref().map_or(true, |results| fault(results) == Some(UNAVAILABLE)) {
                context.mark_dependency_failed();
            }
            outcome.map_err(told)
        })
    }

    fn send<'a>(
        &'a self,
        service: &'a ServiceName,
        request: http::Request<Body>,
        context: CallContext,
    ) -> OutcallFuture<'a, http::Response<Body>> {
        Box::pin(async move { told_of(self.call(service, request, &context).await, told, &context) })
    }

    fn fetch<'a>(
        &'a self,
        by: &'a ServiceName,
        rule: &'a EgressRule,
        request: http::Request<Body>,
        context: CallContext,
    ) -> OutcallFuture<'a, http::Response<Body>> {
        Box::pin(async move {
            let outcome = async {
                let entry = self.resolve(by, &context)?.traffic.outside.host(rule, request.uri())?;
                send(CallInProgress::begin(entry, None, &self.chance, &context).await?, request).await
            };
            // The service that the error names is the guest's own.
            let tell = |CallError { kind, detail, .. }: CallError| OutcallError { kind, detail };
            told_of(outcome.await, tell, &context)
        })
    }
}

/// An answer by HTTP, as the guest gets it; one that says that somebody failed lets the guest down.
fn told_of(
    outcome: Result<http::Response<Body>, CallError>,
    tell: fn(CallError) -> OutcallError,
    context: &CallContext,
) -> Result<http::Response<Body>, OutcallError> {
    if outcome.as_ref().map_or(true, |response| blames_upstream(response.status())) {
        context.mark_dependency_failed();
    }
    outcome.map_err(tell)
}

fn told(error: CallError) -> OutcallError {
    OutcallError { kind: error.kind, detail: error.to_string() }
}
