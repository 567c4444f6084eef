//! The resources of the gateway's cache: how full it is, and purges.

use super::handler::AdminState;
use super::operations::Operations;
use super::order;
use super::problem::AdminProblem;
use super::view::{CacheView, PurgedView};
use crate::cache::Purge;
use axum::extract::{Request, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use std::sync::Arc;

/// The routes.
pub(super) fn resources<O: Operations>() -> Router<Arc<AdminState<O>>> {
    let all = get(usage::<O>).delete(purge_all::<O>);
    Router::new().route("/v1/cache", all).route("/v1/cache/purge", post(purge::<O>))
}

async fn usage<O: Operations>(State(state): State<Arc<AdminState<O>>>) -> Result<Json<CacheView>, AdminProblem> {
    Ok(Json(state.operations.cache()?))
}

async fn purge_all<O: Operations>(State(state): State<Arc<AdminState<O>>>) -> Result<Json<PurgedView>, AdminProblem> {
    Ok(Json(state.operations.purge(&Purge::All)?))
}

async fn purge<O: Operations>(
    State(state): State<Arc<AdminState<O>>>,
    request: Request,
) -> Result<Json<PurgedView>, AdminProblem> {
    let order = order::purge(request).await?;
    Ok(Json(state.operations.purge(&order)?))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{LOOPBACK, admin, get, read, request, send};
    use super::*;
    use crate::base::full_body;

    #[tokio::test]
    async fn a_purge_names_one_of_path_prefix_and_tag() {
        let (admin, fake) = admin(LOOPBACK, None);
        let headers = [("host", LOOPBACK), ("content-type", "application/json")];
        for (body, status) in [
            (r#"{"tag":"users"}"#, 200),
            (r#"{"path":"/api/users"}"#, 200),
            (r#"{"prefix":"/api"}"#, 200),
            ("{}", 400),
            (r#"{"tag":"a","path":"/b"}"#, 400),
            (r#"{"tag":""}"#, 400),
            (r#"{"path":"api"}"#, 400),
            (r#"{"prefix":7}"#, 400),
            (r#"{"host":"a"}"#, 400),
        ] {
            let order = request("POST", "/v1/cache/purge", &headers, full_body(body));
            assert_eq!(read(admin.handle(order).await).await.status.as_u16(), status, "{body}");
        }
        let emptied = send(&admin, "DELETE", "/v1/cache", &[("host", LOOPBACK)]).await;
        assert_eq!((emptied.status.as_u16(), emptied.text.as_str()), (200, r#"{"purged":1}"#));
        let purges = fake.purges.lock().expect("free").clone();
        let path = |text: &str| text.to_owned();
        let expected =
            [Purge::Tag(path("users")), Purge::Path(path("/api/users")), Purge::Prefix(path("/api")), Purge::All];
        assert_eq!(purges, expected);
        assert!(get(&admin, "/v1/cache").await.text.contains(r#""max_bytes":67108864"#));
    }
}
