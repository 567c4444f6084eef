//! Every answer that the gateway gives by itself: RFC 9457 problem details.

use crate::base::{Body, RequestId, ServiceName, full_body};
use crate::contract::json::Violation;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, Response, StatusCode};
use serde::Serialize;
use std::borrow::Cow;

/// A refusal, or the failure of a call as the outside sees it.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    /// The last part of the problem's type.
    pub(super) kind: Cow<'static, str>,
    /// Without one it is the kind in words.
    title: Option<&'static str>,
    detail: Cow<'static, str>,
    service: Option<ServiceName>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Boxed, since few have any and every stage of the pipeline carries the room for it.
    extensions: Option<Box<Extensions>>,
}

/// The members of a problem beyond those that all have, in JSON: each begins with a comma.
#[derive(Debug, Default)]
struct Extensions(Vec<u8>);

/// A problem as it is written.
#[derive(Serialize)]
struct Details<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'a str>,
}

/// One of the `errors` as it is written.
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

    /// The error of a function by its case, or what the gateway finds by itself that is of the same type. A type has one title (RFC 9457,
    /// section 3.1.3), whatever the status: the case in words.
    pub(super) fn of_case(status: StatusCode, case: &str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { title: None, ..Self::new(status, case.to_owned(), "", detail) }
    }

    /// 400 of some `kind`.
    pub(super) fn bad_request(kind: impl Into<Cow<'static, str>>, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, kind, "The request is malformed", detail)
    }

    /// 405 for a path that takes these methods.
    pub(super) fn method_not_allowed(methods: &[Method]) -> Self {
        let names = methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
        let allow = HeaderValue::from_str(&names).expect("methods are tokens");
        let status = StatusCode::METHOD_NOT_ALLOWED;
        let detail = format!("this path takes {names}");
        Self::new(status, "method-not-allowed", "The method is not allowed", detail).with_header(ALLOW, allow)
    }

    /// Names the service that it is about.
    pub(super) fn about(mut self, service: &ServiceName) -> Self {
        self.service = Some(service.clone());
        self
    }

    pub(super) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Adds a member of its own, an extension of RFC 9457; `json` is a JSON text, which is written as it is.
    pub(super) fn with_member(mut self, name: &'static str, json: &[u8]) -> Self {
        let Extensions(members) = &mut **self.extensions.get_or_insert_default();
        members.extend_from_slice(b",\"");
        members.extend_from_slice(name.as_bytes());
        members.extend_from_slice(b"\":");
        members.extend_from_slice(json);
        self
    }

    /// Adds what is wrong with the request, place by place, as `errors`.
    pub(super) fn with_faults<'a>(self, faults: impl IntoIterator<Item = &'a Violation>) -> Self {
        let entry = |fault: &'a Violation| ProblemEntry { pointer: &fault.pointer, detail: &fault.detail };
        let entries: Vec<ProblemEntry<'_>> = faults.into_iter().map(entry).collect();
        self.with_member("errors", &serde_json::to_vec(&entries).expect("texts are always JSON"))
    }

    /// Ends the connection after the answer: what still comes on it is not worth reading.
    pub(super) fn closing(self) -> Self {
        self.with_header(CONNECTION, HeaderValue::from_static("close"))
    }

    /// The answer to the request with this id.
    pub(super) fn answer(self, id: &RequestId) -> Response<Body> {
        let title = self.title.map_or_else(|| in_words(&self.kind).into(), Cow::Borrowed);
        let details = Details {
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

/// `Sold out` for `sold-out`.
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
    async fn a_problem_has_all_its_members() {
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
