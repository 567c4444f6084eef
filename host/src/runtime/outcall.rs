//! How a guest calls another service, or a host outside: this room declares the trait, and the room that makes calls
//! implements it.

use super::values::detached::DetachedValues;
use crate::base::{Body, CallContext, ErrorKind, ServiceName};
use crate::contract::FunctionName;
use crate::egress::EgressRule;
use std::pin::Pin;
use std::sync::{Arc, OnceLock, Weak};

/// A call by a guest that is under way.
pub type OutcallFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, OutcallError>> + Send + 'a>>;

/// Makes calls for guests, as all calls of services are made. `context` is the context of the new call: one deeper than
/// the guest's own.
pub trait Outcall: Send + Sync + 'static {
    /// Calls a function of a service. `parties`: the service that calls, and the one that is called.
    fn invoke<'a>(
        &'a self,
        parties: (&'a ServiceName, &'a ServiceName),
        function: &'a FunctionName,
        arguments: DetachedValues,
        context: CallContext,
    ) -> OutcallFuture<'a, DetachedValues>;

    /// Sends a request to a service; the bodies stream. `parties` as in [`Outcall::invoke`].
    fn send<'a>(
        &'a self,
        parties: (&'a ServiceName, &'a ServiceName),
        request: http::Request<Body>,
        context: CallContext,
    ) -> OutcallFuture<'a, http::Response<Body>>;

    /// Sends a request of the service `caller` to the host outside that the request's address names; the bodies stream.
    /// `rule`, one of the caller's grants, permits it. The address is whole: scheme, authority and path. The
    /// implementation checks the host's addresses against `rule`.
    fn fetch<'a>(
        &'a self,
        caller: &'a ServiceName,
        rule: &'a EgressRule,
        request: http::Request<Body>,
        context: CallContext,
    ) -> OutcallFuture<'a, http::Response<Body>>;
}

/// A guest's call that got no answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{detail}")]
pub struct OutcallError {
    /// What happened.
    pub kind: ErrorKind,
    /// For the log. A guest learns the kind alone.
    pub detail: String,
}

/// The connection to the implementation of [`Outcall`]. It is made once, after the engine and before the first request.
/// It does not keep the implementation alive, since the implementation holds the instances that call through it.
#[derive(Clone, Default)]
pub(crate) struct OutcallHandle(Arc<OnceLock<Weak<dyn Outcall>>>);

impl OutcallHandle {
    pub(crate) fn connect(&self, outcall: Weak<dyn Outcall>) {
        assert!(self.0.set(outcall).is_ok(), "the guests' calls are connected once");
    }

    /// The implementation.
    ///
    /// # Errors
    /// When it does not exist any more: the host is going down.
    pub(crate) fn open(&self) -> Result<Arc<dyn Outcall>, OutcallError> {
        let outcall = self.0.get().and_then(Weak::upgrade);
        outcall.ok_or_else(|| OutcallError { kind: ErrorKind::Draining, detail: "the host calls nobody now".into() })
    }
}
