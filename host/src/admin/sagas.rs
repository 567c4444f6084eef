//! The resources for sagas.

use super::change::finish;
use super::handler::AdminState;
use super::operations::Operations;
use super::order;
use super::problem::AdminProblem;
use super::saga_view::{SagaAnswer, SagaCommand, SagaStart};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::{StatusCode, Uri};
use std::sync::Arc;

/// The sagas of a list, if the operator names no number; and the most of them.
const PAGE: usize = 100;
const MOST: usize = 1000;

/// The routes.
pub(super) fn resources<O: Operations>() -> Router<Arc<AdminState<O>>> {
    Router::new()
        .route("/v1/sagas", get(sagas::<O>).post(start::<O>))
        .route("/v1/sagas/{id}", get(show::<O>))
        .route("/v1/sagas/{id}/{order}", post(change::<O>))
}

type SagaReply = Result<Json<SagaAnswer>, AdminProblem>;

async fn sagas<O: Operations>(State(state): State<Arc<AdminState<O>>>, uri: Uri) -> SagaReply {
    Ok(Json(state.operations.sagas(wanted(&uri)?).await?))
}

async fn start<O: Operations>(
    State(state): State<Arc<AdminState<O>>>,
    request: Request,
) -> Result<(StatusCode, Json<SagaAnswer>), AdminProblem> {
    let start: SagaStart = order::event(request).await?;
    let operations = Arc::clone(&state.operations);
    Ok((StatusCode::ACCEPTED, finish(async move { operations.sagas(SagaCommand::Start(start)).await }).await?))
}

async fn show<O: Operations>(
    State(state): State<Arc<AdminState<O>>>,
    id: Result<Path<String>, PathRejection>,
) -> SagaReply {
    let Path(id) = named(id)?;
    Ok(Json(state.operations.sagas(SagaCommand::Show(id)).await?))
}

async fn change<O: Operations>(
    State(state): State<Arc<AdminState<O>>>,
    names: Result<Path<(String, String)>, PathRejection>,
) -> SagaReply {
    let Path((id, order)) = named(names)?;
    let command = match order.as_str() {
        "retry" => SagaCommand::Retry(id),
        "skip" => SagaCommand::Skip(id),
        "compensate" => SagaCommand::Compensate(id),
        _ => {
            let detail = "what can be done with a saga is `retry`, `skip` and `compensate`";
            return Err(AdminProblem::new(StatusCode::NOT_FOUND, "no-such-order", detail));
        }
    };
    let operations = Arc::clone(&state.operations);
    finish(async move { operations.sagas(command).await }).await
}

/// A path that is not UTF-8 names no saga.
fn named<T>(path: Result<Path<T>, PathRejection>) -> Result<Path<T>, AdminProblem> {
    path.map_err(|_| AdminProblem::new(StatusCode::NOT_FOUND, "no-such-saga", "the path is not UTF-8"))
}

fn wanted(uri: &Uri) -> Result<SagaCommand, AdminProblem> {
    let wrong = || {
        let detail = "the query knows `state` (`parked` or `ended`), `after` and `limit`";
        AdminProblem::new(StatusCode::BAD_REQUEST, "wrong-query", detail)
    };
    let (mut parked, mut ended, mut after, mut most) = (false, false, None, PAGE);
    for part in uri.query().unwrap_or_default().split('&').filter(|part| !part.is_empty()) {
        match part.split_once('=').unwrap_or((part, "")) {
            ("state", "parked") => parked = true,
            ("state", "ended") => ended = true,
            ("after", id) => after = Some(id.to_owned()),
            ("limit", count) => most = count.parse().map_err(|_| wrong())?,
            _ => return Err(wrong()),
        }
    }
    let most = most.clamp(1, MOST);
    Ok(if ended { SagaCommand::Ended { after, most } } else { SagaCommand::List { parked, most } })
}
