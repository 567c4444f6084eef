//! Problem documents (RFC 9457): the body of every error answer.

use std::io::Write as _;

use serde_json::json;

use super::response::Response;
use crate::failure::{Failure, FieldError};

/// An error that will be sent to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    status: u16,
    /// The last part of the problem's type.
    kind: &'static str,
    title: &'static str,
    detail: String,
    errors: Vec<FieldError>,
    /// Boxed, since few problems have one, and each `Result` would carry its size.
    header: Option<Box<(&'static str, String)>>,
}

impl Problem {
    /// The types and titles are those that the gateway gives to the errors of typed routes and to its own refusals, so
    /// that clients need not know which kind of service they call.
    fn new(status: u16, kind: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self { status, kind, title, detail: detail.into(), errors: Vec::new(), header: None }
    }

    /// 400: the body is not JSON; `detail` says where.
    pub fn bad_json(detail: impl Into<String>) -> Self {
        Self::new(400, "bad-json", "The request is malformed", detail)
    }

    /// 400: the body ended before its end.
    pub(crate) fn incomplete() -> Self {
        Self::new(400, "client-gone", "The request is incomplete", "the body broke off")
    }

    /// 401: the request has no valid credentials.
    pub fn unauthorized() -> Self {
        let header = Some(Box::new(("www-authenticate", "Bearer".to_owned())));
        Self { header, ..Self::new(401, "unauthorized", "Unauthorized", "this needs a caller who says who they are") }
    }

    /// 403: the caller may not do this.
    pub fn forbidden() -> Self {
        Self::new(403, "forbidden", "Forbidden", "the caller may not do this")
    }

    /// 404: what the request names does not exist; `detail` names it.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(404, "not-found", "Not found", detail)
    }

    /// 405: the path supports only the methods in `allow`, a comma-separated list.
    pub fn method_not_allowed(allow: &str) -> Self {
        let (kind, title) = ("method-not-allowed", "The method is not allowed");
        let header = Some(Box::new(("allow", allow.to_owned())));
        Self { header, ..Self::new(405, kind, title, format!("this path answers {allow}")) }
    }

    /// 409: the request contradicts what is stored; `detail` says how.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(409, "conflict", "Conflict", detail)
    }

    pub(crate) fn content_too_large(max: usize) -> Self {
        Self::new(413, "body-too-large", "The body is too large", format!("the body is longer than {max} bytes"))
    }

    /// 415: the method accepts only bodies of these media types.
    pub(crate) fn unsupported_media_type(media_types: &[&str]) -> Self {
        let header = Some(Box::new(("accept", media_types.join(", "))));
        let (kind, title) = ("unsupported-media-type", "The body is of another type");
        let detail = format!("the body has to be {} in UTF-8", media_types.join(" or "));
        Self { header, ..Self::new(415, kind, title, detail) }
    }

    /// 422: these fields failed validation.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        Self { errors, ..Self::new(422, "invalid", "Invalid", "some fields are not valid; `errors` names them") }
    }

    /// 503: the service cannot answer now. `reason` goes to the service's log, and never to the client.
    pub fn unavailable(reason: &str) -> Self {
        log("unavailable", reason);
        let header = Some(Box::new(("retry-after", "1".to_owned())));
        Self { header, ..Self::new(503, "unavailable", "Unavailable", "the service cannot answer now") }
    }

    /// 500: the service itself failed. `reason` goes to the service's log, and never to the client.
    pub fn internal(reason: &str) -> Self {
        log("internal error", reason);
        Self::new(500, "internal", "Internal", "the service failed")
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The error document. `request_id` is the id that the gateway gave the request; empty if there is none.
    pub(crate) fn into_response(self, request_id: &str) -> Response {
        let mut body = json!({
            "type": format!("urn:atoll:problem:{}", self.kind),
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "request_id": request_id,
        });
        if !self.errors.is_empty() {
            let errors = self.errors.into_iter().map(|error| json!({"pointer": error.pointer, "detail": error.detail}));
            body["errors"] = errors.collect();
        }
        let response = Response::document(self.status, "application/problem+json", &body);
        match self.header.map(|header| *header) {
            Some((name, value)) => response.with_header(name, value),
            None => response,
        }
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Invalid(errors) => Self::invalid(errors),
            Failure::Unavailable(text) => Self::unavailable(&text),
            Failure::Internal(text) => Self::internal(&text),
        }
    }
}

/// Writes a line to standard error, which the host logs with the service and the request id. An error here is
/// ignored: there is nowhere to report it.
fn log(what: &str, reason: &str) {
    let _ = writeln!(std::io::stderr(), "{what}: {reason}");
}
