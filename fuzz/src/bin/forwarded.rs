//! Forwarding fields: whatever a client says, the service learns the true peer, and what a stranger says of the way
//! before it does not arrive.
//!
//! The first byte says whether the peer is a trusted proxy; the rest are the lines of a header section.
#![no_main]

#[path = "../gateway.rs"]
mod gateway;

use http::Request;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, rest)) = bytes.split_first() else { return };
    let trusted = choice % 2 == 1;
    let Some(headers) = gateway::fields(rest.split(|byte| *byte == b'\n')) else { return };
    let said = |name: &str| headers.get_all(name).iter().cloned().collect::<Vec<_>>();
    let (forwarded, real) = (said("forwarded"), said("x-real-ip"));
    let mut head = Request::get("/a/x").body(()).expect("a request").into_parts().0;
    head.headers = headers;
    let Some(sent) = gateway::send(head, trusted, "/a") else { return };
    let sent = sent.headers;

    let peer = std::net::IpAddr::from(gateway::PEER).to_string();
    let hops = gateway::only(&sent, "x-forwarded-for").expect("one line").as_bytes();
    assert!(hops.ends_with(peer.as_bytes()), "{:?} does not end with the peer", hops.escape_ascii().to_string());
    assert!(gateway::only(&sent, "x-forwarded-proto").is_some(), "the scheme has one line");
    assert!(gateway::only(&sent, "x-request-id").is_some(), "the id has one line");
    assert!(sent.get("x-forwarded-client-cert").is_none(), "nobody but the gateway tells of certificates");
    if !trusted {
        assert_eq!(hops, peer.as_bytes(), "a stranger tells of no hop before it");
        assert_eq!(gateway::only(&sent, "x-forwarded-proto").map(|value| value.as_bytes()), Some(&b"http"[..]));
        assert!(real.is_empty() || sent.get("x-real-ip").is_none(), "a stranger names no client");
        let kept = sent.get_all("forwarded").iter().any(|line| forwarded.contains(line));
        assert!(!kept, "a stranger's `Forwarded` does not arrive");
    }
});
