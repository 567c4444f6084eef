//! Makes the HTTP answer from a function's result.

use super::typed_error;
use crate::base::{Body, ErrorKind, RequestId, ServiceName, empty_body, full_body};
use crate::contract::{HttpBinding, Type, Value, json};
use crate::gateway::problem::Problem;
use crate::gateway::status;
use crate::route::Path;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Response};

/// The longest `Location` that is sent. Every party on the way supports that much in a request line (RFC 9110, section
/// 4.1), and the gateway's own bound is above it.
const LONGEST_LOCATION: usize = 8000;

/// The texts of the arguments that the answer's `Location` repeats, by the parameters' names. They are kept because the
/// call consumes the arguments.
pub(crate) struct EchoedArguments(Vec<(String, String)>);

impl EchoedArguments {
    pub(crate) fn of<V: Value>(binding: &HttpBinding, arguments: &[V]) -> Self {
        let repeated = binding.location.iter().flat_map(|location| location.parameters());
        let text = |name: &str| {
            let at = binding.function.params.iter().position(|param| param.name == name)?;
            json::write_text(&binding.function.params[at].ty, binding.names, arguments.get(at)?)
        };
        Self(repeated.filter_map(|name| Some((name.to_owned(), text(name)?))).collect())
    }
}

/// The answer for a function's result.
///
/// # Errors
/// The problem for an error that the function answered; 502 if the result is not of the function's type.
pub(crate) fn answer<V: Value>(
    binding: &HttpBinding,
    result: Option<&V>,
    echo: &EchoedArguments,
    service: &ServiceName,
    id: &RequestId,
) -> Result<Response<Body>, Problem> {
    let outcome = match binding.function.result.as_ref().map(Type::resolved) {
        Some(Type::Result { .. }) => result.and_then(Value::as_result),
        _ => Some(Ok(result)),
    };
    let response = match outcome {
        Some(Ok(value)) => success(binding, value, echo).map(Ok),
        Some(Err(error)) => typed_error::problem(binding, error, service, id).map(Err),
        None => None,
    };
    response.unwrap_or_else(|| Err(misfit(service, id)))
}

/// The answer for a success; `None` if the value is not of its type.
fn success<V: Value>(binding: &HttpBinding, value: Option<&V>, echo: &EchoedArguments) -> Option<Response<Body>> {
    let mut response = Response::new(empty_body());
    *response.status_mut() = binding.status;
    let headers = response.headers_mut();
    // The function has succeeded already. If a name cannot stand in a path, the answer lacks its location, but is still
    // sent.
    let path =
        binding.location.as_ref().and_then(|location| location.render(|name| text_of(name, binding, value, echo)));
    let path = path.filter(|path| can_be_followed(path));
    if let Some(location) = path.and_then(|path| HeaderValue::from_str(&path).ok()) {
        headers.insert(LOCATION, location);
    }
    if let Some(ty) = binding.success() {
        let mut text = Vec::new();
        json::write(ty, binding.names, value?, &mut text).ok()?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
        // The length is set here: for HEAD, hyper drops the body and sets no length (hyperium/hyper#2836).
        *response.body_mut() = full_body(text);
    }
    Some(response)
}

/// Whether the gateway accepts a request for this location. It refuses a path that readers understand differently
/// (`a%2Fb`), so a client that followed such a location would get 400.
fn can_be_followed(location: &str) -> bool {
    let path = location.split(['?', '#']).next().unwrap_or(location);
    location.len() <= LONGEST_LOCATION && Path::parse(path).is_ok()
}

/// The text for a name in a location: of the answer's field, or else of the argument.
fn text_of<V: Value>(name: &str, binding: &HttpBinding, value: Option<&V>, echo: &EchoedArguments) -> Option<String> {
    let field = match binding.success().map(Type::resolved) {
        Some(Type::Record(record)) => record.fields.iter().find(|field| field.name == name),
        _ => None,
    };
    let Some(field) = field else {
        return echo.0.iter().find(|(own, _)| own == name).map(|(_, text)| text.clone());
    };
    let (_, value) = value?.as_record()?.iter().find(|(own, _)| *own == field.name)?;
    json::write_text(&field.ty, binding.names, value)
}

/// The problem for a result that is not of the function's type.
fn misfit(service: &ServiceName, id: &RequestId) -> Problem {
    let (request_id, name) = (id.as_str(), service.as_str());
    tracing::warn!(request_id, service = name, "a function's result is not of the type in its contract");
    status::problem(ErrorKind::BadAnswer, service)
}
