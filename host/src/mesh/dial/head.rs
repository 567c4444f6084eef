//! What the head of a request says about us, and what of it ends with the connection.

use super::connector::is_secure;
use crate::base::CallContext;
use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use std::time::Instant;

/// What is left of the call's time, in whole milliseconds.
pub(super) const TIMEOUT: HeaderName = HeaderName::from_static(CallContext::TIMEOUT_HEADER);
/// How many calls lie above this one.
pub(super) const DEPTH: HeaderName = HeaderName::from_static(CallContext::DEPTH_HEADER);
/// The request at the gateway that the call serves.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What ends with a connection whether `Connection` names it or not (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("keep-alive"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
];

/// The head for a service of ours: it learns how long its caller waits, and passes that and the depth on if it calls others.
pub(super) fn for_service(headers: &mut HeaderMap, base: &Uri, context: &CallContext, now: Instant) {
    let left = context.deadline.saturating_duration_since(now).as_millis();
    headers.insert(TIMEOUT, HeaderValue::from(u64::try_from(left).unwrap_or(u64::MAX)));
    headers.insert(DEPTH, HeaderValue::from(context.depth));
    if !headers.contains_key(REQUEST_ID) {
        headers.insert(REQUEST_ID, context.request_id.header());
    }
    // By TLS the other side has proved that it is the base's host; a plain one may serve several, and is told which was asked for.
    if is_secure(base) {
        name_host(headers, base);
    }
}

/// The head for a host outside: it learns nothing of us.
pub(super) fn for_outside(headers: &mut HeaderMap, base: &Uri) {
    end_hop(headers);
    for name in [TIMEOUT, DEPTH, REQUEST_ID, EXPECT] {
        headers.remove(name);
    }
    name_host(headers, base);
}

/// The host that is really asked. A request may name another one, and a server of several would take that for the one.
fn name_host(headers: &mut HeaderMap, base: &Uri) {
    let Some(authority) = base.authority() else { return };
    let host = authority.as_str().rsplit('@').next().unwrap_or_default();
    let default = if is_secure(base) { ":443" } else { ":80" };
    if let Ok(host) = HeaderValue::from_str(host.strip_suffix(default).unwrap_or(host)) {
        headers.insert(HOST, host);
    }
}

/// Removes what ends with the connection, but for what a message cannot lose.
pub(super) fn end_hop(headers: &mut HeaderMap) {
    let values = headers.get_all(CONNECTION).into_iter().map(HeaderValue::as_bytes);
    let tokens = values.flat_map(|value| value.split(|&byte| byte == b',')).map(<[u8]>::trim_ascii);
    let named = tokens.filter_map(|token| HeaderName::from_bytes(token).ok());
    let named: Vec<_> = named.filter(|name| ![HOST, CONTENT_LENGTH].contains(name)).collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::RequestId;
    use std::time::Duration;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let field = |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        fields.iter().map(field).collect()
    }

    #[test]
    fn a_service_of_ours_learns_the_deadline_the_depth_and_the_id() {
        let now = Instant::now();
        let context = CallContext::new(RequestId::accept("r-1").unwrap(), now, Duration::from_millis(1500));
        let context = context.deeper(now);
        let mut theirs = headers(&[("host", "shop"), ("x-atoll-timeout-ms", "9"), ("x-atoll-depth", "0")]);
        for_service(&mut theirs, &"http://10.0.0.7:81/v2".parse().unwrap(), &context, now);
        let expected =
            [("host", "shop"), ("x-atoll-timeout-ms", "1450"), ("x-atoll-depth", "1"), ("x-request-id", "r-1")];
        assert_eq!(theirs, headers(&expected));

        let mut theirs = headers(&[("host", "shop"), ("x-request-id", "r-2")]);
        for_service(
            &mut theirs,
            &"https://users.example:443/v2".parse().unwrap(),
            &context,
            now + Duration::from_secs(9),
        );
        let expected =
            [("host", "users.example"), ("x-request-id", "r-2"), ("x-atoll-timeout-ms", "0"), ("x-atoll-depth", "1")];
        assert_eq!(theirs, headers(&expected));
    }

    #[test]
    fn an_outside_host_learns_nothing() {
        let mut theirs = headers(&[
            ("host", "intranet"),
            ("x-atoll-timeout-ms", "9"),
            ("x-atoll-depth", "3"),
            ("x-request-id", "r-1"),
            ("expect", "100-continue"),
            ("te", "trailers"),
            ("connection", "x-hop, content-length,, "),
            ("transfer-encoding", "chunked"),
            ("proxy-authorization", "Basic eA=="),
            ("x-hop", "1"),
            ("content-length", "2"),
            ("authorization", "Bearer x"),
        ]);
        for_outside(&mut theirs, &"https://key@api.example:8443".parse().unwrap());
        let expected = [("host", "api.example:8443"), ("content-length", "2"), ("authorization", "Bearer x")];
        assert_eq!(theirs, headers(&expected));
        for (base, host) in [("http://a:80", "a"), ("http://a:443", "a:443"), ("https://[::1]:443", "[::1]")] {
            let mut none = HeaderMap::new();
            for_outside(&mut none, &base.parse().unwrap());
            assert_eq!(none, headers(&[("host", host)]), "{base}");
        }
    }
}
