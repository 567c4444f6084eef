//! HTTP messages that cross between the host and a guest: their heads and their bodies.

use crate::base::{Body, BodyError, ErrorKind, RequestId, ServiceName};
use bytes::Bytes;
use http::HeaderValue;
use http::header::{EXPECT, Entry, HOST, TE};
use http::uri::PathAndQuery;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::{BodyExt, Empty};
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
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
/// the id of the request that the guest serves. A guest that breaks its body off is this service's client, and the
/// break is the client's fault.
pub(crate) fn for_host(request: http::Request<WasiBody>, id: &RequestId) -> http::Request<Body> {
    let (mut parts, body) = request.into_parts();
    if let Some(authority) = parts.uri.authority() {
        // Without the user name and password that an authority may begin with and a `Host` header must not.
        let host = authority.as_str().rsplit('@').next().unwrap_or_default();
        let host = HeaderValue::from_str(host).expect("an authority is visible ASCII");
        parts.headers.insert(HOST, host);
    }
    let path = parts.uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    parts.uri = path.into();
    parts.headers.insert(RequestId::HEADER, id.header());
    for_next_hop(parts, body)
}

/// A guest's request as a host outside reads it: with its whole address, and with no header of the host's own.
pub(crate) fn for_outside(request: http::Request<WasiBody>) -> http::Request<Body> {
    let (parts, body) = request.into_parts();
    for_next_hop(parts, body)
}

/// What the two kinds of outbound requests have in common.
fn for_next_hop(mut parts: http::request::Parts, body: WasiBody) -> http::Request<Body> {
    // These two headers are for the next hop, which is this host. WASI HTTP lets a guest set no other header of this
    // kind.
    for name in [EXPECT, TE] {
        parts.headers.remove(name);
    }
    let body = body
        .map_err(|error| BodyError::new(ErrorKind::ClientGone, format!("the caller broke its body off: {error:?}")));
    http::Request::from_parts(parts, body.boxed_unsync())
}

/// Bytes of an answer's body that are read before its reader reads any: most answers are whole then. Beyond this, a
/// slow reader holds the guest up.
const AHEAD: usize = 64 << 10;
/// Pieces of a body that are read ahead, however small they are.
const PIECES_AHEAD: usize = 64;

/// The body of an answer, the beginning of which was read while the caller itself polled the instance.
pub(crate) struct ReadAhead {
    /// `None` after the end of the body.
    inner: Option<WasiBody>,
    pieces: VecDeque<Result<Frame<Bytes>, Error>>,
    bytes: usize,
}

impl ReadAhead {
    pub(crate) fn new(inner: WasiBody) -> Self {
        Self { inner: Some(inner), pieces: VecDeque::new(), bytes: 0 }
    }

    /// Reads what has arrived, up to the two bounds.
    pub(crate) fn read_ahead(&mut self, context: &mut Context<'_>) {
        while self.bytes < AHEAD
            && self.pieces.len() < PIECES_AHEAD
            && let Some(inner) = &mut self.inner
            && let Poll::Ready(piece) = Pin::new(inner).poll_frame(context)
        {
            match piece {
                Some(piece) => {
                    self.bytes += size(&piece);
                    self.pieces.push_back(piece);
                }
                None => self.inner = None,
            }
        }
    }
}

fn size(piece: &Result<Frame<Bytes>, Error>) -> usize {
    piece.as_ref().ok().and_then(Frame::data_ref).map_or(0, Bytes::len)
}

impl http_body::Body for ReadAhead {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Some(piece) = self.pieces.pop_front() {
            self.bytes -= size(&piece);
            return Poll::Ready(Some(piece));
        }
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        let piece = ready!(Pin::new(inner).poll_frame(context));
        if piece.is_none() {
            self.inner = None;
        }
        Poll::Ready(piece)
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty() && self.inner.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            // A body with trailers, or one that broke off, needs a framing that does not announce its length.
            None if self.pieces.iter().all(|piece| piece.as_ref().is_ok_and(Frame::is_data)) => {
                SizeHint::with_exact(self.bytes as u64)
            }
            _ => SizeHint::default(),
        }
    }
}
