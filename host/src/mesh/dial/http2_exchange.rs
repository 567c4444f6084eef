//! Requests to an address that speaks HTTP/2, with trailer sections in both directions.

use super::client::{HttpClient, join};
use super::shared_connections::{RequestSlot, SharedConnectionError, SharedConnections};
use super::{failure, request_head};
use crate::base::{Body, BodyError, CallContext, ErrorKind, remove_hop_by_hop};
use crate::mesh::error::TryError;
use bytes::Bytes;
use http::header::{EXPECT, HOST, TE};
use http::{HeaderValue, Request, Response, Uri, Version};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::time::timeout_at;

impl HttpClient {
    /// Sends `request` over one of `connections`, and waits for the answer's head until the context's deadline.
    ///
    /// # Errors
    /// As [`HttpClient::send`].
    pub(super) async fn send_shared(
        &self,
        connections: &SharedConnections,
        request: Request<Body>,
        context: &CallContext,
    ) -> Result<Response<Body>, TryError> {
        match timeout_at(context.deadline.into(), self.exchange_shared(connections, request, context)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(TryError::new(ErrorKind::Timeout, "no answer before the deadline")),
        }
    }

    async fn exchange_shared(
        &self,
        connections: &SharedConnections,
        request: Request<Body>,
        context: &CallContext,
    ) -> Result<Response<Body>, TryError> {
        let (mut head, body) = request.into_parts();
        let trailers = head.headers.contains_key(TE);
        if self.is_outside() {
            request_head::for_outside(&mut head.headers, self.base());
        } else {
            request_head::for_service(&mut head.headers, self.base(), context, Instant::now());
            remove_hop_by_hop(&mut head.headers);
        }
        head.headers.remove(EXPECT);
        if trailers {
            head.headers.insert(TE, HeaderValue::from_static("trailers"));
        }
        let host = head.headers.remove(HOST);
        let no_address =
            |error: http::Error| TryError::new(ErrorKind::Host, format!("no address: {error}")).caused_by(error);
        head.uri = target(self.base(), &head.uri, host.as_ref()).map_err(no_address)?;
        head.version = Version::HTTP_2;
        let has_body = !body.is_end_stream();
        let mut slot = connections.slot(self.connector()).await.map_err(not_connected)?;
        let sent = slot.sender.send_request(Request::from_parts(head, body)).await;
        let mut answer = sent.map_err(|error| failed(error, has_body))?;
        // The hops before this one know a message of HTTP/1.1.
        *answer.version_mut() = Version::HTTP_11;
        remove_hop_by_hop(answer.headers_mut());
        Ok(answer.map(|body| {
            let body = body.map_err(|error| failure::of_body(&error)).boxed_unsync();
            SlotBody { body, _slot: slot }.boxed_unsync()
        }))
    }
}

/// The address of a request: below the base's path, and with the host that the request names, which becomes its
/// `:authority` (RFC 9113, section 8.3.1).
fn target(base: &Uri, path: &Uri, host: Option<&HeaderValue>) -> Result<Uri, http::Error> {
    let mut parts = join(base, path)?.into_parts();
    parts.scheme = base.scheme().cloned();
    parts.authority = match host {
        Some(host) => Some(host.as_bytes().try_into()?),
        None => base.authority().cloned(),
    };
    Ok(Uri::from_parts(parts)?)
}

fn not_connected(error: SharedConnectionError) -> TryError {
    match error {
        SharedConnectionError::Dial(error) => failure::of_dial(error),
        error => TryError::new(ErrorKind::Connect, failure::explain(&error)).caused_by(error),
    }
}

fn failed(error: hyper::Error, has_body: bool) -> TryError {
    // The request's own body failed: nothing that the server did.
    let own = failure::find::<BodyError>(&error).map(|own| own.kind);
    let kind = own.unwrap_or(match error.is_canceled() {
        // hyper calls a request "cancelled" that its connection has never taken.
        true => ErrorKind::Connect,
        false => ErrorKind::Reset,
    });
    TryError { cut_off: kind == ErrorKind::Reset && has_body, ..TryError::new(kind, failure::explain(&error)) }
        .caused_by(error)
}

/// The body of an answer. Until its end its request counts on its connection.
struct SlotBody {
    body: Body,
    _slot: RequestSlot,
}

impl http_body::Body for SlotBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
