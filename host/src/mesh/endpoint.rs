//! One row of the discovery table.

use super::http_client::HttpClient;
use crate::base::{Body, CallContext, Digest, ErrorKind};
use crate::breaker::{self, Breaker, State};
use crate::contract::FunctionName;
use crate::runtime::{InstancePool, Parcel};
use crate::telemetry::EndpointMetrics;
use http::Uri;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Where an endpoint is.
pub enum Place {
    /// Instances of a component in this host.
    Instances(InstancePool),
    /// A plain HTTP address.
    Url {
        /// Scheme, authority and perhaps a path that goes before that of every request.
        base: Uri,
        /// The connections that all addresses share.
        client: HttpClient,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instances(_) => f.write_str("instance"),
            Self::Url { base, .. } => write!(f, "{base}"),
        }
    }
}

/// How a service is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// By a request.
    Http,
    /// By the name of a function.
    Typed,
}

/// A service's revision at a place, with its own breaker, load and counters.
pub struct Endpoint {
    /// Its name within the host: `users-0`, `users-1`, …
    pub id: String,
    /// Where it is.
    pub place: Place,
    pub(super) breaker: Arc<Breaker>,
    pub(super) metrics: Arc<EndpointMetrics>,
    pub(super) in_flight: AtomicUsize,
}

/// An endpoint at one moment, for people.
#[derive(Debug, Clone)]
pub struct EndpointState {
    /// The state of its circuit.
    pub breaker: State,
    /// Requests so far.
    pub requests: u64,
    /// Requests that failed by the service's fault.
    pub failures: u64,
    /// Requests now.
    pub in_flight: usize,
}

impl Endpoint {
    /// A new endpoint with a closed circuit.
    pub fn new(id: String, place: Place, breaker: breaker::Settings) -> Self {
        let breaker = Arc::new(Breaker::new(breaker));
        Self { id, place, breaker, metrics: Arc::default(), in_flight: AtomicUsize::new(0) }
    }

    /// The revision of its instances; `None` for a plain HTTP address.
    pub fn revision(&self) -> Option<Digest> {
        match &self.place {
            Place::Instances(pool) => Some(pool.revision()),
            Place::Url { .. } => None,
        }
    }

    /// Instances that serve a request now; none at a plain HTTP address.
    pub(super) fn instances(&self) -> usize {
        match &self.place {
            Place::Instances(pool) => pool.in_use(),
            Place::Url { .. } => 0,
        }
    }

    /// The endpoint as it is at `now`.
    pub fn state(&self, now: Instant) -> EndpointState {
        let (requests, failures) = self.metrics.counts();
        let in_flight = self.in_flight.load(Ordering::Relaxed);
        EndpointState { breaker: self.breaker.state(now), requests, failures, in_flight }
    }

    /// Whether it can be called this way: an address has no functions, and a component may have nothing else.
    pub(super) fn takes(&self, way: Way) -> bool {
        match (&self.place, way) {
            (Place::Instances(pool), Way::Http) => pool.answers_http(),
            (Place::Instances(_), Way::Typed) | (Place::Url { .. }, Way::Http) => true,
            (Place::Url { .. }, Way::Typed) => false,
        }
    }

    /// Calls a function there. The error is for the log.
    pub(super) async fn call(
        &self,
        function: &FunctionName,
        arguments: Parcel,
        context: &CallContext,
    ) -> Result<Parcel, (ErrorKind, String)> {
        match &self.place {
            Place::Instances(pool) => {
                pool.call(function, arguments, context).await.map_err(|error| (error.kind, error.detail))
            }
            Place::Url { .. } => Err((ErrorKind::NoEndpoint, "an address has no functions".into())),
        }
    }

    /// Sends the request there. The error is for the log.
    pub(super) async fn invoke(
        &self,
        request: http::Request<Body>,
        context: &CallContext,
    ) -> Result<http::Response<Body>, (ErrorKind, String)> {
        match &self.place {
            Place::Instances(pool) => pool.invoke(request, context).await.map_err(|error| (error.kind, error.detail)),
            Place::Url { base, client } => client.send(base, request, context).await,
        }
    }
}
