//! The resources and their handlers.

use super::operations::{HostReadiness, OperationError, OperationErrorKind, Operations};
use super::problem::AdminProblem;
use super::view::{RouteView, ServiceView, SwapView};
use super::{traffic, upload};
use crate::telemetry;
use axum::extract::{FromRequestParts, Path, Request, State};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{StatusCode, Uri};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// How many swaps may be under way at once: each holds a component in memory, and compiles it on every core.
const SWAPS: usize = 4;

/// What the handlers share.
pub(super) struct AdminState<O> {
    pub(super) operations: Arc<O>,
    swaps: Arc<Semaphore>,
}

/// Every resource of the admin.
pub(super) fn router<O: Operations>(operations: Arc<O>) -> Router {
    Router::new()
        .route("/healthz", get(health))
        .route("/readyz", get(ready::<O>))
        .route("/metrics", get(metrics::<O>))
        .route("/v1/services", get(services::<O>))
        .route("/v1/services/{name}", get(service::<O>))
        .route("/v1/services/{name}/swap", post(swap::<O>))
        .route("/v1/services/{name}/rollback", post(rollback::<O>))
        .route("/v1/routes", get(routes::<O>))
        .merge(traffic::resources())
        .fallback(no_resource)
        .method_not_allowed_fallback(no_method)
        .with_state(Arc::new(AdminState { operations, swaps: Arc::new(Semaphore::new(SWAPS)) }))
}

/// It can answer, so it lives.
async fn health() -> Json<Value> {
    Json(json!({ "status": "alive" }))
}

async fn ready<O: Operations>(State(desk): State<Arc<AdminState<O>>>) -> Result<Json<Value>, AdminProblem> {
    let detail = match desk.operations.ready() {
        HostReadiness::Ready => return Ok(Json(json!({ "status": "ready" }))),
        HostReadiness::Draining => "the host was told to stop and finishes the requests in flight",
    };
    Err(AdminProblem::new(StatusCode::SERVICE_UNAVAILABLE, "not-ready", detail))
}

async fn metrics<O: Operations>(State(desk): State<Arc<AdminState<O>>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, telemetry::CONTENT_TYPE)], desk.operations.metrics())
}

async fn services<O: Operations>(State(desk): State<Arc<AdminState<O>>>) -> Json<Vec<ServiceView>> {
    Json(desk.operations.services())
}

async fn service<O: Operations>(
    State(desk): State<Arc<AdminState<O>>>,
    Name(name): Name,
) -> Result<Json<ServiceView>, AdminProblem> {
    desk.operations.service(&name).map(Json).ok_or_else(|| AdminProblem::no_service(&name))
}

async fn routes<O: Operations>(State(desk): State<Arc<AdminState<O>>>) -> Json<Vec<RouteView>> {
    Json(desk.operations.routes())
}

async fn swap<O: Operations>(
    State(desk): State<Arc<AdminState<O>>>,
    Name(name): Name,
    request: Request,
) -> Result<Json<SwapView>, AdminProblem> {
    // Asked before the upload, so that a typing error costs nothing.
    if desk.operations.service(&name).is_none() {
        return Err(AdminProblem::no_service(&name));
    }
    let permit = desk.swaps.clone().try_acquire_owned().map_err(|_| {
        let detail = format!("{SWAPS} swaps are under way already: try again when one has finished");
        AdminProblem::new(StatusCode::SERVICE_UNAVAILABLE, "too-many-swaps", detail)
    })?;
    let component = upload::component(request).await?;
    let operations = desk.operations.clone();
    finish(async move {
        let outcome = operations.swap(&name, component).await;
        drop(permit);
        outcome
    })
    .await
}

async fn rollback<O: Operations>(
    State(desk): State<Arc<AdminState<O>>>,
    Name(name): Name,
) -> Result<Json<SwapView>, AdminProblem> {
    let operations = desk.operations.clone();
    finish(async move { operations.rollback(&name).await }).await
}

/// Runs a change to its end in a task of its own: our future is dropped when the operator goes away, and half a change must not stay.
async fn finish(
    change: impl Future<Output = Result<SwapView, OperationError>> + Send + 'static,
) -> Result<Json<SwapView>, AdminProblem> {
    let outcome = tokio::spawn(change).await.unwrap_or_else(|error| {
        tracing::error!(%error, "a change panicked");
        Err(OperationError::new(OperationErrorKind::Internal, "the host failed while it made the change: see its log"))
    });
    Ok(Json(outcome?))
}

async fn no_resource(uri: Uri) -> AdminProblem {
    let detail = format!(
        "the admin has nothing at `{}`: see /healthz, /readyz, /metrics, /v1/services, /v1/routes, /v1/faults, /v1/outside",
        uri.path()
    );
    AdminProblem::new(StatusCode::NOT_FOUND, "no-such-resource", detail)
}

async fn no_method(uri: Uri) -> AdminProblem {
    let detail = format!("`{}` does not take this method: the Allow header says which it takes", uri.path());
    AdminProblem::new(StatusCode::METHOD_NOT_ALLOWED, "wrong-method", detail)
}

/// The service's name in the path.
pub(super) struct Name(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = AdminProblem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, AdminProblem> {
        // What is not even UTF-8 names no service.
        let name = Path::<String>::from_request_parts(parts, state).await;
        name.map(|Path(name)| Self(name)).map_err(|_| AdminProblem::no_service("\u{fffd}"))
    }
}
