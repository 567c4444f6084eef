//! Checks the head of a request before anything is decided by it.

use super::problem::Problem;
use super::settings::Settings;
use super::websocket;
use crate::base::{HostAndPort, RequestId, header_tokens};
use crate::listen::SecurePeer;
use crate::route::Path;
use http::header::{ALLOW, CONNECTION, HOST, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::uri::Scheme;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};

/// The methods of a route that names none, for the `Allow` of the answer to CONNECT and TRACE.
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// The most bytes of a request's path and query together. RFC 9112, section 3, asks for request lines of at least 8,000
/// bytes.
const MAX_TARGET: usize = 8 * 1024;

/// Checks the number and the size of the header fields.
pub(super) fn check_bounds(headers: &HeaderMap, settings: &Settings) -> Result<(), Problem> {
    // As on the wire: 4 bytes for `: ` and the end of the line.
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if headers.len() <= settings.max_headers && bytes <= settings.header_bytes {
        return Ok(());
    }
    let detail = format!("at most {} header fields of {} bytes together", settings.max_headers, settings.header_bytes);
    let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    Err(Problem::new(status, "headers-too-large", "The header section is too large", detail).closing())
}

/// Refuses what a gateway must not pass on. Returns the host that the client named; only HTTP/1.0 may leave it out.
/// `trusted`: whether the peer is a trusted proxy; `secure`: its TLS, if it has TLS.
pub(super) fn check<'a>(
    head: &'a Parts,
    trusted: bool,
    secure: Option<&SecurePeer>,
) -> Result<Option<HostAndPort<'a>>, Problem> {
    check_target(head)?;
    check_scheme(head.uri.scheme(), trusted, secure.is_some())?;
    check_names(&head.headers)?;
    check_values(head)?;
    check_framing(&head.headers)?;
    check_purpose(head)?;
    let host = check_host(head)?;
    match (host, secure) {
        (Some(host), Some(secure)) if !secure.may_ask_for(host) => {
            Err(misdirected("this connection was made to another host than the one that the request names"))
        }
        _ => Ok(host),
    }
}

/// Refuses a target that is too long. The parser's ceiling for a whole header section is higher.
fn check_target(head: &Parts) -> Result<(), Problem> {
    let length = head.uri.path().len() + head.uri.query().map_or(0, |query| query.len() + 1);
    if length <= MAX_TARGET {
        return Ok(());
    }
    let detail = format!("path and query have at most {MAX_TARGET} bytes together");
    Err(Problem::new(StatusCode::URI_TOO_LONG, "target-too-long", "The target is too long", detail).closing())
}

/// Refuses a target in absolute form that this connection cannot be for: `https` without TLS, and `http` with TLS. A
/// trusted proxy may have ended TLS, or begun it, so its word counts (RFC 9110, section 7.4).
fn check_scheme(scheme: Option<&Scheme>, trusted: bool, secure: bool) -> Result<(), Problem> {
    let Some(scheme) = scheme else { return Ok(()) };
    if ![Scheme::HTTP, Scheme::HTTPS].contains(scheme) {
        return Err(Problem::bad_request("bad-scheme", "the target's scheme is not `http` or `https`").closing());
    }
    match (*scheme == Scheme::HTTPS, secure) {
        _ if trusted => Ok(()),
        (true, false) => Err(misdirected("the target's scheme is `https`, and this connection has no TLS")),
        (false, true) => Err(misdirected("the target's scheme is `http`, and this connection has TLS")),
        _ => Ok(()),
    }
}

fn misdirected(detail: &'static str) -> Problem {
    Problem::new(StatusCode::MISDIRECTED_REQUEST, "misdirected", "The request is misdirected", detail).closing()
}

/// A service that puts headers into environment variables reads `X_Request_Id` as `x-request-id`, so an underscore
/// could bypass the headers that the gateway overwrites.
fn check_names(headers: &HeaderMap) -> Result<(), Problem> {
    match headers.keys().find(|name| name.as_str().contains('_')) {
        Some(name) => Err(Problem::bad_request("bad-header", format!("header `{name}` has an underscore in its name"))),
        None => Ok(()),
    }
}

/// HTTP/2 has a length for each value, so a value may begin or end with a blank there. In HTTP/1 the blank would be
/// gone, and service and gateway would not see the same value (RFC 9113, section 8.2.1). h2 lets it pass.
fn check_values(head: &Parts) -> Result<(), Problem> {
    if head.version != Version::HTTP_2 {
        return Ok(());
    }
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    match head.headers.iter().find(|(_, value)| {
        let value = value.as_bytes();
        blank(value.first()) || blank(value.last())
    }) {
        Some((name, _)) => {
            Err(Problem::bad_request("bad-header", format!("the value of `{name}` begins or ends with a blank")))
        }
        None => Ok(()),
    }
}

/// hyper decodes `chunked` once, and no other transfer coding. A body in further codings would reach the service
/// without the header that names them.
fn check_framing(headers: &HeaderMap) -> Result<(), Problem> {
    let mut times = 0;
    for coding in header_tokens(headers, &TRANSFER_ENCODING) {
        if !coding.eq_ignore_ascii_case(b"chunked") {
            return Err(unknown_coding());
        }
        times += 1;
    }
    if times > 1 {
        let detail = "a transfer coding is applied twice (RFC 9112, section 7)";
        return Err(Problem::bad_request("transfer-coding-twice", detail).closing());
    }
    Ok(())
}

fn unknown_coding() -> Problem {
    let detail = "the only transfer coding that is understood is `chunked`";
    Problem::new(StatusCode::NOT_IMPLEMENTED, "transfer-coding", "The transfer coding is unknown", detail).closing()
}

fn check_purpose(head: &Parts) -> Result<(), Problem> {
    if matches!(head.method, Method::CONNECT | Method::TRACE) {
        let detail = format!("{} is not passed on", head.method);
        let problem =
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "The method is not allowed", detail);
        return Err(problem.with_header(ALLOW, HeaderValue::from_static(METHODS)).closing());
    }
    // HTTP/1.0 has no upgrades: `Upgrade` is ignored in it (RFC 9110, section 7.8).
    if head.version == Version::HTTP_10 {
        return Ok(());
    }
    // An offer of HTTP/2 over plain text (`h2c`) may be ignored (RFC 9110, section 7.8); Java's client makes it on
    // every connection.
    let has = |name: &HeaderName, wanted: &[u8]| {
        header_tokens(&head.headers, name).any(|token| token.eq_ignore_ascii_case(wanted))
    };
    // Whether WebSocket may be spoken, the route decides.
    let ignored = |protocol: &[u8]| [b"h2c", websocket::PROTOCOL].iter().any(|own| protocol.eq_ignore_ascii_case(own));
    let offers = header_tokens(&head.headers, &UPGRADE).any(|protocol| !ignored(protocol));
    if offers && has(&CONNECTION, b"upgrade") {
        return Err(websocket::refused());
    }
    Ok(())
}

fn check_host(head: &Parts) -> Result<Option<HostAndPort<'_>>, Problem> {
    let refuse = |detail: &'static str| Err(Problem::bad_request("bad-host", detail).closing());
    let mut named = head.headers.get_all(HOST).iter();
    let host = match (named.next(), named.next()) {
        (Some(host), None) => match host.to_str().ok().and_then(HostAndPort::parse) {
            Some(host) => Some(host),
            None => return refuse("the `Host` header is not a valid host"),
        },
        (Some(_), Some(_)) => return refuse("the request has more than one `Host` header"),
        (None, _) if head.version == Version::HTTP_10 => None,
        (None, _) => return refuse("the request has no `Host` header"),
    };
    let Some(target) = head.uri.authority() else { return Ok(host) };
    let Some(target) = HostAndPort::parse(target.as_str()) else {
        return refuse("the request's target names no host");
    };
    // `GET http://host/path` names the host twice. If the two differed, the gateway might route by one and the service
    // by the other.
    let default_port = if head.uri.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
    if host.is_some_and(|host| !host.is_same(target, default_port)) {
        return refuse("the request's target and its `Host` header name two hosts");
    }
    Ok(Some(host.unwrap_or(target)))
}

/// The id that a trusted proxy sent, or else a new one. A client that could choose its id could hide among the log
/// lines of another request.
pub(super) fn request_id(headers: &HeaderMap, trusted: bool) -> RequestId {
    let given = || headers.get(RequestId::HEADER).and_then(|id| RequestId::accept(id.to_str().ok()?));
    let given = if trusted { given() } else { None };
    given.unwrap_or_else(|| RequestId::from_random(rand::random()))
}

/// The path of a request, if it is one.
pub(super) fn clean_path(head: &Parts) -> Result<Path<'_>, Problem> {
    Path::parse(head.uri.path()).map_err(|why| Problem::bad_request("bad-path", why.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn head(uri: &str, fields: &[(&str, &str)]) -> Parts {
        let mut builder = Request::builder().uri(uri);
        for (name, value) in fields {
            builder = builder.header(*name, *value);
        }
        builder.body(()).expect("a request").into_parts().0
    }

    fn refusal(uri: &str, fields: &[(&str, &str)]) -> Option<String> {
        check(&head(uri, fields), false, None).err().map(|problem| problem.kind.into_owned())
    }

    #[test]
    fn a_request_has_exactly_one_valid_host() {
        for host in ["a", "a.b:80", "127.0.0.1:8080", "[::1]:80"] {
            let good = head("/", &[("host", host)]);
            assert_eq!(check(&good, false, None).ok().flatten().map(HostAndPort::as_str), Some(host));
        }
        for host in ["", "a b", "a/b", "u@a", "a\"b", "a,b", ":80", "a:b:c", "a:b", "a:80x", "[zz]", "[::1]x"] {
            assert_eq!(refusal("/", &[("host", host)]).as_deref(), Some("bad-host"), "{host:?}");
        }
        assert_eq!(refusal("/", &[]).as_deref(), Some("bad-host"));
        assert_eq!(refusal("/", &[("host", "a"), ("host", "a")]).as_deref(), Some("bad-host"));
        assert_eq!(refusal("http://A/x", &[("host", "a")]).as_deref(), None);
        assert_eq!(refusal("http://a:80/x", &[("host", "a")]).as_deref(), None);
        assert_eq!(refusal("http://b/x", &[("host", "a")]).as_deref(), Some("bad-host"));
        assert_eq!(refusal("http://u@a/x", &[("host", "a")]).as_deref(), Some("bad-host"));

        let mut old = head("/", &[]);
        old.version = Version::HTTP_10;
        assert_eq!(check(&old, false, None).ok(), Some(None));
    }

    #[test]
    fn an_https_target_is_served_only_from_a_trusted_proxy_and_another_scheme_never() {
        for (uri, host, trusted, refused) in [
            ("http://a/x", "a", false, None),
            ("HTTP://a/x", "a", false, None),
            ("https://a/x", "a:443", false, Some((421, "misdirected"))),
            ("HTTPS://a/x", "a", false, Some((421, "misdirected"))),
            ("https://a/x", "a:443", true, None),
            ("https://a/x", "a:80", true, Some((400, "bad-host"))),
            ("ftp://a/x", "a", false, Some((400, "bad-scheme"))),
            ("ftp://a/x", "a", true, Some((400, "bad-scheme"))),
        ] {
            let head = head(uri, &[("host", host)]);
            let got = check(&head, trusted, None).err().map(|problem| (problem.status.as_u16(), problem.kind));
            assert_eq!(got, refused.map(|(status, kind)| (status, kind.into())), "{uri}, trusted: {trusted}");
        }
    }

    #[test]
    fn with_tls_an_http_target_is_misdirected_and_an_https_target_is_not() {
        for (uri, trusted, secure, good) in [
            ("https://a/x", false, true, true),
            ("http://a/x", false, true, false),
            ("http://a/x", true, true, true),
            ("https://a/x", false, false, false),
        ] {
            let head = head(uri, &[("host", "a")]);
            assert_eq!(check_scheme(head.uri.scheme(), trusted, secure).is_ok(), good, "{uri} {trusted} {secure}");
        }
    }

    #[test]
    fn headers_that_cannot_be_passed_on_are_refused() {
        let with = |name, value| refusal("/", &[("host", "a"), (name, value), ("connection", "Upgrade")]);
        assert_eq!(with("x_a", "1").as_deref(), Some("bad-header"));
        assert_eq!(with("transfer-encoding", "gzip, chunked").as_deref(), Some("transfer-coding"));
        assert_eq!(with("transfer-encoding", "Chunked").as_deref(), None);
        assert_eq!(with("transfer-encoding", "chunked, Chunked").as_deref(), Some("transfer-coding-twice"));
        assert_eq!(with("upgrade", "irc").as_deref(), Some("upgrade"));
        assert_eq!(with("upgrade", "websocket").as_deref(), None, "the route decides");
        assert_eq!(with("upgrade", "h2c").as_deref(), None);
        assert_eq!(
            refusal("/", &[("host", "a"), ("upgrade", "websocket")]).as_deref(),
            None,
            "`Connection` does not name it, so it is not meant for this hop"
        );
        let mut old = head("/", &[("host", "a"), ("upgrade", "websocket"), ("connection", "upgrade")]);
        old.version = Version::HTTP_10;
        assert!(check(&old, false, None).is_ok(), "HTTP/1.0 has no upgrades");
    }

    #[test]
    fn a_target_of_8_kib_passes_and_a_longer_one_does_not() {
        let with = |length| refusal(&format!("/{}?q", "a".repeat(length - 3)), &[("host", "a")]);
        assert_eq!(with(MAX_TARGET).as_deref(), None);
        assert_eq!(with(MAX_TARGET + 1).as_deref(), Some("target-too-long"));
    }

    #[test]
    fn a_head_that_is_exactly_at_its_bounds_passes() {
        let head = head("/", &[("a", "12345"), ("b", "12345")]);
        let bounds = |max_headers, header_bytes| Settings { max_headers, header_bytes, ..Settings::default() };
        assert!(check_bounds(&head.headers, &bounds(2, 20)).is_ok());
        assert!(check_bounds(&head.headers, &bounds(1, 20)).is_err());
        assert!(check_bounds(&head.headers, &bounds(2, 19)).is_err());
    }
}
