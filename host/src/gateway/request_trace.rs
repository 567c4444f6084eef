//! The trace of one request: its first span, from the arrival of the head to the end of the answer.

use super::settings::Target;
use crate::base::{
    OpenSpan, RequestId, TraceId, TraceParent, TraceScope, TraceState, TraceTree, bound_baggage, known_method,
};
use crate::route::RoutingTable;
use crate::telemetry::{SlowThreshold, TraceEnd, Tracer};
use http::{Method, Request, Version};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The most bytes of a path that a span has.
const LONGEST_PATH: usize = 512;

/// The traces of one gateway, with the names of its routes.
pub(super) struct GatewayTraces {
    tracer: Arc<Tracer>,
    /// The path pattern of each route, by its index.
    routes: Vec<Arc<str>>,
    /// When a request is slow, by the scope that it is counted in: that of its route, or one of those of requests that
    /// have none.
    thresholds: Vec<Arc<SlowThreshold>>,
}

/// The scopes after those of the routes (`count_scopes.rs`).
const WITHOUT_ROUTE: usize = 2;

impl GatewayTraces {
    pub(super) fn new(tracer: Arc<Tracer>, routes: &RoutingTable<Target>) -> Self {
        let routes: Vec<_> = routes.routes().iter().map(|(rule, _)| rule.path().into()).collect();
        let thresholds = (0..routes.len() + WITHOUT_ROUTE).map(|_| Arc::default()).collect();
        Self { tracer, routes, thresholds }
    }

    /// Takes over what those before know of the routes that both have. `kept`: the position of each route there.
    pub(super) fn go_on(&mut self, before: &Self, kept: &[Option<usize>]) {
        let places = kept.iter().copied().enumerate();
        let without = (0..WITHOUT_ROUTE).map(|at| (self.routes.len() + at, Some(before.routes.len() + at)));
        for (at, place) in places.chain(without) {
            if let Some(same) = place.and_then(|place| before.thresholds.get(place))
                && let Some(own) = self.thresholds.get_mut(at)
            {
                *own = Arc::clone(same);
            }
        }
    }
}

/// The trace of a request that is under way.
pub(super) struct RequestTrace {
    traces: Arc<GatewayTraces>,
    tree: Arc<TraceTree>,
    root: OpenSpan,
    scheme: &'static str,
    version: Version,
}

/// What the access log knows of a request that has ended.
pub(super) struct EndedRequest<'a> {
    pub(super) scope: usize,
    pub(super) id: &'a RequestId,
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    pub(super) status: u16,
    pub(super) kind: &'static str,
    /// Whether the service broke its answer off.
    pub(super) broken: bool,
    pub(super) took: Duration,
}

impl RequestTrace {
    /// Begins the trace of a request, which arrived at `began`. `trusted`: its peer is a trusted proxy, whose trace it
    /// continues. The trace of any other peer only gets a link: its flags would choose what this host records. What the
    /// client may not pass on is removed: a stranger's baggage, and baggage over its bounds.
    pub(super) fn begin<B>(
        traces: &Arc<GatewayTraces>,
        request: &mut Request<B>,
        (id, trusted, secure): (&RequestId, bool, bool),
        began: Instant,
    ) -> Self {
        bound_baggage(request.headers_mut(), trusted);
        let headers = request.headers();
        let parent = TraceParent::of(headers);
        let state = if trusted && parent.is_some() { TraceState::of(headers) } else { None };
        // An id of this gateway's own is random bits, and names the trace too. A trusted proxy may send one id twice.
        let own = TraceId::parse(id.as_str()).filter(|_| !trusted);
        let own = own.map_or_else(rand::random, |id| u128::from_be_bytes(*id.bytes()));
        let tree = traces.tracer.begin((parent, state), trusted, (own, rand::random()), began);
        let root = tree.root("request");
        let scheme = if secure { "https" } else { "http" };
        Self { traces: Arc::clone(traces), tree, root, scheme, version: request.version() }
    }

    /// The place below the first span.
    pub(super) fn scope(&self) -> TraceScope {
        self.root.scope()
    }

    /// Ends the trace. Returns its id, and whether it is kept.
    pub(super) fn end(self, ended: &EndedRequest<'_>) -> (TraceId, bool) {
        let Self { traces, tree, root, scheme, version } = self;
        let EndedRequest { scope, id, status, took, broken, .. } = *ended;
        let failed = broken || status >= 500;
        let threshold = traces.thresholds.get(scope).map(|threshold| &**threshold);
        let Some(rule) = traces.tracer.decide(&tree, threshold, failed, took) else { return (tree.start().id, false) };
        let pattern = traces.routes.get(scope);
        let root = complete(root, ended, pattern, (scheme, version));
        root.end_after(took);
        let route = pattern.map_or("(none)", |pattern| pattern);
        traces.tracer.keep(&tree, rule, &TraceEnd { route, request_id: id, status, took });
        (tree.start().id, true)
    }
}

/// Writes into the first span what is known at the end. Only a trace that is kept needs it.
fn complete(
    mut root: OpenSpan,
    ended: &EndedRequest<'_>,
    pattern: Option<&Arc<str>>,
    (scheme, version): (&'static str, Version),
) -> OpenSpan {
    let EndedRequest { method, path, status, kind, broken, .. } = *ended;
    let known = known_method(method);
    // Not the path: a name has few different values.
    let name = pattern.map_or_else(|| known.to_owned(), |pattern| format!("{known} {pattern}"));
    root.rename(name);
    root.reserve(8);
    root.attribute("http.request.method", known);
    if let Some(pattern) = pattern {
        root.attribute("http.route", Arc::clone(pattern));
    }
    root.attribute("url.scheme", scheme);
    let path = path.get(..path.floor_char_boundary(LONGEST_PATH)).unwrap_or_default();
    root.attribute("url.path", path.to_owned());
    root.attribute("http.response.status_code", i64::from(status));
    let version = match version {
        Version::HTTP_2 => "2",
        Version::HTTP_10 => "1.0",
        _ => "1.1",
    };
    root.attribute("network.protocol.version", version);
    root.attribute("atoll.kind", kind);
    if broken {
        root.fail("broken-off");
    } else if status >= 500 {
        if kind == "answer" { root.fail(status.to_string()) } else { root.fail(kind) }
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::TraceSettings;

    #[test]
    fn a_route_that_stays_keeps_its_threshold_wherever_it_stands() {
        let tracer = Arc::new(Tracer::new(TraceSettings { sample: 0.0, keep: 1 << 20, spans: 8 }, None));
        let traces = |paths: &[&str]| {
            let routes: Vec<_> = paths.iter().map(|path| (*path).into()).collect();
            let thresholds = (0..routes.len() + WITHOUT_ROUTE).map(|_| Arc::default()).collect();
            GatewayTraces { tracer: Arc::clone(&tracer), routes, thresholds }
        };
        let (before, mut next) = (traces(&["/a", "/b"]), traces(&["/new", "/b", "/a"]));
        next.go_on(&before, &[None, Some(1), Some(0)]);
        let places: Vec<_> = next
            .thresholds
            .iter()
            .map(|own| before.thresholds.iter().position(|other| Arc::ptr_eq(own, other)))
            .collect();
        assert_eq!(places, [None, Some(1), Some(0), Some(2), Some(3)]);
    }
}
