//! The calls to one node.

use super::answer::PeerAnswer;
use super::connections::{CONNECT, CallSlot, PeerConnections, ReachNotice};
use super::peer_error::{CallFate, PeerError, of_body};
use super::peer_tls::PeerTls;
use super::protocol::{PeerProtocol, SpokenProtocol};
use crate::base::{Body, BodyError, ErrorKind, remove_hop_by_hop};
use bytes::Bytes;
use http::header::{EXPECT, TE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Request, Response, Uri, Version};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::time::timeout_at;

/// The calls to one node. All services that stand there share its connections.
pub struct PeerClient {
    node: String,
    address: String,
    authority: Option<Authority>,
    connections: Arc<PeerConnections>,
    protocol: SpokenProtocol,
}

impl PeerClient {
    /// How long a probe takes at most.
    pub const PROBE: Duration = CONNECT;

    /// The node with this name, which its certificate must be for, at `address`: host and port. No connection is opened
    /// yet. `told` is told whether the node was reached, each time that a connection was tried; it must not wait.
    pub fn new(node: &str, address: &str, tls: PeerTls, told: ReachNotice) -> Self {
        let connections = PeerConnections::new(node.to_owned(), address.to_owned(), tls, told);
        let protocol = SpokenProtocol::up_to(PeerProtocol::NEWEST);
        Self { node: node.into(), address: address.into(), authority: node.parse().ok(), connections, protocol }
    }

    /// The same, by this version of the wire at most.
    pub fn speaking(self, newest: PeerProtocol) -> Self {
        Self { protocol: SpokenProtocol::up_to(newest), ..self }
    }

    /// In which version the next call goes.
    pub fn protocol(&self) -> PeerProtocol {
        self.protocol.now()
    }

    /// The node's name.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Tries whether the node is there. What comes of it is told to whoever is told of connections, within
    /// [`PeerClient::PROBE`].
    pub async fn probe(&self) {
        self.connections.probe().await;
    }

    /// Sends a call, whose head [`CallHead`](super::CallHead) wrote, and waits for the head of its answer until
    /// `deadline`; the answer's body streams. Dropping the future, or the body, ends the call on the other node. With
    /// the answer comes whether a call of the service's own has failed.
    ///
    /// # Errors
    /// What became of the call.
    pub async fn send(&self, request: Request<Body>, deadline: Instant) -> Result<(Response<Body>, bool), PeerError> {
        let request = self.addressed(request)?;
        let slot = timeout_at(deadline.into(), self.connections.slot()).await;
        let mut slot = slot.unwrap_or_else(|_| Err(PeerError::not_sent("no connection before the deadline")))?;
        let sent = timeout_at(deadline.into(), slot.sender.send_request(request)).await;
        let in_doubt = |kind, detail: &str| PeerError::new(CallFate::InDoubt, kind, detail);
        let sent = sent.map_err(|_| in_doubt(ErrorKind::Timeout, "no answer before the deadline"))?;
        let mut answer = sent.map_err(PeerError::of_exchange)?;
        *answer.version_mut() = Version::HTTP_11;
        remove_hop_by_hop(answer.headers_mut());
        self.protocol.hear(answer.headers());
        let outcome = PeerAnswer::take(answer.headers_mut());
        // An answer of the listener itself, or of something that is no node.
        let unknown = || in_doubt(ErrorKind::BadAnswer, "what answered is no node of the cluster");
        let PeerAnswer { failure, dependency_failed } = outcome.ok_or_else(unknown)?;
        if let Some(failure) = failure {
            return Err(PeerError::told(failure, dependency_failed));
        }
        let answer = answer.map(|body| {
            let body = body.map_err(|error| of_body(&error)).boxed_unsync();
            CallBody { body, _slot: slot }.boxed_unsync()
        });
        Ok((answer, dependency_failed))
    }

    /// The request with the node as its host.
    fn addressed(&self, mut request: Request<Body>) -> Result<Request<Body>, PeerError> {
        let path = request.uri().path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        let authority = self.authority.clone().ok_or_else(|| PeerError::not_sent("the node's name is no host name"))?;
        let uri = Uri::builder().scheme(Scheme::HTTPS).authority(authority).path_and_query(path).build();
        *request.uri_mut() = uri.map_err(|error| PeerError::not_sent(error.to_string()))?;
        *request.version_mut() = Version::HTTP_2;
        let headers = request.headers_mut();
        let trailers = headers.contains_key(TE);
        remove_hop_by_hop(headers);
        // This host has answered it: it asks the client for the body when the service reads it.
        headers.remove(EXPECT);
        if trailers {
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
        Ok(request)
    }
}

impl fmt::Debug for PeerClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.node, self.address)
    }
}

/// The body of an answer. Until its end its call counts on its connection.
struct CallBody {
    body: Body,
    _slot: CallSlot,
}

impl http_body::Body for CallBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
