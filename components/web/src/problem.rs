//! Problem documents (RFC 9457): the body of every error answer.

use std::io::Write as _;

use serde_json::json;

use crate::fields::FieldError;
use crate::response::Response;

/// An error that will be sent to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    status: u16,
    detail: String,
    errors: Vec<FieldError>,
    header: Option<(&'static str, String)>,
}

impl Problem {
    fn new(status: u16, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), errors: Vec::new(), header: None }
    }

    /// 400: the request is malformed; `detail` says where.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(400, detail)
    }

    /// 401: the request has no valid credentials.
    pub fn unauthorized() -> Self {
        let header = Some(("www-authenticate", "Bearer".to_owned()));
        Self { header, ..Self::new(401, "this needs a caller who says who they are") }
    }

    /// 403: the caller may not do this.
    pub fn forbidden() -> Self {
        Self::new(403, "the caller may not do this")
    }

    /// 404: what the request names does not exist; `detail` names it.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(404, detail)
    }

    /// 405: the path supports only the methods in `allow`, a comma-separated list.
    pub fn method_not_allowed(allow: &str) -> Self {
        Self { header: Some(("allow", allow.to_owned())), ..Self::new(405, format!("this path answers {allow}")) }
    }

    /// 409: the request contradicts what is stored; `detail` says how.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(409, detail)
    }

    pub(crate) fn content_too_large(max: usize) -> Self {
        Self::new(413, format!("the body is longer than {max} bytes"))
    }

    /// 415: the method accepts only bodies of these media types.
    pub(crate) fn unsupported_media_type(media_types: &[&str]) -> Self {
        let header = Some(("accept", media_types.join(", ")));
        Self { header, ..Self::new(415, format!("the body has to be {} in UTF-8", media_types.join(" or "))) }
    }

    /// 422: these fields failed validation.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        Self { errors, ..Self::new(422, "some fields are not valid; `errors` names them") }
    }

    /// 503: the service cannot answer now. `reason` goes to the service's log, and never to the client.
    pub fn unavailable(reason: &str) -> Self {
        log("unavailable", reason);
        Self { header: Some(("retry-after", "1".to_owned())), ..Self::new(503, "the service cannot answer now") }
    }

    /// 500: the service itself failed. `reason` goes to the service's log, and never to the client.
    pub fn internal(reason: &str) -> Self {
        log("internal error", reason);
        Self::new(500, "the service failed")
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The error document. `request_id` is the id that the gateway gave the request; empty if there is none.
    pub(crate) fn into_response(self, request_id: &str) -> Response {
        let mut body = json!({
            // The type says nothing beyond the status (RFC 9457, section 4.2.1).
            "type": "about:blank",
            "title": title(self.status),
            "status": self.status,
            "detail": self.detail,
            "request_id": request_id,
        });
        if !self.errors.is_empty() {
            let errors = self.errors.into_iter().map(|error| json!({"pointer": error.pointer, "detail": error.detail}));
            body["errors"] = errors.collect();
        }
        let response = Response::document(self.status, "application/problem+json", &body);
        match self.header {
            Some((name, value)) => response.with_header(name, value),
            None => response,
        }
    }
}

fn title(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Content",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}

/// Writes a line to standard error, which the host logs with the service and the request id. An error here is
/// ignored: there is nowhere to report it.
fn log(what: &str, reason: &str) {
    let _ = writeln!(std::io::stderr(), "{what}: {reason}");
}
