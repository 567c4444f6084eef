//! The OpenAPI document of the typed routes, which the gateway answers by itself.

use super::problem::Problem;
use crate::base::{Body, empty_body, full_body, header_tokens};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};
use std::hash::{DefaultHasher, Hasher};

/// The document, and a name for what it says now.
pub(super) struct Document {
    text: Bytes,
    tag: HeaderValue,
}

impl Document {
    /// Where it is.
    pub(super) const PATH: &str = "/openapi.json";

    pub(super) fn new(text: Bytes) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write(&text);
        let tag = format!("\"{:016x}\"", hasher.finish());
        Self { text, tag: HeaderValue::from_str(&tag).expect("digits in quotes") }
    }

    /// The answer to a request for its path. Who has this very document already is told so.
    ///
    /// # Errors
    /// 405 when it is not read.
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
        // hyper leaves the body out for HEAD, and then it does not count its length either.
        *answer.body_mut() = full_body(self.text.clone());
        Ok(answer)
    }

    /// Whether an entity tag names it; a cache that compressed it on the way has made the tag a weak one.
    fn is(&self, tag: &[u8]) -> bool {
        tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == self.tag.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn ask(method: &str, none_match: &str) -> Result<Response<Body>, Problem> {
        let request = Request::builder().method(method).uri(Document::PATH).header(IF_NONE_MATCH, none_match);
        Document::new(Bytes::from_static(b"{}")).answer(&request.body(()).expect("a request").into_parts().0)
    }

    #[test]
    fn it_is_sent_once_and_then_only_named() {
        let answer = ask("GET", "\"other\", W/\"x\"").expect("an answer");
        assert_eq!(
            (answer.status().as_u16(), answer.headers()[CONTENT_TYPE].as_bytes()),
            (200, b"application/json".as_slice())
        );
        let tag = answer.headers()[ETAG].to_str().expect("text").to_owned();
        for known in [tag.clone(), format!("\"other\", W/{tag}"), "*".to_owned()] {
            let answer = ask("HEAD", &known).expect("an answer");
            assert_eq!(
                (answer.status().as_u16(), answer.headers()[ETAG].to_str().ok()),
                (304, Some(tag.as_str())),
                "{known}"
            );
        }
        assert_eq!(ask("POST", &tag).err().map(|problem| problem.status), Some(StatusCode::METHOD_NOT_ALLOWED));
    }
}
