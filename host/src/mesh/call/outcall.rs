//! The calls of guests: to services and to outside hosts. They run like all other calls.

use super::call_in_progress::CallInProgress;
use super::http_call::{blames_upstream, send};
use super::mesh::Mesh;
use super::typed_call::error_case;
use crate::base::{Body, CallContext, Input, ServiceName};
use crate::contract::{FunctionName, UNAVAILABLE};
use crate::egress::EgressRule;
use crate::mesh::error::CallError;
use crate::runtime::{DetachedValues, Outcall, OutcallError, OutcallFuture};
use http::{Request, Response};
use std::sync::Arc;

impl Outcall for Mesh {
    fn invoke<'a>(
        &'a self,
        (caller, service): (&'a ServiceName, &'a ServiceName),
        function: &'a FunctionName,
        arguments: DetachedValues,
        context: CallContext,
    ) -> OutcallFuture<'a, DetachedValues> {
        Box::pin(async move {
            let outcome = self.call_function(service, function, arguments, &context).await;
            let failed = outcome.as_ref().map_or(true, |results| error_case(results) == Some(UNAVAILABLE));
            if failed {
                context.mark_dependency_failed();
            }
            self.count_caller(service, caller, failed);
            outcome.map_err(service_failure)
        })
    }

    fn send<'a>(
        &'a self,
        (caller, service): (&'a ServiceName, &'a ServiceName),
        request: Request<Body>,
        context: CallContext,
    ) -> OutcallFuture<'a, Response<Body>> {
        Box::pin(async move {
            if let Some(watch) = &context.watch
                && self.has_addresses(service)
            {
                // Whether this call goes to one is not known yet.
                watch.note(caller, Input::OutsideCall(service.as_str()));
            }
            let outcome = self.call(service, request, &context).await;
            let failed = mark_if_failed(&outcome, &context);
            self.count_caller(service, caller, failed);
            outcome.map_err(service_failure)
        })
    }

    fn fetch<'a>(
        &'a self,
        by: &'a ServiceName,
        rule: &'a EgressRule,
        request: Request<Body>,
        context: CallContext,
    ) -> OutcallFuture<'a, Response<Body>> {
        Box::pin(async move {
            // Who calls is nobody's business outside.
            let context = context.anonymous();
            let outcome = async {
                let hosts = self.resolve(by, &context, |entry| Arc::clone(&entry.outside))?;
                let group = hosts.host(rule, request.uri())?;
                send(CallInProgress::begin(group, None, &self.rng, &context).await?, request).await
            };
            let outcome = outcome.await;
            mark_if_failed(&outcome, &context);
            // Without the name of the service: it is the guest's own.
            outcome.map_err(|CallError { kind, detail, .. }| OutcallError { kind, detail })
        })
    }
}

impl Mesh {
    /// Whether a call of `service` may leave the host.
    fn has_addresses(&self, service: &ServiceName) -> bool {
        let snapshot = self.registry.snapshot();
        let entry = snapshot.get(service.as_str());
        entry.is_some_and(|entry| entry.endpoints().any(|endpoint| endpoint.target.is_address()))
    }

    /// Counts a call of `service` by the service `caller`.
    fn count_caller(&self, service: &ServiceName, caller: &ServiceName, failed: bool) {
        if let Some(entry) = self.registry.snapshot().get(service.as_str()) {
            entry.group.traffic.metrics.called_by(caller, failed);
        }
    }
}

/// Marks the context of an HTTP call that failed, or whose status says that somebody failed. Whether it did.
fn mark_if_failed(outcome: &Result<Response<Body>, CallError>, context: &CallContext) -> bool {
    let failed = outcome.as_ref().map_or(true, |answer| blames_upstream(answer.status()));
    if failed {
        context.mark_dependency_failed();
    }
    failed
}

/// The failure of a call to a service, as the runtime logs it.
fn service_failure(error: CallError) -> OutcallError {
    OutcallError { kind: error.kind, detail: error.to_string() }
}
