//! One typed call: a function of a service, by its name.

use super::call_in_progress::CallInProgress;
use super::engine::{self, Accepted, CallPolicy, Next};
use super::mesh::Mesh;
use super::try_guard::TryGuard;
use crate::base::{Blame, CallContext, ErrorKind, OpenSpan, ServiceName, TraceMark};
use crate::breaker::Verdict;
use crate::contract::{FunctionName, UNAVAILABLE, Value as _};
use crate::mesh::error::{CallBeginning, CallError, TryError};
use crate::mesh::table::distance::Distance;
use crate::mesh::table::service::Service;
use crate::mesh::table::target::{CallKind, Invoke};
use crate::mesh::table::traffic::Traffic;
use crate::runtime::{DetachedValues, Value};
use std::sync::Arc;

impl<P: Invoke> Mesh<P> {
    /// Calls a function of `service` with plain values; `None` when it has no result.
    ///
    /// # Errors
    /// As [`Mesh::call_function`].
    pub async fn invoke(
        &self,
        service: &ServiceName,
        function: &FunctionName,
        arguments: Vec<Value>,
        context: &CallContext,
    ) -> Result<Option<Value>, CallError> {
        let results = self.call_function(service, function, DetachedValues::new(arguments), context).await?;
        Ok(results.into_values().pop())
    }

    /// Calls a function of `service`. A function that the manifest calls idempotent is called again after the service
    /// failed, as the service's retry policy says, unless a stream or a future is among its arguments.
    ///
    /// An error that the function itself returns is an answer like any other. The cases `unavailable` and `internal`
    /// count as the service's fault; the others neither count nor clear the streak. Nor does `unavailable` count if a
    /// call of the service's own has failed: otherwise one failing service would open the circuits of all that call it.
    /// Dropping the future ends the call and is nobody's fault.
    ///
    /// # Errors
    /// No endpoint could take the call, or the failure of the last try; see [`ErrorKind`].
    pub async fn call_function(
        &self,
        service: &ServiceName,
        function: &FunctionName,
        arguments: DetachedValues,
        context: &CallContext,
    ) -> Result<DetachedValues, CallError> {
        let read = |entry: &Arc<Service<P>>, tossed| (Arc::clone(&entry.group), entry.is_idempotent(function), tossed);
        let (group, idempotent, tossed) = self.admit(service, context, read)?;
        let mut call = CallInProgress::begin(group, Some(&self.registry), &self.rng, context).await?;
        call.tossed = tossed;
        let mut policy = TypedCall::new(function, idempotent, arguments).reaching(call.group.reach());
        engine::run(&mut call, &mut policy).await
    }
}

/// The policy of one typed call.
pub(super) struct TypedCall<'a> {
    function: &'a FunctionName,
    idempotent: bool,
    /// Whether a try may go to another node, which perhaps does not begin it.
    crosses: bool,
    /// For the next try; `None` if there cannot be one.
    arguments: Option<DetachedValues>,
}

impl<'a> TypedCall<'a> {
    pub(super) fn new(function: &'a FunctionName, idempotent: bool, arguments: DetachedValues) -> Self {
        Self { function, idempotent, crosses: false, arguments: Some(arguments) }
    }

    /// The same policy of a call whose endpoints reach so far.
    pub(super) fn reaching(self, reach: Distance) -> Self {
        Self { crosses: reach > Distance::Here, ..self }
    }
}

impl CallPolicy for TypedCall<'_> {
    const KIND: CallKind = CallKind::Typed;
    type Message = DetachedValues;
    type Reply = DetachedValues;
    type Answer = DetachedValues;

    fn message(&mut self, again: bool) -> Option<DetachedValues> {
        let arguments = self.arguments.take()?;
        if again && (self.idempotent || self.crosses) {
            self.arguments = arguments.copy();
        }
        Some(arguments)
    }

    fn describe(&self, span: &mut OpenSpan, _: &DetachedValues, traffic: &Traffic) {
        span.attribute("rpc.system.name", "wit");
        span.attribute("rpc.method", traffic.texts.of(self.function));
    }

    fn send<P: Invoke>(
        &mut self,
        target: &P,
        arguments: DetachedValues,
        context: &CallContext,
    ) -> impl Future<Output = Result<DetachedValues, TryError>> + Send {
        target.call(self.function, arguments, context)
    }

    fn log(&self, service: &ServiceName, context: &CallContext, failed: Option<ErrorKind>) {
        let (function, CallContext { request_id, depth, .. }) = (self.function, context);
        tracing::debug!(target: "calls", %service, %function, %request_id, depth, ?failed, "called");
    }

    fn accept(
        &mut self,
        results: DetachedValues,
        mut guard: TryGuard,
        _: &Traffic,
        dependency_failed: bool,
    ) -> Accepted<DetachedValues> {
        if let (Some(span), Some(case)) = (guard.span(), error_case(&results)) {
            span.fail(case.to_owned());
            if matches!(case, "internal" | UNAVAILABLE) {
                span.tree().mark(TraceMark::Failed);
            }
        }
        // The conventions of the cases of a function's error.
        let verdict = error_case(&results).map(|case| match case {
            "internal" => Verdict::RequestFault,
            UNAVAILABLE if !dependency_failed => Verdict::EndpointFault,
            _ => Verdict::Neutral,
        });
        match verdict {
            Some(verdict) => guard.reported(verdict, || {
                format!("{} reported `{}`", self.function, error_case(&results).unwrap_or_default())
            }),
            None => guard.succeeded(),
        }
        Accepted { answer: results, next: Next::End }
    }

    fn after_failure(&self, error: &TryError, dependency_failed: bool) -> Next {
        match error.kind.blame() {
            // Another node has not begun it.
            _ if error.beginning == CallBeginning::NotThere && self.arguments.is_some() => Next::Again,
            // That this host refused a further try says less than the failure of the try before.
            Blame::Refusal => Next::EndWithPrevious,
            // The call that failed below had its own tries.
            Blame::Service if self.idempotent && !dependency_failed && self.arguments.is_some() => Next::Again,
            Blame::Service | Blame::Client | Blame::Host => Next::End,
        }
    }
}

/// The case of the error that a function returned; empty for an error without a case, `None` for a success.
pub(super) fn error_case(results: &DetachedValues) -> Option<&str> {
    let error = results.values().first()?.as_result()?.err()?;
    let case = error.and_then(|error| error.as_variant().map(|(case, _)| case).or_else(|| error.as_enumeration()));
    Some(case.unwrap_or_default())
}
