//! Bodies that cross between the host and a guest.

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

/// The request as a guest reads it: a client's failure reaches it as an error code of WASI HTTP, and a request that names no host (as
/// HTTP/1.0 may) names the service, since WASI HTTP has no request without an authority.
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

/// A guest's request as the called service reads it: in origin form, with the host that the guest named, under the id of the request that the
/// guest serves. A guest that breaks its body off is this service's client, and at fault.
pub(crate) fn for_host(request: http::Request<WasiBody>, id: &RequestId) -> http::Request<Body> {
    let (mut parts, body) = request.into_parts();
    if let Some(authority) = parts.uri.authority() {
        // Without a name and password, which an authority may begin with and a host may not.
        let host = authority.as_str().rsplit('@').next().unwrap_or_default();
        let host = HeaderValue::from_str(host).expect("an authority is visible ASCII");
        parts.headers.insert(HOST, host);
    }
    let path = parts.uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    parts.uri = path.into();
    parts.headers.insert(RequestId::HEADER, id.header());
    for_next_hop(parts, body)
}

/// A guest's request as a host outside reads it: with its whole address, and without a word from us.
pub(crate) fn for_outside(request: http::Request<WasiBody>) -> http::Request<Body> {
    let (parts, body) = request.into_parts();
    for_next_hop(parts, body)
}

fn for_next_hop(mut parts: http::request::Parts, body: WasiBody) -> http::Request<Body> {
    // These two are for the next hop, which is this host; WASI HTTP lets a guest set none of the others.
    for name in [EXPECT, TE] {
        parts.headers.remove(name);
    }
    let body = body
        .map_err(|error| BodyError::new(ErrorKind::ClientGone, format!("the caller broke its body off: {error:?}")));
    http::Request::from_parts(parts, body.boxed_unsync())
}

/// What is read of an answer before anybody asks for it: most answers are whole then. A reader that is slow holds the guest up from here on.
const AHEAD: usize = 64 << 10;
/// Pieces of it, however small they are.
const PIECES_AHEAD: usize = 64;

/// The body of an answer, some of which was read while its instance was driven.
pub(crate) struct ReadAhead {
    /// `None` after its end.
    inner: Option<WasiBody>,
    pieces: VecDeque<Result<Frame<Bytes>, Error>>,
    bytes: usize,
}

impl ReadAhead {
    pub(crate) fn new(inner: WasiBody) -> Self {
        Self { inner: Some(inner), pieces: VecDeque::new(), bytes: 0 }
    }

    /// Takes what has come, within bounds.
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
            // With trailers, or broken off, it needs a framing that does not know its length.
            None if self.pieces.iter().all(|piece| piece.as_ref().is_ok_and(Frame::is_data)) => {
                SizeHint::with_exact(self.bytes as u64)
            }
            _ => SizeHint::default(),
        }
    }
}
