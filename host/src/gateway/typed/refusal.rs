//! An error that a function answered, as a problem.

use crate::base::{RequestId, ServiceName};
use crate::contract::{Case, HttpBinding, Type, Value, json};
use crate::gateway::problem::Problem;
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};

/// More of what a service says of its failure is cut off in the log, in bytes.
const MAX_LOGGED: usize = 2048;

/// The name of an error that has no cases.
const UNNAMED: &str = "error";

/// The problem for an error; `None` when it is not of its type.
pub(super) fn problem<V: Value>(
    face: &HttpBinding,
    error: Option<&V>,
    service: &ServiceName,
    id: &RequestId,
) -> Option<Problem> {
    let refusal = TypedError::of(face, error)?;
    let status = StatusCode::from_u16(face.status_of(refusal.case)).expect("a face has statuses of HTTP");
    let problem =
        if status.is_server_error() { refusal.hidden(status, service, id) } else { refusal.shown(status, service) };
    let problem = problem.about(service).with_member("case", &quoted(&face.names.of(refusal.case)));
    Some(match status {
        StatusCode::UNAUTHORIZED => problem.with_header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
        StatusCode::SERVICE_UNAVAILABLE => problem.with_header(RETRY_AFTER, HeaderValue::from_static("1")),
        _ => problem,
    })
}

/// An error, taken apart.
struct TypedError<'a, V> {
    /// In kebab-case.
    case: &'a str,
    payload: Option<&'a V>,
    /// The payload in JSON.
    json: Option<Vec<u8>>,
    /// Whether the payload is a list of what fails validation: records with `pointer` and `detail`.
    lists_faults: bool,
}

impl<'a, V: Value> TypedError<'a, V> {
    fn of(face: &'a HttpBinding, error: Option<&'a V>) -> Option<Self> {
        let ty = face.error();
        let (case, payload_ty, payload) = match (ty.map(Type::resolved), error) {
            (Some(Type::Variant(variant)), Some(error)) => {
                let (case, payload) = error.as_variant()?;
                (case, find(&variant.cases, case)?.ty.as_ref(), payload)
            }
            (Some(Type::Enum(cases)), Some(error)) => {
                let case = error.as_enumeration()?;
                (find(&cases.cases, case)?.name.as_str(), None, None)
            }
            _ => (UNNAMED, ty, error),
        };
        let json = match (payload_ty, payload) {
            (Some(ty), Some(payload)) => {
                let mut text = Vec::new();
                json::write(ty, face.names, payload, &mut text).ok()?;
                Some(text)
            }
            (None, None) => None,
            _ => return None,
        };
        Some(Self { case, payload, json, lists_faults: payload_ty.is_some_and(is_list_of_faults) })
    }

    /// What the client did: it learns all that the service says.
    fn shown(&self, status: StatusCode, service: &ServiceName) -> Problem {
        let text = self.payload.and_then(Value::as_string).filter(|text| !text.is_empty());
        let detail = text.map_or_else(|| format!("service `{service}` answers `{}`", self.case), str::to_owned);
        let problem = Problem::of_case(status, self.case, detail);
        let Some(json) = &self.json else { return problem };
        let problem = if self.lists_faults { problem.with_member("errors", json) } else { problem };
        problem.with_member("payload", json)
    }

    /// What the service did: what it says of that is for those who run it.
    fn hidden(&self, status: StatusCode, service: &ServiceName, id: &RequestId) -> Problem {
        let (request_id, name, case) = (id.as_str(), service.as_str(), self.case);
        let said = self.json.as_deref().unwrap_or_default();
        let error = String::from_utf8_lossy(&said[..said.len().min(MAX_LOGGED)]);
        tracing::warn!(request_id, service = name, case, %error, "a function answered a fault of its service");
        let predicate = if status == StatusCode::SERVICE_UNAVAILABLE { "cannot answer now" } else { "failed" };
        Problem::of_case(status, case, format!("service `{service}` {predicate}"))
    }
}

fn find<'a>(cases: &'a [Case], name: &str) -> Option<&'a Case> {
    cases.iter().find(|case| case.name == name)
}

fn is_list_of_faults(ty: &Type) -> bool {
    let Type::List(item) = ty.resolved() else { return false };
    let Type::Record(record) = item.resolved() else { return false };
    let is_text =
        |name| record.fields.iter().any(|field| field.name == name && matches!(field.ty.resolved(), Type::String));
    is_text("pointer") && is_text("detail")
}

fn quoted(text: &str) -> Vec<u8> {
    serde_json::to_vec(text).expect("a text is always JSON")
}
