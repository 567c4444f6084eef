//! Where the gateway counts a request that has ended: the scopes, and the outcomes that each can have.

use super::authentication;
use super::body_decoding;
use super::files;
use super::route_numbers::RouteNumbers;
use super::saga_answer;
use super::settings::{Answerer, Target};
use super::websocket;
use crate::route::RoutingTable;
use crate::telemetry::{CountScope, GatewayMetrics};
use std::collections::HashSet;

/// The statuses and kinds of the host's own answers on every route: the kinds of failed calls (`status.rs`), and a path
/// that cannot be passed on.
pub(super) const CALLED: [(u16, &str); 20] = [
    (502, "trap"),
    (502, "memory-limit"),
    (502, "instantiation"),
    (502, "bad-answer"),
    (502, "connect"),
    (502, "reset"),
    (504, "timeout"),
    (503, "circuit-open"),
    (503, "out-of-service"),
    (503, "starting"),
    (503, "overloaded"),
    (503, "draining"),
    (503, "no-endpoint"),
    (503, "denied"),
    (508, "too-deep"),
    (413, "body-too-large"),
    (408, "slow-body"),
    (500, "host"),
    (400, "bad-path"),
    (403, "forbidden"),
];

/// What a route refuses that passes no WebSocket on.
const NO_UPGRADE: [(u16, &str); 1] = [(501, "upgrade")];
/// What a route with a policy for pages of other origins refuses beyond that.
const CORS: [(u16, &str); 1] = [(403, "cors-refused")];

/// What a typed route refuses beyond that.
const TYPED: [(u16, &str); 7] = [
    (406, "not-acceptable"),
    (415, "unsupported-media-type"),
    (404, "not-found"),
    (400, "bad-parameter"),
    (400, "bad-json"),
    (400, "unexpected-body"),
    (422, "invalid"),
];

/// What a route with rate limits refuses beyond that.
const LIMITED: [(u16, &str); 1] = [(429, "quota-exceeded")];

/// What a route with a cache refuses beyond that.
const CACHED: [(u16, &str); 1] = [(504, "not-cached")];

/// What a route refuses that lets only some addresses in.
const ADDRESSES: [(u16, &str); 1] = [(403, "address-refused")];

/// What is refused before a route is found, or since there is none.
const UNROUTED: [(u16, &str); 15] = [
    (403, "address-refused"),
    (503, "maintenance"),
    (308, "https-only"),
    (431, "headers-too-large"),
    (414, "target-too-long"),
    (400, "bad-header"),
    (501, "transfer-coding"),
    (400, "transfer-coding-twice"),
    (405, "method-not-allowed"),
    (501, "upgrade"),
    (400, "bad-host"),
    (400, "bad-scheme"),
    (421, "misdirected"),
    (400, "bad-path"),
    (404, "no-route"),
];

/// What `listen` refuses since no request could be parsed.
const UNPARSED: [(u16, &str); 4] =
    [(400, "malformed"), (408, "slow-headers"), (414, "target-too-long"), (431, "headers-too-large")];

/// What a gateway with these routes counts. The scopes are the routes in their order, then [`unrouted`], then
/// [`unparsed`].
pub(super) fn scopes(routes: &RoutingTable<Target>) -> Vec<CountScope> {
    let mut names = HashSet::new();
    let of_routes = routes.routes().iter().enumerate().map(|(index, (rule, target))| {
        let mut route = rule.description();
        // The manifest has no two equal rules, but two header values that are no UTF-8 may be shown alike. Each route
        // must have series of its own.
        if !names.insert(route.clone()) {
            route = format!("{route} (route {})", index + 1);
        }
        let typed = target.typed.is_some().then_some(TYPED.as_slice());
        let sockets = target.websocket.is_some().then_some(websocket::REFUSED.as_slice());
        let refused = target.access.is_some().then_some(authentication::REFUSED.as_slice());
        let limited = target.limits.is_some().then_some(LIMITED.as_slice());
        let cors = target.cors.is_some().then_some(CORS.as_slice());
        let cached = target.cache.is_some().then_some(CACHED.as_slice());
        let addresses = target.addresses.is_some().then_some(ADDRESSES.as_slice());
        let decoding = target.transforms.decoding.is_some().then_some(body_decoding::REFUSED.as_slice());
        let usual = match &target.answerer {
            Answerer::Service(_) => vec![CALLED.as_slice(), NO_UPGRADE.as_slice()],
            Answerer::Files(_) => vec![files::REFUSED.as_slice()],
            Answerer::Redirection(_) => Vec::new(),
            Answerer::Saga(_) => vec![saga_answer::REFUSED.as_slice()],
        };
        let chosen = [typed, sockets, refused, limited, cors, addresses, decoding, cached];
        let outcomes = usual.into_iter().chain(chosen.into_iter().flatten());
        let outcomes = outcomes.collect();
        CountScope { route, service: target.service().map(ToString::to_string).unwrap_or_default(), outcomes }
    });
    let mut scopes: Vec<_> = of_routes.collect();
    for (name, outcomes) in [("(none)", UNROUTED.as_slice()), ("(unparsed)", UNPARSED.as_slice())] {
        scopes.push(CountScope { route: name.to_owned(), service: String::new(), outcomes: vec![outcomes] });
    }
    scopes
}

/// The routes that have a cache: the number of each, its label in `metrics`, and its service.
pub(super) fn cached(
    routes: &RoutingTable<Target>,
    numbers: &RouteNumbers,
    metrics: &GatewayMetrics,
) -> Vec<(usize, String, String)> {
    let cached = routes.routes().iter().enumerate().filter(|(_, (_, target))| target.cache.is_some());
    let cached = cached.map(|(at, (_, target))| {
        let service = target.service().map(ToString::to_string).unwrap_or_default();
        (numbers.of(at), metrics.label(at).to_owned(), service)
    });
    cached.collect()
}

/// The scope of the requests without a route.
pub(super) fn unrouted(routes: &RoutingTable<Target>) -> usize {
    routes.routes().len()
}

/// The scope of what could not be parsed as a request.
pub(super) fn unparsed(routes: &RoutingTable<Target>) -> usize {
    routes.routes().len() + 1
}
