//! The resources of the cluster's nodes.

use super::change::finish;
use super::handler::AdminState;
use super::node_view::{NodeView, NodesView};
use super::operations::Operations;
use super::problem::AdminProblem;
use crate::membership::Standing;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use std::sync::Arc;

/// The routes.
pub(super) fn resources<O: Operations>() -> Router<Arc<AdminState<O>>> {
    Router::new().route("/v1/nodes", get(nodes::<O>)).route("/v1/nodes/{name}/{order}", post(order::<O>))
}

async fn nodes<O: Operations>(State(state): State<Arc<AdminState<O>>>) -> Result<Json<NodesView>, AdminProblem> {
    Ok(Json(state.operations.nodes()?))
}

async fn order<O: Operations>(
    State(state): State<Arc<AdminState<O>>>,
    names: Result<Path<(String, String)>, PathRejection>,
) -> Result<Json<NodeView>, AdminProblem> {
    let wrong = |kind, detail| AdminProblem::new(StatusCode::NOT_FOUND, kind, detail);
    let Path((node, order)) = names.map_err(|_| wrong("no-such-node", "the path is not UTF-8"))?;
    let standing = match order.as_str() {
        "drain" => Standing::Draining,
        "cordon" => Standing::Cordoned,
        "uncordon" => Standing::Living,
        _ => return Err(wrong("no-such-order", "what can be ordered of a node is `drain`, `cordon` and `uncordon`")),
    };
    let operations = Arc::clone(&state.operations);
    finish(async move { operations.order_node(&node, standing).await }).await
}

#[cfg(test)]
mod tests {
    use super::super::tests::{LOOPBACK, admin, get, send};

    #[tokio::test]
    async fn an_order_names_what_a_node_shall_be() {
        let (admin, fake) = admin(LOOPBACK, None);
        for (path, status) in [
            ("/v1/nodes/b/drain", 200),
            ("/v1/nodes/b/cordon", 200),
            ("/v1/nodes/b/uncordon", 200),
            ("/v1/nodes/b/kill", 404),
            ("/v1/nodes/nobody/drain", 404),
        ] {
            let answer = send(&admin, "POST", path, &[("host", LOOPBACK)]).await;
            assert_eq!(answer.status.as_u16(), status, "{path}: {}", answer.text);
        }
        let orders = fake.node_orders.lock().expect("free").clone();
        assert_eq!(orders, ["b draining", "b cordoned", "b living"]);
        assert!(get(&admin, "/v1/nodes").await.text.contains(r#""name":"a","own":true"#));
    }
}
