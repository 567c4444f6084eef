//! The edge itself: a request in, an answer out.

use super::guard::Guard;
use super::operations::Operations;
use super::problem::AdminProblem;
use super::router::router;
use super::token::Token;
use crate::base::{Body, BodyError, ErrorKind, RequestId};
use axum::Router;
use http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method, Request, Response};
use http_body_util::BodyExt;
use std::net::SocketAddr;
use std::sync::Arc;
use tower::ServiceExt;

/// How the admin is reached and who may.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The address that it listens on; loopback or not makes the difference.
    pub address: SocketAddr,
    /// What operators must show. Without one, nobody is let in beyond loopback.
    pub token: Option<Token>,
}

/// The operators' edge. A clone is the same edge.
#[derive(Debug, Clone)]
pub struct Admin {
    guard: Arc<Guard>,
    router: Router,
}

impl Admin {
    /// An edge that tells and changes things through `operations`.
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
                Ok(()) => {
                    let Ok(response) = router.oneshot(request.map(axum::body::Body::new)).await;
                    response.map(|body| body.map_err(broken).boxed_unsync())
                }
                Err(problem) => {
                    tracing::warn!(request_id = %id, %method, path, reason = problem.detail(), "the admin refused a request");
                    problem.into()
                }
            };
            AdminProblem::write(&mut response, &id);
            if matches!(method, Method::POST | Method::DELETE) {
                tracing::info!(request_id = %id, %method, path, status = response.status().as_u16(), "an operator asked for a change");
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

/// The id that the request brought, if it is a good one, or a new one.
fn request_id(request: &Request<Body>) -> RequestId {
    let given = request.headers().get(RequestId::HEADER).and_then(|value| value.to_str().ok());
    given.and_then(RequestId::accept).unwrap_or_else(|| RequestId::from_random(rand::random()))
}

/// Answers are made in memory, so this does not happen; a host that were wrong about it must not panic.
fn broken(error: axum::Error) -> BodyError {
    BodyError::new(ErrorKind::Host, error.to_string())
}
