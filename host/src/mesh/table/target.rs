//! What an endpoint calls: instances of a component, an address, or a service on another node.

use super::distance::Distance;
use super::peer_target::PeerTarget;
use crate::base::{Body, CallContext, Digest, ErrorKind, UpgradeOffer};
use crate::contract::FunctionName;
use crate::mesh::dial::client::HttpClient;
use crate::mesh::error::TryError;
use crate::runtime::{DetachedValues, InstancePool};
use http::Uri;
use std::fmt;
use std::net::IpAddr;

/// How a service is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallKind {
    /// By an HTTP request.
    Http,
    /// By the name of a function.
    Typed,
}

/// What can be called: [`EndpointTarget`] in a host, something simpler in a simulation.
///
/// A call ends by the deadline of its context at the latest. Dropping its future or its answer's body ends it at once.
pub trait Invoke: Send + Sync + 'static {
    /// Whether it takes calls of this kind.
    fn takes(&self, kind: CallKind) -> bool;

    /// How far it is.
    fn distance(&self) -> Distance {
        Distance::Here
    }

    /// The component file that its instances run; `None` for an address.
    fn digest(&self) -> Option<Digest> {
        None
    }

    /// Sends it a request; the answer's body streams.
    fn send(
        &self,
        request: http::Request<Body>,
        context: &CallContext,
    ) -> impl Future<Output = Result<http::Response<Body>, TryError>> + Send;

    /// Calls one of its functions.
    fn call(
        &self,
        function: &FunctionName,
        arguments: DetachedValues,
        context: &CallContext,
    ) -> impl Future<Output = Result<DetachedValues, TryError>> + Send;
}

/// What an endpoint of a host calls.
pub enum EndpointTarget {
    /// Instances of a component in this host.
    Instances(InstancePool),
    /// A plain HTTP address.
    Url {
        /// Scheme, host and port, as the manifest has them.
        base: Uri,
        /// The address that is connected to, if the host of `base` is a name that this host resolves in advance.
        at: Option<IpAddr>,
        /// The connections to it.
        client: HttpClient,
    },
    /// The service on another node.
    Peer(Box<PeerTarget>),
}

impl EndpointTarget {
    /// Whether calls to it leave this host.
    pub(crate) fn is_address(&self) -> bool {
        matches!(self, Self::Url { .. } | Self::Peer(_))
    }

    /// The other node on which it is.
    pub(crate) fn node(&self) -> Option<&str> {
        match self {
            Self::Peer(peer) => Some(peer.client.node()),
            Self::Instances(_) | Self::Url { .. } => None,
        }
    }

    /// How many instances serve requests or calls now; 0 for an address.
    pub(super) fn instances(&self) -> usize {
        match self {
            Self::Instances(pool) => pool.serving(),
            Self::Url { .. } | Self::Peer(_) => 0,
        }
    }
}

impl fmt::Display for EndpointTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instances(_) => f.write_str("instance"),
            Self::Url { base, at: Some(address), .. } => write!(f, "{base} at {address}"),
            Self::Url { base, at: None, .. } => write!(f, "{base}"),
            Self::Peer(peer) => write!(f, "{peer} at {}", peer.client.address()),
        }
    }
}

impl Invoke for EndpointTarget {
    /// An address has no functions; a component may export no HTTP handler.
    fn takes(&self, kind: CallKind) -> bool {
        match (self, kind) {
            (Self::Instances(pool), CallKind::Http) => pool.answers_http(),
            (Self::Instances(_), CallKind::Typed) | (Self::Url { .. }, CallKind::Http) => true,
            (Self::Url { .. }, CallKind::Typed) => false,
            (Self::Peer(peer), CallKind::Http) => peer.answers_http,
            (Self::Peer(_), CallKind::Typed) => true,
        }
    }

    fn distance(&self) -> Distance {
        match self {
            Self::Instances(_) | Self::Url { .. } => Distance::Here,
            Self::Peer(peer) => peer.distance,
        }
    }

    fn digest(&self) -> Option<Digest> {
        match self {
            Self::Instances(pool) => Some(pool.digest()),
            Self::Url { .. } | Self::Peer(_) => None,
        }
    }

    async fn send(
        &self,
        mut request: http::Request<Body>,
        context: &CallContext,
    ) -> Result<http::Response<Body>, TryError> {
        // The only place that writes them. A client's own were removed by the gateway, a guest's by the runtime. On
        // another node they are written there.
        if !matches!(self, Self::Peer(_)) {
            if let Some(identity) = &context.identity {
                identity.write_headers(request.headers_mut());
            }
            if let Some(trace) = &context.trace
                && !context.hides_ids()
            {
                trace.write_headers(request.headers_mut());
            }
        }
        match self {
            Self::Instances(pool) => Ok(pool.invoke(request, context).await?),
            Self::Url { client, .. } if request.extensions().get::<UpgradeOffer>().is_some() => {
                Box::pin(client.upgrade(request, context)).await
            }
            // Boxed: the client's future is several times larger than the pool's, and every call of the pool would pay
            // for its size.
            Self::Url { client, .. } => Box::pin(client.send(request, context)).await,
            Self::Peer(peer) => Box::pin(peer.send(request, context)).await,
        }
    }

    async fn call(
        &self,
        function: &FunctionName,
        arguments: DetachedValues,
        context: &CallContext,
    ) -> Result<DetachedValues, TryError> {
        match self {
            Self::Instances(pool) => Ok(pool.call(function, arguments, context).await?),
            Self::Url { .. } => Err(TryError::new(ErrorKind::NoEndpoint, "an address has no functions")),
            Self::Peer(peer) => Box::pin(peer.call(function, arguments, context)).await,
        }
    }
}
