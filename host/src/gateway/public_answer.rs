//! Makes an answer fit for the client: what every answer carries, and what a service's answer must lose.

use super::settings::Target;
use super::told_hosts::{Origin, ToldHosts};
use crate::base::{Body, RequestId, ServiceName, empty_body, remove_hop_by_hop};
use crate::listen::Peer;
use crate::route::Match;
use http::header::{CONTENT_LOCATION, LOCATION, TRAILER};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use std::borrow::Cow;

/// Adds what every answer of the gateway carries: its own problems and the answers of services alike. (Answers to
/// requests that hyper cannot parse never come here: see `listen`.)
pub(super) fn finish(mut answer: Response<Body>, id: &RequestId) -> Response<Body> {
    answer.headers_mut().insert(RequestId::HEADER, id.header());
    answer
}

/// Makes `answer` the public answer to a request with `method` on `route`: without hop-by-hop headers, and with public
/// locations. `hosts` are those that the service was told; `leads` finds the service to which a GET of a path leads.
pub(super) fn publish(
    mut answer: Response<Body>,
    method: &Method,
    hosts: &ToldHosts<'_>,
    route: &Match<'_, Target>,
    leads: impl Fn(&str) -> Option<ServiceName>,
) -> Response<Body> {
    let status = answer.status();
    remove_hop_by_hop(answer.headers_mut());
    let without_body = method == Method::HEAD || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if without_body {
        *answer.body_mut() = empty_body();
    }
    // Most answers have none of these: one walk over a few fields costs less than three look-ups.
    if !answer.headers().keys().any(|name| *name == TRAILER || *name == LOCATION || *name == CONTENT_LOCATION) {
        return answer;
    }
    // No trailer section is passed on, so none may be announced.
    answer.headers_mut().remove(TRAILER);
    for name in [LOCATION, CONTENT_LOCATION] {
        let public =
            answer.headers().get(&name).and_then(|value| public_location(value.to_str().ok()?, hosts, route, &leads));
        if let Some(public) = public {
            answer.headers_mut().insert(name, public);
        }
    }
    answer
}

/// Lets the client, which has sent `head`, have the interim answers to `request`, if it speaks HTTP/1.1. What the route
/// changes in the fields `Link` of answers, it changes in theirs.
pub(super) fn pass_interim(target: &Target, (head, peer): (&Parts, &Peer), request: &mut Request<Body>) {
    if head.version != Version::HTTP_11 {
        return;
    }
    let edits = target.transforms.answer_headers.clone();
    peer.take_interim(request, move |links| {
        if let Some(edits) = &edits {
            edits.edits.apply(links);
        }
    });
}

/// The public form of a reference that the service wrote, or `None` if the reference stays as it is.
fn public_location(
    location: &str,
    hosts: &ToldHosts<'_>,
    route: &Match<'_, Target>,
    leads: &dyn Fn(&str) -> Option<ServiceName>,
) -> Option<HeaderValue> {
    let (origin, reference) = split_origin(location);
    let Some((scheme, authority)) = origin.split_once("//") else {
        let public = public_path(reference, false, route, leads);
        return (public != reference).then(|| HeaderValue::from_str(&public).ok()).flatten();
    };
    let default_port = if scheme.eq_ignore_ascii_case("https:") { 443 } else { 80 };
    let kept = match hosts.origin(authority, default_port, route.target.service()?) {
        // A service that does not look at `X-Forwarded-Proto` writes `http` for a host that was reached by TLS.
        Origin::Public if hosts.secure && scheme.eq_ignore_ascii_case("http:") => format!("https://{authority}").into(),
        Origin::Public => Cow::Borrowed(origin),
        Origin::Internal => Cow::Borrowed(""),
        Origin::Foreign => return None,
    };
    // An empty path after a host is the path `/` (RFC 9110, section 4.2.3).
    let path = if reference.starts_with('/') { Cow::Borrowed(reference) } else { format!("/{reference}").into() };
    let public = public_path(&path, !kept.is_empty(), route, leads);
    let changed = public != path || kept != origin;
    changed.then(|| HeaderValue::from_str(&format!("{kept}{public}")).ok()).flatten()
}

/// The public form of a path that the service wrote; `absolute` if it wrote it with the public host.
///
/// A service writes a path of its own, which the route then has to change, or a public path: one that it was configured
/// with, or made from `X-Forwarded-Prefix`. The path stays as it is where that is the way that leads somewhere: with a
/// host, if it leads to the service itself; always, if the changed path leads nowhere, or only where the path as it is
/// leads as well (to a route for all paths).
fn public_path<'l>(
    path: &'l str,
    absolute: bool,
    route: &Match<'_, Target>,
    leads: &dyn Fn(&str) -> Option<ServiceName>,
) -> Cow<'l, str> {
    let changed = route.public_location(path);
    if changed == path {
        return changed;
    }
    let own = route.target.service().cloned();
    let (as_it_is, when_changed) = (leads(path), leads(&changed));
    let stays = (absolute && as_it_is == own)
        || (as_it_is.is_some() && (when_changed.is_none() || (when_changed == as_it_is && as_it_is != own)));
    if stays { path.into() } else { changed }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::HostAndPort;
    use crate::gateway::{Answerer, RouteTransforms};
    use crate::route::{Path, RequestHead, RouteLookup, RoutingTable, Rule};
    use http::HeaderMap;
    use std::time::Duration;

    /// Publishes `answer` as the answer to `/api/users/7`, on a route that strips `/api`.
    fn publish_under_api(answer: Response<Body>, method: &Method, hosts: &ToldHosts<'_>) -> Response<Body> {
        let service = ServiceName::new("users").expect("a name");
        let target = Target {
            answerer: Answerer::Service(service),
            body_limit: 1,
            open_uploads: 8,
            timeout: Duration::from_secs(1),
            limits: None,
            typed: None,
            trailers: false,
            interim: false,
            websocket: None,
            access: None,
            addresses: None,
            cors: None,
            cache: None,
            left_out: None,
            transforms: RouteTransforms::default(),
        };
        let rule = Rule::prefix("/api/users").and_then(|rule| rule.with_strip_prefix("/api")).expect("a rule");
        let table = RoutingTable::new(vec![(rule, target)]);
        let path = Path::parse("/api/users/7").expect("a path");
        let headers = HeaderMap::new();
        match table.find(&RequestHead { host: None, method, path, headers: &headers }) {
            RouteLookup::Route(route) => publish(answer, method, hosts, &route, |_| None),
            _ => unreachable!("the rule is for this path"),
        }
    }

    /// The public form of `location` for a client that named `host`, and a trusted proxy that says `forwarded`.
    fn public(location: &'static str, host: Option<&str>, forwarded: Option<&'static str>) -> String {
        public_by(false, location, host, forwarded)
    }

    fn public_by(secure: bool, location: &'static str, host: Option<&str>, forwarded: Option<&'static str>) -> String {
        let mut headers = HeaderMap::new();
        if let Some(forwarded) = forwarded {
            headers.insert("x-forwarded-host", HeaderValue::from_static(forwarded));
        }
        let host = host.map(|host| HostAndPort::parse(host).expect("a host"));
        let hosts = ToldHosts::new(&headers, host, forwarded.is_some(), secure);
        let answer = Response::builder().header(LOCATION, location).header(CONTENT_LOCATION, location);
        let answer = publish_under_api(answer.body(empty_body()).expect("an answer"), &Method::GET, &hosts);
        assert_eq!(answer.headers()[LOCATION], answer.headers()[CONTENT_LOCATION]);
        answer.headers()[LOCATION].to_str().expect("text").to_owned()
    }

    #[test]
    fn a_location_of_the_service_becomes_the_public_one() {
        let cases = [
            ("/users/7?a=/b#c", "/api/users/7?a=/b#c"),
            ("http://shop:80/users/7", "http://shop:80/api/users/7"),
            ("https://SHOP:80/users/7", "https://SHOP:80/api/users/7"),
            ("//shop:80/users/7", "//shop:80/api/users/7"),
            ("http://shop/users/7", "http://shop/api/users/7"),
            ("http://shop./users/7", "http://shop./api/users/7"),
            ("http://shop?a", "http://shop/api/?a"),
            ("https://shop/users/7", "https://shop/users/7"),
            ("http://shop:8080/users/7", "http://shop:8080/users/7"),
            ("http://other/users/7", "http://other/users/7"),
            ("http://users/users/7", "http://users/users/7"),
            ("http://shop:80@other/users/7", "http://shop:80@other/users/7"),
            ("http://shop:80x/users/7", "http://shop:80x/users/7"),
            ("//other/users/7", "//other/users/7"),
            ("7", "7"),
            ("?page=2", "?page=2"),
            ("mailto:/a@b", "mailto:/a@b"),
        ];
        for (location, expected) in cases {
            assert_eq!(public(location, Some("shop:80"), None), expected, "{location}");
        }
    }

    #[test]
    fn the_clients_own_host_is_https_where_the_client_came_by_tls() {
        for (host, location, expected) in [
            ("shop", "http://shop/users/7", "https://shop/api/users/7"),
            ("shop:8443", "HTTP://shop:8443/users/7", "https://shop:8443/api/users/7"),
            ("shop", "https://shop:443/users/7", "https://shop:443/api/users/7"),
            ("shop:8443", "http://shop/users/7", "http://shop/users/7"),
            ("shop", "http://other/users/7", "http://other/users/7"),
            ("shop", "/users/7", "/api/users/7"),
        ] {
            assert_eq!(public_by(true, location, Some(host), None), expected, "{location}");
        }
    }

    #[test]
    fn a_location_is_compared_with_the_hosts_that_the_service_was_told() {
        let told = Some("a.example, shop.example:8443");
        for (location, expected) in [
            ("https://a.example/users/7", "https://a.example/api/users/7"),
            ("https://shop.example:8443/users/7", "https://shop.example:8443/api/users/7"),
            ("http://inside/users/7", "http://inside/api/users/7"),
            ("https://b.example/users/7", "https://b.example/users/7"),
        ] {
            assert_eq!(public(location, Some("inside"), told), expected);
        }
        // An HTTP/1.0 client that names no host: the service is told its own name, which the client cannot resolve.
        assert_eq!(public("http://users/users/7", None, None), "/api/users/7");
        assert_eq!(public("http://users", None, None), "/api/");
        assert_eq!(public("http://other/users/7", None, None), "http://other/users/7");
    }
}
