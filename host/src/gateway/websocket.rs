//! WebSockets: the handshake of a route that passes them on (RFC 6455, section 4). What follows the handshake is copied
//! by `listen`, and read by nobody here.

use super::problem::Problem;
use super::settings::{Target, WebSocketSettings};
use crate::base::{Body, ServiceName, UpgradeOffer, header_tokens};
use crate::listen::Tunnel;
use crate::route::RoutingTable;
use crate::telemetry::{GatewayMetrics, OpenSocket};
use http::header::{CONNECTION, ORIGIN, UPGRADE};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::Body as _;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The one protocol that a route may switch to.
pub(super) const PROTOCOL: &[u8] = b"websocket";

/// The statuses and kinds of what a route with WebSockets refuses.
pub(super) const REFUSED: [(u16, &str); 3] = [(403, "origin"), (400, "bad-handshake"), (503, "too-many-websockets")];

/// How many more WebSockets each route may open, by the route's position.
pub(super) struct SocketPermits(BTreeMap<usize, Arc<Semaphore>>);

impl SocketPermits {
    pub(super) fn of(routes: &RoutingTable<Target>) -> Self {
        let all = routes.routes().iter().enumerate();
        let bound = |settings: &WebSocketSettings| Arc::new(Semaphore::new(settings.connections));
        Self(all.filter_map(|(index, (_, target))| Some((index, bound(target.websocket.as_ref()?)))).collect())
    }
}

impl SocketPermits {
    /// Goes on with the permits of the routes that stay: `kept` has the position that each had before.
    pub(super) fn keep(&mut self, before: &Self, kept: &[Option<usize>]) {
        for (index, permits) in &mut self.0 {
            let own = kept.get(*index).copied().flatten().and_then(|at| before.0.get(&at));
            if let Some(own) = own {
                *permits = Arc::clone(own);
            }
        }
    }
}

/// A handshake under way, and the right to the WebSocket that follows.
pub(super) struct SocketHandshake<'a> {
    settings: &'a WebSocketSettings,
    route: usize,
    permit: OwnedSemaphorePermit,
}

impl<'a> SocketHandshake<'a> {
    /// The handshake that `head` begins, if it begins one.
    ///
    /// # Errors
    /// 501 if the route passes no WebSocket on; 400, 403 or 503 if it does not pass on this one.
    pub(super) fn begin(
        head: &Parts,
        body: &Body,
        target: &'a Target,
        (route, service): (usize, &ServiceName),
        permits: &SocketPermits,
    ) -> Result<Option<Self>, Problem> {
        if !is_offered(head) {
            return Ok(None);
        }
        let (Some(settings), Some(free)) = (&target.websocket, permits.0.get(&route)) else { return Err(refused()) };
        if head.method != Method::GET || !body.is_end_stream() {
            let detail = "a WebSocket begins with a GET without content (RFC 6455, section 4.1)";
            return Err(Problem::bad_request("bad-handshake", detail).closing());
        }
        check_origin(head, settings)?;
        let Ok(permit) = Arc::clone(free).try_acquire_owned() else { return Err(too_many(service)) };
        Ok(Some(Self { settings, route, permit }))
    }

    /// Offers the protocol to the service.
    pub(super) fn offer(&self, request: &mut Request<Body>) {
        request.extensions_mut().insert(UpgradeOffer);
        switch(request.headers_mut());
    }

    /// Finishes the answer to the handshake: with 101 the client's connection becomes a tunnel to the service.
    pub(super) fn finish(self, mut answer: Response<Body>, metrics: &Arc<GatewayMetrics>) -> Response<Body> {
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            let upstream = hyper::upgrade::on(&mut answer);
            let held = (self.permit, OpenSocket::begin(metrics, self.route));
            answer.extensions_mut().insert(Tunnel::new(upstream, self.settings.idle, held));
            switch(answer.headers_mut());
        }
        answer
    }
}

/// Whether `head` offers to switch to WebSocket (RFC 9110, section 7.8: only where `Connection` names `Upgrade`, and
/// never in HTTP/1.0).
fn is_offered(head: &Parts) -> bool {
    let has = |name, wanted: &[u8]| header_tokens(&head.headers, name).any(|token| token.eq_ignore_ascii_case(wanted));
    // On HTTP/2 the fields come from `listen`: a client cannot send them there (RFC 9113, section 8.2.2).
    matches!(head.version, Version::HTTP_11 | Version::HTTP_2)
        && head.headers.contains_key(UPGRADE)
        && has(&UPGRADE, PROTOCOL)
        && has(&CONNECTION, b"upgrade")
}

/// The problem for an offer that is not accepted.
pub(super) fn refused() -> Problem {
    let detail = "no other protocol is spoken on this connection";
    Problem::new(StatusCode::NOT_IMPLEMENTED, "upgrade", "The upgrade is not supported", detail).closing()
}

/// Refuses the pages of other sites: a browser sends cookies with every handshake, and asks nobody for leave (RFC 6455,
/// section 10.2). Other clients send no `Origin`, or could send any.
fn check_origin(head: &Parts, settings: &WebSocketSettings) -> Result<(), Problem> {
    let Some(allowed) = &settings.origins else { return Ok(()) };
    let listed =
        |origin: &HeaderValue| allowed.iter().any(|allowed| allowed.as_bytes().eq_ignore_ascii_case(origin.as_bytes()));
    if head.headers.get_all(ORIGIN).iter().all(listed) {
        return Ok(());
    }
    let detail = "pages of this origin may not open WebSockets here";
    Err(Problem::new(StatusCode::FORBIDDEN, "origin", "The origin is not allowed", detail).closing())
}

fn too_many(service: &ServiceName) -> Problem {
    let detail = format!("the route to service `{service}` has as many open WebSockets as it may have");
    let status = StatusCode::SERVICE_UNAVAILABLE;
    Problem::new(status, "too-many-websockets", "There are too many WebSockets", detail).about(service)
}

/// The fields of a head that switches the protocol. They are for one hop, so each hop writes its own.
fn switch(headers: &mut http::HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
}
