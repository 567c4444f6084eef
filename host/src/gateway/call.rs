//! What the gateway needs of the rooms below: one call of one service.

use crate::base::{Body, CallContext, ErrorKind, ServiceName};
use crate::mesh::Mesh;
use http::{Request, Response};
use std::time::Duration;

/// Calls services. The mesh does; the tests of this room have their own.
pub trait Call: Send + Sync + 'static {
    /// Calls `service` with a request in origin form, and answers before the context's deadline.
    fn call(
        &self,
        service: &ServiceName,
        request: Request<Body>,
        context: &CallContext,
    ) -> impl Future<Output = Result<Response<Body>, Failure>> + Send;
}

/// A call without an answer.
#[derive(Debug)]
pub struct Failure {
    /// What went wrong; the status follows from it.
    pub kind: ErrorKind,
    /// When another call may succeed.
    pub retry_after: Option<Duration>,
    /// For the log; never shown outside.
    pub detail: String,
}

impl Call for Mesh {
    async fn call(
        &self,
        service: &ServiceName,
        request: Request<Body>,
        context: &CallContext,
    ) -> Result<Response<Body>, Failure> {
        Self::call(self, service, request, context).await.map_err(|error| Failure {
            kind: error.kind,
            retry_after: error.retry_after,
            detail: error.to_string(),
        })
    }
}
