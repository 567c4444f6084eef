//! The OpenAPI document of the typed routes, which the gateway itself answers.

use super::problem::Problem;
use crate::base::{Body, empty_body, full_body, header_tokens};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};
use std::hash::{DefaultHasher, Hasher};

/// The path of the document.
pub const DOCUMENT_PATH: &str = "/openapi.json";

/// The document, and an entity tag for this version of it.
pub(super) struct OpenapiDocument {
    text: Bytes,
    tag: HeaderValue,
}

impl OpenapiDocument {
    pub(super) fn new(text: Bytes) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write(&text);
        let tag = format!("\"{:016x}\"", hasher.finish());
        Self { text, tag: HeaderValue::from_str(&tag).expect("digits in quotes") }
    }

    /// The answer to a request for its path: 304 if the client has this version already.
    ///
    /// # Errors
    /// 405 if the method is neither GET nor HEAD.
    pub(super) fn answer(&self, head: &Parts) -> Result<Response<Body>, Problem> {
        if !matches!(head.method, Method::GET | Method::HEAD) {
            return Err(Problem::method_not_allowed(&[Method::GET, Method::HEAD]));
        }
        let known = header_tokens(&head.headers, &IF_NONE_MATCH).any(|tag| self.is(tag));
        let mut answer = Response::new(empty_body());
        let headers = answer.headers_mut();
        headers.insert(ETAG, self.tag.clone());
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if known {
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
            return Ok(answer);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(self.text.len()));
        // The length is set here: for HEAD, hyper drops the body and sets no length (hyperium/hyper#2836).
        *answer.body_mut() = full_body(self.text.clone());
        Ok(answer)
    }

    /// Whether an entity tag is that of this version. A cache that compressed the document has made the tag a weak one
    /// (`W/`).
    fn is(&self, tag: &[u8]) -> bool {
        tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == self.tag.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn answer_to(method: &str, none_match: &str) -> Result<Response<Body>, Problem> {
        let request = Request::builder().method(method).uri(DOCUMENT_PATH).header(IF_NONE_MATCH, none_match);
        OpenapiDocument::new(Bytes::from_static(b"{}")).answer(&request.body(()).expect("a request").into_parts().0)
    }

    #[test]
    fn a_client_that_has_the_document_already_gets_304() {
        let answer = answer_to("GET", "\"other\", W/\"x\"").expect("an answer");
        assert_eq!(
            (answer.status().as_u16(), answer.headers()[CONTENT_TYPE].as_bytes()),
            (200, b"application/json".as_slice())
        );
        let tag = answer.headers()[ETAG].to_str().expect("text").to_owned();
        for known in [tag.clone(), format!("\"other\", W/{tag}"), "*".to_owned()] {
            let answer = answer_to("HEAD", &known).expect("an answer");
            assert_eq!(
                (answer.status().as_u16(), answer.headers()[ETAG].to_str().ok()),
                (304, Some(tag.as_str())),
                "{known}"
            );
        }
        assert_eq!(answer_to("POST", &tag).err().map(|problem| problem.status), Some(StatusCode::METHOD_NOT_ALLOWED));
    }
}
