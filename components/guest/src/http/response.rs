//! An HTTP response, and the function that turns an adapter's result into one.

use serde_json::Value;

use super::problem::Problem;
use super::request::Request;

/// One HTTP response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Pairs of a name in lower case and a value.
    pub headers: Vec<(&'static str, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Response {
    /// A JSON document.
    pub fn json(status: u16, document: &impl serde::Serialize) -> Self {
        let document = serde_json::to_value(document).expect("documents have string keys and no fallible serializer");
        Self::document(status, "application/json", &document)
    }

    /// Plain text in UTF-8.
    pub fn text(status: u16, text: impl Into<String>) -> Self {
        let headers = vec![("content-type", "text/plain; charset=utf-8".to_owned())];
        Self { status, headers, body: text.into().into_bytes() }
    }

    /// Sends the client to `location`: 301 and 308 for good, 302, 303 and 307 for now.
    pub fn redirect(status: u16, location: impl Into<String>) -> Self {
        Self { status, headers: vec![("location", location.into())], body: Vec::new() }
    }

    /// 204, without a body.
    pub fn no_content() -> Self {
        Self { status: 204, headers: Vec::new(), body: Vec::new() }
    }

    pub(crate) fn document(status: u16, media_type: &str, document: &Value) -> Self {
        let headers = vec![("content-type", media_type.to_owned())];
        Self { status, headers, body: document.to_string().into_bytes() }
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// Runs an adapter on a request. A problem becomes an error document, and the answer to HEAD loses its body.
pub async fn answer(request: Request, adapter: impl AsyncFnOnce(&Request) -> Result<Response, Problem>) -> Response {
    let mut response = match adapter(&request).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(request.header("x-request-id").unwrap_or_default()),
    };
    if request.is_head() {
        response.body.clear();
    }
    response
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::failure::FieldError;

    fn run(request: Request, answer_with: Result<Response, Problem>) -> Response {
        let future = pin!(answer(request, async |_| answer_with));
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(response) => response,
            Poll::Pending => panic!("nothing here waits"),
        }
    }

    #[test]
    fn a_problem_document_has_all_members_of_rfc_9457_and_the_request_id() {
        let request = Request::new("POST", "/").with_header("X-Request-Id", "r1");
        let response = run(request, Err(Problem::invalid(vec![FieldError::new("/name", "is required")])));
        assert_eq!(response.headers, [("content-type", "application/problem+json".to_owned())]);
        let body: Value = serde_json::from_slice(&response.body).expect("a problem is JSON");
        let expected = serde_json::json!({
            "type": "urn:atoll:problem:invalid", "title": "Invalid", "status": 422, "request_id": "r1",
            "detail": "some fields are not valid; `errors` names them",
            "errors": [{"pointer": "/name", "detail": "is required"}],
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn a_problem_keeps_its_header_and_has_an_empty_request_id_without_one() {
        let response = run(Request::new("PUT", "/"), Err(Problem::method_not_allowed("GET, HEAD")));
        assert!(response.headers.contains(&("allow", "GET, HEAD".to_owned())));
        let body: Value = serde_json::from_slice(&response.body).expect("a problem is JSON");
        assert_eq!((&body["request_id"], &body["status"], body.get("errors")), (&"".into(), &405.into(), None));
    }

    #[test]
    fn a_415_names_the_accepted_media_types() {
        let refused = Problem::unsupported_media_type(&["application/json", "application/merge-patch+json"]);
        let response = run(Request::new("PATCH", "/"), Err(refused));
        assert_eq!(response.status, 415);
        assert!(response.headers.contains(&("accept", "application/json, application/merge-patch+json".to_owned())));
    }

    #[test]
    fn a_problem_document_never_shows_the_internal_reason() {
        for problem in [Problem::internal("secret"), Problem::unavailable("secret")] {
            let response = run(Request::new("GET", "/"), Err(problem));
            assert!(!String::from_utf8_lossy(&response.body).contains("secret"));
        }
    }

    #[test]
    fn head_is_handled_as_get_and_loses_its_body() {
        let request = Request::new("HEAD", "/");
        assert_eq!(request.method(), "GET");
        let response = run(request, Ok(Response::json(200, &serde_json::json!({}))));
        assert_eq!((response.status, response.body.len(), response.headers.len()), (200, 0, 1));
    }
}
