//! The resources of traces.

use super::handler::AdminState;
use super::observed::find;
use super::operations::Operations;
use super::problem::AdminProblem;
use super::trace_view::{TraceSummaryView, TraceView};
use crate::telemetry::TraceQuery;
use axum::extract::{Path, RawQuery, State};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use std::sync::Arc;

/// How many traces a list has, if the operator does not say, and at most.
const USUAL: usize = 50;
const MOST: usize = 1000;

/// The routes.
pub(super) fn resources<O: Operations>() -> Router<Arc<AdminState<O>>> {
    Router::new().route("/v1/traces", get(traces::<O>)).route("/v1/traces/{id}", get(trace::<O>))
}

async fn traces<O: Operations>(
    State(state): State<Arc<AdminState<O>>>,
    RawQuery(query): RawQuery,
) -> Result<Json<Vec<TraceSummaryView>>, AdminProblem> {
    let query = parse(query.as_deref().unwrap_or_default())?;
    let found = state.operations.traces(&query).ok_or_else(untraced)?;
    find(&*state.operations, query.service.as_deref(), || found.is_empty())?;
    Ok(Json(found))
}

async fn trace<O: Operations>(
    State(state): State<Arc<AdminState<O>>>,
    Path(id): Path<String>,
) -> Result<Json<TraceView>, AdminProblem> {
    let found = state.operations.trace(&id).ok_or_else(untraced)?;
    found.map(Json).ok_or_else(|| {
        let detail = format!(
            "no trace with this id is kept (of {} characters): it may have been dropped, or made room for newer ones; \
             GET /v1/traces lists those that are kept",
            id.chars().count()
        );
        AdminProblem::new(StatusCode::NOT_FOUND, "no-such-trace", detail)
    })
}

/// Requests are not traced.
fn untraced() -> AdminProblem {
    let detail = "this host traces no requests: write `sample = 0.01` below [telemetry] in its manifest";
    AdminProblem::new(StatusCode::NOT_FOUND, "not-traced", detail)
}

/// Reads `service=&min_ms=&error=&limit=`. An unknown parameter is refused: a typing error would find too much.
fn parse(text: &str) -> Result<TraceQuery, AdminProblem> {
    let mut query = TraceQuery { limit: USUAL, ..TraceQuery::default() };
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if value.is_empty() {
            continue;
        }
        let right = match name {
            "service" => {
                query.service = Some(value.to_owned());
                true
            }
            "min_ms" => value.parse().map(|least| query.min_ms = least).is_ok(),
            "error" => value.parse().map(|error| query.error = Some(error)).is_ok(),
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=MOST).contains(limit));
                limit.map(|limit| query.limit = limit).is_some()
            }
            _ => false,
        };
        if !right {
            let detail =
                "write service=NAME, min_ms=NUMBER, error=true or error=false, limit=1 to 1000, with & between";
            return Err(AdminProblem::new(StatusCode::BAD_REQUEST, "bad-query", detail));
        }
    }
    Ok(query)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_and_a_typing_error_refused() {
        let usual = TraceQuery { limit: USUAL, ..TraceQuery::default() };
        let users = TraceQuery { service: Some("users".into()), min_ms: 20, error: Some(true), limit: 7 };
        for (text, expected) in [
            ("", Some(usual.clone())),
            ("service=&min_ms=&error=", Some(usual.clone())),
            ("service=users&min_ms=20&error=true&limit=7", Some(users)),
            ("error=false", Some(TraceQuery { error: Some(false), ..usual.clone() })),
            ("limit=1000", Some(TraceQuery { limit: MOST, ..usual })),
            ("limit=0", None),
            ("limit=1001", None),
            ("min_ms=1.5", None),
            ("error=yes", None),
            ("sevice=users", None),
        ] {
            assert_eq!(parse(text).ok(), expected, "{text}");
        }
    }
}
