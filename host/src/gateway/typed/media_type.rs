//! The media types of a typed route: it accepts JSON and answers JSON.

use crate::base::header_tokens;
use crate::contract::HttpBinding;
use crate::gateway::problem::Problem;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode};

const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";
/// A patch that names only the fields to change (RFC 7396). Other patch formats are JSON, too, but mean something else.
const MERGE_PATCH: &str = "application/merge-patch+json";

/// Checks that the client accepts what it will get: JSON, or a problem if the request fails.
///
/// # Errors
/// 406.
pub(crate) fn check_accept(headers: &HeaderMap) -> Result<(), Problem> {
    let accepts_all = header_tokens(headers, &ACCEPT).next().is_none();
    if accepts_all || admits(headers, JSON) || admits(headers, PROBLEM) {
        return Ok(());
    }
    let detail = format!("the answer is {JSON}, or {PROBLEM} if it is an error");
    Err(Problem::new(StatusCode::NOT_ACCEPTABLE, "not-acceptable", "The answer is not acceptable", detail))
}

/// Whether `Accept` admits a media type of `application`. The most specific range that covers it decides (RFC 9110,
/// section 12.5.1).
fn admits(headers: &HeaderMap, media_type: &str) -> bool {
    [media_type, "application/*", "*/*"].into_iter().find_map(|range| has_weight(headers, range)).unwrap_or(false)
}

/// Whether `Accept` gives a range a weight above 0; `None` if it does not name the range.
fn has_weight(headers: &HeaderMap, range: &str) -> Option<bool> {
    let named = header_tokens(headers, &ACCEPT).filter_map(|token| {
        let mut parts = std::str::from_utf8(token).ok()?.split(';').map(str::trim);
        let is_named = parts.next()?.eq_ignore_ascii_case(range);
        is_named.then(|| !parts.any(excludes))
    });
    named.max()
}

/// Whether a parameter of a range is `q=0`.
fn excludes(parameter: &str) -> bool {
    let weight = parameter.split_once('=').filter(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
    weight.is_some_and(|(_, value)| value.trim().parse::<f32>().is_ok_and(|value| value <= 0.0))
}

/// Whether a request with this head brings a body for `binding`; `None` if only the body itself can tell: it may be
/// absent, and its length is not announced.
pub(crate) fn brings_body(binding: &HttpBinding, head: &Parts) -> Option<bool> {
    match binding.body() {
        None => Some(false),
        Some(_) if !binding.body_may_be_absent() => Some(true),
        Some(_) if head.headers.contains_key(TRANSFER_ENCODING) => None,
        Some(_) => Some(head.headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0")),
    }
}

/// Checks that the headers announce the body as JSON that is not compressed, or whose coding is taken off: `decoded`.
///
/// # Errors
/// 415, with the media types or the coding that would be accepted.
pub(crate) fn check_content_type(head: &Parts, decoded: bool) -> Result<(), Problem> {
    let refuse = |detail: String| {
        Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            "The body is of another type",
            detail,
        )
    };
    let is_coding = |token: &[u8]| !token.eq_ignore_ascii_case(b"identity");
    if !decoded && header_tokens(&head.headers, &CONTENT_ENCODING).any(is_coding) {
        let problem = refuse("the body must not be compressed".into());
        return Err(problem.with_header(ACCEPT_ENCODING, HeaderValue::from_static("identity")));
    }
    let accepted: &[&'static str] = if head.method == Method::PATCH { &[JSON, MERGE_PATCH] } else { &[JSON] };
    let mut sent = head.headers.get_all(CONTENT_TYPE).iter();
    match (sent.next().and_then(|value| value.to_str().ok()), sent.next()) {
        (Some(content_type), None) if is_one_of(accepted, content_type) => Ok(()),
        _ => {
            let accept = HeaderValue::from_str(&accepted.join(", ")).expect("media types are visible ASCII");
            Err(refuse(format!("the body must be {} in UTF-8", accepted.join(" or "))).with_header(ACCEPT, accept))
        }
    }
}

/// Whether a content type is one of these media types. JSON is always UTF-8 and has no parameter `charset` (RFC 8259,
/// section 8.1), but some clients send one: only `charset=utf-8` is accepted.
fn is_one_of(media_types: &[&str], content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let agrees = |parameter: &str| match parameter.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
            value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    };
    media_types.iter().any(|media_type| name.eq_ignore_ascii_case(media_type)) && parts.all(agrees)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    #[test]
    fn accept_admits_json_unless_it_excludes_it() {
        let accepted = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(ACCEPT, HeaderValue::from_static(value));
            }
            check_accept(&headers).is_ok()
        };
        let good: [&[&str]; 11] = [
            &[],
            &[""],
            &["application/json"],
            &["Application/JSON ; q=0.1"],
            &["application/problem+json"],
            &["text/html, application/*;q=0.5"],
            &["text/html", "*/*"],
            &["text/html;q=0, application/json; charset=utf-8"],
            &["*/*;q=0, application/json"],
            &["application/json;q=0, */*"],
            &["application/json;q=x"],
        ];
        for values in good {
            assert!(accepted(values), "{values:?}");
        }
        let bad: [&[&str]; 7] = [
            &["text/html"],
            &["application/xml, text/*"],
            &["application/json;q=0"],
            &["application/json ; Q=0.000"],
            &["*/*;q=0"],
            &["application/*;q=0, */*"],
            &["json"],
        ];
        for values in bad {
            assert!(!accepted(values), "{values:?}");
        }
    }

    #[test]
    fn a_body_must_be_json_and_for_patch_may_be_a_merge_patch() {
        let refusal = |method: &str, name: &str, values: &[&str]| {
            let request = Request::builder().method(method);
            let request = values.iter().fold(request, |request, value| request.header(name, *value));
            let refused = check_content_type(&request.body(()).expect("a request").into_parts().0, false);
            refused.err().map(|problem| problem.status.as_u16())
        };
        for good in ["application/json", "APPLICATION/json; charset=\"UTF-8\"", "application/json;charset=utf-8;x"] {
            assert_eq!(refusal("POST", "content-type", &[good]), None, "{good}");
        }
        for bad in ["text/plain", "application/json; charset=latin1", "application/merge-patch+json", "", "json"] {
            assert_eq!(refusal("POST", "content-type", &[bad]), Some(415), "{bad}");
        }
        assert_eq!(refusal("PATCH", "content-type", &["application/merge-patch+json"]), None);
        assert_eq!(refusal("PATCH", "content-type", &["application/json-patch+json"]), Some(415));
        assert_eq!(refusal("POST", "content-type", &[]), Some(415));
        assert_eq!(refusal("POST", "content-type", &["application/json", "application/json"]), Some(415));
        assert_eq!(refusal("POST", "content-encoding", &["gzip"]), Some(415));
    }
}
