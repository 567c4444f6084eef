//! The decisions by tables, and the patterns of origins against a model that splits names into labels.

use super::{CorsPolicy, OriginPattern, requested_method};
use http::header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY};
use http::{HeaderMap, HeaderValue, Method, Request};
use proptest::prelude::*;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

fn policy(origins: &[&str], lists: [&[&str]; 3], credentials: bool) -> CorsPolicy {
    let origins = origins.iter().map(|text| OriginPattern::parse(text).expect(text)).collect();
    let [methods, headers, expose] = lists.map(|names| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    CorsPolicy::new(origins, &methods, &headers, &expose, credentials, MINUTE)
}

fn from(origin: &str) -> HeaderMap {
    HeaderMap::from_iter([(ORIGIN, HeaderValue::from_str(origin).expect("a value"))])
}

/// The fields, sorted, as one text each.
fn lines(headers: &HeaderMap) -> Vec<String> {
    let mut lines: Vec<_> =
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().expect("text"))).collect();
    lines.sort();
    lines
}

#[test]
fn a_pattern_is_read_as_a_browser_writes_an_origin() {
    let cases = [
        ("*", "*"),
        ("https://Shop.Example", "https://shop.example"),
        ("https://shop.example:443", "https://shop.example"),
        ("http://shop.example:80", "http://shop.example"),
        ("http://shop.example:443", "http://shop.example:443"),
        ("https://*.example.com:8443", "https://*.example.com:8443"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("http://localhost:5173", "http://localhost:5173"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("chrome-extension://abcdefgh", "chrome-extension://abcdefgh"),
    ];
    for (text, shown) in cases {
        assert_eq!(OriginPattern::parse(text).map(|pattern| pattern.to_string()), Ok(shown.to_owned()), "{text}");
    }
    let wrong = [
        ("null", "`null`"),
        ("NULL", "`null`"),
        ("shop.example", "scheme and host"),
        ("://shop.example", "scheme and host"),
        ("1https://a", "scheme and host"),
        ("https://shop.example/", "leave out the path"),
        ("https://shop.example/a", "leave out the path"),
        ("https://user@shop.example", "leave out the path"),
        ("https://*", "a `*` stands only"),
        ("https://a.*.example", "a `*` stands only"),
        ("https://*shop.example", "a `*` stands only"),
        ("https://", "a host that exists"),
        ("https://shop.example:70000", "a host that exists"),
        ("https://a b", "a host that exists"),
        ("https://bücher.example", "xn--"),
    ];
    for (text, help) in wrong {
        assert!(OriginPattern::parse(text).expect_err(text).0.contains(help), "{text}");
    }
}

#[test]
fn an_origin_is_permitted_by_scheme_host_and_port() {
    let cases = [
        ("https://shop.example", "https://shop.example", true),
        ("https://shop.example", "http://shop.example", false),
        ("https://shop.example", "https://shop.example:8443", false),
        ("https://shop.example", "https://shop.example.evil", false),
        ("https://shop.example", "https://evilshop.example", false),
        ("https://shop.example", "https://shop.example/", false),
        ("https://shop.example", "null", false),
        ("https://*.example.com", "https://a.example.com", true),
        ("https://*.example.com", "https://a.b.example.com", true),
        ("https://*.example.com", "https://example.com", false),
        ("https://*.example.com", "https://.example.com", false),
        ("https://*.example.com", "https://evilexample.com", false),
        ("https://*.example.com", "https://a..example.com", false),
        ("https://*.example.com", "https://evil.test/.example.com", false),
        ("https://*.example.com", "https://evil.test:1.example.com", false),
        ("https://*.example.com", "https://u@.example.com", false),
        ("https://*.example.com", "http://a.example.com", false),
        ("https://*.example.com", "https://a.example.com:444", false),
        ("https://*.example.com:444", "https://a.example.com:444", true),
        ("*", "https://anything.example", true),
        ("*", "null", false),
    ];
    for (pattern, origin, permitted) in cases {
        let policy = policy(&[pattern], [&[], &[], &[]], false);
        let mut answer = HeaderMap::new();
        policy.grant(&from(origin)).write(&mut answer);
        let allowed = answer.get("access-control-allow-origin").map(|value| value.to_str().expect("text"));
        let expected = permitted.then_some(if pattern == "*" { "*" } else { origin });
        assert_eq!((allowed, &answer[VARY]), (expected, &HeaderValue::from_static("Origin")), "{pattern} {origin}");
    }
}

#[test]
fn an_answer_has_the_fields_of_the_policy_and_none_of_the_service() {
    let policy = policy(&["https://a.example"], [&[], &[], &["location", "x-request-id"]], true);
    let mut answer = HeaderMap::new();
    for name in ["allow-origin", "allow-methods", "allow-headers", "expose-headers", "max-age", "allow-credentials"] {
        let name = http::HeaderName::from_bytes(format!("access-control-{name}").as_bytes()).expect("a name");
        answer.append(name.clone(), HeaderValue::from_static("*"));
        answer.append(name, HeaderValue::from_static("https://b.example"));
    }
    answer.insert(VARY, HeaderValue::from_static("Accept"));
    let mut refused = answer.clone();
    policy.grant(&from("https://a.example")).write(&mut answer);
    let expected = [
        "access-control-allow-credentials: true",
        "access-control-allow-origin: https://a.example",
        "access-control-expose-headers: location, x-request-id",
        "vary: Accept",
        "vary: Origin",
    ];
    assert_eq!(lines(&answer), expected);
    policy.grant(&from("https://b.example")).write(&mut refused);
    assert_eq!(lines(&refused), ["vary: Accept", "vary: Origin"]);
    for whole in ["*", "accept, ORIGIN"] {
        let mut answer = HeaderMap::from_iter([(VARY, HeaderValue::from_static(whole))]);
        policy.grant(&HeaderMap::new()).write(&mut answer);
        assert_eq!(lines(&answer), [format!("vary: {whole}")]);
    }
}

#[test]
fn a_wildcard_never_goes_with_credentials() {
    // The manifest refuses it; the policy does not depend on that.
    let policy = policy(&["*", "https://a.example"], [&[], &[], &[]], true);
    for (origin, allowed) in [("https://a.example", true), ("https://b.example", false)] {
        let mut answer = HeaderMap::new();
        policy.grant(&from(origin)).write(&mut answer);
        assert_eq!(answer.get("access-control-allow-origin").is_some(), allowed, "{origin}");
        assert!(answer.values().all(|value| value != "*"));
    }
}

#[test]
fn a_preflight_is_answered_by_the_policy_and_the_route() {
    let get = [Method::GET, Method::HEAD];
    let methods = |policy: &CorsPolicy, requested: Method, route: &[Method]| {
        let answer = policy.preflight(&from("https://a.example"), &requested, route).expect("permitted");
        assert_eq!(answer.status(), 204);
        answer.headers()["access-control-allow-methods"].to_str().expect("text").to_owned()
    };
    let of_route = policy(&["https://a.example"], [&[], &["content-type", "if-match"], &["location"]], false);
    assert_eq!(methods(&of_route, Method::GET, &get), "GET, HEAD");
    assert_eq!(methods(&of_route, Method::PATCH, &[]), "PATCH");
    let listed = policy(&["https://a.example"], [&["GET", "PUT"], &[], &[]], true);
    assert_eq!(methods(&listed, Method::DELETE, &[]), "GET, PUT");

    let answer = of_route.preflight(&from("https://a.example"), &Method::GET, &get).expect("permitted");
    let expected = [
        "access-control-allow-headers: content-type, if-match",
        "access-control-allow-methods: GET, HEAD",
        "access-control-allow-origin: https://a.example",
        "access-control-max-age: 60",
        "vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
    ];
    assert_eq!(lines(answer.headers()), expected);
    assert!(of_route.preflight(&from("https://b.example"), &Method::GET, &get).is_none());
    let mut two = from("https://a.example");
    two.append(ORIGIN, HeaderValue::from_static("https://a.example"));
    assert!(of_route.preflight(&two, &Method::GET, &get).is_none(), "no browser sends two origins");
}

#[test]
fn only_options_with_an_origin_and_one_requested_method_is_a_preflight() {
    let head = |method: &str, fields: &[(&http::HeaderName, &str)]| {
        let request = Request::builder().method(method);
        let request = fields.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        requested_method(&request.body(()).expect("a request").into_parts().0)
    };
    let (origin, wanted) = ((&ORIGIN, "https://a.example"), (&ACCESS_CONTROL_REQUEST_METHOD, "PATCH"));
    assert_eq!(head("OPTIONS", &[origin, wanted]), Some(Method::PATCH));
    assert_eq!(head("OPTIONS", &[origin]), None);
    assert_eq!(head("OPTIONS", &[wanted]), None);
    assert_eq!(head("OPTIONS", &[origin, wanted, wanted]), None);
    assert_eq!(head("OPTIONS", &[origin, (&ACCESS_CONTROL_REQUEST_METHOD, "a b")]), None);
    assert_eq!(head("GET", &[origin, wanted]), None);
}

proptest! {
    /// Property: a pattern permits exactly the origins whose scheme and port are its own, and whose labels end with
    /// its labels, with one more at least.
    #[test]
    fn a_pattern_of_names_permits_what_the_labels_say(
        pattern in ("https?", prop::collection::vec("[ab]{1,2}", 1..3), prop::option::of(1..3_u16)),
        origin in ("https?", prop::collection::vec("[ab]{0,2}", 1..5), prop::option::of(1..3_u16)),
    ) {
        let text = |prefix: &str, (scheme, labels, port): &(String, Vec<String>, Option<u16>)| {
            let port = port.map_or_else(String::new, |port| format!(":{port}"));
            format!("{scheme}://{prefix}{}{port}", labels.join("."))
        };
        let parsed = OriginPattern::parse(&text("*.", &pattern)).expect("a pattern");
        let whole = origin.1.iter().all(|label| !label.is_empty());
        let below = origin.1.len() > pattern.1.len() && origin.1.ends_with(&pattern.1);
        let expected = whole && below && origin.0 == pattern.0 && origin.2 == pattern.2;
        prop_assert_eq!(parsed.permits(&text("", &origin)), expected);
    }

    /// Property: an exact pattern permits itself as it is shown, and no other text.
    #[test]
    fn an_exact_pattern_permits_itself_alone(
        one in "https?://[ab.]{1,3}(:[12])?",
        other in "https?://[ab.]{1,3}(:[12])?",
    ) {
        if let Ok(pattern) = OriginPattern::parse(&one) {
            prop_assert!(pattern.permits(&pattern.to_string()));
            prop_assert_eq!(pattern.permits(&other), pattern.to_string() == other);
        }
    }

    /// Property: no text makes the parser panic, and what it reads is read the same again.
    #[test]
    fn a_pattern_is_read_the_same_again(text in "(https?://)?(\\*\\.)?[a-z0-9.:*\\[\\]]{0,12}") {
        if let Ok(pattern) = OriginPattern::parse(&text) {
            prop_assert_eq!(OriginPattern::parse(&pattern.to_string()), Ok(pattern));
        }
    }
}
