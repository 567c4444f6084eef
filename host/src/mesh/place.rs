//! What an endpoint stands for: something that can be called.

use super::dial::HttpClient;
use crate::base::{Body, CallContext, Digest, ErrorKind};
use crate::contract::FunctionName;
use crate::runtime::{DetachedValues, InstancePool};
use http::Uri;
use std::fmt;
use std::net::IpAddr;

/// How a service is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallKind {
    /// By a request.
    Http,
    /// By the name of a function.
    Typed,
}

/// What happened instead of an answer, and its details for the log.
pub type Failed = (ErrorKind, String);

/// What can be called: [`EndpointTarget`] in a host, something simpler in a simulation.
///
/// A call ends by the deadline of its context, at the latest; one whose future or body is dropped ends then.
pub trait Invoke: Send + Sync + 'static {
    /// Whether it can be called this way.
    fn takes(&self, way: CallKind) -> bool;

    /// Sends it a request; the answer's body streams.
    fn send(
        &self,
        request: http::Request<Body>,
        context: &CallContext,
    ) -> impl Future<Output = Result<http::Response<Body>, Failed>> + Send;

    /// Calls one of its functions.
    fn call(
        &self,
        function: &FunctionName,
        arguments: DetachedValues,
        context: &CallContext,
    ) -> impl Future<Output = Result<DetachedValues, Failed>> + Send;
}

/// Where an endpoint is.
pub enum EndpointTarget {
    /// Instances of a component in this host.
    Instances(InstancePool),
    /// A plain HTTP address.
    Url {
        /// Scheme, host and port, as people wrote them.
        base: Uri,
        /// Where it is now, if its host is a name.
        at: Option<IpAddr>,
        /// The connections to it.
        client: HttpClient,
    },
}

impl EndpointTarget {
    /// The revision of its instances; `None` for an address.
    pub fn revision(&self) -> Option<Digest> {
        match self {
            Self::Instances(pool) => Some(pool.revision()),
            Self::Url { .. } => None,
        }
    }

    /// Instances that serve a request now; none at an address.
    pub(super) fn instances(&self) -> usize {
        match self {
            Self::Instances(pool) => pool.in_use(),
            Self::Url { .. } => 0,
        }
    }
}

impl fmt::Display for EndpointTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instances(_) => f.write_str("instance"),
            Self::Url { base, at: Some(address), .. } => write!(f, "{base} at {address}"),
            Self::Url { base, at: None, .. } => write!(f, "{base}"),
        }
    }
}

impl Invoke for EndpointTarget {
    /// An address has no functions, and a component may have nothing else.
    fn takes(&self, way: CallKind) -> bool {
        match (self, way) {
            (Self::Instances(pool), CallKind::Http) => pool.answers_http(),
            (Self::Instances(_), CallKind::Typed) | (Self::Url { .. }, CallKind::Http) => true,
            (Self::Url { .. }, CallKind::Typed) => false,
        }
    }

    async fn send(&self, request: http::Request<Body>, context: &CallContext) -> Result<http::Response<Body>, Failed> {
        match self {
            Self::Instances(pool) => pool.invoke(request, context).await.map_err(|error| (error.kind, error.detail)),
            // Boxed: it is several times larger than the other way, whose every call would pay for its room.
            Self::Url { client, .. } => Box::pin(client.send(request, context)).await,
        }
    }

    async fn call(
        &self,
        function: &FunctionName,
        arguments: DetachedValues,
        context: &CallContext,
    ) -> Result<DetachedValues, Failed> {
        match self {
            Self::Instances(pool) => {
                pool.call(function, arguments, context).await.map_err(|error| (error.kind, error.detail))
            }
            Self::Url { .. } => Err((ErrorKind::NoEndpoint, "an address has no functions".into())),
        }
    }
}
