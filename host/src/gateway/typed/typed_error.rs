//! Makes the problem from an error that a function answered.

use crate::base::{RequestId, ServiceName};
use crate::contract::{Case, HttpBinding, Type, Value, json};
use crate::gateway::problem::Problem;
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};

/// The most bytes of an error's payload that are logged; the rest is cut off.
const MAX_LOGGED: usize = 2048;

/// The case in the problem of an error that has no cases.
const UNNAMED: &str = "error";

/// The problem for an error; `None` if the error is not of its type.
pub(super) fn problem<V: Value>(
    binding: &HttpBinding,
    error: Option<&V>,
    service: &ServiceName,
    id: &RequestId,
) -> Option<Problem> {
    let error = TypedError::of(binding, error)?;
    let status = binding.status_of(error.case);
    let problem =
        if status.is_server_error() { error.hidden(status, service, id) } else { error.shown(status, service) };
    let problem = problem.about(service).with_member("case", &quoted(&binding.names.of(error.case)));
    Some(match status {
        StatusCode::UNAUTHORIZED => problem.with_header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
        StatusCode::SERVICE_UNAVAILABLE => problem.with_header(RETRY_AFTER, HeaderValue::from_static("1")),
        _ => problem,
    })
}

/// An error, split into its parts.
struct TypedError<'a, V> {
    /// The name of the case, in kebab-case.
    case: &'a str,
    payload: Option<&'a V>,
    /// The payload in JSON.
    json: Option<Vec<u8>>,
    /// Whether the payload is a list of violations: of records with `pointer` and `detail`.
    lists_violations: bool,
}

impl<'a, V: Value> TypedError<'a, V> {
    fn of(binding: &'a HttpBinding, error: Option<&'a V>) -> Option<Self> {
        let ty = binding.error();
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
                json::write(ty, binding.names, payload, &mut text).ok()?;
                Some(text)
            }
            (None, None) => None,
            _ => return None,
        };
        Some(Self { case, payload, json, lists_violations: payload_ty.is_some_and(is_list_of_violations) })
    }

    /// The problem for an error of the client's: the client gets all that the service says.
    fn shown(&self, status: StatusCode, service: &ServiceName) -> Problem {
        let text = self.payload.and_then(Value::as_string).filter(|text| !text.is_empty());
        let detail = match text {
            Some(text) => text.to_owned(),
            None if self.lists_violations => {
                format!("service `{service}` answers `{}`: `errors` lists what is wrong", self.case)
            }
            None => format!("service `{service}` answers `{}`", self.case),
        };
        let problem = Problem::of_case(status, self.case.to_owned(), detail);
        let Some(json) = &self.json else { return problem };
        problem.with_member(if self.lists_violations { "errors" } else { "payload" }, json)
    }

    /// The problem for a failure of the service: what the service says about it is logged for its operators, and not
    /// sent.
    fn hidden(&self, status: StatusCode, service: &ServiceName, id: &RequestId) -> Problem {
        let (request_id, name, case) = (id.as_str(), service.as_str(), self.case);
        let payload = self.json.as_deref().unwrap_or_default();
        let error = String::from_utf8_lossy(&payload[..payload.len().min(MAX_LOGGED)]);
        tracing::warn!(request_id, service = name, case, %error, "a function answered that its service failed");
        let predicate = if status == StatusCode::SERVICE_UNAVAILABLE { "cannot answer now" } else { "failed" };
        Problem::of_case(status, case.to_owned(), format!("service `{service}` {predicate}"))
    }
}

fn find<'a>(cases: &'a [Case], name: &str) -> Option<&'a Case> {
    cases.iter().find(|case| case.name == name)
}

fn is_list_of_violations(ty: &Type) -> bool {
    let Type::List(item) = ty.resolved() else { return false };
    let Type::Record(record) = item.resolved() else { return false };
    let is_text =
        |name| record.fields.iter().any(|field| field.name == name && matches!(field.ty.resolved(), Type::String));
    is_text("pointer") && is_text("detail")
}

fn quoted(text: &str) -> Vec<u8> {
    serde_json::to_vec(text).expect("a string always has JSON")
}
