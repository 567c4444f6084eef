//! The responses of an operation: its success, the cases of its error, and the problems (RFC 9457) that the gateway
//! itself answers.

use super::schema;
use super::schema_names::SchemaNames;
use crate::contract::http_binding::{HttpBinding, ParamSource};
use crate::contract::json::Direction;
use crate::contract::wit::{Case, Type};
use http::StatusCode;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The name of the schema of all problems.
pub(super) const PROBLEM: &str = "Problem";
/// The name of the schema of a saga as its clients see it.
pub(super) const SAGA: &str = "Saga";

/// A header of a response: its name and its description.
type ResponseHeader = (&'static str, &'static str);

/// The header of each 401 (RFC 9110, section 15.5.2).
const CHALLENGE: ResponseHeader = ("WWW-Authenticate", "How to authenticate.");

/// The headers of a 415: one or the other, by what was wrong (RFC 9110, section 15.5.16).
const ACCEPTED: &[ResponseHeader] = &[
    ("Accept", "The media types that are read, if the body is of another one."),
    ("Accept-Encoding", "The content codings that are read, if the body has another one."),
];

/// A problem that the gateway itself answers.
struct ProblemAnswer {
    status: StatusCode,
    name: &'static str,
    description: &'static str,
    headers: &'static [ResponseHeader],
    /// Whether an operation can have this answer.
    concerns: fn(&HttpBinding) -> bool,
}

impl ProblemAnswer {
    const fn new(
        status: StatusCode,
        name: &'static str,
        concerns: fn(&HttpBinding) -> bool,
        description: &'static str,
    ) -> Self {
        Self { status, name, description, headers: &[], concerns }
    }

    const fn with_headers(mut self, headers: &'static [ResponseHeader]) -> Self {
        self.headers = headers;
        self
    }
}

/// The problems that the gateway itself answers: sorted by status, one for each status.
const REFUSALS: [ProblemAnswer; 13] = [
    ProblemAnswer::new(
        StatusCode::BAD_REQUEST,
        "BadRequest",
        all,
        "The request is malformed: its path, its query, a header, or a body that is not JSON.",
    ),
    ProblemAnswer::new(StatusCode::NOT_FOUND, "NotFound", with_path, "There is nothing at this path."),
    ProblemAnswer::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", all, "The path does not allow this method.")
        .with_headers(&[("Allow", "The methods that the path allows.")]),
    ProblemAnswer::new(
        StatusCode::NOT_ACCEPTABLE,
        "NotAcceptable",
        all,
        "The answer is JSON, and `Accept` does not allow JSON.",
    ),
    ProblemAnswer::new(StatusCode::REQUEST_TIMEOUT, "RequestTimeout", with_body, "The body did not arrive in time."),
    ProblemAnswer::new(StatusCode::PAYLOAD_TOO_LARGE, "ContentTooLarge", with_body, "The body is too large."),
    ProblemAnswer::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "UnsupportedMediaType",
        with_body,
        "The body is of a media type or content coding that is not read here.",
    )
    .with_headers(ACCEPTED),
    ProblemAnswer::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "UnprocessableContent",
        with_body,
        "The body is JSON, but does not fit its schema; `errors` names each part that does not.",
    ),
    ProblemAnswer::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", all, "The host failed."),
    ProblemAnswer::new(StatusCode::BAD_GATEWAY, "BadGateway", all, "The service crashed, or gave no valid answer."),
    ProblemAnswer::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "ServiceUnavailable",
        all,
        "The service is unavailable or overloaded. A later request may succeed.",
    )
    .with_headers(&[("Retry-After", "How many seconds to wait, if that is known.")]),
    ProblemAnswer::new(StatusCode::GATEWAY_TIMEOUT, "GatewayTimeout", all, "The service did not answer in time."),
    ProblemAnswer::new(
        StatusCode::LOOP_DETECTED,
        "LoopDetected",
        all,
        "The chain of calls between services is too long, or a circle.",
    ),
];

/// What the gateway answers on routes to sagas, of [`REFUSALS`].
const OF_SAGAS: [StatusCode; 8] = [
    StatusCode::BAD_REQUEST,
    StatusCode::NOT_FOUND,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::REQUEST_TIMEOUT,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    StatusCode::INTERNAL_SERVER_ERROR,
    StatusCode::SERVICE_UNAVAILABLE,
];

/// Those of them that only a request with a body gets.
const STARTS_ALONE: [StatusCode; 3] =
    [StatusCode::REQUEST_TIMEOUT, StatusCode::PAYLOAD_TOO_LARGE, StatusCode::UNSUPPORTED_MEDIA_TYPE];

fn all(_: &HttpBinding) -> bool {
    true
}

fn with_path(binding: &HttpBinding) -> bool {
    binding.sources.iter().any(|source| matches!(source, ParamSource::Path(_)))
}

fn with_body(binding: &HttpBinding) -> bool {
    binding.body().is_some()
}

/// The types of the values that answers carry.
pub(super) fn carried(binding: &HttpBinding) -> impl Iterator<Item = &Type> {
    let shown = binding.error_cases().iter().filter(|case| is_shown(binding.status_of(&case.name)));
    binding.success().into_iter().chain(shown.filter_map(|case| case.ty.as_ref()))
}

/// Whether the payload of an error is sent: what a service says about its own failures is for its operators.
fn is_shown(status: StatusCode) -> bool {
    !status.is_server_error()
}

/// The Responses Object of an operation. Adds the statuses of the shared responses that it refers to to `shared`.
pub(super) fn responses(binding: &HttpBinding, schemas: &SchemaNames, shared: &mut BTreeSet<StatusCode>) -> Value {
    let mut responses = Map::new();
    let mut refusals: BTreeMap<StatusCode, &ProblemAnswer> = REFUSALS
        .iter()
        .filter(|refusal| (refusal.concerns)(binding))
        .map(|refusal| (refusal.status, refusal))
        .collect();
    for (status, cases) in by_status(binding) {
        // The gateway itself may answer this status, too. A client tells a case from a problem of the gateway by the
        // members.
        let refusal = refusals.remove(&status);
        responses.insert(key(status), failure(binding, status, &cases, refusal, schemas));
    }
    for (status, refusal) in refusals {
        shared.insert(status);
        responses.insert(key(status), json!({"$ref": format!("#/components/responses/{}", refusal.name)}));
    }
    responses.insert(key(binding.status), success(binding, schemas));
    Value::Object(responses)
}

/// The Responses Object of a route that starts a saga (`starts`), or shows one.
pub(super) fn of_saga(starts: bool, shared: &mut BTreeSet<StatusCode>) -> Value {
    let saga = |description: &str| {
        let schema = json!({"$ref": format!("#/components/schemas/{SAGA}")});
        json!({"description": description, "content": {"application/json": {"schema": schema}}})
    };
    let mut responses = Map::new();
    for refusal in REFUSALS.iter().filter(|refusal| OF_SAGAS.contains(&refusal.status)) {
        if starts || !STARTS_ALONE.contains(&refusal.status) {
            shared.insert(refusal.status);
            responses.insert(key(refusal.status), json!({"$ref": format!("#/components/responses/{}", refusal.name)}));
        }
    }
    if starts {
        let location = json!({"description": "Where the saga is shown.", "schema": {"type": "string"}});
        for (status, description) in [(StatusCode::OK, "It has completed."), (StatusCode::ACCEPTED, "It goes on.")] {
            let mut response = saga(description);
            response["headers"]["Location"] = location.clone();
            responses.insert(key(status), response);
        }
        let conflict = "It was undone and nothing of it is left, or another saga has what it locks.";
        responses.insert(key(StatusCode::CONFLICT), problem_response(conflict, reference(), &[]));
        let unfit = "The body is JSON, but not the saga's input; or the key was used with another body.";
        responses.insert(key(StatusCode::UNPROCESSABLE_ENTITY), problem_response(unfit, reference(), &[]));
    } else {
        responses.insert(key(StatusCode::OK), saga("The saga as it is now, also if it was undone."));
    }
    Value::Object(responses)
}

/// The responses that operations refer to, by name.
pub(super) fn shared(statuses: &BTreeSet<StatusCode>) -> Map<String, Value> {
    let used = REFUSALS.iter().filter(|refusal| statuses.contains(&refusal.status));
    let responses = used
        .map(|refusal| (refusal.name.to_owned(), problem_response(refusal.description, reference(), refusal.headers)));
    responses.collect()
}

/// The schema of all problems.
pub(super) fn problem() -> Value {
    let text = |description: &str| json!({"type": "string", "description": description});
    let violation = json!({
        "type": "object",
        "properties": {
            "pointer": text("A JSON pointer (RFC 6901) to the part of the body, or to the parameter."),
            "detail": text("What is wrong there."),
        },
        "required": ["pointer", "detail"],
    });
    json!({
        "type": "object",
        "description": "Why a request failed (RFC 9457).",
        "properties": {
            "type": text("A URN that names the kind of problem."),
            "title": text("The kind of problem in words."),
            "status": {"type": "integer", "minimum": 400, "maximum": 599, "description": "The status of the response."},
            "detail": text("What went wrong with this request."),
            "request_id": text("The id of the request, by which its operators find it in the log."),
            "service": text("The service that the problem concerns."),
            "case": text("The case of the function's error."),
            "payload": {"description": "The payload of the case."},
            "errors": {"type": "array", "items": violation, "description": "Each part of the request that is wrong."},
        },
        "required": ["type", "title", "status", "detail", "request_id"],
    })
}

fn success(binding: &HttpBinding, schemas: &SchemaNames) -> Value {
    let mut response = match binding.success() {
        Some(ty) => {
            let schema = schema::of(ty, binding.names, schemas.toward(Direction::Answered));
            json!({"description": "The answer.", "content": {"application/json": {"schema": schema}}})
        }
        None => json!({"description": "The request is done; there is nothing to answer."}),
    };
    if binding.location.is_some() {
        let schema = json!({"type": "string", "format": "uri-reference"});
        response["headers"] = json!({"Location": {"description": "Where the result is found.", "schema": schema}});
    }
    response
}

/// The cases of the error by status.
fn by_status(binding: &HttpBinding) -> BTreeMap<StatusCode, Vec<&Case>> {
    let mut statuses: BTreeMap<StatusCode, Vec<&Case>> = BTreeMap::new();
    for case in binding.error_cases() {
        statuses.entry(binding.status_of(&case.name)).or_default().push(case);
    }
    statuses
}

/// The response of a status that cases of the error have, and perhaps a problem of the gateway as well.
fn failure(
    binding: &HttpBinding,
    status: StatusCode,
    cases: &[&Case],
    refusal: Option<&ProblemAnswer>,
    schemas: &SchemaNames,
) -> Value {
    let names: Vec<String> = cases.iter().map(|case| binding.names.of(&case.name)).collect();
    let described = cases.iter().zip(&names).map(|(case, name)| match &case.docs {
        Some(docs) => format!("`{name}`: {docs}"),
        None => format!("`{name}`"),
    });
    let described: Vec<String> = described.chain(refusal.map(|refusal| refusal.description.to_owned())).collect();

    let mut payloads: Vec<Value> = Vec::new();
    for ty in cases.iter().filter(|_| is_shown(status)).filter_map(|case| case.ty.as_ref()) {
        let payload = schema::of(ty, binding.names, schemas.toward(Direction::Answered));
        if !payloads.contains(&payload) {
            payloads.push(payload);
        }
    }
    // A later revision may answer further cases.
    let mut properties = json!({"case": {"anyOf": [{"enum": names}, {"type": "string"}]}});
    match payloads.as_slice() {
        [] => {}
        [payload] => properties["payload"] = payload.clone(),
        _ => properties["payload"] = json!({"anyOf": payloads}),
    }
    let schema = json!({"allOf": [reference(), {"type": "object", "properties": properties}]});
    let own: &[ResponseHeader] = if status == StatusCode::UNAUTHORIZED { &[CHALLENGE] } else { &[] };
    problem_response(&described.join("\n\n"), schema, refusal.map_or(own, |refusal| refusal.headers))
}

fn problem_response(description: &str, schema: Value, headers: &[ResponseHeader]) -> Value {
    let mut response = json!({"description": description, "content": {"application/problem+json": {"schema": schema}}});
    for (name, description) in headers {
        response["headers"][name] = json!({"description": description, "schema": {"type": "string"}});
    }
    response
}

fn reference() -> Value {
    json!({"$ref": format!("#/components/schemas/{PROBLEM}")})
}

/// The name of a status in a Responses Object.
fn key(status: StatusCode) -> String {
    status.as_str().to_owned()
}
