//! The function that a route calls, taken out of the discovery table for one request.

use super::call_in_progress::CallInProgress;
use super::engine;
use super::mesh::Mesh;
use super::typed_call::TypedCall;
use crate::base::{CallContext, ErrorKind, ServiceName};
use crate::contract::BoundFunction;
use crate::mesh::error::CallError;
use crate::mesh::table::canary_watch::TossedCall;
use crate::mesh::table::service::Service;
use crate::mesh::table::target::{EndpointTarget, Invoke};
use crate::runtime::{DetachedValues, Value};
use std::ops::Deref;
use std::sync::Arc;

/// A function of a service, and the endpoints that have it in this form.
///
/// A swap may change the types of a function that only routes call. A request reads its arguments by the types of one
/// revision, so its call must go to that revision, even if another one serves by then.
pub struct PinnedFunction<P = EndpointTarget> {
    service: Arc<Service<P>>,
    /// Its position in the service's `routed`.
    at: usize,
    /// How the coin fell, if the service has a canary.
    tossed: Option<Box<TossedCall>>,
}

impl<P> Deref for PinnedFunction<P> {
    type Target = BoundFunction;

    fn deref(&self) -> &BoundFunction {
        &self.service.routed[self.at]
    }
}

impl<P: Invoke> Mesh<P> {
    /// The function that the route calls whose place among the typed routes of `service` is `at`.
    ///
    /// # Errors
    /// The call would be too deep, the caller lacks a scope, or the discovery table has no such function.
    pub fn pin(&self, service: &ServiceName, at: usize, context: &CallContext) -> Result<PinnedFunction<P>, CallError> {
        let (service, tossed) = self.admit(service, context, |entry, tossed| (Arc::clone(entry), tossed))?;
        if let Some(at) = BoundFunction::position(&service.routed, at) {
            return Ok(PinnedFunction { service, at, tossed });
        }
        if let Some(before) = &service.before
            && let Some(at) = BoundFunction::position(&before.routed, at)
        {
            return Ok(PinnedFunction { service: Arc::clone(before), at, tossed: None });
        }
        Err(CallError::new(&service.group.name, ErrorKind::NoEndpoint, "it has no component with the route's function"))
    }

    /// Calls a pinned function with plain values; `None` when it has no result.
    ///
    /// # Errors
    /// As [`Mesh::call_function`].
    pub async fn invoke_pinned(
        &self,
        pinned: &PinnedFunction<P>,
        arguments: Vec<Value>,
        context: &CallContext,
    ) -> Result<Option<Value>, CallError> {
        let PinnedFunction { service, tossed, .. } = pinned;
        let group = Arc::clone(&service.group);
        let mut call = CallInProgress::begin(group, Some(&self.registry), &self.rng, context).await?;
        call.stay_with(&service.routed);
        call.tossed = tossed.clone();
        let idempotent = service.is_idempotent(&pinned.name);
        let arguments = DetachedValues::new(arguments);
        let mut policy = TypedCall::new(&pinned.name, idempotent, arguments).reaching(call.group.reach());
        Ok(engine::run(&mut call, &mut policy).await?.into_values().pop())
    }
}
