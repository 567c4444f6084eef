//! The service's answer, made fit for the outside.

use super::hop::remove_hop_by_hop;
use super::settings::Target;
use crate::base::{Body, ErrorKind, empty_body};
use crate::route::Match;
use http::header::{CONTENT_LENGTH, CONTENT_LOCATION, LOCATION};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body::Body as _;

/// Makes `answer` public: as the answer to a request with `method` for `host` that fell under `route`.
///
/// # Errors
/// [`ErrorKind::BadAnswer`] when the service's answer cannot be one.
pub(super) fn publish(
    mut answer: Response<Body>,
    method: &Method,
    host: Option<&str>,
    route: &Match<'_, Target>,
) -> Result<Response<Body>, ErrorKind> {
    let status = answer.status();
    // An informational answer cannot be the last, and we have asked for no upgrade.
    if status.is_informational() {
        return Err(ErrorKind::BadAnswer);
    }
    remove_hop_by_hop(answer.headers_mut());
    let without_body = method == Method::HEAD || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    check_length(&answer, without_body)?;
    if without_body {
        *answer.body_mut() = empty_body();
    }
    for name in [LOCATION, CONTENT_LOCATION] {
        let public = answer.headers().get(&name).and_then(|value| public_location(value.to_str().ok()?, host, route));
        if let Some(public) = public {
            answer.headers_mut().insert(name, public);
        }
    }
    Ok(answer)
}

/// A `Content-Length` that is not the body's would let the rest of the body be read as the next answer on the connection.
fn check_length(answer: &Response<Body>, without_body: bool) -> Result<(), ErrorKind> {
    let Some(length) = content_length(answer.headers())? else { return Ok(()) };
    let body = answer.body();
    let actual = if body.is_end_stream() { Some(0) } else { body.size_hint().exact() };
    match actual {
        Some(actual) if actual != length && !without_body => Err(ErrorKind::BadAnswer),
        // hyper counts a body of unknown length, and breaks off one that is too short.
        _ => Ok(()),
    }
}

/// The one `Content-Length`, if there is one.
fn content_length(headers: &HeaderMap) -> Result<Option<u64>, ErrorKind> {
    let mut values = headers.get_all(CONTENT_LENGTH).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            let digits = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            digits.and_then(|text| text.parse().ok()).map(Some).ok_or(ErrorKind::BadAnswer)
        }
        (Some(_), Some(_)) => Err(ErrorKind::BadAnswer),
    }
}

/// The public form of a reference that the service wrote, or `None` to leave it as it is.
fn public_location(location: &str, host: Option<&str>, route: &Match<'_, Target>) -> Option<HeaderValue> {
    let (origin, reference) = split_origin(location);
    // A reference to another host is none of ours. The service knows the host by the name that the client used.
    let foreign = |origin: &str| !host.is_some_and(|host| authority(origin).eq_ignore_ascii_case(host));
    if !origin.is_empty() && foreign(origin) {
        return None;
    }
    let public = route.public_location(reference);
    (public != reference).then(|| HeaderValue::from_str(&format!("{origin}{public}")).ok()).flatten()
}

/// Takes `https://host` or `//host` off the front of a reference.
fn split_origin(location: &str) -> (&str, &str) {
    let schemes = ["http://", "https://", "//"];
    let scheme =
        schemes.iter().find(|scheme| location.get(..scheme.len()).is_some_and(|l| l.eq_ignore_ascii_case(scheme)));
    let Some(scheme) = scheme else { return ("", location) };
    let host = &location[scheme.len()..];
    location.split_at(scheme.len() + host.find(['/', '?', '#']).unwrap_or(host.len()))
}

fn authority(origin: &str) -> &str {
    origin.split_once("//").map_or(origin, |(_, authority)| authority)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{ServiceName, full_body};
    use crate::route::{Found, Path, RequestHead, Rule, Table};
    use std::time::Duration;

    /// Publishes `answer` as if it had come for `path` under `/api`, which is stripped.
    fn publish_under_api(answer: Response<Body>, method: &Method) -> Result<Response<Body>, ErrorKind> {
        let service = ServiceName::new("users").expect("a name");
        let target = Target { service, body_limit: 1, timeout: Duration::from_secs(1) };
        let rule = Rule::prefix("/api/users").and_then(|rule| rule.with_strip_prefix("/api")).expect("a rule");
        let table = Table::new(vec![(rule, target)]);
        let path = Path::parse("/api/users/7").expect("a path");
        let headers = HeaderMap::new();
        match table.find(&RequestHead { host: Some("shop"), method, path, headers: &headers }) {
            Found::Route(route) => publish(answer, method, Some("shop:80"), &route),
            _ => unreachable!("the rule is for this path"),
        }
    }

    #[test]
    fn locations_become_public() {
        let cases = [
            ("/users/7?a=/b#c", "/api/users/7?a=/b#c"),
            ("http://shop:80/users/7", "http://shop:80/api/users/7"),
            ("https://SHOP:80/users/7", "https://SHOP:80/api/users/7"),
            ("//shop:80/users/7", "//shop:80/api/users/7"),
            ("http://other/users/7", "http://other/users/7"),
            ("http://shop:80@other/users/7", "http://shop:80@other/users/7"),
            ("//other/users/7", "//other/users/7"),
            ("7", "7"),
            ("?page=2", "?page=2"),
            ("mailto:/a@b", "mailto:/a@b"),
        ];
        for (location, public) in cases {
            let answer = Response::builder().header(LOCATION, location).header(CONTENT_LOCATION, location);
            let answer = answer.body(empty_body()).expect("an answer");
            let answer = publish_under_api(answer, &Method::GET).expect("a good answer");
            assert_eq!(
                (&answer.headers()[LOCATION], &answer.headers()[CONTENT_LOCATION]),
                (&public.parse().expect("a value"), &public.parse().expect("a value"))
            );
        }
    }

    #[test]
    fn an_answer_that_is_none_is_refused() {
        let answer = |status: u16, lengths: &[&str], body: &'static str| {
            let mut builder = Response::builder().status(status);
            for length in lengths {
                builder = builder.header(CONTENT_LENGTH, *length);
            }
            builder.body(full_body(body)).expect("an answer")
        };
        let bad = [
            answer(101, &[], ""),
            answer(103, &[], ""),
            answer(200, &["5"], "1234"),
            answer(200, &["5"], ""),
            answer(200, &["+4"], "1234"),
            answer(200, &["4", "4"], "1234"),
        ];
        for answer in bad {
            let shown = format!("{answer:?}");
            assert_eq!(publish_under_api(answer, &Method::GET).err(), Some(ErrorKind::BadAnswer), "{shown}");
        }
        assert!(publish_under_api(answer(200, &["4"], "1234"), &Method::GET).is_ok());
        let head = publish_under_api(answer(200, &["4"], ""), &Method::HEAD).expect("HEAD has a length without a body");
        assert_eq!(head.headers()[CONTENT_LENGTH], "4");
    }
}
