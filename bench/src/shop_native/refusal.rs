//! Why a native service refuses a request, and the answer that it gives then.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    NotFound,
    Conflict(String),
    /// A JSON pointer to what is wrong, and what is wrong with it.
    Invalid(&'static str, String),
    Unavailable(String),
    Internal(String),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, pointer, detail) = match self {
            Self::NotFound => (StatusCode::NOT_FOUND, None, String::new()),
            Self::Conflict(detail) => (StatusCode::CONFLICT, None, detail),
            Self::Invalid(pointer, detail) => (StatusCode::UNPROCESSABLE_ENTITY, Some(pointer), detail),
            Self::Unavailable(detail) => (StatusCode::SERVICE_UNAVAILABLE, None, detail),
            Self::Internal(detail) => (StatusCode::INTERNAL_SERVER_ERROR, None, detail),
        };
        (status, Json(json!({"status": status.as_u16(), "pointer": pointer, "detail": detail}))).into_response()
    }
}

impl From<host::state::StateError> for Refusal {
    fn from(error: host::state::StateError) -> Self {
        Self::Unavailable(error.to_string())
    }
}
