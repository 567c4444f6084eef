//! Bodies that cross between the host and a guest.

use super::fault::InstanceFault;
use super::leash::InstanceGuard;
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
pub(super) fn for_guest(mut request: http::Request<Body>, service: &ServiceName) -> http::Request<WasiBody> {
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
pub(super) fn for_host(request: http::Request<WasiBody>, id: &RequestId) -> http::Request<Body> {
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
pub(super) fn for_outside(request: http::Request<WasiBody>) -> http::Request<Body> {
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
pub(super) struct ReadAhead {
    /// `None` after its end.
    inner: Option<WasiBody>,
    pieces: VecDeque<Result<Frame<Bytes>, Error>>,
    bytes: usize,
}

impl ReadAhead {
    pub(super) fn new(inner: WasiBody) -> Self {
        Self { inner: Some(inner), pieces: VecDeque::new(), bytes: 0 }
    }

    /// Takes what has come, within bounds.
    pub(super) fn read_ahead(&mut self, context: &mut Context<'_>) {
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

/// A guest's answer as it streams: it knows an end from a break, and holds the instance on its leash until the end.
pub(super) struct GuestBody {
    inner: ReadAhead,
    /// Bytes that the head promised and that have not come yet.
    remaining: Option<u64>,
    leash: InstanceGuard,
    fault: InstanceFault,
}

impl GuestBody {
    pub(super) fn new(inner: ReadAhead, length: Option<u64>, leash: InstanceGuard, fault: InstanceFault) -> Self {
        let mut body = Self { inner, remaining: length, leash, fault };
        body.release_when_whole();
        body
    }

    fn whole(&self) -> bool {
        self.fault.get().is_none() && (self.remaining == Some(0) || self.inner.is_end_stream())
    }

    fn release_when_whole(&mut self) {
        if self.whole() {
            self.leash.release();
        }
    }

    fn broken(&self, error: Option<&Error>) -> BodyError {
        match self.fault.get() {
            Some((kind, detail)) => BodyError::new(*kind, detail.clone()),
            None => BodyError::new(ErrorKind::Reset, format!("the guest broke its answer off: {error:?}")),
        }
    }
}

impl http_body::Body for GuestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Poll::Ready(polled) = Pin::new(&mut self.inner).poll_frame(cx) else { return Poll::Pending };
        Poll::Ready(match polled {
            Some(Ok(frame)) => {
                if let (Some(remaining), Some(data)) = (self.remaining.as_mut(), frame.data_ref()) {
                    *remaining = remaining.saturating_sub(data.len() as u64);
                }
                if frame.is_trailers() && self.fault.get().is_none() {
                    // Nothing comes after them, and nobody may ask whether there does.
                    self.leash.release();
                }
                self.release_when_whole();
                Some(Ok(frame))
            }
            Some(Err(error)) => Some(Err(self.broken(Some(&error)))),
            // The channel closes in both cases: when the guest ended its body, and when its store went. The fault tells which.
            None if self.fault.get().is_some() || self.remaining.is_some_and(|bytes| bytes > 0) => {
                Some(Err(self.broken(None)))
            }
            None => {
                self.leash.release();
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.whole()
    }

    fn size_hint(&self) -> SizeHint {
        if self.fault.get().is_some() {
            // What has come is not all there would have been, and must not be framed as if it were.
            return SizeHint::default();
        }
        self.remaining.map_or_else(|| self.inner.size_hint(), SizeHint::with_exact)
    }
}
