//! What the gateway is told: its bounds, whom it trusts, and what a route leads to.

use crate::base::ServiceName;
use crate::contract::{FunctionName, HttpBinding};
use bytes::Bytes;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// The bounds of a request's head, and the peers whose word about a client is taken.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The proxies whose `x-request-id`, `Forwarded` and `X-Forwarded-*` are believed; anybody else's are replaced.
    pub trusted_proxies: Vec<IpAddr>,
    /// The most header fields of a request; more are answered with 431.
    pub max_headers: usize,
    /// The most bytes of a request's header fields as they are sent; more are answered with 431.
    pub header_bytes: usize,
    /// The most bytes of bodies that are held at once for the typed routes of one service; more are answered with 503. Default 64 MiB.
    pub body_memory: usize,
    /// The OpenAPI document of the typed routes, in JSON: `GET /openapi.json` is answered with it where no route has that path.
    pub openapi: Option<Bytes>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            trusted_proxies: Vec::new(),
            max_headers: 100,
            header_bytes: 32 * 1024,
            body_memory: 64 << 20,
            openapi: None,
        }
    }
}

/// What a route leads to.
#[derive(Debug, Clone)]
pub struct Target {
    /// The service that is called.
    pub service: ServiceName,
    /// The most bytes of a request's body; more are answered with 413.
    pub body_limit: u64,
    /// How long the service may take until the head of its answer.
    pub timeout: Duration,
    /// The function that is called; without one the service speaks HTTP itself.
    pub typed: Option<Arc<TypedTarget>>,
}

/// A function of a service, and its face towards HTTP.
///
/// The route's rule names its methods, and `HEAD` beside `GET`; it leaves the path as it is.
#[derive(Debug)]
pub struct TypedTarget {
    /// The function.
    pub function: FunctionName,
    /// Where its arguments come from, and what becomes of its answers.
    pub face: HttpBinding,
}
