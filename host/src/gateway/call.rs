//! The trait by which the gateway calls a service: over HTTP, or a function of it.

use crate::base::{Body, CallContext, DeadlineOwner, ErrorKind, ServiceName};
use crate::contract::{BoundFunction, Value};
use crate::mesh::{CallError, Mesh, PinnedFunction};
use futures_util::TryFutureExt;
use http::{Request, Response};
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

/// Calls services. `Mesh` implements it; the tests of this room have implementations of their own.
pub trait Call: Send + Sync + 'static {
    /// The arguments and results of functions. The gateway makes and reads them by their types in the contract, and
    /// knows nothing else of them.
    type Value: Value + Send + Sync + 'static;
    /// A function in the form that one revision of a service has; a call of it goes to such a revision.
    type Pinned: Deref<Target = BoundFunction> + Send + Sync + 'static;

    /// The number of the discovery table: another one whenever a revision of any service is another.
    fn table_number(&self) -> u64;

    /// Sends a request in origin form to `service`. It returns before the context's deadline.
    fn call(
        &self,
        service: &ServiceName,
        request: Request<Body>,
        context: &CallContext,
    ) -> impl Future<Output = Result<Response<Body>, CallFailure>> + Send;

    /// The function that the route calls whose place among the typed routes of `service` is `at`, as the service has
    /// it now.
    ///
    /// # Errors
    /// There is no such service or function, or the call would be too deep.
    fn pin(&self, service: &ServiceName, at: usize, context: &CallContext) -> Result<Self::Pinned, CallFailure>;

    /// Calls `function` with its arguments in order, and returns its result, or `None` if the function has none. It
    /// returns before the context's deadline.
    fn invoke(
        &self,
        function: &Self::Pinned,
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
    /// Of [`ErrorKind::Forbidden`]: the scope that the caller lacks.
    pub lacks: Option<Arc<str>>,
    /// For the log; never shown outside.
    pub detail: String,
}

impl CallFailure {
    /// The failure of a call to a service that is not served, for this reason.
    pub(super) fn left_out(reason: &str) -> Self {
        let detail = format!("left out: {reason}");
        Self { kind: ErrorKind::NoEndpoint, retry_after: None, deadline: None, lacks: None, detail }
    }
}

impl From<CallError> for CallFailure {
    fn from(error: CallError) -> Self {
        let detail = error.to_string();
        let CallError { kind, deadline, retry_after, lacks, .. } = error;
        Self { kind, deadline, retry_after, lacks, detail }
    }
}

impl Call for Mesh {
    type Value = crate::mesh::Value;
    type Pinned = PinnedFunction;

    fn table_number(&self) -> u64 {
        Self::table_number(self)
    }

    // No `async` blocks here: each would hold the request twice, and every request would pay for that memory.
    fn call(
        &self,
        service: &ServiceName,
        request: Request<Body>,
        context: &CallContext,
    ) -> impl Future<Output = Result<Response<Body>, CallFailure>> + Send {
        Self::call(self, service, request, context).err_into()
    }

    fn pin(&self, service: &ServiceName, at: usize, context: &CallContext) -> Result<PinnedFunction, CallFailure> {
        Ok(Self::pin(self, service, at, context)?)
    }

    fn invoke(
        &self,
        function: &PinnedFunction,
        arguments: Vec<Self::Value>,
        context: &CallContext,
    ) -> impl Future<Output = Result<Option<Self::Value>, CallFailure>> + Send {
        self.invoke_pinned(function, arguments, context).err_into()
    }
}
