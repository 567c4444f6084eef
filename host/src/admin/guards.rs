//! The resources for limits, maintenance and the data of services.

use super::change::finish;
use super::guard_operations::GuardOperations;
use super::handler::{AdminState, Name};
use super::limit_view::{ErasedView, KeyReplacedView, LimitView, MaintenanceView};
use super::operations::Operations;
use super::order;
use super::problem::AdminProblem;
use axum::extract::{Request, State};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use std::sync::Arc;

/// The routes. A change is made to its end, and recorded, also if the operator disconnects.
pub(super) fn resources<O: Operations>() -> Router<Arc<AdminState<O>>> {
    Router::new()
        .route("/v1/limits", get(limits::<O>))
        .route("/v1/maintenance", get(maintenance::<O>).put(switch::<O>))
        .route("/v1/services/{name}/data", delete(erase::<O>))
        .route("/v1/state/key", post(replace_key::<O>))
}

async fn limits<O: GuardOperations>(State(state): State<Arc<AdminState<O>>>) -> Json<Vec<LimitView>> {
    Json(state.operations.limits())
}

async fn maintenance<O: GuardOperations>(State(state): State<Arc<AdminState<O>>>) -> Json<MaintenanceView> {
    Json(state.operations.maintenance())
}

async fn switch<O: GuardOperations>(
    State(state): State<Arc<AdminState<O>>>,
    request: Request,
) -> Result<Json<MaintenanceView>, AdminProblem> {
    let order = order::maintenance(request).await?;
    Ok(Json(state.operations.switch_maintenance(order)))
}

async fn erase<O: GuardOperations>(
    State(state): State<Arc<AdminState<O>>>,
    Name(name): Name,
) -> Result<Json<ErasedView>, AdminProblem> {
    let operations = Arc::clone(&state.operations);
    let Json(erased) = finish(async move { operations.erase(&name).await }).await?;
    Ok(Json(ErasedView { erased }))
}

async fn replace_key<O: GuardOperations>(
    State(state): State<Arc<AdminState<O>>>,
) -> Result<Json<KeyReplacedView>, AdminProblem> {
    let operations = Arc::clone(&state.operations);
    let Json(replaced) = finish(async move { operations.replace_state_key().await }).await?;
    Ok(Json(KeyReplacedView { replaced }))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Answer, LOOPBACK, admin, get, read, request, send};
    use crate::admin::MaintenanceOrder;
    use crate::base::full_body;
    use std::time::Duration;

    async fn put(admin: &super::super::Admin, body: &str) -> Answer {
        let headers = [("host", LOOPBACK), ("content-type", "application/json")];
        read(admin.handle(request("PUT", "/v1/maintenance", &headers, full_body(body.to_owned()))).await).await
    }

    #[tokio::test]
    async fn limits_and_maintenance_are_shown_and_maintenance_is_switched() {
        let (admin, fake) = admin(LOOPBACK, None);
        let limits = get(&admin, "/v1/limits").await;
        assert!(limits.text.contains(r#""name":"default","by":"client","rate":"100/10s""#), "{}", limits.text);
        assert_eq!(get(&admin, "/v1/maintenance").await.text, r#"{"on":false,"retry_after_seconds":null}"#);
        let on = put(&admin, r#"{"on":true,"retry_after_seconds":90}"#).await;
        assert_eq!((on.status.as_u16(), on.text.as_str()), (200, r#"{"on":true,"retry_after_seconds":90}"#));
        assert_eq!(put(&admin, r#"{"on":false}"#).await.text, r#"{"on":false,"retry_after_seconds":null}"#);
        let orders = fake.maintenance.lock().expect("free").clone();
        let on = MaintenanceOrder { on: true, retry_after: Some(Duration::from_secs(90)) };
        assert_eq!(orders, [on, MaintenanceOrder { on: false, retry_after: None }]);
    }

    #[tokio::test]
    async fn an_order_for_maintenance_that_is_wrong_changes_nothing() {
        let (admin, fake) = admin(LOOPBACK, None);
        for wrong in [
            "{}",
            r#"{"on":"yes"}"#,
            r#"{"on":true,"retry_after_seconds":0}"#,
            r#"{"on":true,"retry_after_seconds":604801}"#,
            r#"{"on":true,"why":"a change"}"#,
        ] {
            let answer = put(&admin, wrong).await;
            assert_eq!((answer.status.as_u16(), answer.problem()), (400, "wrong-order".to_owned()), "{wrong}");
        }
        assert!(fake.maintenance.lock().expect("free").is_empty());
    }

    #[tokio::test]
    async fn data_are_erased_and_the_key_is_replaced_by_an_order() {
        let (admin, _) = admin(LOOPBACK, None);
        let headers = [("host", LOOPBACK)];
        let erased = send(&admin, "DELETE", "/v1/services/users/data", &headers).await;
        assert_eq!((erased.status.as_u16(), erased.text.as_str()), (200, r#"{"erased":true}"#));
        let unknown = send(&admin, "DELETE", "/v1/services/Nobody/data", &headers).await;
        assert_eq!((unknown.status.as_u16(), unknown.problem()), (404, "no-such-service".to_owned()));
        let replaced = send(&admin, "POST", "/v1/state/key", &headers).await;
        assert_eq!((replaced.status.as_u16(), replaced.text.as_str()), (200, r#"{"replaced":true}"#));
        assert_eq!(get(&admin, "/v1/state/key").await.status.as_u16(), 405);
    }
}
