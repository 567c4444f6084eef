//! The resources for the traffic between services: circuits, faults on purpose, outside hosts.

use super::handler::{AdminState, Name};
use super::operations::Operations;
use super::order;
use super::problem::AdminProblem;
use super::view::{ClearedView, FaultView, OutsideView, ServiceView};
use axum::extract::{FromRequestParts, Path, Request, State};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use http::StatusCode;
use http::request::Parts;
use std::sync::Arc;

/// The routes. Their changes do not wait for anything, so none stops half way if the operator disconnects.
pub(super) fn resources<O: Operations>() -> Router<Arc<AdminState<O>>> {
    Router::new()
        .route("/v1/services/{name}/breaker", post(breaker::<O>))
        .route("/v1/services/{name}/faults", post(add_fault::<O>).delete(clear_service::<O>))
        .route("/v1/services/{name}/faults/{id}", delete(clear_one_of_service::<O>))
        .route("/v1/faults", get(faults::<O>).delete(clear_all::<O>))
        .route("/v1/faults/{id}", delete(clear_one::<O>))
        .route("/v1/outside", get(outside::<O>))
}

async fn breaker<O: Operations>(
    State(state): State<Arc<AdminState<O>>>,
    Name(name): Name,
    request: Request,
) -> Result<Json<ServiceView>, AdminProblem> {
    let order = order::breaker(request).await?;
    Ok(Json(state.operations.breakers(&name, order.endpoint.as_deref(), order.order)?))
}

async fn faults<O: Operations>(State(state): State<Arc<AdminState<O>>>) -> Json<Vec<FaultView>> {
    Json(state.operations.faults())
}

async fn add_fault<O: Operations>(
    State(state): State<Arc<AdminState<O>>>,
    Name(name): Name,
    request: Request,
) -> Result<(StatusCode, Json<FaultView>), AdminProblem> {
    let order = order::fault(request).await?;
    Ok((StatusCode::CREATED, Json(state.operations.add_fault(&name, order)?)))
}

async fn clear_all<O: Operations>(State(state): State<Arc<AdminState<O>>>) -> Result<Json<ClearedView>, AdminProblem> {
    clear(&*state.operations, None, None)
}

async fn clear_one<O: Operations>(
    State(state): State<Arc<AdminState<O>>>,
    FaultId(id): FaultId,
) -> Result<Json<ClearedView>, AdminProblem> {
    clear(&*state.operations, None, Some(id))
}

async fn clear_service<O: Operations>(
    State(state): State<Arc<AdminState<O>>>,
    Name(name): Name,
) -> Result<Json<ClearedView>, AdminProblem> {
    clear(&*state.operations, Some(&name), None)
}

async fn clear_one_of_service<O: Operations>(
    State(state): State<Arc<AdminState<O>>>,
    FaultOf { service, id }: FaultOf,
) -> Result<Json<ClearedView>, AdminProblem> {
    clear(&*state.operations, Some(&service), Some(id))
}

/// Clears faults. To clear all faults where there are none is not an error; to clear a named fault that does not exist
/// is.
fn clear(
    operations: &impl Operations,
    service: Option<&str>,
    id: Option<u64>,
) -> Result<Json<ClearedView>, AdminProblem> {
    match (operations.clear_faults(service, id)?, id) {
        (0, Some(id)) => Err(no_fault(&id.to_string())),
        (cleared, _) => Ok(Json(ClearedView { cleared })),
    }
}

async fn outside<O: Operations>(State(state): State<Arc<AdminState<O>>>) -> Json<Vec<OutsideView>> {
    Json(state.operations.outside())
}

fn no_fault(id: &str) -> AdminProblem {
    let detail = format!("there is no fault `{id}`: GET /v1/faults lists the active faults");
    AdminProblem::new(StatusCode::NOT_FOUND, "no-such-fault", detail)
}

/// The fault's id in the path.
struct FaultId(u64);

impl<S: Send + Sync> FromRequestParts<S> for FaultId {
    type Rejection = AdminProblem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, AdminProblem> {
        let id = Path::<String>::from_request_parts(parts, state).await;
        number(&id.map_or_else(|_| "\u{fffd}".to_owned(), |Path(id)| id)).map(Self)
    }
}

/// The service's name and the fault's id in the path.
struct FaultOf {
    service: String,
    id: u64,
}

impl<S: Send + Sync> FromRequestParts<S> for FaultOf {
    type Rejection = AdminProblem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, AdminProblem> {
        let path = Path::<(String, String)>::from_request_parts(parts, state).await;
        // A path that is not UTF-8 names no fault.
        let Ok(Path((service, id))) = path else { return Err(no_fault("\u{fffd}")) };
        Ok(Self { service, id: number(&id)? })
    }
}

fn number(text: &str) -> Result<u64, AdminProblem> {
    text.parse().map_err(|_| no_fault(text))
}
