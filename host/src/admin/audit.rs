//! The resource of the audit file.

use super::handler::AdminState;
use super::operations::Operations;
use super::problem::AdminProblem;
use super::query::AdminQuery;
use crate::audit::{AuditLine, AuditQuery};
use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use http::{StatusCode, Uri};
use std::sync::Arc;

/// How many lines an answer has, unless the request says otherwise, and the most that it may ask for.
const USUAL: usize = 100;
const MOST: usize = 1_000;

/// The route.
pub(super) fn resources<O: Operations>() -> Router<Arc<AdminState<O>>> {
    Router::new().route("/v1/audit", get(lines::<O>))
}

async fn lines<O: Operations>(
    State(state): State<Arc<AdminState<O>>>,
    uri: Uri,
) -> Result<Json<Vec<AuditLine>>, AdminProblem> {
    let query = AdminQuery::of(&uri, &["who", "what", "on", "limit"])?;
    let most = query.parsed("limit", limit)?.unwrap_or(USUAL);
    let query = AuditQuery { who: query.text("who"), what: query.text("what"), on: query.text("on"), most };
    let detail = "the host keeps no audit file: name one as `file` in [audit] of the manifest";
    let none = || AdminProblem::new(StatusCode::NOT_FOUND, "no-audit", detail);
    state.operations.audit(query).await?.map(Json).ok_or_else(none)
}

fn limit(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=MOST).contains(number));
    number.ok_or_else(|| format!("a number of 1 to {MOST}"))
}
