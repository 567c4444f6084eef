//! The way out of a guest, to another service or to a host outside: declared here, made by whoever calls services.

use super::parcel::DetachedValues;
use crate::base::{Body, CallContext, ErrorKind, ServiceName};
use crate::contract::FunctionName;
use crate::egress::EgressRule;
use std::pin::Pin;
use std::sync::{Arc, OnceLock, Weak};

/// A call that a guest has under way.
pub type OutcallFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, OutcallError>> + Send + 'a>>;

/// Calls a service for a guest, as every service is called: `context` is that of the call, one deeper than the guest's own.
pub trait Outcall: Send + Sync + 'static {
    /// Calls a function of `service`.
    fn invoke<'a>(
        &'a self,
        service: &'a ServiceName,
        function: &'a FunctionName,
        arguments: DetachedValues,
        context: CallContext,
    ) -> OutcallFuture<'a, DetachedValues>;

    /// Sends `service` a request; the bodies stream.
    fn send<'a>(
        &'a self,
        service: &'a ServiceName,
        request: http::Request<Body>,
        context: CallContext,
    ) -> OutcallFuture<'a, http::Response<Body>>;

    /// Sends the host outside that the request's address names a request of the service `by`, which `rule` of its grants permits; the bodies
    /// stream. The address is whole: scheme, authority and path. Whoever makes the call checks the host's addresses against the rule.
    fn fetch<'a>(
        &'a self,
        by: &'a ServiceName,
        rule: &'a EgressRule,
        request: http::Request<Body>,
        context: CallContext,
    ) -> OutcallFuture<'a, http::Response<Body>>;
}

/// A call without an answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{detail}")]
pub struct OutcallError {
    /// What happened.
    pub kind: ErrorKind,
    /// For the log; a guest is told the kind alone.
    pub detail: String,
}

/// The connection to whoever makes the calls. It is made once, after the engine and before the first request, and does not keep the other
/// side alive: that side holds the instances which call through it.
#[derive(Clone, Default)]
pub(super) struct OutcallHandle(Arc<OnceLock<Weak<dyn Outcall>>>);

impl OutcallHandle {
    pub(super) fn connect(&self, outcall: Weak<dyn Outcall>) {
        assert!(self.0.set(outcall).is_ok(), "the way out is connected once");
    }

    /// # Errors
    /// When nobody makes calls any more: the host is going down.
    pub(super) fn open(&self) -> Result<Arc<dyn Outcall>, OutcallError> {
        let outcall = self.0.get().and_then(Weak::upgrade);
        outcall.ok_or_else(|| OutcallError { kind: ErrorKind::Draining, detail: "the host calls nobody now".into() })
    }
}
