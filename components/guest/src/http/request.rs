//! A request as an adapter sees it: method, path, query, headers, and the body, which is already read.

use super::fields::{Expect, Fields};
use super::problem::Problem;
use crate::failure::FieldError;

/// The longest body that is read, in bytes. A user or a product has at most a few KiB.
pub const MAX_BODY: usize = 64 * 1024;

/// The media types that a body may have.
const JSON: &[&str] = &["application/json"];
/// The media types that the body of a PATCH may have. RFC 7396 names a media type for a body of changed fields. Other
/// patch formats are JSON too, and mean something else.
const JSON_CHANGES: &[&str] = &["application/json", "application/merge-patch+json"];

/// Why there is no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// It is longer than [`MAX_BODY`].
    TooLarge,
    /// It broke off.
    Incomplete,
}

/// Which part of a list is wanted. Both fields are as in the contracts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageQuery {
    /// The most items in the page; `None` for the service's default.
    pub limit: Option<u32>,
    /// Where the page before ended.
    pub cursor: Option<String>,
}

/// One HTTP request.
#[derive(Debug)]
pub struct Request {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Result<Vec<u8>, BodyError>,
}

impl Request {
    /// A request without headers and body.
    pub fn new(method: &str, path_with_query: &str) -> Self {
        let (path, query) = path_with_query.split_once('?').unwrap_or((path_with_query, ""));
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: Vec::new(),
            body: Ok(Vec::new()),
        }
    }

    /// Adds a header.
    pub fn with_header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Sets the body.
    pub fn with_body(self, body: impl Into<Vec<u8>>) -> Self {
        self.with_body_result(Ok(body.into()))
    }

    pub(crate) fn with_body_result(mut self, body: Result<Vec<u8>, BodyError>) -> Self {
        self.body = body;
        self
    }

    /// The method that the adapter handles: `GET` also for HEAD, whose answer is the same without the body.
    pub fn method(&self) -> &str {
        if self.is_head() { "GET" } else { &self.method }
    }

    pub(crate) fn is_head(&self) -> bool {
        self.method == "HEAD"
    }

    /// The segments of the path, not decoded: `/users/7` gives `users` and `7`. [`decode_segment`] gives their text.
    pub fn segments(&self) -> Vec<&str> {
        self.path.strip_prefix('/').unwrap_or(&self.path).split('/').collect()
    }

    /// The first value of a header, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(value).ok()
    }

    /// The first value of a query parameter, decoded.
    pub fn query(&self, name: &str) -> Option<String> {
        let pairs = self.query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let (_, value) = pairs.into_iter().find(|(key, _)| decode(key) == name)?;
        Some(decode(value))
    }

    /// The parameters `limit` and `cursor`. A limit that is not a number is refused like one out of range.
    pub fn page(&self) -> Result<PageQuery, Problem> {
        let number = |text: String| {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            let refuse = || Problem::invalid(vec![FieldError::new("/limit", "must be a whole number from 1 to 100")]);
            text.parse().ok().filter(|_| digits).ok_or_else(refuse)
        };
        Ok(PageQuery { limit: self.query("limit").map(number).transpose()?, cursor: self.query("cursor") })
    }

    /// The fields of the JSON object in the body. `expect` says whether all of them must be present.
    pub fn fields(&self, expect: Expect) -> Result<Fields, Problem> {
        let media_types = if self.method() == "PATCH" { JSON_CHANGES } else { JSON };
        if !is_one_of(media_types, self.header("content-type").unwrap_or_default()) {
            return Err(Problem::unsupported_media_type(media_types));
        }
        Fields::parse(self.body()?, expect)
    }

    /// The bytes of the body, whatever they are.
    pub fn body(&self) -> Result<&[u8], Problem> {
        match &self.body {
            Ok(body) => Ok(body),
            Err(BodyError::TooLarge) => Err(Problem::content_too_large(MAX_BODY)),
            Err(BodyError::Incomplete) => Err(Problem::incomplete()),
        }
    }
}

/// Whether a content type is one of these media types, in UTF-8 as JSON always is (RFC 8259, section 8.1). JSON has
/// no `charset` parameter, but clients send one. Only a contradicting one is refused.
fn is_one_of(media_types: &[&str], content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default();
    let agrees = |parameter: &str| match parameter.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
            value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    };
    media_types.iter().any(|known| known.eq_ignore_ascii_case(media_type)) && parts.all(agrees)
}

/// The text of a segment of a path: `%XX` is decoded, and `+` stays. An invalid escape stays as it is.
pub fn decode_segment(segment: &str) -> String {
    decode(&segment.replace('+', "%2B"))
}

/// Decodes `+` and `%XX`. An invalid escape stays as it is: the check of the parameter refuses it.
fn decode(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.as_bytes();
    while let [first, rest @ ..] = bytes {
        let (byte, rest) = match (first, rest) {
            (b'+', _) => (b' ', rest),
            (b'%', [high, low, rest @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (nibble(*high) << 4 | nibble(*low), rest)
            }
            _ => (*first, rest),
        };
        decoded.push(byte);
        bytes = rest;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(method: &str, content_type: &str) -> Result<(), Problem> {
        let request = Request::new(method, "/").with_header("Content-Type", content_type).with_body("{}");
        request.fields(Expect::Some).map(|_| ())
    }

    #[test]
    fn query_parameters_are_decoded() {
        let request = Request::new("GET", "/users?cursor=a%2Fb+c%zz%4&limit=5&limit=9");
        assert_eq!(request.query("cursor").as_deref(), Some("a/b c%zz%4"));
        assert_eq!(request.page().map(|page| page.limit), Ok(Some(5)));
        assert_eq!(request.query("other"), None);
        assert_eq!(request.segments(), ["users"]);
    }

    #[test]
    fn a_segment_is_decoded_and_keeps_its_plus() {
        assert_eq!(decode_segment("%C3%89mile%20a+b%zz"), "\u{c9}mile a+b%zz");
    }

    #[test]
    fn a_limit_that_is_not_a_number_gets_422() {
        for limit in ["", "x", "+5", "-1", "1.5", "99999999999"] {
            let request = Request::new("GET", &format!("/users?limit={}", limit.replace('+', "%2B")));
            assert_eq!(request.page().map_err(|problem| problem.status()), Err(422), "{limit}");
        }
    }

    #[test]
    fn a_body_without_a_json_media_type_gets_415() {
        for method in ["POST", "PUT", "PATCH"] {
            for good in [
                "application/json",
                "Application/JSON; charset=utf-8",
                "application/json;Charset=\"UTF-8\"",
                "application/json; version=1;",
            ] {
                assert_eq!(read(method, good), Ok(()), "{method} {good}");
            }
            for bad in [
                "",
                "text/json",
                "application/x-www-form-urlencoded",
                "application/xjson",
                "application/json-patch+json",
                "application/problem+json",
                "application/json; charset=iso-8859-1",
                "application/json; charset=utf-8; charset=utf-16",
            ] {
                assert!(matches!(read(method, bad), Err(problem) if problem.status() == 415), "{method} {bad}");
            }
        }
    }

    #[test]
    fn a_merge_patch_body_is_accepted_by_patch_only() {
        assert_eq!(read("PATCH", "application/merge-patch+json"), Ok(()));
        assert_eq!(read("POST", "application/merge-patch+json"), Err(Problem::unsupported_media_type(JSON)));
        assert_eq!(read("PUT", "application/merge-patch+json"), Err(Problem::unsupported_media_type(JSON)));
        assert_eq!(read("PATCH", "text/plain"), Err(Problem::unsupported_media_type(JSON_CHANGES)));
    }

    #[test]
    fn a_body_that_is_too_large_or_incomplete_is_refused() {
        for (error, status) in [(BodyError::TooLarge, 413), (BodyError::Incomplete, 400)] {
            let request = Request::new("POST", "/").with_header("content-type", "application/json");
            let request = request.with_body_result(Err(error));
            assert_eq!(request.fields(Expect::All).map(|_| ()).map_err(|problem| problem.status()), Err(status));
        }
    }
}
