//! The request that the gateway sends to the service.

use super::authentication::Admitted;
use super::mirror::Mirror;
use super::problem::Problem;
use super::settings::Target;
use crate::base::{
    Body, CallContext, HostAndPort, RequestId, SecureOrigin, StreamedContent, UnreadContent, last_word,
    remove_hop_by_hop,
};
use crate::route::Match;
use http::header::{Entry, FORWARDED, HOST};
use http::request::Parts;
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri};
use std::cell::RefCell;
use std::net::IpAddr;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

/// The most fields that are added on the way to the service: here `Host`, those that begin with `Forwarded` or
/// `X-Forwarded-`, and the id; at an address the deadline and the depth. The map grows once for all of them.
const MOST_SET: usize = 9;

/// Where a request comes from.
pub(super) struct ForwardedFrom<'a> {
    pub(super) id: &'a RequestId,
    /// The address of the connection's other end.
    pub(super) peer: IpAddr,
    /// Whether the peer is a trusted proxy, whose word about the hops before it is believed.
    pub(super) trusted: bool,
    /// Whether the connection has TLS.
    pub(super) secure: bool,
    /// The host that the client named, checked.
    pub(super) host: Option<HostAndPort<'a>>,
    /// Whom the route has let in.
    pub(super) admitted: Option<&'a Admitted<'a>>,
}

impl ForwardedFrom<'_> {
    fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }
}

/// Whether the client came by `https`, as the headers say that the service gets.
fn is_https(headers: &HeaderMap) -> bool {
    headers.get(FORWARDED_PROTO).is_some_and(|scheme| scheme.as_bytes().eq_ignore_ascii_case(b"https"))
}

/// Leaves of the fields of which a service expects one value what the trusted proxy itself has said: two lines, and two
/// schemes, could be read in two ways.
fn keep_own_words(headers: &mut HeaderMap) {
    if headers.get_all(FORWARDED_HOST).iter().nth(1).is_some()
        && let Some(last) = headers.get_all(FORWARDED_HOST).iter().next_back().cloned()
    {
        headers.insert(FORWARDED_HOST, last);
    }
    let Some(said) = headers.get(FORWARDED_PROTO) else { return };
    let scheme = last_word(headers, &FORWARDED_PROTO).unwrap_or_default();
    if scheme.is_empty() {
        headers.remove(FORWARDED_PROTO);
    } else if said.as_bytes() != scheme || headers.get_all(FORWARDED_PROTO).iter().nth(1).is_some() {
        let scheme = HeaderValue::from_bytes(scheme).expect("a part of a header value is one");
        headers.insert(FORWARDED_PROTO, scheme);
    }
}

/// Builds the service's request in origin form: the rewritten path, the query unchanged, and the headers that are meant
/// for the service.
///
/// # Errors
/// 400 if the rewritten path is too long.
pub(super) fn build(
    head: &Parts,
    body: Body,
    route: &Match<'_, Target>,
    origin: &ForwardedFrom<'_>,
) -> Result<Request<Body>, Problem> {
    let mut request = Request::new(body);
    *request.method_mut() = route.rule.upstream_method(&head.method).clone();
    *request.uri_mut() = uri(&head.uri, &route.upstream_path())?;
    let mut headers = head.headers.clone();
    // First, before the gateway sets headers of its own: the client chooses which headers `Connection` removes.
    remove_hop_by_hop(&mut headers);
    remove_ending(&mut headers, origin.trusted);
    if origin.trusted {
        keep_own_words(&mut headers);
    }
    headers.reserve(MOST_SET);
    if let Some(admitted) = origin.admitted {
        admitted.strip(&mut headers);
    }
    set_host(&mut headers, origin);
    // Such a target comes by TLS, or from a trusted proxy (`head_check`): its client's connection has TLS.
    if head.uri.scheme() == Some(&Scheme::HTTPS) {
        headers.entry(FORWARDED_PROTO).or_insert(HeaderValue::from_static("https"));
    }
    set_forwarded(&mut headers, origin, route.stripped_prefix());
    headers.insert(RequestId::HEADER, origin.id.header());
    *request.headers_mut() = headers;
    StreamedContent::mark(&mut request);
    if is_https(request.headers()) {
        request.extensions_mut().insert(SecureOrigin);
    }
    if *request.method() != head.method {
        request.extensions_mut().insert(UnreadContent);
    }
    Ok(request)
}

/// Removes the other fields that end at the gateway. `trusted`: whether a trusted proxy has sent them.
fn remove_ending(headers: &mut HeaderMap, trusted: bool) {
    let ends = |name: &&HeaderName| match name.as_str() {
        // `Expect` was answered by the connection, which also drops the fields that `Trailer` announces. The other two
        // are part of the call's context.
        "expect" | "trailer" | CallContext::TIMEOUT_HEADER | CallContext::DEPTH_HEADER | Mirror::HEADER => true,
        // What a client says of its own origin.
        "forwarded" | "x-real-ip" => !trusted,
        name => !trusted && name.starts_with("x-forwarded-"),
    };
    let ending: Vec<HeaderName> = headers.keys().filter(ends).cloned().collect();
    for name in &ending {
        headers.remove(name);
    }
}

fn uri(public: &Uri, path: &str) -> Result<Uri, Problem> {
    if let Some(same) = public.path_and_query().filter(|public| public.path() == path) {
        return Ok(same.clone().into());
    }
    let whole = match public.query() {
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
        None => PathAndQuery::try_from(path),
    };
    // Only the length can be wrong: a rewrite may make a path longer.
    whole.map(Uri::from).map_err(|_| Problem::bad_request("bad-path", "the path is too long"))
}

/// An HTTP/1.0 request may name its host in the target alone; the service expects it in `Host`.
fn set_host(headers: &mut HeaderMap, origin: &ForwardedFrom<'_>) {
    if let Some(host) = origin.host
        && !headers.contains_key(HOST)
    {
        headers.insert(HOST, text(host.as_str()));
    }
}

/// Sets the headers that tell the service its client, the public host and the public prefix.
fn set_forwarded(headers: &mut HeaderMap, origin: &ForwardedFrom<'_>, stripped: Option<&str>) {
    let hop = forwarded_hop(origin);
    append(headers, FORWARDED_FOR, b", ", hop.address);
    append(headers, FORWARDED, b", ", hop.element);
    if let Some(host) = hop.host {
        headers.entry(FORWARDED_HOST).or_insert(host);
    }
    headers.entry(FORWARDED_PROTO).or_insert(HeaderValue::from_static(origin.scheme()));
    if let Some(prefix) = stripped {
        // A proxy before this gateway may have stripped a prefix, too; its prefix comes first.
        let prefix = HeaderValue::from_bytes(prefix.as_bytes()).expect("a path holds no control character");
        append(headers, FORWARDED_PREFIX, b"", prefix);
    }
}

/// The values of the headers for one hop. They depend on the peer and the host alone.
#[derive(Clone)]
struct ForwardedHop {
    /// One entry of `X-Forwarded-For`.
    address: HeaderValue,
    /// One element of `Forwarded`.
    element: HeaderValue,
    /// The value of `X-Forwarded-Host`.
    host: Option<HeaderValue>,
}

/// The hop of the last request on a thread.
struct LastHop {
    peer: IpAddr,
    secure: bool,
    host: Option<Box<str>>,
    hop: ForwardedHop,
}

thread_local! {
    /// Most requests have the same peer and host as the request before them, and share its header values.
    static LAST: RefCell<Option<LastHop>> = const { RefCell::new(None) };
}

fn forwarded_hop(origin: &ForwardedFrom<'_>) -> ForwardedHop {
    let host = origin.host.map(HostAndPort::as_str);
    LAST.with_borrow_mut(|last| {
        let same =
            |last: &LastHop| (last.peer, last.secure, last.host.as_deref()) == (origin.peer, origin.secure, host);
        let known = last.take_if(|last| same(last));
        let last = last.insert(known.unwrap_or_else(|| LastHop {
            peer: origin.peer,
            secure: origin.secure,
            host: host.map(Into::into),
            hop: ForwardedHop {
                address: text(&origin.peer.to_string()),
                element: text(&forwarded_element(origin)),
                host: host.map(text),
            },
        }));
        last.hop.clone()
    })
}

/// One element of `Forwarded` (RFC 7239). The host was checked: it has no character that needs an escape within quotes.
fn forwarded_element(origin: &ForwardedFrom<'_>) -> String {
    let client = match origin.peer {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("\"[{address}]\""),
    };
    let scheme = origin.scheme();
    match origin.host {
        Some(host) => format!("for={client};host=\"{host}\";proto={scheme}"),
        None => format!("for={client};proto={scheme}"),
    }
}

/// Appends `value` to a header. Several lines of the header become one.
fn append(headers: &mut HeaderMap, name: HeaderName, separator: &[u8], value: HeaderValue) {
    let mut lines = match headers.entry(name) {
        Entry::Vacant(none) => {
            none.insert(value);
            return;
        }
        Entry::Occupied(lines) => lines,
    };
    let mut line: Vec<u8> = Vec::new();
    for part in lines.iter().map(HeaderValue::as_bytes).chain([value.as_bytes()]) {
        if !line.is_empty() {
            line.extend(separator);
        }
        line.extend(part);
    }
    lines.insert(HeaderValue::from_bytes(&line).expect("made of header values"));
}

fn text(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).expect("the host was checked to be visible ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forwarded(trusted: bool, peer: &str, fields: &[(&'static str, &'static str)]) -> HeaderMap {
        forwarded_by(trusted, false, peer, fields)
    }

    fn forwarded_by(trusted: bool, secure: bool, peer: &str, fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let id = RequestId::from_random(1);
        let origin = ForwardedFrom {
            id: &id,
            peer: peer.parse().expect("an address"),
            trusted,
            secure,
            host: HostAndPort::parse("shop:80"),
            admitted: None,
        };
        remove_ending(&mut headers, trusted);
        if trusted {
            keep_own_words(&mut headers);
        }
        set_forwarded(&mut headers, &origin, Some("/api"));
        headers
    }

    const CLAIMS: [(&str, &str); 7] = [
        ("forwarded", "for=9.9.9.9;proto=https"),
        ("x-forwarded-for", "9.9.9.9"),
        ("x-forwarded-host", "outside"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-prefix", "/eu"),
        ("x-forwarded-port", "443"),
        ("x-real-ip", "9.9.9.9"),
    ];

    #[test]
    fn what_an_untrusted_client_says_about_its_origin_is_replaced() {
        let headers = forwarded(false, "::1", &CLAIMS);
        assert_eq!(headers["forwarded"], "for=\"[::1]\";host=\"shop:80\";proto=http");
        assert_eq!(headers["x-forwarded-for"], "::1");
        assert_eq!(headers["x-forwarded-host"], "shop:80");
        assert_eq!(headers["x-forwarded-proto"], "http");
        assert_eq!(headers["x-forwarded-prefix"], "/api");
        assert_eq!(headers.len(), 5);
    }

    #[test]
    fn a_service_is_told_https_where_the_client_came_by_tls() {
        let headers = forwarded_by(false, true, "::1", &[("x-forwarded-proto", "http")]);
        assert_eq!(headers["forwarded"], "for=\"[::1]\";host=\"shop:80\";proto=https");
        assert_eq!((&headers["x-forwarded-proto"], is_https(&headers)), (&HeaderValue::from_static("https"), true));
        let plain = forwarded_by(true, true, "::1", &[("x-forwarded-proto", "http")]);
        assert!(!is_https(&plain), "the client of the trusted proxy came without TLS");
        assert!(!is_https(&forwarded(false, "::1", &[])));
    }

    #[test]
    fn of_several_schemes_the_last_one_is_the_word_of_the_trusted_proxy_itself() {
        for (lines, told) in [
            (&["https", "http"][..], "http"),
            (&["http", "https"], "https"),
            (&["https, http"], "http"),
            (&["http", "https , https"], "https"),
            (&["HTTPS"], "HTTPS"),
            // It says nothing: the connection counts.
            (&["https", ""], "http"),
            (&["https,"], "http"),
        ] {
            let fields: Vec<_> = lines.iter().map(|line| ("x-forwarded-proto", *line)).collect();
            let headers = forwarded(true, "10.0.0.1", &fields);
            let all: Vec<_> = headers.get_all("x-forwarded-proto").iter().collect();
            assert_eq!(all, [told], "{lines:?}");
        }
        let hosts = forwarded(true, "10.0.0.1", &[("x-forwarded-host", "forged"), ("x-forwarded-host", "outside")]);
        assert_eq!(hosts.get_all("x-forwarded-host").iter().collect::<Vec<_>>(), ["outside"]);
    }

    #[test]
    fn what_a_trusted_proxy_says_about_the_origin_is_continued() {
        let headers = forwarded(true, "10.0.0.1", &CLAIMS);
        assert_eq!(headers["forwarded"], "for=9.9.9.9;proto=https, for=10.0.0.1;host=\"shop:80\";proto=http");
        assert_eq!(headers["x-forwarded-for"], "9.9.9.9, 10.0.0.1");
        assert_eq!(headers["x-forwarded-host"], "outside");
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(headers["x-forwarded-prefix"], "/eu/api");
        assert_eq!(headers["x-real-ip"], "9.9.9.9");
        assert_eq!(forwarded(true, "10.0.0.1", &[])["x-forwarded-for"], "10.0.0.1");
    }
}
