//! The calls of guests: to services and to outside hosts. They run like all other calls.

use super::call_in_progress::CallInProgress;
use super::http_call::{blames_upstream, send};
use super::mesh::Mesh;
use super::typed_call::error_case;
use crate::base::{Body, CallContext, ServiceName};
use crate::contract::{FunctionName, UNAVAILABLE};
use crate::egress::EgressRule;
use crate::mesh::error::CallError;
use crate::runtime::{DetachedValues, Outcall, OutcallError, OutcallFuture};
use http::{Request, Response};
use std::sync::Arc;

impl Outcall for Mesh {
    fn invoke<'a>(
        &'a self,
        service: &'a ServiceName,
        function: &'a FunctionName,
        arguments: DetachedValues,
        context: CallContext,
    ) -> OutcallFuture<'a, DetachedValues> {
        Box::pin(async move {
            let outcome = self.call_function(service, function, arguments, &context).await;
            if outcome.as_ref().map_or(true, |results| error_case(results) == Some(UNAVAILABLE)) {
                context.mark_dependency_failed();
            }
            outcome.map_err(service_failure)
        })
    }

    fn send<'a>(
        &'a self,
        service: &'a ServiceName,
        request: Request<Body>,
        context: CallContext,
    ) -> OutcallFuture<'a, Response<Body>> {
        Box::pin(async move {
            let outcome = self.call(service, request, &context).await;
            mark_if_failed(&outcome, &context);
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

/// Marks the context of an HTTP call that failed, or whose status says that somebody failed.
fn mark_if_failed(outcome: &Result<Response<Body>, CallError>, context: &CallContext) {
    if outcome.as_ref().map_or(true, |answer| blames_upstream(answer.status())) {
        context.mark_dependency_failed();
    }
}

/// The failure of a call to a service, as the runtime logs it.
fn service_failure(error: CallError) -> OutcallError {
    OutcallError { kind: error.kind, detail: error.to_string() }
}
