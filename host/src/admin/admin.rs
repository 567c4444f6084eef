//! The edge itself: from a request to its answer.

use super::guard::Guard;
use super::operations::Operations;
use super::problem::AdminProblem;
use super::router::router;
use super::settings::Settings;
use crate::base::{Body, BodyError, ErrorKind, RequestId};
use crate::telemetry::as_operator;
use axum::Router;
use http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method, Request, Response};
use http_body_util::BodyExt;
use std::sync::Arc;
use tower::ServiceExt;

/// The operators' edge. A clone is the same edge.
#[derive(Debug, Clone)]
pub struct Admin {
    guard: Arc<Guard>,
    router: Router,
}

impl Admin {
    /// An edge that reads and changes the host through `operations`.
    pub fn new<O: Operations>(settings: Settings, operations: Arc<O>) -> Self {
        Self { guard: Arc::new(Guard::new(settings)), router: router(operations) }
    }

    /// Answers one request.
    pub fn handle(&self, request: Request<Body>) -> impl Future<Output = Response<Body>> + Send + 'static + use<> {
        let Self { guard, router } = self.clone();
        async move {
            let id = request_id(&request);
            let (method, path) = (request.method().clone(), request.uri().path().to_owned());
            let mut response = match guard.admit(&request) {
                Ok(operator) => {
                    let answer = router.oneshot(request.map(axum::body::Body::new));
                    let Ok(response) = as_operator(operator, answer).await;
                    response.map(|body| body.map_err(broken).boxed_unsync())
                }
                Err(problem) => {
                    let reason = problem.detail();
                    tracing::warn!(request_id = %id, %method, path, reason, "the admin refused a request");
                    problem.into()
                }
            };
            AdminProblem::write(&mut response, &id);
            if matches!(method, Method::POST | Method::DELETE) {
                let status = response.status().as_u16();
                tracing::info!(request_id = %id, %method, path, status, "an operator asked for a change");
            }
            let headers = response.headers_mut();
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            let value = id.header();
            headers.insert(RequestId::HEADER, value);
            response
        }
    }
}

/// The id that the client sent, if it is valid; otherwise a new one.
fn request_id(request: &Request<Body>) -> RequestId {
    let given = request.headers().get(RequestId::HEADER).and_then(|value| value.to_str().ok());
    given.and_then(RequestId::accept).unwrap_or_else(|| RequestId::from_random(rand::random()))
}

/// Answers are made in memory, so this does not happen; but if it does, the host must not panic.
fn broken(error: axum::Error) -> BodyError {
    BodyError::new(ErrorKind::Host, error.to_string())
}
