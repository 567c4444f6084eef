//! What operators order of the mesh: the wire types that they (and the CLI) send, and the reading of these.

use super::problem::AdminProblem;
use super::upload::is_solely;
use crate::fault::{Fault, Share};
use axum::body::Body;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;
use tokio::time::timeout;

/// The longest order, in bytes: the members are few and short.
const MAX_ORDER: usize = 4 * 1024;
/// How long an order may take to come in whole.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most latency that is added on purpose, in milliseconds: an hour, the longest deadline of a manifest.
const MAX_LATENCY: u64 = 3_600_000;
/// How long a fault may stand that ends by itself, in seconds: 30 days.
const MAX_STANDING: u64 = 30 * 86_400;

/// What is to become of a circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BreakerAction {
    /// No call passes, until a reset.
    Open,
    /// Every call passes, until a reset.
    Close,
    /// Closed, with fresh counts, and by itself again.
    Reset,
}

/// The body of `POST /v1/services/{name}/breaker`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BreakerRequest {
    /// What is to become of the circuits.
    pub order: BreakerAction,
    /// The endpoint whose circuit it is; none for all of the service's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
}

/// The body of `POST /v1/services/{name}/faults`: at least one of the first three.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct FaultRequest {
    /// How much longer each call takes, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    /// The share of calls that fail like an error of the service: `10%`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The share of calls that fail like a trap of the service: `1%`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trap: Option<String>,
    /// After how many seconds it ends by itself; none: when it is cleared or the host restarts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub for_seconds: Option<u64>,
}

/// A fault that is to stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultOrder {
    /// What it does: never nothing.
    pub fault: Fault,
    /// How long it is to stand, at most 30 days; `None`: until it is cleared.
    pub lasts: Option<Duration>,
}

/// The members as they came: their names are checked by this type, their values one by one, so that a complaint can name the member.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BreakerMembers {
    order: Option<Value>,
    endpoint: Option<Value>,
}

/// See [`BreakerMembers`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultMembers {
    latency_ms: Option<Value>,
    error: Option<Value>,
    trap: Option<Value>,
    for_seconds: Option<Value>,
}

/// The order about circuits that the request carries.
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

/// The fault that the request orders.
pub(super) async fn fault(request: Request<Body>) -> Result<FaultOrder, AdminProblem> {
    let FaultMembers { latency_ms, error, trap, for_seconds } = members(request).await?;
    let latency = number("latency_ms", latency_ms, 0..=MAX_LATENCY)?.unwrap_or_default();
    let (error, trap) = (share("error", error)?, share("trap", trap)?);
    let fault = Fault::new(Duration::from_millis(latency), error, trap)
        .map_err(|invalid| wrong(format!("`error` and `trap`: {invalid}")))?;
    if fault.is_nothing() {
        return Err(wrong("a fault does something: give at least one of `latency_ms`, `error` and `trap`"));
    }
    let lasts = number("for_seconds", for_seconds, 1..=MAX_STANDING)?.map(Duration::from_secs);
    Ok(FaultOrder { fault, lasts })
}

/// The request's JSON object. A page can make a browser send a form or plain text anywhere, but never this type without asking the
/// server first.
async fn members<T: DeserializeOwned>(request: Request<Body>) -> Result<T, AdminProblem> {
    let (head, body) = request.into_parts();
    if !is_solely(&head.headers, "application/json") {
        let detail = "an order is a JSON object: send it with `Content-Type: application/json`";
        return Err(AdminProblem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", detail));
    }
    let body = read(body).await?;
    // Read as an object first: serde takes an array for a type with named members too.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(wrong("an order is a JSON object, `{…}`"));
    }
    serde_json::from_slice(&body).map_err(|error| wrong(format!("the order cannot be read: {error}")))
}

async fn read(body: Body) -> Result<Bytes, AdminProblem> {
    let whole = timeout(PATIENCE, Limited::new(body, MAX_ORDER).collect()).await.map_err(|_| {
        let detail = format!("the order did not come in whole within {} seconds", PATIENCE.as_secs());
        AdminProblem::new(StatusCode::REQUEST_TIMEOUT, "order-stalled", detail)
    })?;
    match whole {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let detail = format!("an order is at most {MAX_ORDER} bytes");
            Err(AdminProblem::new(StatusCode::PAYLOAD_TOO_LARGE, "order-too-large", detail))
        }
        Err(_) => {
            Err(AdminProblem::new(StatusCode::BAD_REQUEST, "order-broken-off", "the order broke off before its end"))
        }
    }
}

/// The order is not one.
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
    Share::parse(&text).map_err(|invalid| wrong(format!("`{name}`: {invalid}")))
}
