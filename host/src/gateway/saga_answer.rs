//! The answers of routes that start a saga, or show one.

use super::problem::Problem;
use crate::base::{Body, Identity, empty_body, full_body};
use crate::coordinator::{SagaStarter, SagaStatus};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use serde_json::{Value, json};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::timeout_at;

/// What makes a start repeatable.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What a request refused by this file is counted as.
pub(super) const REFUSED: [(u16, &str); 9] = [
    (400, "malformed-body"),
    (404, "no-saga"),
    (408, "slow-body"),
    (409, "saga-locked"),
    (409, "saga-undone"),
    (413, "body-too-large"),
    (415, "unsupported-media-type"),
    (422, "saga-refused"),
    (503, "sagas-unavailable"),
];

/// A route that leads to a saga: POST starts it, GET shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SagaRoute {
    /// The saga of the manifest.
    pub saga: Arc<str>,
    /// How long a start waits for the end: 0 s to 1 h. Default 0 s.
    pub wait: Duration,
}

impl SagaRoute {
    /// What a route with these methods does with the saga; an empty list stands for any.
    pub fn verbs(&self, methods: &[Method]) -> &'static str {
        let (starts, shows) = (methods.contains(&Method::POST), methods.iter().any(|method| *method != Method::POST));
        match (starts, shows) {
            (true, false) => "start",
            (false, true) => "show",
            _ => "start,show",
        }
    }
}

/// Why a saga was not started, or is not shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SagaRefusal {
    /// There is none with this id.
    Unknown,
    /// The input does not fit; what is wrong, for the client.
    Input(String),
    /// The key was used with another input.
    OtherInput,
    /// Another saga has what this one locks.
    Locked {
        /// The name of the lock.
        lock: Arc<str>,
        /// The saga of the manifest that has it.
        saga: Arc<str>,
        /// When it loses the lock at the latest, in milliseconds since 1970.
        until: u64,
    },
    /// Not now.
    Unavailable,
}

/// What becomes of a question about a saga.
pub type SagaDoorFuture<'a> = Pin<Box<dyn Future<Output = Result<SagaStatus, SagaRefusal>> + Send + 'a>>;

/// How the gateway reaches the sagas.
pub trait SagaDoor: Send + Sync + 'static {
    /// Starts a saga with this input for a starter, whose key makes it repeatable, and waits for its end for `wait` at
    /// most. It is on disk when this returns.
    fn start<'a>(
        &'a self,
        saga: &'a str,
        starter_and_key: (SagaStarter<'a>, Option<&'a str>),
        input: Bytes,
        wait: Duration,
    ) -> SagaDoorFuture<'a>;

    /// What a saga is at.
    fn show<'a>(&'a self, saga: &'a str, id: &'a str) -> SagaDoorFuture<'a>;
}

/// The way to the sagas, if the manifest has any.
#[derive(Clone, Default)]
pub struct SagaEntrance(pub Option<Arc<dyn SagaDoor>>);

impl fmt::Debug for SagaEntrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SagaEntrance")
    }
}

/// A request to such a route.
pub(super) struct SagaRequest<'a> {
    pub(super) head: &'a Parts,
    pub(super) body: Body,
    pub(super) body_limit: u64,
    /// Who asks.
    pub(super) starter: SagaStarter<'a>,
    pub(super) deadline: Instant,
}

/// Who starts a saga, by what the route's policies know.
pub(super) fn starter(identity: Option<&Identity>) -> SagaStarter<'_> {
    identity.map_or(SagaStarter::Anybody, |one| SagaStarter::Caller { policy: &one.policy, subject: &one.subject })
}

/// Starts the saga of the route, or shows one. The head has been checked: what starts one says that it is JSON.
///
/// # Errors
/// The request does not fit, there is no such saga, it cannot be started now, or it has ended undone.
pub(super) async fn answer(
    entrance: &SagaEntrance,
    route: &SagaRoute,
    request: SagaRequest<'_>,
) -> Result<Response<Body>, Problem> {
    let door = entrance.0.as_ref().ok_or_else(|| problem(SagaRefusal::Unavailable))?;
    let SagaRequest { head, body, body_limit, starter, deadline } = request;
    let path = head.uri.path();
    if head.method != Method::POST {
        let id = path.rsplit('/').next().unwrap_or_default();
        let status = door.show(&route.saga, id).await.map_err(problem)?;
        let mut shown = written(StatusCode::OK, &status);
        if head.method == Method::HEAD {
            // The length stays: HTTP/2 would send the content (hyper 1.12).
            *shown.body_mut() = empty_body();
        }
        return Ok(shown);
    }
    let key = idempotency_key(head)?;
    let input = read(body, body_limit, deadline).await?;
    let left = deadline.saturating_duration_since(Instant::now());
    let status = door.start(&route.saga, (starter, key), input, route.wait.min(left)).await.map_err(problem)?;
    let location = HeaderValue::from_str(&format!("{}/{}", path.trim_end_matches('/'), status.id)).ok();
    if status.is_undone() {
        let problem = undone(&status);
        return Err(match location {
            Some(location) => problem.with_header(LOCATION, location),
            None => problem,
        });
    }
    let code = if status.has_ended() { StatusCode::OK } else { StatusCode::ACCEPTED };
    let mut answer = written(code, &status);
    if let Some(location) = location {
        answer.headers_mut().insert(LOCATION, location);
    }
    Ok(answer)
}

/// The key that makes the start repeatable, if the client gives one. Of two nobody could say which one counts.
fn idempotency_key(head: &Parts) -> Result<Option<&str>, Problem> {
    let wrong = |detail: &'static str| Problem::bad_request("malformed-body", detail);
    let mut given = head.headers.get_all(&IDEMPOTENCY_KEY).iter();
    let key = given.next().map(|value| value.to_str()).transpose();
    let key = key.map_err(|_| wrong("`Idempotency-Key` must be 1 to 200 visible ASCII characters"))?;
    if given.next().is_some() { Err(wrong("`Idempotency-Key` must not be repeated")) } else { Ok(key) }
}

async fn read(body: Body, limit: u64, deadline: Instant) -> Result<Bytes, Problem> {
    let limited = Limited::new(body, usize::try_from(limit).unwrap_or(usize::MAX)).collect();
    let Ok(read) = timeout_at(deadline.into(), limited).await else {
        let detail = "the body did not arrive in time";
        return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "slow-body", "The body is too slow", detail).closing());
    };
    match read {
        Ok(read) => Ok(read.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            let detail = format!("the body is longer than {limit} bytes");
            let title = "The body is too large";
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", title, detail).closing())
        }
        Err(_) => Err(Problem::bad_request("malformed-body", "the body ended before its end")),
    }
}

/// A saga as its clients see it: why a step failed is the operators' business.
fn members(status: &SagaStatus) -> [(&'static str, Value); 8] {
    let SagaStatus { id, saga, state, started, ended, done, steps, result, .. } = status;
    // Whoever waits for a saga cannot do anything about one that waits for a person.
    let state = if state == "parked" { "running" } else { state };
    [
        ("id", json!(id)),
        ("saga", json!(saga)),
        ("state", json!(state)),
        ("started", json!(started)),
        ("ended", json!(ended)),
        ("done", json!(done)),
        ("steps", json!(steps)),
        ("result", json!(result)),
    ]
}

/// The answer to a start whose saga was undone: what the client wanted has not happened, and nothing of it is left. The
/// start was well formed, and the services' state was against it: 409 (RFC 9110, section 15.5.10), so that a client
/// which looks at the status alone takes it for no success.
fn undone(status: &SagaStatus) -> Problem {
    let detail = "one of the steps could not be done, so all of them were undone";
    let problem = Problem::new(StatusCode::CONFLICT, "saga-undone", "Nothing was done", detail);
    let add = |problem: Problem, (name, value): (&'static str, Value)| match value {
        Value::Null => problem,
        value => problem.with_member(name, value.to_string().as_bytes()),
    };
    members(status).into_iter().fold(problem, add)
}

fn written(code: StatusCode, status: &SagaStatus) -> Response<Body> {
    let text = Value::Object(members(status).map(|(name, value)| (name.to_owned(), value)).into_iter().collect());
    let text = text.to_string();
    let length = HeaderValue::from(text.len());
    let mut answer = Response::new(full_body(text));
    *answer.status_mut() = code;
    answer.headers_mut().insert(CONTENT_LENGTH, length);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

fn problem(refusal: SagaRefusal) -> Problem {
    match refusal {
        SagaRefusal::Unknown => {
            let detail = "there is no saga with this id, or it is forgotten";
            Problem::new(StatusCode::NOT_FOUND, "no-saga", "There is no such saga", detail)
        }
        SagaRefusal::Input(detail) => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "saga-refused", "The input does not fit", detail)
        }
        SagaRefusal::OtherInput => {
            let detail = "the key was used with another input";
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "saga-refused", "The key was used before", detail)
        }
        SagaRefusal::Locked { lock, saga, until } => {
            let detail = format!("saga `{saga}` has the `{lock}` of this one: start it when that one has ended");
            let problem = Problem::new(StatusCode::CONFLICT, "saga-locked", "Another saga is at it", detail);
            let members = [("lock", json!(&*lock)), ("saga", json!(&*saga)), ("until", json!(until))];
            members
                .into_iter()
                .fold(problem, |problem, (name, value)| problem.with_member(name, value.to_string().as_bytes()))
        }
        SagaRefusal::Unavailable => {
            let detail = "no saga can be started or shown now";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "sagas-unavailable", "Not now", detail)
                .with_header(RETRY_AFTER, HeaderValue::from_static("1"))
        }
    }
}
