//! The resource that serves another manifest.

use super::apply_view::ApplyView;
use super::change::finish;
use super::handler::AdminState;
use super::operations::{ApplyOrder, Operations};
use super::problem::AdminProblem;
use super::query;
use super::upload::is_solely;
use axum::extract::{Request, State};
use axum::routing::post;
use axum::{Json, Router};
use http::StatusCode;
use http_body_util::{BodyExt, Limited};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// The longest manifest, in bytes; `config` reads no longer one.
const MAX_MANIFEST: usize = 1 << 20;
/// How long a manifest may take to arrive.
const UPLOAD: Duration = Duration::from_secs(30);

/// The routes. A change is made to its end, also if the operator disconnects.
pub(super) fn resources<O: Operations>() -> Router<Arc<AdminState<O>>> {
    Router::new().route("/v1/apply", post(apply::<O>))
}

async fn apply<O: Operations>(
    State(state): State<Arc<AdminState<O>>>,
    request: Request,
) -> Result<Json<ApplyView>, AdminProblem> {
    let (head, body) = request.into_parts();
    // A web page cannot make a browser send this type without asking first (CORS), and the admin allows nobody.
    if !is_solely(&head.headers, "application/toml") {
        let detail = "a manifest is sent with `Content-Type: application/toml`";
        return Err(AdminProblem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-toml", detail));
    }
    let order = order(head.uri.query().unwrap_or_default())?;
    let read = timeout(UPLOAD, Limited::new(body, MAX_MANIFEST).collect()).await;
    let bytes = read.map_err(|_| wrong("the manifest did not arrive in time"))?;
    let bytes = bytes.map_err(|_| wrong("the manifest is longer than 1 MiB, or broke off"))?.to_bytes();
    let text = String::from_utf8(bytes.into()).map_err(|_| wrong("a manifest is UTF-8"))?;
    let operations = Arc::clone(&state.operations);
    finish(async move { operations.apply(ApplyOrder { text, ..order }).await }).await
}

/// Reads the query. An unknown setting is refused: who mistypes `dry_run` wants no change.
fn order(query: &str) -> Result<ApplyOrder, AdminProblem> {
    let mut order = ApplyOrder::default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("dry_run", "true")) => order.dry_run = true,
            Some(("dry_run", "false")) => order.dry_run = false,
            Some(("base", base)) if !base.is_empty() => order.base = Some(base.to_owned()),
            Some(("name", name)) if !name.is_empty() => order.name = Some(query::decoded(name)?),
            _ => return Err(wrong("the settings are `dry_run=true`, `base=WORD` and `name=FILE`")),
        }
    }
    Ok(order)
}

fn wrong(detail: impl Into<String>) -> AdminProblem {
    AdminProblem::new(StatusCode::BAD_REQUEST, "wrong-order", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_is_read_and_a_mistyped_one_refused() {
        let read = |query: &str| order(query).ok().map(|order| (order.dry_run, order.base));
        assert_eq!(read(""), Some((false, None)));
        assert_eq!(read("dry_run=true&base=abc"), Some((true, Some("abc".to_owned()))));
        assert_eq!(order("name=my%20shop.toml").ok().and_then(|order| order.name).as_deref(), Some("my shop.toml"));
        for wrong in ["dryrun=true", "dry_run", "dry_run=1", "base=", "base", "name=", "name=%4"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
