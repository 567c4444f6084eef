//! The resources of recordings.

use super::handler::AdminState;
use super::operations::Operations;
use super::problem::AdminProblem;
use super::recording_view::RecordingView;
use axum::extract::{Path, RawQuery, State};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use std::sync::Arc;

/// The routes.
pub(super) fn resources<O: Operations>() -> Router<Arc<AdminState<O>>> {
    Router::new().route("/v1/recordings", get(recordings::<O>)).route("/v1/recordings/{id}", get(recording::<O>))
}

async fn recordings<O: Operations>(State(state): State<Arc<AdminState<O>>>) -> Json<Vec<RecordingView>> {
    Json(state.operations.recordings())
}

async fn recording<O: Operations>(
    State(state): State<Arc<AdminState<O>>>,
    path: Result<Path<String>, axum::extract::rejection::PathRejection>,
    RawQuery(query): RawQuery,
) -> Result<impl IntoResponse, AdminProblem> {
    let Path(id) = path.map_err(|_| absent("\u{fffd}"))?;
    let service = match query.as_deref() {
        None | Some("") => None,
        Some(query) => match query.strip_prefix("service=") {
            Some(service) if !service.contains('&') => Some(service),
            _ => {
                let detail = "write service=NAME for the recording of one service, or nothing";
                return Err(AdminProblem::new(StatusCode::BAD_REQUEST, "bad-query", detail));
            }
        },
    };
    let file = state.operations.recording(&id, service).ok_or_else(|| absent(&id))?;
    Ok(([(CONTENT_TYPE, "application/json")], file))
}

fn absent(id: &str) -> AdminProblem {
    let detail = format!(
        "there is no recording `{id}`: GET /v1/recordings lists them, and docs/operations.md says how to record"
    );
    AdminProblem::new(StatusCode::NOT_FOUND, "no-such-recording", detail)
}
