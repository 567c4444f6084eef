//! The resources of recordings.

use super::handler::AdminState;
use super::operations::Operations;
use super::problem::AdminProblem;
use super::query::AdminQuery;
use super::recording_view::RecordingView;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use http::header::CONTENT_TYPE;
use http::{StatusCode, Uri};
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
    uri: Uri,
) -> Result<impl IntoResponse, AdminProblem> {
    let Path(id) = path.map_err(|_| absent("\u{fffd}"))?;
    let query = AdminQuery::of(&uri, &["service", "random"])?;
    let (service, random) = (query.text("service"), query.is_set("random"));
    let file = state.operations.recording(&id, service.as_deref(), random).ok_or_else(|| absent(&id))?;
    Ok(([(CONTENT_TYPE, "application/json")], file))
}

fn absent(id: &str) -> AdminProblem {
    let detail = format!(
        "there is no recording `{id}`: GET /v1/recordings lists them, and docs/operations.md says how to record"
    );
    AdminProblem::new(StatusCode::NOT_FOUND, "no-such-recording", detail)
}
