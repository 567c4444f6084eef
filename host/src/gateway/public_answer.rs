//! Makes an answer fit for the client: what every answer carries, and what a service's answer must lose.

use super::settings::Target;
use crate::base::{Body, RequestId, empty_body, remove_hop_by_hop};
use crate::route::Match;
use http::header::{CONTENT_LOCATION, LOCATION};
use http::{HeaderValue, Method, Response, StatusCode};

/// Adds what every answer of the gateway carries: its own problems and the answers of services alike. (Answers to
/// requests that hyper cannot parse never come here: see `listen`.)
pub(super) fn finish(mut answer: Response<Body>, id: &RequestId) -> Response<Body> {
    answer.headers_mut().insert(RequestId::HEADER, id.header());
    answer
}

/// Makes `answer` the public answer to a request with `method` for `host` on `route`: without hop-by-hop headers, and
/// with public locations.
pub(super) fn publish(
    mut answer: Response<Body>,
    method: &Method,
    host: Option<&str>,
    route: &Match<'_, Target>,
) -> Response<Body> {
    let status = answer.status();
    remove_hop_by_hop(answer.headers_mut());
    let without_body = method == Method::HEAD || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if without_body {
        *answer.body_mut() = empty_body();
    }
    for name in [LOCATION, CONTENT_LOCATION] {
        let public = answer.headers().get(&name).and_then(|value| public_location(value.to_str().ok()?, host, route));
        if let Some(public) = public {
            answer.headers_mut().insert(name, public);
        }
    }
    answer
}

/// The public form of a reference that the service wrote, or `None` if the reference stays as it is.
fn public_location(location: &str, host: Option<&str>, route: &Match<'_, Target>) -> Option<HeaderValue> {
    let (origin, reference) = split_origin(location);
    // A reference to another host stays. The service knows this host by the name that the client used.
    let foreign = |origin: &str| !host.is_some_and(|host| authority(origin).eq_ignore_ascii_case(host));
    if !origin.is_empty() && foreign(origin) {
        return None;
    }
    let public = route.public_location(reference);
    (public != reference).then(|| HeaderValue::from_str(&format!("{origin}{public}")).ok()).flatten()
}

/// Splits `https://host` or `//host` off the front of a reference.
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
    use crate::base::ServiceName;
    use crate::route::{Path, RequestHead, RouteLookup, RoutingTable, Rule};
    use http::HeaderMap;
    use std::time::Duration;

    /// Publishes `answer` as the answer to `/api/users/7`, on a route that strips `/api`.
    fn publish_under_api(answer: Response<Body>, method: &Method) -> Response<Body> {
        let service = ServiceName::new("users").expect("a name");
        let target = Target { service, body_limit: 1, timeout: Duration::from_secs(1), typed: None };
        let rule = Rule::prefix("/api/users").and_then(|rule| rule.with_strip_prefix("/api")).expect("a rule");
        let table = RoutingTable::new(vec![(rule, target)]);
        let path = Path::parse("/api/users/7").expect("a path");
        let headers = HeaderMap::new();
        match table.find(&RequestHead { host: Some("shop"), method, path, headers: &headers }) {
            RouteLookup::Route(route) => publish(answer, method, Some("shop:80"), &route),
            _ => unreachable!("the rule is for this path"),
        }
    }

    #[test]
    fn a_location_of_the_service_becomes_the_public_one() {
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
            let answer = publish_under_api(answer, &Method::GET);
            assert_eq!(
                (&answer.headers()[LOCATION], &answer.headers()[CONTENT_LOCATION]),
                (&public.parse().expect("a value"), &public.parse().expect("a value"))
            );
        }
    }
}
