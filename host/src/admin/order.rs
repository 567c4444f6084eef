//! Reads the bodies of requests that change circuits, faults on purpose and maintenance, create API keys, and purge the
//! cache.

use super::guard_operations::MaintenanceOrder;
use super::operations::{FaultOrder, KeyOrder};
use super::problem::AdminProblem;
use super::upload::is_solely;
use super::view::{BreakerAction, BreakerRequest};
use crate::cache::Purge;
use crate::events::longest;
use crate::fault::{Fault, Share};
use axum::body::Body;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::timeout;

/// The longest body, in bytes: it has few and short members.
const MAX_ORDER: usize = 4 * 1024;
/// The longest body with an event: a payload, a key and their names.
const MAX_EVENT: usize = longest::PAYLOAD + 4 * 1024;
/// How long a whole body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest latency that a fault can add, in milliseconds: an hour, the longest deadline of a manifest.
const MAX_LATENCY: u64 = 3_600_000;
/// The longest time after which a fault can end by itself, in seconds: 30 days.
const MAX_DURATION: u64 = 30 * 86_400;

/// The members of a request about circuits. This type checks the names only; the values are checked one by one, so that
/// an error can name the member.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BreakerMembers {
    order: Option<Value>,
    endpoint: Option<Value>,
}

/// The members of a new fault. See [`BreakerMembers`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultMembers {
    latency_ms: Option<Value>,
    latency_share: Option<Value>,
    error: Option<Value>,
    trap: Option<Value>,
    for_seconds: Option<Value>,
}

/// The longest name of a key, and the longest scope, in bytes; and the most scopes.
const LONGEST_NAME: usize = 128;
const MOST_SCOPES: usize = 64;
/// The longest life of a key, in seconds: 10 years.
const LONGEST_LIFE: u64 = 10 * 366 * 86_400;

/// The members of a new API key. See [`BreakerMembers`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyMembers {
    name: Option<Value>,
    policy: Option<Value>,
    scopes: Option<Value>,
    expires_in_seconds: Option<Value>,
}

/// The members of a purge. See [`BreakerMembers`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PurgeMembers {
    path: Option<Value>,
    prefix: Option<Value>,
    tag: Option<Value>,
}

/// Reads a purge.
pub(super) async fn purge(request: Request<Body>) -> Result<Purge, AdminProblem> {
    let PurgeMembers { path, prefix, tag } = members(request).await?;
    let order = match (text("path", path)?, text("prefix", prefix)?, text("tag", tag)?) {
        (Some(path), None, None) if path.starts_with('/') => Purge::Path(path),
        (None, Some(prefix), None) if prefix.starts_with('/') => Purge::Prefix(prefix),
        (None, None, Some(tag)) if !tag.is_empty() => Purge::Tag(tag),
        _ => {
            let detail = "a purge has one of `path` and `prefix`, which begin with `/`, and `tag`; DELETE /v1/cache \
                          takes all";
            return Err(wrong(detail));
        }
    };
    Ok(order)
}

/// Reads a request for a new API key.
pub(super) async fn key(request: Request<Body>) -> Result<KeyOrder, AdminProblem> {
    let KeyMembers { name, policy, scopes, expires_in_seconds } = members(request).await?;
    let is_name = |name: &String| {
        (1..=LONGEST_NAME).contains(&name.len()) && !name.chars().any(char::is_control) && name.trim() == name
    };
    let name = text("name", name)?
        .filter(is_name)
        .ok_or_else(|| wrong(format!("`name` is a text of 1 to {LONGEST_NAME} bytes that says whose key it is")))?;
    let scope = |value: &Value| {
        let legal = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
        let text = value.as_str().filter(|text| (1..=LONGEST_NAME).contains(&text.len()) && text.bytes().all(legal));
        text.map(str::to_owned)
    };
    let scopes = match scopes {
        None => Some(BTreeSet::new()),
        Some(Value::Array(all)) if all.len() <= MOST_SCOPES => all.iter().map(scope).collect(),
        Some(_) => None,
    };
    let complaint = || wrong(format!("`scopes` is a list of at most {MOST_SCOPES} scopes, like \"orders:read\""));
    let scopes = scopes.ok_or_else(complaint)?;
    let lasts = number("expires_in_seconds", expires_in_seconds, 1..=LONGEST_LIFE)?.map(Duration::from_secs);
    Ok(KeyOrder { name, policy: text("policy", policy)?, scopes, lasts })
}

/// The longest time after which clients are told to come back, in seconds: 7 days.
const LONGEST_MAINTENANCE: u64 = 7 * 86_400;

/// The members of an order about maintenance. See [`BreakerMembers`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MaintenanceMembers {
    on: Option<Value>,
    retry_after_seconds: Option<Value>,
}

/// Reads an order about maintenance.
pub(super) async fn maintenance(request: Request<Body>) -> Result<MaintenanceOrder, AdminProblem> {
    let MaintenanceMembers { on, retry_after_seconds } = members(request).await?;
    let on = on.and_then(|on| on.as_bool()).ok_or_else(|| wrong("`on` is true or false"))?;
    let seconds = number("retry_after_seconds", retry_after_seconds, 1..=LONGEST_MAINTENANCE)?;
    Ok(MaintenanceOrder { on, retry_after: seconds.map(Duration::from_secs) })
}

/// Reads a request about circuits.
pub(super) async fn breaker(request: Request<Body>) -> Result<BreakerRequest, AdminProblem> {
    let BreakerMembers { order, endpoint } = members(request).await?;
    let order = match text("order", order)?.as_deref() {
        Some("open") => BreakerAction::Open,
        Some("close") => BreakerAction::Close,
        Some("reset") => BreakerAction::Reset,
        _ => return Err(wrong("`order` is one of \"open\", \"close\" and \"reset\"")),
    };
    Ok(BreakerRequest { order, endpoint: text("endpoint", endpoint)? })
}

/// Reads a request for a new fault.
pub(super) async fn fault(request: Request<Body>) -> Result<FaultOrder, AdminProblem> {
    let FaultMembers { latency_ms, latency_share, error, trap, for_seconds } = members(request).await?;
    if latency_ms.is_none() && latency_share.is_some() {
        return Err(wrong("`latency_share` is of no use without `latency_ms`"));
    }
    let slow = if latency_share.is_some() { share("latency_share", latency_share)? } else { Share::ALL };
    let latency = number("latency_ms", latency_ms, 0..=MAX_LATENCY)?.unwrap_or_default();
    let (error, trap) = (share("error", error)?, share("trap", trap)?);
    let fault = Fault::new(Duration::from_millis(latency), error, trap)
        .map_err(|error| wrong(format!("`error` and `trap`: {error}: {}", error.help())))?
        .with_latency_share(slow);
    if fault.is_nothing() {
        return Err(wrong("a fault does something: give at least one of `latency_ms`, `error` and `trap`"));
    }
    let lasts = number("for_seconds", for_seconds, 1..=MAX_DURATION)?.map(Duration::from_secs);
    Ok(FaultOrder { fault, lasts })
}

/// The request's JSON object. A web page can make a browser send a form or plain text to any server, but not this media
/// type: the browser asks the server first (CORS), and the admin does not allow it.
async fn members<T: DeserializeOwned>(request: Request<Body>) -> Result<T, AdminProblem> {
    members_within(request, MAX_ORDER).await
}

/// Reads a request with an event, whose payload may be longer than other orders are.
pub(super) async fn event<T: DeserializeOwned>(request: Request<Body>) -> Result<T, AdminProblem> {
    members_within(request, MAX_EVENT).await
}

async fn members_within<T: DeserializeOwned>(request: Request<Body>, most: usize) -> Result<T, AdminProblem> {
    let (head, body) = request.into_parts();
    if !is_solely(&head.headers, "application/json") {
        let detail = "an order is a JSON object: send it with `Content-Type: application/json`";
        return Err(AdminProblem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", detail));
    }
    let body = read(body, most).await?;
    // Only an object is read: serde also accepts an array for a type with named members.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(wrong("an order is a JSON object, `{…}`"));
    }
    serde_json::from_slice(&body).map_err(|error| wrong(format!("the order cannot be read: {error}")))
}

async fn read(body: Body, most: usize) -> Result<Bytes, AdminProblem> {
    let whole = timeout(BODY_TIMEOUT, Limited::new(body, most).collect()).await.map_err(|_| {
        let detail = format!("the whole order did not arrive within {} seconds", BODY_TIMEOUT.as_secs());
        AdminProblem::new(StatusCode::REQUEST_TIMEOUT, "order-stalled", detail)
    })?;
    match whole {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let detail = format!("an order is at most {most} bytes");
            Err(AdminProblem::new(StatusCode::PAYLOAD_TOO_LARGE, "order-too-large", detail))
        }
        Err(_) => {
            Err(AdminProblem::new(StatusCode::BAD_REQUEST, "order-broken-off", "the order broke off before its end"))
        }
    }
}

/// The body is not a valid order.
fn wrong(detail: impl Into<String>) -> AdminProblem {
    AdminProblem::new(StatusCode::BAD_REQUEST, "wrong-order", detail)
}

fn text(name: &str, value: Option<Value>) -> Result<Option<String>, AdminProblem> {
    match value {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(wrong(format!("`{name}` is a text"))),
    }
}

fn number(
    name: &str,
    value: Option<Value>,
    bounds: std::ops::RangeInclusive<u64>,
) -> Result<Option<u64>, AdminProblem> {
    let Some(value) = value else { return Ok(None) };
    let number = value.as_u64().filter(|number| bounds.contains(number));
    let complaint = || wrong(format!("`{name}` is a whole number from {} to {}", bounds.start(), bounds.end()));
    number.map(Some).ok_or_else(complaint)
}

fn share(name: &str, value: Option<Value>) -> Result<Share, AdminProblem> {
    let Some(text) = text(name, value)? else { return Ok(Share::NONE) };
    Share::parse(&text).map_err(|error| wrong(format!("`{name}`: {error}: {}", error.help())))
}
