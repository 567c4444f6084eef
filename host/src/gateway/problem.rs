//! The answers of the gateway's own: RFC 9457 problem details.

use crate::base::{Body, RequestId, ServiceName, full_body};
use crate::contract::json::Violation;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, Response, StatusCode};
use serde::Serialize;
use std::borrow::Cow;

/// A refusal of the gateway, or the failure of a call as the client sees it.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    /// The last part of the problem's `type`.
    pub(super) kind: Cow<'static, str>,
    /// `None`: the title is the kind in words.
    title: Option<&'static str>,
    detail: Cow<'static, str>,
    service: Option<ServiceName>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Boxed: few problems have extensions, and the result of every stage of the pipeline has room for a problem.
    extensions: Option<Box<ProblemExtensions>>,
}

/// The members that not every problem has, as JSON text: each begins with a comma.
#[derive(Debug, Default)]
struct ProblemExtensions(Vec<u8>);

/// The members that every problem has, as they are written.
#[derive(Serialize)]
struct ProblemDetails<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'a str>,
}

/// One entry of `errors`, as it is written.
#[derive(Serialize)]
struct ProblemEntry<'a> {
    pointer: &'a str,
    detail: &'a str,
}

impl Problem {
    pub(super) fn new(
        status: StatusCode,
        kind: impl Into<Cow<'static, str>>,
        title: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        let (kind, detail) = (kind.into(), detail.into());
        Self { status, kind, title: Some(title), detail, service: None, headers: Vec::new(), extensions: None }
    }

    /// The error of a function, by its case; or a problem that the gateway finds and that is of the same type as such a
    /// case. All problems of a type have one title (RFC 9457, section 3.1.3), whatever their status: the case in words.
    ///
    /// A case that a component names is owned; one that the gateway names is not ([`Problem::counted_as`]).
    pub(super) fn of_case(
        status: StatusCode,
        case: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { title: None, ..Self::new(status, case, "", detail) }
    }

    /// The kind under which the problem is counted. The cases of functions have one kind together: their names come
    /// from components, and a component must not be able to make new series.
    pub(super) fn counted_as(&self) -> &'static str {
        match self.kind {
            Cow::Borrowed(kind) => kind,
            Cow::Owned(_) => "function-error",
        }
    }

    /// A problem with status 400.
    pub(super) fn bad_request(kind: impl Into<Cow<'static, str>>, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, kind, "The request is malformed", detail)
    }

    /// The problem for a path that allows only these methods: 405.
    pub(super) fn method_not_allowed(methods: &[Method]) -> Self {
        let names = methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
        let allow = HeaderValue::from_str(&names).expect("methods are tokens");
        let status = StatusCode::METHOD_NOT_ALLOWED;
        let detail = format!("this path allows {names}");
        Self::new(status, "method-not-allowed", "The method is not allowed", detail).with_header(ALLOW, allow)
    }

    /// Adds the name of the service that the problem concerns.
    pub(super) fn about(mut self, service: &ServiceName) -> Self {
        self.service = Some(service.clone());
        self
    }

    pub(super) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Adds an extension member (RFC 9457, section 3.2). `json` is JSON text, which is written unchanged.
    pub(super) fn with_member(mut self, name: &'static str, json: &[u8]) -> Self {
        let ProblemExtensions(members) = &mut **self.extensions.get_or_insert_default();
        members.extend_from_slice(b",\"");
        members.extend_from_slice(name.as_bytes());
        members.extend_from_slice(b"\":");
        members.extend_from_slice(json);
        self
    }

    /// Adds the violations of the request as `errors`.
    pub(super) fn with_violations<'a>(self, violations: impl IntoIterator<Item = &'a Violation>) -> Self {
        let entry = |violation: &'a Violation| ProblemEntry { pointer: &violation.pointer, detail: &violation.detail };
        let entries: Vec<ProblemEntry<'_>> = violations.into_iter().map(entry).collect();
        self.with_member("errors", &serde_json::to_vec(&entries).expect("texts are always JSON"))
    }

    /// Closes the connection after the answer: the rest of the request on it will not be read.
    pub(super) fn closing(self) -> Self {
        self.with_header(CONNECTION, HeaderValue::from_static("close"))
    }

    /// The answer to the request with this id.
    pub(super) fn answer(self, id: &RequestId) -> Response<Body> {
        let title = self.title.map_or_else(|| in_words(&self.kind).into(), Cow::Borrowed);
        let details = ProblemDetails {
            kind: format!("urn:atoll:problem:{}", self.kind),
            title: &title,
            status: self.status.as_u16(),
            detail: &self.detail,
            request_id: id.as_str(),
            service: self.service.as_ref().map(ServiceName::as_str),
        };
        let mut body = serde_json::to_vec(&details).expect("texts and numbers are always JSON");
        if let Some(extensions) = &self.extensions {
            body.pop();
            body.extend_from_slice(&extensions.0);
            body.push(b'}');
        }
        let mut answer = Response::new(full_body(body));
        *answer.status_mut() = self.status;
        answer.headers_mut().extend(self.headers);
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        answer
    }
}

/// The kind in words: `Sold out` for `sold-out`.
fn in_words(kind: &str) -> String {
    let mut words = kind.replace('-', " ");
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn a_problem_is_written_with_all_its_members() {
        let users = ServiceName::new("users").expect("a name");
        let id = RequestId::from_random(1);
        let problem = Problem::bad_request("host", "no \"Host\"").about(&users).closing();
        let answer = problem.with_member("case", b"\"a\"").with_member("payload", b"[1]").answer(&id);
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()[CONNECTION]),
            (400, &HeaderValue::from_static("close"))
        );
        let body = answer.into_body().collect().await.expect("a whole body").to_bytes();
        let members: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        let expected = serde_json::json!({
            "type": "urn:atoll:problem:host", "title": "The request is malformed", "status": 400,
            "detail": "no \"Host\"", "request_id": id.as_str(), "service": "users",
            "case": "a", "payload": [1],
        });
        assert_eq!(members, expected);
    }
}
