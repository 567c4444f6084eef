//! What the gateway needs of the rooms below: one call of one service, over HTTP or of a function.

use crate::base::{Body, CallContext, ErrorKind, ServiceName};
use crate::contract::{FunctionName, Value};
use crate::mesh::{CallError, Mesh};
use http::{Request, Response};
use std::time::Duration;

/// Calls services. The mesh does; the tests of this room have their own.
pub trait Call: Send + Sync + 'static {
    /// What functions take and answer with. The gateway makes and reads it by its type in the contract, and never learns what it is.
    type Value: Value;

    /// Calls `service` with a request in origin form, and answers before the context's deadline.
    fn call(
        &self,
        service: &ServiceName,
        request: Request<Body>,
        context: &CallContext,
    ) -> impl Future<Output = Result<Response<Body>, CallFailure>> + Send;

    /// Calls `function` of `service` with its arguments in order, and answers before the context's deadline: with the function's result,
    /// or `None` where it has none.
    fn invoke(
        &self,
        service: &ServiceName,
        function: &FunctionName,
        arguments: Vec<Self::Value>,
        context: &CallContext,
    ) -> impl Future<Output = Result<Option<Self::Value>, CallFailure>> + Send;
}

/// A call without an answer.
#[derive(Debug)]
pub struct CallFailure {
    /// What went wrong; the status follows from it.
    pub kind: ErrorKind,
    /// When another call may succeed.
    pub retry_after: Option<Duration>,
    /// For the log; never shown outside.
    pub detail: String,
}

impl From<CallError> for CallFailure {
    fn from(error: CallError) -> Self {
        Self { kind: error.kind, retry_after: error.retry_after, detail: error.to_string() }
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
