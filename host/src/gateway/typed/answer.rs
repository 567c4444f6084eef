//! What a function answers, as a response.

use super::refusal;
use crate::base::{Body, ErrorKind, RequestId, ServiceName, empty_body, full_body};
use crate::contract::{HttpBinding, Type, Value, json};
use crate::gateway::problem::Problem;
use crate::gateway::settings::Target;
use crate::gateway::status;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Response, StatusCode};

/// The texts of those arguments that the answer's `Location` repeats, by the parameters' names: the call takes the arguments away.
pub(in crate::gateway) struct Echo(Vec<(String, String)>);

impl Echo {
    pub(in crate::gateway) fn of<V: Value>(face: &HttpBinding, arguments: &[V]) -> Self {
        let repeated = face.location.iter().flat_map(|location| location.parameters());
        let text = |name: &str| {
            let at = face.function.params.iter().position(|param| param.name == name)?;
            json::write_text(&face.function.params[at].ty, face.names, arguments.get(at)?)
        };
        Self(repeated.filter_map(|name| Some((name.to_owned(), text(name)?))).collect())
    }
}

/// The response from the function's result.
///
/// # Errors
/// The error that the function answered, as the route says; 502 when the result is not of the function's type.
pub(in crate::gateway) fn answer<V: Value>(
    face: &HttpBinding,
    result: Option<&V>,
    echo: &Echo,
    target: &Target,
    id: &RequestId,
) -> Result<Response<Body>, Problem> {
    let service = &target.service;
    let outcome = match face.function.result.as_ref().map(Type::resolved) {
        Some(Type::Result { .. }) => result.and_then(Value::as_result),
        _ => Some(Ok(result)),
    };
    let response = match outcome {
        Some(Ok(value)) => success(face, value, echo).map(Ok),
        Some(Err(error)) => refusal::problem(face, error, service, id).map(Err),
        None => None,
    };
    response.unwrap_or_else(|| Err(misfit(service, id)))
}

/// The response of a success; `None` when the value is not of its type.
fn success<V: Value>(face: &HttpBinding, value: Option<&V>, echo: &Echo) -> Option<Response<Body>> {
    let mut response = Response::new(empty_body());
    *response.status_mut() = StatusCode::from_u16(face.status).expect("a face has a status of HTTP");
    let headers = response.headers_mut();
    // What was done is done: a name that cannot stand in a path leaves the answer without a location, and not without an answer.
    let path = face.location.as_ref().and_then(|location| location.render(|name| text_of(name, face, value, echo)));
    if let Some(location) = path.and_then(|path| HeaderValue::from_str(&path).ok()) {
        headers.insert(LOCATION, location);
    }
    if let Some(ty) = face.success() {
        let mut text = Vec::new();
        json::write(ty, face.names, value?, &mut text).ok()?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
        // hyper leaves the body out for HEAD, and then it does not count its length either.
        *response.body_mut() = full_body(text);
    }
    Some(response)
}

/// The text for a name in a location: of a field of the answer, or else of an argument.
fn text_of<V: Value>(name: &str, face: &HttpBinding, value: Option<&V>, echo: &Echo) -> Option<String> {
    let field = match face.success().map(Type::resolved) {
        Some(Type::Record(record)) => record.fields.iter().find(|field| field.name == name),
        _ => None,
    };
    let Some(field) = field else {
        return echo.0.iter().find(|(own, _)| own == name).map(|(_, text)| text.clone());
    };
    let (_, value) = value?.as_record()?.iter().find(|(own, _)| *own == field.name)?;
    json::write_text(&field.ty, face.names, value)
}

/// The service answered what its contract does not have.
fn misfit(service: &ServiceName, id: &RequestId) -> Problem {
    let (request_id, name) = (id.as_str(), service.as_str());
    tracing::warn!(request_id, service = name, "an answer is not of its function's type");
    status::problem(ErrorKind::BadAnswer, service)
}
