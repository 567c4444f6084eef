//! The resources for API keys. A key is in one answer, that of its creation; nothing else has it or its hash.

use super::change::finish;
use super::handler::AdminState;
use super::operations::Operations;
use super::order;
use super::problem::AdminProblem;
use super::view::{KeyView, NewKeyView};
use axum::extract::{Path, Request, State};
use axum::routing::{delete, get};
use axum::{Json, Router};
use http::StatusCode;
use std::sync::Arc;

/// The routes. A change is made to its end, and recorded, also if the operator disconnects.
pub(super) fn resources<O: Operations>() -> Router<Arc<AdminState<O>>> {
    Router::new().route("/v1/keys", get(keys::<O>).post(create::<O>)).route("/v1/keys/{id}", delete(revoke::<O>))
}

async fn keys<O: Operations>(State(state): State<Arc<AdminState<O>>>) -> Json<Vec<KeyView>> {
    Json(state.operations.keys())
}

async fn create<O: Operations>(
    State(state): State<Arc<AdminState<O>>>,
    request: Request,
) -> Result<(StatusCode, Json<NewKeyView>), AdminProblem> {
    let order = order::key(request).await?;
    let operations = Arc::clone(&state.operations);
    Ok((StatusCode::CREATED, finish(async move { operations.create_key(order).await }).await?))
}

async fn revoke<O: Operations>(
    State(state): State<Arc<AdminState<O>>>,
    id: Result<Path<String>, axum::extract::rejection::PathRejection>,
) -> Result<Json<KeyView>, AdminProblem> {
    // A path that is not UTF-8 names no key.
    let id = id.map_or_else(|_| "\u{fffd}".to_owned(), |Path(id)| id);
    let operations = Arc::clone(&state.operations);
    finish(async move { operations.revoke_key(&id).await }).await
}

#[cfg(test)]
mod tests {
    use super::super::tests::{LOOPBACK, admin, get, read, request, send};
    use super::*;
    use crate::base::full_body;

    async fn order(admin: &super::super::Admin, body: &str) -> super::super::tests::Answer {
        let headers = [("host", LOOPBACK), ("content-type", "application/json")];
        read(admin.handle(request("POST", "/v1/keys", &headers, full_body(body.to_owned()))).await).await
    }

    #[tokio::test]
    async fn a_key_is_in_the_answer_to_its_creation_and_in_no_other() {
        let (admin, _) = admin(LOOPBACK, None);
        let created = order(&admin, r#"{"name":"acme","scopes":["b","a"],"expires_in_seconds":60}"#).await;
        assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
        let created: NewKeyView = serde_json::from_str(&created.text).expect("a key");
        assert_eq!((created.key.as_str(), created.about.expires), ("atoll_secret", Some(1060)));
        assert!(!format!("{created:?}").contains("secret"), "its Debug hides it");
        let listed = get(&admin, "/v1/keys").await;
        assert!(listed.text.contains(r#""scopes":["a","b"]"#) && !listed.text.contains("secret"), "{}", listed.text);
        let revoked = send(&admin, "DELETE", "/v1/keys/k0", &[("host", LOOPBACK)]).await;
        assert_eq!((revoked.status, revoked.text.contains("secret")), (StatusCode::OK, false));
        let again = send(&admin, "DELETE", "/v1/keys/k0", &[("host", LOOPBACK)]).await;
        assert_eq!((again.status.as_u16(), again.problem()), (404, "no-such-key".to_owned()));
    }

    #[tokio::test]
    async fn an_order_for_a_key_without_a_clean_name_or_with_wrong_scopes_changes_nothing() {
        let (admin, fake) = admin(LOOPBACK, None);
        let long = format!(r#"{{"name":"{}"}}"#, "x".repeat(129));
        for wrong in [
            "{}",
            r#"{"name":""}"#,
            r#"{"name":" a"}"#,
            r#"{"name":"a\nb"}"#,
            r#"{"name":7}"#,
            &long,
            r#"{"name":"a","scopes":"b"}"#,
            r#"{"name":"a","scopes":["b c"]}"#,
            r#"{"name":"a","scopes":["\""]}"#,
            r#"{"name":"a","expires_in_seconds":0}"#,
            r#"{"name":"a","key":"mine"}"#,
        ] {
            let answer = order(&admin, wrong).await;
            assert_eq!((answer.status.as_u16(), answer.problem()), (400, "wrong-order".to_owned()), "{wrong}");
        }
        assert!(fake.keys.lock().expect("free").is_empty());
    }
}
