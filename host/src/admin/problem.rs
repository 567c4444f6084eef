//! Why a request is refused, and the one place where the bodies of such answers are written.

use super::operation_error::{OperationError, OperationErrorKind};
use super::view::ProblemView;
use crate::base::{Body, RequestId, empty_body, full_body};
use axum::response::IntoResponse;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};

/// Why a request is refused.
///
/// A handler returns it as a response with a status and no body. [`AdminProblem::write`] adds the body at the end,
/// where every answer passes and the request's id is known. So no handler needs the id.
#[derive(Debug, Clone)]
pub(super) struct AdminProblem {
    status: StatusCode,
    /// The last part of its type: kebab-case.
    kind: &'static str,
    detail: String,
}

impl AdminProblem {
    pub(super) fn new(status: StatusCode, kind: &'static str, detail: impl Into<String>) -> Self {
        Self { status, kind, detail: detail.into() }
    }

    /// There is no service `name`.
    pub(super) fn no_service(name: &str) -> Self {
        let detail = format!("there is no service `{name}`: GET /v1/services lists the services");
        Self::new(StatusCode::NOT_FOUND, "no-such-service", detail)
    }

    /// The message for the operator.
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    /// Adds the body if `response` is a problem.
    pub(super) fn write(response: &mut Response<Body>, id: &RequestId) {
        let Some(problem) = response.extensions_mut().remove::<Self>() else { return };
        let view = ProblemView {
            kind: format!("urn:atoll:problem:{}", problem.kind),
            title: problem.status.canonical_reason().unwrap_or_default().to_owned(),
            status: problem.status.as_u16(),
            detail: problem.detail,
            request_id: id.to_string(),
        };
        *response.body_mut() = full_body(serde_json::to_vec(&view).expect("texts and a number are JSON"));
        let headers = response.headers_mut();
        // axum set the length of the empty body.
        headers.remove(CONTENT_LENGTH);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if problem.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(r#"Bearer realm="atoll admin""#));
        }
    }
}

impl From<AdminProblem> for Response<Body> {
    fn from(problem: AdminProblem) -> Self {
        let mut response = Response::new(empty_body());
        *response.status_mut() = problem.status;
        response.extensions_mut().insert(problem);
        response
    }
}

impl IntoResponse for AdminProblem {
    fn into_response(self) -> axum::response::Response {
        Response::<Body>::from(self).map(axum::body::Body::new)
    }
}

impl From<OperationError> for AdminProblem {
    fn from(error: OperationError) -> Self {
        let (status, kind) = match error.kind {
            OperationErrorKind::NotFound => (StatusCode::NOT_FOUND, "no-such-service"),
            OperationErrorKind::NoEndpoint => (StatusCode::NOT_FOUND, "no-such-endpoint"),
            OperationErrorKind::NoRollout => (StatusCode::NOT_FOUND, "no-such-rollout"),
            OperationErrorKind::NoNode => (StatusCode::NOT_FOUND, "no-such-node"),
            OperationErrorKind::NoKey => (StatusCode::NOT_FOUND, "no-such-key"),
            OperationErrorKind::NoTopic => (StatusCode::NOT_FOUND, "no-such-topic"),
            OperationErrorKind::NoLetter => (StatusCode::NOT_FOUND, "no-such-letter"),
            OperationErrorKind::NoSaga => (StatusCode::NOT_FOUND, "no-such-saga"),
            OperationErrorKind::NoSnapshot => (StatusCode::NOT_FOUND, "no-such-snapshot"),
            OperationErrorKind::BadInput => (StatusCode::UNPROCESSABLE_ENTITY, "input-refused"),
            OperationErrorKind::BadEvent => (StatusCode::UNPROCESSABLE_ENTITY, "event-refused"),
            OperationErrorKind::TopicFull => (StatusCode::SERVICE_UNAVAILABLE, "topic-full"),
            OperationErrorKind::BadData => (StatusCode::UNPROCESSABLE_ENTITY, "data-refused"),
            OperationErrorKind::Refused => (StatusCode::UNPROCESSABLE_ENTITY, "component-refused"),
            OperationErrorKind::Conflict => (StatusCode::CONFLICT, "conflict"),
            OperationErrorKind::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
            OperationErrorKind::BrokerAway => (StatusCode::SERVICE_UNAVAILABLE, "broker-away"),
            OperationErrorKind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        };
        Self::new(status, kind, error.to_string())
    }
}
