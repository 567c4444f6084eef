//! The resources and their handlers.

use super::admin_document::listed_paths;
use super::change::finish;
use super::handler::{AdminState, Name};
use super::operations::{HostReadiness, Operations};
use super::problem::AdminProblem;
use super::query::refuse_unknown;
use super::upload::{ComponentUpload, SWAPS, uploaded};
use super::view::{RouteView, ServiceView, SwapView, TrialView};
use super::{
    admin_document, apply, audit, cache, dashboard, data, guards, keys, nodes, observed, recordings, rollouts, sagas,
    topics, traces, traffic,
};
use crate::telemetry;
use axum::extract::{Request, State};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::header::CONTENT_TYPE;
use http::{StatusCode, Uri};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// Every resource of the admin.
pub(super) fn router<O: Operations>(operations: Arc<O>) -> Router {
    Router::new()
        .route("/healthz", get(health))
        .route("/readyz", get(ready::<O>))
        .route("/metrics", get(metrics::<O>))
        .route("/v1/services", get(services::<O>))
        .route("/v1/services/{name}", get(service::<O>))
        .route("/v1/services/{name}/swap", post(swap::<O>))
        .route("/v1/services/{name}/trial", post(trial::<O>))
        .route("/v1/services/{name}/rollback", post(rollback::<O>))
        .route("/v1/routes", get(routes::<O>))
        .merge(traffic::resources())
        .merge(keys::resources())
        .merge(cache::resources())
        .merge(nodes::resources())
        .merge(observed::resources())
        .merge(admin_document::resources())
        .merge(topics::resources())
        .merge(sagas::resources())
        .merge(audit::resources())
        .merge(dashboard::resources())
        .merge(guards::resources())
        .merge(data::resources())
        .merge(rollouts::resources())
        .merge(recordings::resources())
        .merge(apply::resources())
        .merge(traces::resources())
        .fallback(no_resource)
        .method_not_allowed_fallback(no_method)
        .layer(from_fn(refuse_unknown))
        .with_state(Arc::new(AdminState { operations, swaps: Arc::new(Semaphore::new(SWAPS)) }))
}

/// The host is alive if it can answer.
async fn health() -> Json<Value> {
    Json(json!({ "status": "alive" }))
}

async fn ready<O: Operations>(State(state): State<Arc<AdminState<O>>>) -> Result<Json<Value>, AdminProblem> {
    let operations = &state.operations;
    let (readiness, left_out) = (operations.ready(), operations.left_out());
    let not_ready = match readiness {
        HostReadiness::Ready | HostReadiness::ReadOnly | HostReadiness::StoreAway | HostReadiness::StoreDamaged => None,
        HostReadiness::Starting => Some(format!(
            "the host serves, without these services until components are compiled: {}",
            operations.starting().join(", ")
        )),
        // The error of the compiler is in the log and in /v1/services, since everybody may ask this.
        HostReadiness::Incomplete => Some(format!(
            "the host serves, without these services, since a component could not be compiled, or its data not \
             migrated: {}",
            left_out.join(", ")
        )),
        HostReadiness::Draining => Some("the host was told to stop and finishes the requests in flight".into()),
        HostReadiness::Drained => {
            Some("an operator has drained this node: `atoll node uncordon` lets it take requests again".into())
        }
    };
    if let Some(detail) = not_ready {
        return Err(AdminProblem::new(StatusCode::SERVICE_UNAVAILABLE, "not-ready", detail));
    }
    let (mut answer, troubles) = (json!({ "status": "ready" }), operations.troubles());
    // A degraded host is ready all the same: it serves what it can, and a host that was taken out of the balance would
    // serve nothing. The causes are in the log, since everybody may ask this.
    let store = match readiness {
        HostReadiness::ReadOnly => Some("takes no writes; reads go on; the log says why"),
        HostReadiness::StoreAway => Some("is away: services with state can neither read nor write; the log says why"),
        HostReadiness::StoreDamaged => Some("has damaged data: all that is whole goes on; the log names what is not"),
        _ => None,
    };
    if let Some(trouble) = store {
        answer["store"] = trouble.into();
    }
    if store.is_some() || !troubles.is_empty() {
        answer["status"] = "degraded".into();
    }
    for (part, trouble) in troubles {
        answer[part] = trouble.into();
    }
    // A host that was told to serve a part is ready when it serves that part.
    if !left_out.is_empty() {
        answer["left_out"] = left_out.into();
    }
    Ok(Json(answer))
}

/// On a thread of its own: meanwhile a thread that serves requests would serve none, for some milliseconds on a host of
/// hundreds of services.
async fn metrics<O: Operations>(State(state): State<Arc<AdminState<O>>>) -> Response {
    match spawn_blocking(move || state.operations.metrics()).await {
        Ok(text) => ([(CONTENT_TYPE, telemetry::CONTENT_TYPE)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn services<O: Operations>(State(state): State<Arc<AdminState<O>>>) -> Json<Vec<ServiceView>> {
    Json(state.operations.services())
}

async fn service<O: Operations>(
    State(state): State<Arc<AdminState<O>>>,
    Name(name): Name,
) -> Result<Json<ServiceView>, AdminProblem> {
    state.operations.service(&name).map(Json).ok_or_else(|| AdminProblem::no_service(&name))
}

async fn routes<O: Operations>(State(state): State<Arc<AdminState<O>>>) -> Json<Vec<RouteView>> {
    Json(state.operations.routes())
}

async fn swap<O: Operations>(
    State(state): State<Arc<AdminState<O>>>,
    Name(name): Name,
    request: Request,
) -> Result<Json<SwapView>, AdminProblem> {
    let ComponentUpload { component, permit } = uploaded(&state, &name, request).await?;
    let operations = state.operations.clone();
    finish(async move {
        let outcome = operations.swap(&name, component).await;
        drop(permit);
        outcome
    })
    .await
}

async fn trial<O: Operations>(
    State(state): State<Arc<AdminState<O>>>,
    Name(name): Name,
    request: Request,
) -> Result<Json<TrialView>, AdminProblem> {
    let ComponentUpload { component, permit } = uploaded(&state, &name, request).await?;
    let outcome = state.operations.trial(&name, component).await;
    drop(permit);
    Ok(Json(outcome?))
}

async fn rollback<O: Operations>(
    State(state): State<Arc<AdminState<O>>>,
    Name(name): Name,
) -> Result<Json<SwapView>, AdminProblem> {
    let operations = state.operations.clone();
    finish(async move { operations.rollback(&name).await }).await
}

async fn no_resource(uri: Uri) -> AdminProblem {
    let detail = format!("the admin has no resource `{}`: see {}", uri.path(), listed_paths().join(", "));
    AdminProblem::new(StatusCode::NOT_FOUND, "no-such-resource", detail)
}

async fn no_method(uri: Uri) -> AdminProblem {
    let detail = format!("`{}` does not take this method: the Allow header says which it takes", uri.path());
    AdminProblem::new(StatusCode::METHOD_NOT_ALLOWED, "wrong-method", detail)
}
