//! The head of a request of HTTP/2, as the head of HTTP/1.1 that a service gets: it is whole, and says one thing.
//!
//! The first line has method, scheme, authority and path, with blanks between; the others are fields.
#![no_main]

#[path = "../gateway.rs"]
mod gateway;

use http::{Request, Uri, Version};
use libfuzzer_sys::fuzz_target;

/// The fields that end at each hop (RFC 9113, section 8.2.2; RFC 9110, section 7.6.1).
const OF_THE_HOP: [&str; 7] =
    ["connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"];

fuzz_target!(|bytes: &[u8]| {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let Some(first) = lines.next().and_then(|line| std::str::from_utf8(line).ok()) else { return };
    let mut parts = first.splitn(4, ' ');
    let mut next = || parts.next().unwrap_or_default();
    let (method, scheme, authority, path) = (next(), next(), next(), next());
    let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build();
    let request = uri.map(|uri| Request::builder().method(method).uri(uri).version(Version::HTTP_2).body(()));
    let Ok(Ok(request)) = request else { return };
    let Some(headers) = gateway::fields(lines) else { return };
    let mut head = request.into_parts().0;
    head.headers = headers;
    let (cookies, hosts) = (head.headers.get_all("cookie").iter().count(), head.headers.get_all("host").iter().count());
    host::listen::http1_head(&mut head);
    assert_eq!(head.headers.get_all("cookie").iter().count(), cookies.min(1), "one field `cookie`");
    let Some(sent) = gateway::send(head, false, "/") else { return };

    assert!(hosts <= 1, "two hosts are refused");
    let host = gateway::only(&sent.headers, "host").expect("one host");
    assert!(host.as_bytes().eq_ignore_ascii_case(authority.as_bytes()), "{host:?} is not {authority}");
    assert_eq!((sent.uri.scheme(), sent.uri.authority()), (None, None), "origin form");
    assert!(sent.uri.path().starts_with('/'), "{}", sent.uri);
    assert!(sent.headers.keys().all(|name| !name.as_str().contains('_')), "underscores are refused");
    assert!(sent.headers.get_all("content-length").iter().count() <= 1, "one length at most");
    for name in OF_THE_HOP {
        assert!(!sent.headers.contains_key(name), "`{name}` ends at the gateway");
    }
});
