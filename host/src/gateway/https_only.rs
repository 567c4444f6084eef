//! What a gateway with TLS does about plain HTTP: it sends clients to `https`, and tells browsers to stay there.

use super::problem::Problem;
use super::settings::HttpsSettings;
use crate::base::{Body, HostAndPort, last_word};
use crate::listen::Peer;
use http::header::{LOCATION, STRICT_TRANSPORT_SECURITY};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Response, StatusCode};

const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Sends a request without TLS to `https`, if the settings say so: 308, which keeps method and body. A request that a
/// `trusted` proxy got by `https` is served: the proxy has ended TLS, and would be sent in circles.
///
/// # Errors
/// The answer with the new URL.
pub(super) fn check(
    settings: &HttpsSettings,
    head: &Parts,
    host: Option<HostAndPort<'_>>,
    peer: &Peer,
    trusted: bool,
) -> Result<(), Problem> {
    let Some(port) = settings.redirect.filter(|_| !peer.is_secure()) else { return Ok(()) };
    let is_https_target = head.uri.scheme() == Some(&http::uri::Scheme::HTTPS);
    if trusted && (is_https_target || is_forwarded_https(head)) {
        return Ok(());
    }
    let Some(host) = host else {
        return Err(Problem::bad_request("bad-host", "without a host there is no `https` URL to go to").closing());
    };
    let port = if port == 443 { String::new() } else { format!(":{port}") };
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    let location = format!("https://{}{port}{target}", host.host());
    let Ok(location) = HeaderValue::from_str(&location) else {
        return Err(Problem::bad_request("bad-path", "the path cannot stand in a URL"));
    };
    let problem =
        Problem::new(StatusCode::PERMANENT_REDIRECT, "https-only", "Use https", "this host is served by https");
    Err(problem.with_header(LOCATION, location).closing())
}

/// Whether the proxy says that its own client came by `https`.
fn is_forwarded_https(head: &Parts) -> bool {
    last_word(&head.headers, &FORWARDED_PROTO).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"https"))
}

/// Tells the browser to use nothing but `https` for this host (RFC 6797), on a connection with TLS alone (section 7.2).
/// A service that says so itself knows better.
pub(super) fn announce(settings: &HttpsSettings, peer: &Peer, answer: &mut Response<Body>) {
    if let Some(hsts) = settings.hsts.filter(|_| peer.is_secure()) {
        let value = format!("max-age={}", hsts.as_secs());
        let value = HeaderValue::from_str(&value).expect("digits are visible ASCII");
        answer.headers_mut().entry(STRICT_TRANSPORT_SECURITY).or_insert(value);
    }
}
