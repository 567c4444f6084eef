//! The pipeline that a request goes through.

use super::access::Entry;
use super::call::{Call, Failure};
use super::forward::{self, Origin, REQUEST_ID};
use super::problem::Problem;
use super::settings::{Settings, Target};
use super::upload::Upload;
use super::{answer, head, status};
use crate::base::{Blame, Body, CallContext, ErrorKind, RequestId, ServiceName};
use crate::listen::Peer;
use crate::route::{Found, Match, Path, RequestHead, Table};
use http::header::ALLOW;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

/// The public edge: answers every request, with the answer of a service or with a problem of its own.
pub struct Gateway<C> {
    settings: Settings,
    routes: Arc<Table<Target>>,
    mesh: Arc<C>,
}

impl<C: Call> Gateway<C> {
    /// A gateway that calls the services of `routes` through `mesh`.
    pub fn new(mut settings: Settings, routes: Arc<Table<Target>>, mesh: Arc<C>) -> Self {
        for proxy in &mut settings.trusted_proxies {
            *proxy = proxy.to_canonical();
        }
        Self { settings, routes, mesh }
    }

    /// Answers one request. Dropping the future tells that the client has gone: the call is dropped with it.
    pub async fn handle(&self, request: Request<Body>, peer: Peer) -> Response<Body> {
        let began = Instant::now();
        // An IPv4 peer of a socket that listens on both is written as IPv6.
        let peer = peer.addr.ip().to_canonical();
        let trusted = self.settings.trusted_proxies.contains(&peer);
        let id = request_id(request.headers(), trusted);
        let mut entry = Entry::begin(request.method().clone(), request.uri().clone(), id.clone(), began);
        let caller = Caller { id: &id, peer, trusted, began };
        let answer = self.pipeline(request, &caller, &mut entry).await;
        let mut answer = answer.unwrap_or_else(|problem| problem.answer(&id));
        let value = HeaderValue::from_str(id.as_str()).expect("an id is visible ASCII");
        answer.headers_mut().insert(REQUEST_ID, value);
        entry.follow(answer)
    }

    /// The life of a request, from top to bottom. The first stage that refuses ends it.
    async fn pipeline(
        &self,
        request: Request<Body>,
        caller: &Caller<'_>,
        entry: &mut Entry,
    ) -> Result<Response<Body>, Problem> {
        let (head, body) = request.into_parts();
        head::check_bounds(&head.headers, &self.settings)?;
        let host = head::check(&head)?;
        let path = clean_path(&head)?;
        let route = self.route(&head, host, path)?;
        let Target { service, timeout, .. } = route.target;
        entry.service = Some(service.clone());
        let (body, upload) = Upload::bound(&head.headers, body, route.target)?;
        let origin = Origin { id: caller.id, peer: caller.peer, trusted: caller.trusted, host };
        let request = forward::request(&head, body, &route, &origin)?;
        let context = CallContext::new(caller.id.clone(), caller.began, *timeout);
        let outcome = self.mesh.call(service, request, &context).await;
        let answer = settle(outcome, &upload, service, caller.id)?;
        Ok(answer::publish(answer, &head.method, host, &route))
    }

    fn route<'a>(
        &'a self,
        head: &'a Parts,
        host: Option<&'a str>,
        path: Path<'a>,
    ) -> Result<Match<'a, Target>, Problem> {
        match self.routes.find(&RequestHead { host, method: &head.method, path, headers: &head.headers }) {
            Found::Route(route) => Ok(route),
            Found::MethodNotAllowed(methods) => Err(method_not_allowed(&methods)),
            Found::None => {
                let detail = "no route leads from this host and path to a service";
                Err(Problem::new(StatusCode::NOT_FOUND, "no-route", "There is no such route", detail))
            }
        }
    }
}

/// Who asks, and when.
struct Caller<'a> {
    id: &'a RequestId,
    peer: IpAddr,
    trusted: bool,
    began: Instant,
}

/// The id that a trusted proxy gave, or a new one: an id of a stranger's choice would let him hide among the log lines of another.
fn request_id(headers: &HeaderMap, trusted: bool) -> RequestId {
    let given = headers.get(REQUEST_ID).filter(|_| trusted).and_then(|id| RequestId::accept(id.to_str().ok()?));
    given.unwrap_or_else(|| RequestId::from_random(rand::random()))
}

fn clean_path(head: &Parts) -> Result<Path<'_>, Problem> {
    Path::parse(head.uri.path()).map_err(|why| Problem::bad_request("bad-path", why.to_string()))
}

fn method_not_allowed(methods: &[Method]) -> Problem {
    let names = methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
    let problem = Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method-not-allowed",
        "The method is not allowed",
        format!("this path takes {names}"),
    );
    problem.with_header(ALLOW, HeaderValue::from_str(&names).expect("methods are tokens"))
}

/// What a call came to. A body that was too large is the answer, whatever the service made of it.
fn settle(
    outcome: Result<Response<Body>, Failure>,
    upload: &Upload,
    service: &ServiceName,
    id: &RequestId,
) -> Result<Response<Body>, Problem> {
    if upload.was_too_large() {
        return Err(status::problem(ErrorKind::BodyTooLarge, service).closing());
    }
    let failure = match outcome {
        Ok(answer) => return Ok(answer),
        Err(failure) => failure,
    };
    let (request_id, name, kind, error) = (id.as_str(), service.as_str(), failure.kind.as_str(), &failure.detail);
    match failure.kind.blame() {
        Blame::Service | Blame::Host => tracing::warn!(request_id, service = name, kind, %error, "a call failed"),
        // A flood of refusals must not become a flood of lines; the access log has them.
        Blame::Client | Blame::Refusal => {
            tracing::debug!(request_id, service = name, kind, %error, "a call was refused")
        }
    }
    let problem = status::failed(&failure, service);
    // What is left of the client's body may still be on its way: it must not be read as the next request.
    Err(if failure.kind.blame() == Blame::Client { problem.closing() } else { problem })
}
