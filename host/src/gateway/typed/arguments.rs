//! The arguments of a call, read from the request.

use super::query::Query;
use crate::contract::json::{self, MAX_FAULTS, ReadError, Violation};
use crate::contract::{HttpBinding, Names, Param, ParamSource, Type, Value, capitals};
use crate::gateway::problem::Problem;
use crate::gateway::settings::Target;
use crate::route::{Match, decode};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};

/// The arguments of a call in the order of the function's parameters.
pub(in crate::gateway) struct Arguments<'a, V> {
    face: &'a HttpBinding,
    /// `None` for the one that is the body, as long as that is not there.
    values: Vec<Option<V>>,
    /// The method gives a body no meaning (RFC 9110, sections 9.3.1 and 9.3.5). Some clients send one all the same: it is passed over.
    body_is_void: bool,
}

impl<'a, V: Value> Arguments<'a, V> {
    /// Reads all that stands in the path, the query and the headers.
    ///
    /// # Errors
    /// 404 for what stands in the path: whatever it names, there is none. 400 for the rest, with all faults at once.
    pub(in crate::gateway) fn of_head(
        face: &'a HttpBinding,
        head: &Parts,
        route: &Match<'_, Target>,
    ) -> Result<Self, Problem> {
        let query = Query::parse(head.uri.query().unwrap_or_default());
        let mut faults = Violations(unknown(&query, face));
        let mut values = Vec::with_capacity(face.sources.len());
        for (param, source) in face.params() {
            values.push(match source {
                ParamSource::Path(name) => Some(in_path(name, param, face.names, route)?),
                ParamSource::Query(name) => {
                    let value = read(param, face.names, &query.values(name));
                    faults.take(value, name, || format!("the query parameter `{name}`"))
                }
                ParamSource::Header(header) => {
                    let sent: Vec<_> = head.headers.get_all(header).iter().map(HeaderValue::as_bytes).collect();
                    let value = read(param, face.names, &sent);
                    faults.take(value, &face.names.of(&param.name), || format!("the header `{}`", capitals(header)))
                }
                ParamSource::Body => None,
            });
        }
        let body_is_void = matches!(head.method, Method::GET | Method::HEAD | Method::DELETE);
        faults.into_result().map(|()| Self { face, values, body_is_void })
    }

    /// Reads the body, and is complete.
    ///
    /// # Errors
    /// 400 when it is no JSON, or there should be none; 422 when it is not of its type, with all faults at once.
    pub(in crate::gateway) fn with_body(self, body: &[u8]) -> Result<Vec<V>, Problem> {
        let mut of_body = match self.face.body() {
            Some(param) => Some(json::read(&param.ty, self.face.names, body).map_err(unreadable)?),
            None if body.is_empty() || self.body_is_void => None,
            None => return Err(Problem::bad_request("unexpected-body", "this takes no body")),
        };
        let values = self.values.into_iter().map(|value| value.or_else(|| of_body.take()));
        Ok(values.map(|value| value.expect("what is not of the head is the body")).collect())
    }
}

/// Reads a parameter that stands in the path.
fn in_path<V: Value>(name: &str, param: &Param, names: Names, route: &Match<'_, Target>) -> Result<V, Problem> {
    let text = route.params().find(|(own, _)| *own == name).map(|(_, text)| decode(text));
    read(param, names, text.as_deref().as_slice()).map_err(|detail| {
        let detail = format!("`{name}` in the path {detail}");
        Problem::of_case(StatusCode::NOT_FOUND, "not-found", detail)
    })
}

/// Reads a parameter from the texts in its place: one, or several for a list, or none for an option. The error is the rest of a sentence.
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

/// What the query has that the function does not take.
fn unknown(query: &Query<'_>, face: &HttpBinding) -> Vec<(String, Violation)> {
    let known = |name: &[u8]| face.query_names().any(|own| own.as_bytes() == name);
    let unknown = query.strangers(known).into_iter().take(MAX_FAULTS);
    unknown.map(|name| (format!("the query parameter `{name}`"), fault(&name, "is not known"))).collect()
}

/// What is wrong in the query and the headers, each with its place in words.
struct Violations(Vec<(String, Violation)>);

impl Violations {
    /// Takes the fault of a parameter, if it has one.
    fn take<V>(&mut self, read: Result<V, String>, name: &str, place: impl FnOnce() -> String) -> Option<V> {
        read.map_err(|detail| self.0.push((place(), fault(name, detail)))).ok()
    }

    fn into_result(self) -> Result<(), Problem> {
        let Some((place, first)) = self.0.first() else { return Ok(()) };
        let more = if self.0.len() > 1 { "; `errors` has all that is wrong" } else { "" };
        let problem = Problem::bad_request("bad-parameter", format!("{place} {}{more}", first.detail));
        Err(problem.with_faults(self.0.iter().map(|(_, fault)| fault)))
    }
}

/// What is wrong with the parameter of this name in JSON.
fn fault(name: &str, detail: impl Into<String>) -> Violation {
    Violation { pointer: format!("/{}", name.replace('~', "~0").replace('/', "~1")), detail: detail.into() }
}

/// The problem of a body that is not what it should be.
fn unreadable(error: ReadError) -> Problem {
    match error {
        ReadError::Malformed { .. } => Problem::bad_request("bad-json", format!("the body is no JSON: {error}")),
        ReadError::Faults(faults) => {
            let detail = "the body does not fit; `errors` has all that is wrong";
            Problem::of_case(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail).with_faults(&faults)
        }
    }
}
