//! What the head of a request says about this host.

use super::connector::is_secure;
use crate::base::{CallContext, RequestId, remove_hop_by_hop};
use http::header::{EXPECT, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use std::time::Instant;

/// What is left of the call's time, in whole milliseconds.
const TIMEOUT: HeaderName = HeaderName::from_static(CallContext::TIMEOUT_HEADER);
/// How many calls lie above this one.
const DEPTH: HeaderName = HeaderName::from_static(CallContext::DEPTH_HEADER);

/// Completes the head for one of the manifest's services. The service learns how long its caller waits and how deep the
/// call is, and passes both on if it calls others.
pub(super) fn for_service(headers: &mut HeaderMap, base: &Uri, context: &CallContext, now: Instant) {
    let left = context.deadline.saturating_duration_since(now).as_millis();
    headers.insert(TIMEOUT, HeaderValue::from(u64::try_from(left).unwrap_or(u64::MAX)));
    headers.insert(DEPTH, HeaderValue::from(context.depth));
    if !headers.contains_key(RequestId::HEADER) {
        headers.insert(RequestId::HEADER, context.request_id.header());
    }
    // With TLS the server has proved that it is the host of `base`, so `Host` names that host. A server without TLS may
    // serve several hosts, and has to know which of them the caller named: `Host` stays as the caller sent it.
    if is_secure(base) || !headers.contains_key(HOST) {
        name_host(headers, base);
    }
}

/// Completes the head of a request to an outside host: removes all that would tell it about this host.
pub(super) fn for_outside(headers: &mut HeaderMap, base: &Uri) {
    remove_hop_by_hop(headers);
    for name in [TIMEOUT, DEPTH, RequestId::HEADER, EXPECT] {
        headers.remove(name);
    }
    name_host(headers, base);
}

/// Names the host that the request goes to. The guest may have named another host, and a server of several would answer
/// as that one.
fn name_host(headers: &mut HeaderMap, base: &Uri) {
    let Some(authority) = base.authority() else { return };
    let host = authority.as_str().rsplit('@').next().unwrap_or_default();
    let default = if is_secure(base) { ":443" } else { ":80" };
    if let Ok(host) = HeaderValue::from_str(host.strip_suffix(default).unwrap_or(host)) {
        headers.insert(HOST, host);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let field = |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        fields.iter().map(field).collect()
    }

    #[test]
    fn a_service_learns_the_deadline_the_depth_and_the_id() {
        let now = Instant::now();
        let context = CallContext::new(RequestId::accept("r-1").unwrap(), now, Duration::from_millis(1500));
        let context = context.deeper(now);
        let mut sent = headers(&[("host", "shop"), ("x-atoll-timeout-ms", "9"), ("x-atoll-depth", "0")]);
        for_service(&mut sent, &"http://10.0.0.7:81/v2".parse().unwrap(), &context, now);
        let expected =
            [("host", "shop"), ("x-atoll-timeout-ms", "1450"), ("x-atoll-depth", "1"), ("x-request-id", "r-1")];
        assert_eq!(sent, headers(&expected));

        let mut sent = headers(&[("host", "shop"), ("x-request-id", "r-2")]);
        for_service(
            &mut sent,
            &"https://users.example:443/v2".parse().unwrap(),
            &context,
            now + Duration::from_secs(9),
        );
        let expected =
            [("host", "users.example"), ("x-request-id", "r-2"), ("x-atoll-timeout-ms", "0"), ("x-atoll-depth", "1")];
        assert_eq!(sent, headers(&expected));
    }

    #[test]
    fn an_outside_host_learns_nothing_about_this_host() {
        let mut sent = headers(&[
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
        for_outside(&mut sent, &"https://key@api.example:8443".parse().unwrap());
        let expected = [("host", "api.example:8443"), ("content-length", "2"), ("authorization", "Bearer x")];
        assert_eq!(sent, headers(&expected));
        for (base, host) in [("http://a:80", "a"), ("http://a:443", "a:443"), ("https://[::1]:443", "[::1]")] {
            let mut none = HeaderMap::new();
            for_outside(&mut none, &base.parse().unwrap());
            assert_eq!(none, headers(&[("host", host)]), "{base}");
        }
    }
}
