//! One typed call, from the name of a function to its results.

use super::attempt::Attempt;
use super::call::{Mesh, admit, blames_upstream};
use super::endpoint::Way;
use super::error::CallError;
use super::service::Service;
use crate::base::{Blame, Body, CallContext, ErrorKind, ServiceName};
use crate::contract::{FunctionName, UNAVAILABLE, Value as _};
use crate::runtime::{Outcall, OutcallError, Parcel, Pending, Value};
use std::sync::Arc;
use std::time::Instant;

impl Mesh {
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
        let results = self.carry(service, function, Parcel::new(arguments), context).await?;
        Ok(results.into_values().pop())
    }

    /// Calls a function of `service`. A function that the manifest calls idempotent is tried once more when an instance failed and time is
    /// left, unless a stream is among its arguments.
    ///
    /// An error that the function itself answers is an answer like any other; the cases `unavailable` and `internal` count as the
    /// service's fault, the others neither count nor clear. Nor does an `unavailable` of one whose own call has failed: otherwise one service
    /// that fails would open the circuits of all that call it. Dropping the future ends the call and is nobody's fault.
    ///
    /// # Errors
    /// No endpoint to ask, or the fault of the one that was asked; see [`ErrorKind`].
    pub async fn carry(
        &self,
        service: &ServiceName,
        function: &FunctionName,
        arguments: Parcel,
        context: &CallContext,
    ) -> Result<Parcel, CallError> {
        let entry = self.resolve(service, context)?;
        let spare = if entry.is_idempotent(function) { arguments.copy() } else { None };
        let outcome = attempt(&entry, function, arguments, context).await;
        let (Err(error), Some(spare)) = (&outcome, spare) else { return outcome };
        if error.kind.blame() != Blame::Service || context.deadline <= Instant::now() {
            return outcome;
        }
        // Whatever has replaced the entry meanwhile may do better.
        let entry = self.resolve(service, context)?;
        tracing::debug!(%service, %function, request_id = %context.request_id, kind = %error.kind, "tried again");
        entry.metrics.retried();
        attempt(&entry, function, spare, context).await
    }
}

/// One try at one endpoint.
async fn attempt(
    service: &Arc<Service>,
    function: &FunctionName,
    arguments: Parcel,
    context: &CallContext,
) -> Result<Parcel, CallError> {
    let now = Instant::now();
    let mut attempt = admit(service, Way::Typed, now)?;
    let context = context.within(now, service.timeout).attempt();
    let outcome = attempt.endpoint().call(function, arguments, &context).await;
    let failed = outcome.as_ref().err().map(|(kind, _)| *kind);
    attempt.answered(failed);
    let CallContext { request_id, depth, .. } = &context;
    tracing::debug!(target: "calls", service = %service.name, %function, %request_id, depth, micros = now.elapsed().as_micros(), failed = ?failed);
    match outcome {
        Ok(results) => {
            record(&mut attempt, &results, &context);
            Ok(results)
        }
        Err((kind, detail)) => {
            attempt.failed_unless(context.was_let_down(), kind);
            if kind == ErrorKind::Overloaded {
                service.metrics.refused(kind.as_str());
            }
            Err(CallError::new(&service.name, kind, detail))
        }
    }
}

/// What an answer says about the service, by the conventions of its error's cases.
fn record(attempt: &mut Attempt, results: &Parcel, context: &CallContext) {
    match fault(results) {
        Some("internal") => attempt.admitted_fault(),
        Some(UNAVAILABLE) if !context.was_let_down() => attempt.admitted_fault(),
        Some(_) => {
            attempt.blames_another();
            attempt.succeeded();
        }
        None => attempt.succeeded(),
    }
}

/// The case of the error that a function answers; empty for an error that has none.
fn fault(results: &Parcel) -> Option<&str> {
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
        arguments: Parcel,
        context: CallContext,
    ) -> Pending<'a, Parcel> {
        Box::pin(async move {
            let outcome = self.carry(service, function, arguments, &context).await;
            if outcome.as_ref().map_or(true, |results| fault(results) == Some(UNAVAILABLE)) {
                context.let_down();
            }
            outcome.map_err(told)
        })
    }

    fn send<'a>(
        &'a self,
        service: &'a ServiceName,
        request: http::Request<Body>,
        context: CallContext,
    ) -> Pending<'a, http::Response<Body>> {
        Box::pin(async move {
            let outcome = self.call(service, request, &context).await;
            if outcome.as_ref().map_or(true, |response| blames_upstream(response.status())) {
                context.let_down();
            }
            outcome.map_err(told)
        })
    }
}

fn told(error: CallError) -> OutcallError {
    OutcallError { kind: error.kind, detail: error.to_string() }
}
