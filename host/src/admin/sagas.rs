//! The resources for sagas.

use super::change::finish;
use super::handler::AdminState;
use super::operations::Operations;
use super::order;
use super::problem::AdminProblem;
use super::query::{AdminQuery, wrong};
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
    let query = AdminQuery::of(uri, &["state", "after", "limit"])?;
    let most = query.limit(PAGE, MOST)?;
    let after = query.parsed("after", |id| {
        let is_id = id.len() == 32 && id.bytes().all(|digit| digit.is_ascii_hexdigit());
        if is_id { Ok(id.to_owned()) } else { Err("the id of a saga: 32 hexadecimal digits".to_owned()) }
    })?;
    let state = |word: &str| match word {
        "parked" => Ok(true),
        "ended" => Ok(false),
        _ => Err("`parked` or `ended`; absent: those that have not ended".to_owned()),
    };
    match (query.parsed("state", state)?, after) {
        (Some(false), after) => Ok(SagaCommand::Ended { after, most }),
        (_, Some(_)) => Err(wrong("`after` goes with `state=ended` alone: the others are one page".to_owned())),
        (parked, None) => Ok(SagaCommand::List { parked: parked == Some(true), most }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_that_means_nothing_is_refused_with_what_it_may_be() {
        let wanted = |query: &str| wanted(&format!("/v1/sagas?{query}").parse().unwrap());
        let id = "0123456789abcdef0123456789abcdef";
        assert!(matches!(wanted(""), Ok(SagaCommand::List { parked: false, most: PAGE })));
        assert!(matches!(wanted("state=parked&limit=1000"), Ok(SagaCommand::List { parked: true, most: MOST })));
        let ended = wanted(&format!("state=ended&after={id}&limit=7"));
        assert!(matches!(ended, Ok(SagaCommand::Ended { after: Some(after), most: 7 }) if after == id));
        for wrong in [
            "limit=0",
            "limit=1001",
            "limit=x",
            "limit=-1",
            "state=running",
            "after=7f&state=ended",
            &format!("after={id}"),
            "parked=true",
            "limit=1&limit=2",
        ] {
            assert!(wanted(wrong).is_err(), "{wrong}");
        }
    }
}
