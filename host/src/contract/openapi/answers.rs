//! The responses of an operation: its success, the cases of its error, and the problems (RFC 9457) that the gateway answers by itself.

use super::named::Named;
use super::schema;
use crate::contract::face::cases;
use crate::contract::{Case, HttpBinding, ParamSource, Type};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The name of the schema of all problems.
pub(super) const PROBLEM: &str = "Problem";

/// A header of a response, and what it says.
type ResponseHeader = (&'static str, &'static str);

/// It comes with each 401 (RFC 9110, section 15.5.2).
const CHALLENGE: ResponseHeader = ("WWW-Authenticate", "How to say who asks.");

/// What comes with a 415: the one or the other, by what was wrong (RFC 9110, section 15.5.16).
const TAKEN: &[ResponseHeader] = &[
    ("Accept", "The types that are read, where the body is of another."),
    ("Accept-Encoding", "The codings that are read, where the body has another."),
];

/// A problem that the gateway answers by itself.
struct ProblemAnswer {
    status: u16,
    name: &'static str,
    description: &'static str,
    headers: &'static [ResponseHeader],
    /// Which operations it can come from.
    concerns: fn(&HttpBinding) -> bool,
}

impl ProblemAnswer {
    const fn new(
        status: u16,
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

/// Sorted by status, one for each.
const REFUSALS: [ProblemAnswer; 13] = [
    ProblemAnswer::new(
        400,
        "BadRequest",
        all,
        "The request is malformed: its path, its query, a header, or a body that is no JSON.",
    ),
    ProblemAnswer::new(404, "NotFound", with_path, "There is nothing at this path."),
    ProblemAnswer::new(405, "MethodNotAllowed", all, "There is no such method here.")
        .with_headers(&[("Allow", "The methods that there are.")]),
    ProblemAnswer::new(406, "NotAcceptable", all, "The answer is JSON, which `Accept` does not admit."),
    ProblemAnswer::new(408, "RequestTimeout", with_body, "The body did not come in its time."),
    ProblemAnswer::new(413, "ContentTooLarge", with_body, "The body is too large."),
    ProblemAnswer::new(415, "UnsupportedMediaType", with_body, "The body is of a type that is not read here.")
        .with_headers(TAKEN),
    ProblemAnswer::new(
        422,
        "UnprocessableContent",
        with_body,
        "The body is JSON, but not of its schema; `errors` has each place.",
    ),
    ProblemAnswer::new(500, "InternalServerError", all, "The host failed."),
    ProblemAnswer::new(502, "BadGateway", all, "The service crashed, or gave no valid answer."),
    ProblemAnswer::new(
        503,
        "ServiceUnavailable",
        all,
        "The service is unavailable or overloaded. Trying again later may help.",
    )
    .with_headers(&[("Retry-After", "How many seconds to wait, where that is known.")]),
    ProblemAnswer::new(504, "GatewayTimeout", all, "The service did not answer in its time."),
    ProblemAnswer::new(508, "LoopDetected", all, "Services called each other too deeply."),
];

fn all(_: &HttpBinding) -> bool {
    true
}

fn with_path(face: &HttpBinding) -> bool {
    face.sources.iter().any(|source| matches!(source, ParamSource::Path(_)))
}

fn with_body(face: &HttpBinding) -> bool {
    face.body().is_some()
}

/// The types whose values answers carry.
pub(super) fn carried(face: &HttpBinding) -> impl Iterator<Item = &Type> {
    let shown = cases(face.error()).iter().filter(|case| is_shown(face.status_of(&case.name)));
    face.success().into_iter().chain(shown.filter_map(|case| case.ty.as_ref()))
}

/// Whether the payload of an error goes out: what a service says of its own faults is for those who run it.
fn is_shown(status: u16) -> bool {
    status < 500
}

/// The Responses Object of an operation. Adds the statuses of the shared responses that it refers to.
pub(super) fn responses(face: &HttpBinding, named: &Named, shared: &mut BTreeSet<u16>) -> Value {
    let mut responses = Map::new();
    let mut refusals: BTreeMap<u16, &ProblemAnswer> =
        REFUSALS.iter().filter(|refusal| (refusal.concerns)(face)).map(|refusal| (refusal.status, refusal)).collect();
    for (status, failed) in by_status(face) {
        // The gateway may answer this status by itself, too: the case is told by the members and not by the status.
        let refusal = refusals.remove(&status);
        responses.insert(status.to_string(), failure(face, status, &failed, refusal, named));
    }
    for (status, refusal) in refusals {
        shared.insert(status);
        responses.insert(status.to_string(), json!({"$ref": format!("#/components/responses/{}", refusal.name)}));
    }
    responses.insert(face.status.to_string(), success(face, named));
    Value::Object(responses)
}

/// The responses to which operations refer.
pub(super) fn shared(statuses: &BTreeSet<u16>) -> Map<String, Value> {
    let used = REFUSALS.iter().filter(|refusal| statuses.contains(&refusal.status));
    let responses = used
        .map(|refusal| (refusal.name.to_owned(), problem_response(refusal.description, reference(), refusal.headers)));
    responses.collect()
}

/// The schema of all problems.
pub(super) fn problem() -> Value {
    let text = |says: &str| json!({"type": "string", "description": says});
    let fault = json!({
        "type": "object",
        "properties": {
            "pointer": text("A JSON pointer (RFC 6901) to the place in the body, or to the parameter."),
            "detail": text("What is wrong there."),
        },
        "required": ["pointer", "detail"],
    });
    json!({
        "type": "object",
        "description": "Why a request was not answered as it was meant (RFC 9457).",
        "properties": {
            "type": text("A URN that names the kind of problem."),
            "title": text("The kind of problem in words."),
            "status": {"type": "integer", "minimum": 400, "maximum": 599, "description": "The status of the response."},
            "detail": text("What went wrong with this request."),
            "request_id": text("The id of the request, for who looks into it."),
            "service": text("The service that it concerns."),
            "case": text("The case of the function's error."),
            "payload": {"description": "What the case carries."},
            "errors": {"type": "array", "items": fault, "description": "Each place of the request that is at fault."},
        },
        "required": ["type", "title", "status", "detail", "request_id"],
    })
}

fn success(face: &HttpBinding, named: &Named) -> Value {
    let mut response = match face.success() {
        Some(ty) => {
            let schema = schema::of(ty, face.names, named);
            json!({"description": "The answer.", "content": {"application/json": {"schema": schema}}})
        }
        None => json!({"description": "It is done; there is nothing to answer."}),
    };
    if face.location.is_some() {
        let schema = json!({"type": "string", "format": "uri-reference"});
        response["headers"] = json!({"Location": {"description": "Where the result is found.", "schema": schema}});
    }
    response
}

/// The cases of the error by status.
fn by_status(face: &HttpBinding) -> BTreeMap<u16, Vec<&Case>> {
    let mut statuses: BTreeMap<u16, Vec<&Case>> = BTreeMap::new();
    for case in cases(face.error()) {
        statuses.entry(face.status_of(&case.name)).or_default().push(case);
    }
    statuses
}

/// The response of a status that cases of the error have, and perhaps the gateway's own problem as well.
fn failure(face: &HttpBinding, status: u16, failed: &[&Case], refusal: Option<&ProblemAnswer>, named: &Named) -> Value {
    let names: Vec<String> = failed.iter().map(|case| face.names.of(&case.name)).collect();
    let said = failed.iter().zip(&names).map(|(case, name)| match &case.docs {
        Some(docs) => format!("`{name}`: {docs}"),
        None => format!("`{name}`"),
    });
    let said: Vec<String> = said.chain(refusal.map(|refusal| refusal.description.to_owned())).collect();

    let mut payloads: Vec<Value> = Vec::new();
    for ty in failed.iter().filter(|_| is_shown(status)).filter_map(|case| case.ty.as_ref()) {
        let payload = schema::of(ty, face.names, named);
        if !payloads.contains(&payload) {
            payloads.push(payload);
        }
    }
    let mut properties = json!({"case": {"enum": names}});
    match payloads.as_slice() {
        [] => {}
        [payload] => properties["payload"] = payload.clone(),
        _ => properties["payload"] = json!({"anyOf": payloads}),
    }
    let schema = json!({"allOf": [reference(), {"type": "object", "properties": properties}]});
    let own: &[ResponseHeader] = if status == 401 { &[CHALLENGE] } else { &[] };
    problem_response(&said.join("\n\n"), schema, refusal.map_or(own, |refusal| refusal.headers))
}

fn problem_response(description: &str, schema: Value, headers: &[ResponseHeader]) -> Value {
    let mut response = json!({"description": description, "content": {"application/problem+json": {"schema": schema}}});
    for (name, says) in headers {
        response["headers"][name] = json!({"description": says, "schema": {"type": "string"}});
    }
    response
}

fn reference() -> Value {
    json!({"$ref": format!("#/components/schemas/{PROBLEM}")})
}
