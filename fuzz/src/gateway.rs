//! A gateway with one service, which notes the request that it gets.

use host::base::{Body, CallContext, ServiceName, empty_body};
use host::contract::BoundFunction;
use host::gateway::{Answerer, Call, CallFailure, Gateway, RouteTransforms, Settings, Target};
use host::listen::Peer;
use host::mesh::Value;
use host::route::{RoutingTable, Rule};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the service was sent; `None`: the gateway has answered by itself.
#[derive(Default)]
struct NotingService(Mutex<Option<Parts>>);

impl Call for NotingService {
    type Value = Value;
    type Pinned = Arc<BoundFunction>;

    /// Nothing is swapped here.
    fn table_number(&self) -> u64 {
        0
    }

    async fn call(
        &self,
        _: &ServiceName,
        request: Request<Body>,
        _: &CallContext,
    ) -> Result<Response<Body>, CallFailure> {
        *self.0.lock().expect("nobody panics with it") = Some(request.into_parts().0);
        Ok(Response::new(empty_body()))
    }

    fn pin(&self, service: &ServiceName, _: usize, _: &CallContext) -> Result<Self::Pinned, CallFailure> {
        unreachable!("no route calls a function of {service}")
    }

    async fn invoke(
        &self,
        function: &Self::Pinned,
        _: Vec<Value>,
        _: &CallContext,
    ) -> Result<Option<Value>, CallFailure> {
        unreachable!("no route calls {}", function.name)
    }
}

/// The address of the peer.
pub(crate) const PEER: [u8; 4] = [192, 0, 2, 7];

/// Sends a request through a gateway whose routes have `prefix`, which is stripped. Returns what the service gets.
pub(crate) fn send(head: Parts, trusted: bool, prefix: &str) -> Option<Parts> {
    let rule = Rule::prefix(prefix).and_then(|rule| rule.with_strip_prefix(prefix)).ok()?;
    let target = Target {
        answerer: Answerer::Service(ServiceName::new("users").expect("a name")),
        body_limit: 0,
        open_uploads: 1,
        timeout: Duration::from_secs(1),
        limits: None,
        typed: None,
        trailers: false,
        interim: false,
        websocket: None,
        access: None,
        addresses: None,
        cors: None,
        cache: None,
        left_out: None,
        transforms: RouteTransforms::default(),
    };
    let trusted_proxies = if trusted { vec![IpAddr::from(PEER)] } else { Vec::new() };
    let settings = Settings { trusted_proxies, ..Settings::default() };
    let service = Arc::new(NotingService::default());
    let gateway = Gateway::new(settings, Arc::new(RoutingTable::new(vec![(rule, target)])), Arc::clone(&service));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let peer = Peer::without_connection(SocketAddr::from((PEER, 4711)));
    runtime.block_on(gateway.handle(Request::from_parts(head, empty_body()), peer));
    service.0.lock().expect("nobody panics with it").take()
}

/// Fields of a header section: a line each, with a colon. `None`: HTTP's parsers would refuse one of them.
pub(crate) fn fields<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for line in lines.filter(|line| !line.is_empty()) {
        let at = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..at]).ok()?;
        headers.try_append(name, HeaderValue::from_bytes(line[at + 1..].trim_ascii()).ok()?).ok()?;
    }
    Some(headers)
}

/// The one line of the field; `None` if there are more or fewer.
pub(crate) fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a HeaderValue> {
    let mut lines = headers.get_all(name).iter();
    lines.next().filter(|_| lines.next().is_none())
}
