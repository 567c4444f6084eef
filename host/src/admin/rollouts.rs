//! The resources of rollouts and of the history.

use super::change::finish;
use super::handler::{AdminState, Name};
use super::operation_error::{OperationError, OperationErrorKind};
use super::operations::{Operations, RolloutEnd, RolloutWish};
use super::problem::AdminProblem;
use super::rollout_view::{AdoptedView, BegunView, HistoryView, RolloutView};
use super::upload::{ComponentUpload, uploaded};
use super::view::SwapView;
use axum::extract::{Path, Request, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::{StatusCode, Uri};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

/// The longest reason, in bytes; the longest step, in milliseconds: a day; the most calls of a step; the most steps.
const LONGEST_WHY: usize = 512;
const LONGEST_STEP: u64 = 86_400_000;
const MOST_CALLS: u64 = 1_000_000;
const MOST_STEPS: usize = 20;

/// The routes. A change is made to its end, also if the operator disconnects.
pub(super) fn resources<O: Operations>() -> Router<Arc<AdminState<O>>> {
    Router::new()
        .route("/v1/services/{name}/rollouts", get(history::<O>).post(begin::<O>))
        .route("/v1/services/{name}/rollouts/{id}", get(rollout::<O>))
        .route("/v1/services/{name}/rollouts/{id}/{end}", post(end::<O>))
        .route("/v1/services/{name}/rollback/{revision}", post(rollback_to::<O>))
        .route("/v1/services/{name}/adopt", post(adopt::<O>))
}

async fn history<O: Operations>(
    State(state): State<Arc<AdminState<O>>>,
    Name(name): Name,
) -> Result<Json<HistoryView>, AdminProblem> {
    Ok(Json(state.operations.history(&name)?))
}

async fn begin<O: Operations>(
    State(state): State<Arc<AdminState<O>>>,
    Name(name): Name,
    request: Request,
) -> Result<Json<BegunView>, AdminProblem> {
    let wish = wish(query(request.uri().query().unwrap_or_default())?)?;
    let ComponentUpload { component, permit } = uploaded(&state, &name, request).await?;
    let operations = state.operations.clone();
    finish(async move {
        let outcome = operations.begin_rollout(&name, component, wish).await;
        drop(permit);
        outcome
    })
    .await
}

async fn rollout<O: Operations>(
    State(state): State<Arc<AdminState<O>>>,
    path: Result<Path<(String, String)>, axum::extract::rejection::PathRejection>,
) -> Result<Json<RolloutView>, AdminProblem> {
    let Path((name, id)) = path.map_err(|_| AdminProblem::no_service("\u{fffd}"))?;
    let history = state.operations.history(&name)?;
    let found = history.rollouts.into_iter().find(|rollout| rollout.id.to_string() == id);
    found.map(Json).ok_or_else(|| no_rollout(&name, &id))
}

async fn end<O: Operations>(
    State(state): State<Arc<AdminState<O>>>,
    path: Result<Path<(String, String, String)>, axum::extract::rejection::PathRejection>,
    uri: Uri,
) -> Result<Json<SwapView>, AdminProblem> {
    let Path((name, id, end)) = path.map_err(|_| AdminProblem::no_service("\u{fffd}"))?;
    let end = match end.as_str() {
        "promote" => RolloutEnd::Promote { no_way_back: no_way_back(&uri)? },
        "rollback" => RolloutEnd::RollBack,
        "abort" => RolloutEnd::Abort,
        other => {
            let detail = format!("a rollout has no `{other}`: it takes `promote`, `rollback` and `abort`");
            return Err(AdminProblem::new(StatusCode::NOT_FOUND, "no-such-resource", detail));
        }
    };
    // `current` is whichever is under way.
    let which = if id == "current" { None } else { Some(id.parse().map_err(|_| no_rollout(&name, &id))?) };
    let operations = state.operations.clone();
    finish(async move { operations.end_rollout(&name, which, end).await }).await
}

async fn rollback_to<O: Operations>(
    State(state): State<Arc<AdminState<O>>>,
    path: Result<Path<(String, String)>, axum::extract::rejection::PathRejection>,
) -> Result<Json<SwapView>, AdminProblem> {
    let Path((name, revision)) = path.map_err(|_| AdminProblem::no_service("\u{fffd}"))?;
    let operations = state.operations.clone();
    finish(async move { operations.rollback_to(&name, &revision).await }).await
}

async fn adopt<O: Operations>(
    State(state): State<Arc<AdminState<O>>>,
    Name(name): Name,
) -> Result<Json<AdoptedView>, AdminProblem> {
    let operations = state.operations.clone();
    finish(async move { operations.adopt(&name).await }).await
}

/// Whether a promotion may leave no way back. An unknown field is refused, so a typing error promotes nothing.
fn no_way_back(uri: &Uri) -> Result<bool, AdminProblem> {
    let mut given_up = false;
    for (name, value) in query(uri.query().unwrap_or_default())? {
        match name.as_str() {
            "no_way_back" => given_up = flag(&name, &value)?,
            other => return Err(wrong(format!("a promotion has no setting `{other}`: no_way_back"))),
        }
    }
    Ok(given_up)
}

fn no_rollout(name: &str, id: &str) -> AdminProblem {
    let message = format!("service `{name}` has no rollout {id}: GET /v1/services/{name}/rollouts lists them");
    OperationError::new(OperationErrorKind::NoRollout, message).into()
}

/// The fields of a query, decoded.
fn query(text: &str) -> Result<BTreeMap<String, String>, AdminProblem> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    let decode = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((name.to_owned(), decoded(value)?))
    };
    pairs.map(decode).collect::<Option<_>>().ok_or_else(|| wrong("the query is not UTF-8 in percent-encoding"))
}

/// A value of a query without its percent-encoding (RFC 3986, section 2.1).
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        bytes.push(match first {
            b'%' => {
                let (digits, after) = rest.split_at_checked(2)?;
                rest = after;
                u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?
            }
            byte => *byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// Reads the settings of a rollout. An unknown one is refused, so a typing error deploys nothing.
fn wish(query: BTreeMap<String, String>) -> Result<RolloutWish, AdminProblem> {
    let mut wish = RolloutWish::default();
    for (name, value) in query {
        match name.as_str() {
            "now" => wish.now = flag(&name, &value)?,
            "hold" => wish.hold = flag(&name, &value)?,
            "canary" => wish.canary = Some(shares(&value)?),
            "step_ms" => wish.step = Some(Duration::from_millis(number(&name, &value, 1000..=LONGEST_STEP)?)),
            "shadow_ms" => wish.shadow = Some(Duration::from_millis(number(&name, &value, 1000..=LONGEST_STEP)?)),
            "fail_on_diff" => wish.fail_on_diff = flag(&name, &value)?,
            "no_way_back" => wish.no_way_back = flag(&name, &value)?,
            "calls" => wish.calls = Some(number(&name, &value, 1..=MOST_CALLS)?),
            // Logs, tables and the audit file have it in one line.
            "why" if value.chars().any(char::is_control) => {
                return Err(wrong("`why` is one line, without control characters"));
            }
            "why" if value.len() <= LONGEST_WHY => wish.why = Some(value),
            "why" => return Err(wrong(format!("`why` is at most {LONGEST_WHY} bytes"))),
            other => {
                let detail = format!(
                    "there is no setting `{other}`: now, hold, canary, step_ms, calls, shadow_ms, fail_on_diff, \
                     no_way_back, why"
                );
                return Err(wrong(detail));
            }
        }
    }
    if wish.now && (wish.hold || wish.canary.is_some() || wish.shadow.is_some()) {
        return Err(wrong("`now` gives all calls to the new revision: it goes with neither `canary` nor `hold`"));
    }
    Ok(wish)
}

/// `5%,25%`: whole percents from 1 to 99, each larger than the one before.
fn shares(text: &str) -> Result<Vec<u8>, AdminProblem> {
    let share = |share: &str| share.trim().strip_suffix('%')?.parse().ok().filter(|share| (1..=99).contains(share));
    let shares: Option<Vec<u8>> = text.split(',').map(share).collect();
    let shares = shares.filter(|all| all.len() <= MOST_STEPS && all.is_sorted_by(|one, next| one < next));
    shares.ok_or_else(|| wrong("`canary` is a list of whole percents of 1% to 99% that grow: `5%,25%`"))
}

fn flag(name: &str, value: &str) -> Result<bool, AdminProblem> {
    value.parse().map_err(|_| wrong(format!("`{name}` is `true` or `false`")))
}

fn number(name: &str, value: &str, bounds: RangeInclusive<u64>) -> Result<u64, AdminProblem> {
    let number = value.parse().ok().filter(|number| bounds.contains(number));
    number.ok_or_else(|| wrong(format!("`{name}` is a whole number of {} to {}", bounds.start(), bounds.end())))
}

fn wrong(detail: impl Into<String>) -> AdminProblem {
    AdminProblem::new(StatusCode::BAD_REQUEST, "wrong-order", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Option<RolloutWish> {
        wish(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()).ok()
    }

    #[test]
    fn a_query_is_decoded() {
        let fields = query("canary=5%25,25%25&why=it%20is%20%C3%A9&hold=true").unwrap();
        let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(fields, [("canary", "5%,25%"), ("hold", "true"), ("why", "it is é")]);
        for wrong in ["why=%", "why=%2", "why=%ff", "why=%zz"] {
            assert!(query(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_settings_of_a_rollout_are_read_and_wrong_ones_refused() {
        let wish = read(&[("canary", "5%, 25%"), ("step_ms", "1000"), ("calls", "7"), ("why", "faster")]).unwrap();
        assert_eq!(wish.canary, Some(vec![5, 25]));
        assert_eq!((wish.step, wish.calls), (Some(Duration::from_secs(1)), Some(7)));
        assert_eq!((wish.why.as_deref(), wish.now, wish.hold), (Some("faster"), false, false));
        for wrong in [
            ("canary", "25%,5%"),
            ("canary", "0%"),
            ("canary", "100%"),
            ("canary", "5"),
            ("canary", ""),
            ("step_ms", "1"),
            ("calls", "0"),
            ("hold", "yes"),
            ("why", "two\nlines"),
            ("why", "a\u{1b}[2Jb"),
            ("canery", "5%"),
        ] {
            assert!(read(&[wrong]).is_none(), "{wrong:?}");
        }
        assert!(read(&[("now", "true"), ("canary", "5%")]).is_none());
    }
}
