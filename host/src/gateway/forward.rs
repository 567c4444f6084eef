//! The request that the service gets.

use super::problem::Problem;
use super::settings::Target;
use crate::base::{Body, CallContext, RequestId, remove_hop_by_hop};
use crate::route::Match;
use http::header::{EXPECT, FORWARDED, HOST};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri};
use std::cell::RefCell;
use std::net::IpAddr;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const TIMEOUT: HeaderName = HeaderName::from_static(CallContext::TIMEOUT_HEADER);
const DEPTH: HeaderName = HeaderName::from_static(CallContext::DEPTH_HEADER);
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// What is known of the way that a request has come.
pub(super) struct ForwardedFrom<'a> {
    pub(super) id: &'a RequestId,
    /// The address of the connection's other end.
    pub(super) peer: IpAddr,
    /// Whether what the peer says of the way before it is believed.
    pub(super) trusted: bool,
    /// The host that the client means, checked.
    pub(super) host: Option<&'a str>,
}

/// Builds the service's request in origin form: the rewritten path, the query as it came, and the headers that are meant for the service.
pub(super) fn request(
    head: &Parts,
    body: Body,
    route: &Match<'_, Target>,
    origin: &ForwardedFrom<'_>,
) -> Result<Request<Body>, Problem> {
    let mut request = Request::new(body);
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = uri(&head.uri, &route.upstream_path())?;
    let mut headers = head.headers.clone();
    // Before anything of our own is set, because the client chooses what `Connection` removes.
    remove_hop_by_hop(&mut headers);
    // The connection's own part has asked for the body already, and these two are in the call's context.
    for name in [EXPECT, TIMEOUT, DEPTH] {
        headers.remove(name);
    }
    set_host(&mut headers, origin);
    set_forwarded(&mut headers, origin, route.stripped_prefix());
    headers.insert(RequestId::HEADER, origin.id.header());
    *request.headers_mut() = headers;
    Ok(request)
}

fn uri(asked: &Uri, path: &str) -> Result<Uri, Problem> {
    if let Some(same) = asked.path_and_query().filter(|asked| asked.path() == path) {
        return Ok(same.clone().into());
    }
    let whole = match asked.query() {
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
        None => PathAndQuery::try_from(path),
    };
    // Only the length can be wrong: a rewrite makes a path longer.
    whole.map(Uri::from).map_err(|_| Problem::bad_request("bad-path", "the path is too long"))
}

/// HTTP/1.0 may name its host in the target alone; a service finds it in `Host`.
fn set_host(headers: &mut HeaderMap, origin: &ForwardedFrom<'_>) {
    if let Some(host) = origin.host
        && !headers.contains_key(HOST)
    {
        headers.insert(HOST, text(host));
    }
}

/// Tells the service who asked, for which host and under which prefix.
fn set_forwarded(headers: &mut HeaderMap, origin: &ForwardedFrom<'_>, stripped: Option<&str>) {
    if !origin.trusted {
        let told =
            |name: &&HeaderName| name.as_str().starts_with("x-forwarded-") || **name == FORWARDED || **name == REAL_IP;
        let lies: Vec<HeaderName> = headers.keys().filter(told).cloned().collect();
        for name in &lies {
            headers.remove(name);
        }
    }
    let (address, element) = way(origin);
    append(headers, FORWARDED_FOR, b", ", address);
    append(headers, FORWARDED, b", ", element);
    if let Some(host) = origin.host {
        headers.entry(FORWARDED_HOST).or_insert_with(|| text(host));
    }
    headers.entry(FORWARDED_PROTO).or_insert(HeaderValue::from_static("http"));
    if let Some(prefix) = stripped {
        // A proxy before us has stripped what stands before our prefix.
        let prefix = HeaderValue::from_bytes(prefix.as_bytes()).expect("a path holds no control character");
        append(headers, FORWARDED_PREFIX, b"", prefix);
    }
}

/// A way that requests come, as the headers tell it.
struct ForwardedHop {
    peer: IpAddr,
    host: Option<Box<str>>,
    address: HeaderValue,
    element: HeaderValue,
}

thread_local! {
    /// The last one on this thread: most requests come the same way as the one before, and the values of its headers are shared.
    static LAST: RefCell<Option<ForwardedHop>> = const { RefCell::new(None) };
}

/// The values of `X-Forwarded-For` and `Forwarded` for one hop.
fn way(origin: &ForwardedFrom<'_>) -> (HeaderValue, HeaderValue) {
    LAST.with_borrow_mut(|last| {
        let known = last.take_if(|way| way.peer == origin.peer && way.host.as_deref() == origin.host);
        let way = last.insert(known.unwrap_or_else(|| ForwardedHop {
            peer: origin.peer,
            host: origin.host.map(Into::into),
            address: text(&origin.peer.to_string()),
            element: text(&forwarded_element(origin)),
        }));
        (way.address.clone(), way.element.clone())
    })
}

/// One element of `Forwarded` (RFC 7239). The host was checked: it holds nothing that would need an escape between the quotes.
fn forwarded_element(origin: &ForwardedFrom<'_>) -> String {
    let client = match origin.peer {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("\"[{address}]\""),
    };
    match origin.host {
        Some(host) => format!("for={client};host=\"{host}\";proto=http"),
        None => format!("for={client};proto=http"),
    }
}

/// Appends `value` to what a header holds, as one line.
fn append(headers: &mut HeaderMap, name: HeaderName, separator: &[u8], value: HeaderValue) {
    if !headers.contains_key(&name) {
        headers.insert(name, value);
        return;
    }
    let mut line: Vec<u8> = Vec::new();
    for part in headers.get_all(&name).iter().map(HeaderValue::as_bytes).chain([value.as_bytes()]) {
        if !line.is_empty() {
            line.extend(separator);
        }
        line.extend(part);
    }
    headers.insert(name, HeaderValue::from_bytes(&line).expect("made of header values"));
}

fn text(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).expect("it was checked to be visible ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(trusted: bool, peer: &str, fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers: HeaderMap = fields
            .iter()
            .map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        let id = RequestId::from_random(1);
        let origin = ForwardedFrom { id: &id, peer: peer.parse().expect("an address"), trusted, host: Some("shop:80") };
        set_forwarded(&mut headers, &origin, Some("/api"));
        headers
    }

    const TOLD: [(&str, &str); 7] = [
        ("forwarded", "for=9.9.9.9;proto=https"),
        ("x-forwarded-for", "9.9.9.9"),
        ("x-forwarded-host", "outside"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-prefix", "/eu"),
        ("x-forwarded-port", "443"),
        ("x-real-ip", "9.9.9.9"),
    ];

    #[test]
    fn what_a_stranger_says_is_replaced() {
        let headers = told(false, "::1", &TOLD);
        assert_eq!(headers["forwarded"], "for=\"[::1]\";host=\"shop:80\";proto=http");
        assert_eq!(headers["x-forwarded-for"], "::1");
        assert_eq!(headers["x-forwarded-host"], "shop:80");
        assert_eq!(headers["x-forwarded-proto"], "http");
        assert_eq!(headers["x-forwarded-prefix"], "/api");
        assert_eq!(headers.len(), 5);
    }

    #[test]
    fn what_a_trusted_proxy_says_is_continued() {
        let headers = told(true, "10.0.0.1", &TOLD);
        assert_eq!(headers["forwarded"], "for=9.9.9.9;proto=https, for=10.0.0.1;host=\"shop:80\";proto=http");
        assert_eq!(headers["x-forwarded-for"], "9.9.9.9, 10.0.0.1");
        assert_eq!(headers["x-forwarded-host"], "outside");
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(headers["x-forwarded-prefix"], "/eu/api");
        assert_eq!(headers["x-real-ip"], "9.9.9.9");
        assert_eq!(told(true, "10.0.0.1", &[])["x-forwarded-for"], "10.0.0.1");
    }
}
