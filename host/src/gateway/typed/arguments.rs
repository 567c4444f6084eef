//! Reads the arguments of a call from the request.

use super::query::Query;
use crate::contract::json::{self, MAX_VIOLATIONS, ReadError, Violation};
use crate::contract::{HttpBinding, Names, Param, ParamSource, Type, Value, header_title_case};
use crate::gateway::problem::Problem;
use crate::gateway::settings::Target;
use crate::route::{Match, decode};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};

/// The arguments of a call in the order of the function's parameters.
pub(crate) struct Arguments<'a, V> {
    binding: &'a HttpBinding,
    /// `None` for the parameter that is the body, until the body was read.
    values: Vec<Option<V>>,
    /// Whether the method gives a body no meaning (RFC 9110, sections 9.3.1 and 9.3.5). Some clients send a body all
    /// the same: it is ignored.
    ignores_body: bool,
}

impl<'a, V: Value> Arguments<'a, V> {
    /// Reads the parameters in the path, the query and the headers.
    ///
    /// # Errors
    /// 404 if a parameter in the path does not fit: nothing can have that name. 400 for the others, with all violations
    /// together.
    pub(crate) fn from_head(
        binding: &'a HttpBinding,
        head: &Parts,
        route: &Match<'_, Target>,
    ) -> Result<Self, Problem> {
        let query = Query::parse(head.uri.query().unwrap_or_default());
        let mut violations = ParameterViolations(unknown_parameters(&query, binding));
        let mut values = Vec::with_capacity(binding.sources.len());
        for (param, source) in binding.params() {
            values.push(match source {
                ParamSource::Path(name) => Some(read_path_param(name, param, binding.names, route)?),
                ParamSource::Query(name) => {
                    let value = read(param, binding.names, &query.values(name));
                    violations.take(value, name, || format!("the query parameter `{name}`"))
                }
                ParamSource::Header(header) => {
                    let sent: Vec<_> = head.headers.get_all(header).iter().map(HeaderValue::as_bytes).collect();
                    let value = read(param, binding.names, &sent);
                    violations.take(value, &binding.names.of(&param.name), || {
                        format!("the header `{}`", header_title_case(header))
                    })
                }
                ParamSource::Body => None,
            });
        }
        let ignores_body = matches!(head.method, Method::GET | Method::HEAD | Method::DELETE);
        violations.into_result().map(|()| Self { binding, values, ignores_body })
    }

    /// Reads the body; the arguments are then complete.
    ///
    /// # Errors
    /// 400 if the body is not JSON, is absent and must not be, or there should be none; 422 if it is not of its type,
    /// with all violations together.
    pub(crate) fn with_body(self, body: &[u8]) -> Result<Vec<V>, Problem> {
        let mut body_value = match self.binding.body() {
            Some(_) if body.is_empty() && self.binding.body_may_be_absent() => Some(V::option(None)),
            Some(param) => Some(json::read(&param.ty, self.binding.names, body).map_err(unreadable_body)?),
            None if body.is_empty() || self.ignores_body => None,
            None => return Err(Problem::bad_request("unexpected-body", "this request must have no body")),
        };
        let values = self.values.into_iter().map(|value| value.or_else(|| body_value.take()));
        Ok(values.map(|value| value.expect("a parameter that is not of the head is the body")).collect())
    }
}

/// Reads a parameter in the path.
fn read_path_param<V: Value>(name: &str, param: &Param, names: Names, route: &Match<'_, Target>) -> Result<V, Problem> {
    let text = route.params().find(|(own, _)| *own == name).map(|(_, text)| decode(text));
    read(param, names, text.as_deref().as_slice()).map_err(|detail| {
        let detail = format!("`{name}` in the path {detail}");
        Problem::of_case(StatusCode::NOT_FOUND, "not-found", detail)
    })
}

/// Reads a parameter from its texts: one; or several for a list; or none for an option.
///
/// # Errors
/// The rest of a sentence about the parameter.
fn read<V: Value>(param: &Param, names: Names, texts: &[&[u8]]) -> Result<V, String> {
    let texts: Result<Vec<&str>, _> = texts.iter().map(|text| std::str::from_utf8(text)).collect();
    let texts = texts.map_err(|_| "must be UTF-8")?;
    match texts[..] {
        _ if json::is_list_of_textual(&param.ty) => json::read_texts(&param.ty, names, &texts),
        [text] => json::read_text(&param.ty, names, text),
        [] if matches!(param.ty.resolved(), Type::Option(_)) => Ok(V::option(None)),
        [] => Err("is required".into()),
        _ => Err("must not be repeated".into()),
    }
}

/// A violation for each parameter of the query that the function does not have.
fn unknown_parameters(query: &Query<'_>, binding: &HttpBinding) -> Vec<ParameterViolation> {
    let known = |name: &[u8]| binding.query_names().any(|own| own.as_bytes() == name);
    let unknown = query.unknown_names(known).into_iter().take(MAX_VIOLATIONS);
    let violation = |name: std::borrow::Cow<'_, str>| ParameterViolation {
        part: format!("the query parameter `{name}`"),
        violation: violation_of(&name, "is not known"),
    };
    unknown.map(violation).collect()
}

/// A violation of one parameter.
struct ParameterViolation {
    /// The part of the request in words: "the query parameter `limit`".
    part: String,
    violation: Violation,
}

/// All violations in the query and the headers.
struct ParameterViolations(Vec<ParameterViolation>);

impl ParameterViolations {
    /// The value of a parameter; or `None`, and its violation is added.
    fn take<V>(&mut self, read: Result<V, String>, name: &str, part: impl FnOnce() -> String) -> Option<V> {
        let add = |detail| self.0.push(ParameterViolation { part: part(), violation: violation_of(name, detail) });
        read.map_err(add).ok()
    }

    fn into_result(self) -> Result<(), Problem> {
        let Some(ParameterViolation { part, violation }) = self.0.first() else { return Ok(()) };
        let more = if self.0.len() > 1 { "; `errors` has all that is wrong" } else { "" };
        let problem = Problem::bad_request("bad-parameter", format!("{part} {}{more}", violation.detail));
        Err(problem.with_violations(self.0.iter().map(|parameter| &parameter.violation)))
    }
}

/// The violation of the parameter with this JSON name.
fn violation_of(name: &str, detail: impl Into<String>) -> Violation {
    Violation { pointer: format!("/{}", name.replace('~', "~0").replace('/', "~1")), detail: detail.into() }
}

/// The problem for a body that is not JSON, or not of its type.
fn unreadable_body(error: ReadError) -> Problem {
    match error {
        ReadError::Malformed { .. } => Problem::bad_request("bad-json", format!("the body is not JSON: {error}")),
        ReadError::Violations(violations) => {
            let detail = "the body does not fit the type of this request; `errors` has all that is wrong";
            Problem::of_case(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail).with_violations(&violations)
        }
    }
}
