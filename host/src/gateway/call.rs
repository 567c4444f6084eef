//! The trait by which the gateway calls a service: over HTTP, or a function of it.

use crate::base::{Body, CallContext, DeadlineOwner, ErrorKind, ServiceName};
use crate::contract::{FunctionName, Value};
use crate::mesh::{CallError, Mesh};
use http::{Request, Response};
use std::time::Duration;

/// Calls services. `Mesh` implements it; the tests of this room have implementations of their own.
pub trait Call: Send + Sync + 'static {
    /// The arguments and results of functions. The gateway makes and reads them by their types in the contract, and
    /// knows nothing else of them.
    type Value: Value;

    /// Sends a request in origin form to `service`. It returns before the context's deadline.
    fn call(
        &self,
        service: &ServiceName,
        request: Request<Body>,
        context: &CallContext,
    ) -> impl Future<Output = Result<Response<Body>, CallFailure>> + Send;

    /// Calls `function` of `service` with its arguments in order, and returns its result, or `None` if the function has
    /// none. It returns before the context's deadline.
    fn invoke(
        &self,
        service: &ServiceName,
        function: &FunctionName,
        arguments: Vec<Self::Value>,
        context: &CallContext,
    ) -> impl Future<Output = Result<Option<Self::Value>, CallFailure>> + Send;
}

/// Why a call has no answer.
#[derive(Debug)]
pub struct CallFailure {
    /// The kind of the failure; the status follows from it.
    pub kind: ErrorKind,
    /// Of a timeout: whose deadline it was.
    pub deadline: Option<DeadlineOwner>,
    /// How long to wait until another call may succeed, if that is known.
    pub retry_after: Option<Duration>,
    /// For the log; never shown outside.
    pub detail: String,
}

impl From<CallError> for CallFailure {
    fn from(error: CallError) -> Self {
        let CallError { kind, deadline, retry_after, .. } = error;
        Self { kind, deadline, retry_after, detail: error.to_string() }
    }
}

impl Call for Mesh {
    type Value = crate::mesh::Value;

    async fn call(
        &self,
        service: &ServiceName,
        request: Request<Body>,
        context: &CallContext,
    ) -> Result<Response<Body>, CallFailure> {
        Ok(Self::call(self, service, request, context).await?)
    }

    async fn invoke(
        &self,
        service: &ServiceName,
        function: &FunctionName,
        arguments: Vec<Self::Value>,
        context: &CallContext,
    ) -> Result<Option<Self::Value>, CallFailure> {
        Ok(Self::invoke(self, service, function, arguments, context).await?)
    }
}
