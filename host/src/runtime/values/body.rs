//! HTTP messages that cross between the host and a guest: their heads and their bodies.

use crate::base::{Body, BodyError, ErrorKind, RequestId, ServiceName, remove_claimed_identity};
use http::HeaderValue;
use http::header::{EXPECT, Entry, HOST, TE};
use http::uri::PathAndQuery;
use http_body::Body as _;
use http_body_util::{BodyExt, Empty};
use wasmtime_wasi_http::{Error, WasiBody};

/// A request as a guest reads it. A client's failure reaches the guest as an error code of WASI HTTP. A request that
/// names no host, as HTTP/1.0 permits, names the service, since WASI HTTP has no request without an authority.
pub(crate) fn for_guest(mut request: http::Request<Body>, service: &ServiceName) -> http::Request<WasiBody> {
    if let Entry::Vacant(host) = request.headers_mut().entry(HOST) {
        host.insert(HeaderValue::from_str(service.as_str()).expect("a service's name is visible ASCII"));
    }
    request.map(|body| {
        if body.is_end_stream() {
            return Empty::new().map_err(|never| match never {}).boxed_unsync();
        }
        body.map_err(|error| match error.kind {
            ErrorKind::BodyTooLarge => Error::HttpRequestBodySize(None),
            _ => Error::ConnectionTerminated,
        })
        .boxed_unsync()
    })
}

/// A guest's request as the called service reads it: in origin form, with the host that the guest named, and with `id`,
/// the id of the request that the guest serves, unless it is hidden. A guest that breaks its body off is this service's
/// client, and the break is the client's fault.
pub(crate) fn for_host(request: http::Request<WasiBody>, id: Option<&RequestId>) -> http::Request<Body> {
    let (mut parts, body) = request.into_parts();
    if let Some(authority) = parts.uri.authority() {
        // Without the user name and password that an authority may begin with and a `Host` header must not.
        let host = authority.as_str().rsplit('@').next().unwrap_or_default();
        let host = HeaderValue::from_str(host).expect("an authority is visible ASCII");
        parts.headers.insert(HOST, host);
    }
    let path = parts.uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    parts.uri = path.into();
    parts.headers.remove(RequestId::HEADER);
    if let Some(id) = id {
        parts.headers.insert(RequestId::HEADER, id.header());
    }
    for_next_hop(parts, body)
}

/// A guest's request as a host outside reads it: with its whole address, and with no header of the host's own.
pub(crate) fn for_outside(request: http::Request<WasiBody>) -> http::Request<Body> {
    let (parts, body) = request.into_parts();
    for_next_hop(parts, body)
}

/// What the two kinds of outbound requests have in common.
fn for_next_hop(mut parts: http::request::Parts, body: WasiBody) -> http::Request<Body> {
    // A guest says nothing of who calls: the mesh does.
    remove_claimed_identity(&mut parts.headers, false);
    // These two headers are for the next hop, which is this host. WASI HTTP lets a guest set no other header of this
    // kind.
    for name in [EXPECT, TE] {
        parts.headers.remove(name);
    }
    let body = body
        .map_err(|error| BodyError::new(ErrorKind::ClientGone, format!("the caller broke its body off: {error:?}")));
    http::Request::from_parts(parts, body.boxed_unsync())
}
