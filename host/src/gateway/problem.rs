//! Every answer that the gateway gives by itself: RFC 9457 problem details.

use crate::base::{Body, RequestId, ServiceName, full_body};
use http::header::{CONNECTION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde::Serialize;
use std::borrow::Cow;

/// A refusal, or the failure of a call as the outside sees it.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    /// The last part of the problem's type.
    pub(super) kind: &'static str,
    title: &'static str,
    detail: Cow<'static, str>,
    service: Option<ServiceName>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

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

impl Problem {
    pub(super) fn new(
        status: StatusCode,
        kind: &'static str,
        title: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { status, kind, title, detail: detail.into(), service: None, headers: Vec::new() }
    }

    /// 400 of some `kind`.
    pub(super) fn bad_request(kind: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, kind, "The request is malformed", detail)
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

    /// Ends the connection after the answer: what still comes on it is not worth reading.
    pub(super) fn closing(self) -> Self {
        self.with_header(CONNECTION, HeaderValue::from_static("close"))
    }

    /// The answer to the request with this id.
    pub(super) fn answer(self, id: &RequestId) -> Response<Body> {
        let details = Details {
            kind: format!("urn:atoll:problem:{}", self.kind),
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            request_id: id.as_str(),
            service: self.service.as_ref().map(ServiceName::as_str),
        };
        let body = serde_json::to_vec(&details).expect("texts and numbers are always JSON");
        let mut answer = Response::new(full_body(body));
        *answer.status_mut() = self.status;
        answer.headers_mut().extend(self.headers);
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn a_problem_has_all_its_members() {
        let users = ServiceName::new("users").expect("a name");
        let id = RequestId::from_random(1);
        let answer = Problem::bad_request("host", "no \"Host\"").about(&users).closing().answer(&id);
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()[CONNECTION]),
            (400, &HeaderValue::from_static("close"))
        );
        let body = answer.into_body().collect().await.expect("a whole body").to_bytes();
        let members: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        let expected = serde_json::json!({
            "type": "urn:atoll:problem:host", "title": "The request is malformed", "status": 400,
            "detail": "no \"Host\"", "request_id": id.as_str(), "service": "users",
        });
        assert_eq!(members, expected);
    }
}
