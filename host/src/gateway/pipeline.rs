//! The pipeline that a request goes through.

use super::access::AccessRecord;
use super::call::{Call, CallFailure};
use super::document::Document;
use super::forward::{self, ForwardedFrom};
use super::problem::Problem;
use super::settings::{Settings, Target, TypedTarget};
use super::typed::{self, Arguments};
use super::upload::{BodyBudget, UploadStatus};
use super::{answer, head, status};
use crate::base::{Blame, Body, CallContext, ErrorKind, RequestId, ServiceName};
use crate::listen::Peer;
use crate::route::{Match, Path, RequestHead, RouteLookup, Table};
use http::request::Parts;
use http::{HeaderMap, Request, Response, StatusCode};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The public edge: answers every request, with the answer of a service or with a problem of its own.
pub struct Gateway<C> {
    settings: Settings,
    document: Option<Document>,
    /// One for each service with typed routes: a flood of one fills no other's.
    shelves: BTreeMap<ServiceName, BodyBudget>,
    routes: Arc<Table<Target>>,
    mesh: Arc<C>,
}

impl<C: Call> Gateway<C> {
    /// A gateway that calls the services of `routes` through `mesh`.
    pub fn new(mut settings: Settings, routes: Arc<Table<Target>>, mesh: Arc<C>) -> Self {
        for proxy in &mut settings.trusted_proxies {
            *proxy = proxy.to_canonical();
        }
        let document = settings.openapi.take().map(Document::new);
        let typed = routes.routes().iter().map(|(_, target)| target).filter(|target| target.typed.is_some());
        let shelves = typed.map(|target| (target.service.clone(), BodyBudget::new(settings.body_memory))).collect();
        Self { settings, document, shelves, routes, mesh }
    }

    /// Answers one request. Dropping the future tells that the client has gone: the call is dropped with it.
    pub async fn handle(&self, request: Request<Body>, peer: Peer) -> Response<Body> {
        let began = Instant::now();
        // An IPv4 peer of a socket that listens on both is written as IPv6.
        let peer = peer.addr.ip().to_canonical();
        let trusted = self.settings.trusted_proxies.contains(&peer);
        let id = request_id(request.headers(), trusted);
        let mut entry = AccessRecord::begin(request.method().clone(), request.uri().clone(), id.clone(), began);
        let caller = Caller { id: &id, peer, trusted, began };
        let answer = self.pipeline(request, &caller, &mut entry).await;
        let mut answer = answer.unwrap_or_else(|problem| problem.answer(&id));
        answer.headers_mut().insert(RequestId::HEADER, id.header());
        entry.follow(answer)
    }

    /// The life of a request, from top to bottom. The first stage that refuses ends it.
    async fn pipeline(
        &self,
        request: Request<Body>,
        caller: &Caller<'_>,
        entry: &mut AccessRecord,
    ) -> Result<Response<Body>, Problem> {
        let (head, body) = request.into_parts();
        head::check_bounds(&head.headers, &self.settings)?;
        let host = head::check(&head)?;
        let path = clean_path(&head)?;
        let Some(route) = self.route(&head, host, path)? else { return self.unrouted(&head) };
        let Target { service, timeout, typed, .. } = route.target;
        entry.service = Some(service.clone());
        let (body, upload) = UploadStatus::bound(&head.headers, body, route.target)?;
        let context = caller.context(&head.headers, *timeout);
        if let Some(typed) = typed {
            return self.invoke(typed, &route, &head, (body, upload), &context).await;
        }
        let origin = ForwardedFrom { id: caller.id, peer: caller.peer, trusted: caller.trusted, host };
        let request = forward::request(&head, body, &route, &origin)?;
        let outcome = self.mesh.call(service, request, &context).await;
        let answer = settle(outcome, &upload, service, caller.id)?;
        Ok(answer::publish(answer, &head.method, host, &route))
    }

    /// The rest of it on a typed route. What is wrong with a request is told in this order, and only what is right reaches the service.
    async fn invoke(
        &self,
        typed: &TypedTarget,
        route: &Match<'_, Target>,
        head: &Parts,
        (body, upload): (Body, UploadStatus),
        context: &CallContext,
    ) -> Result<Response<Body>, Problem> {
        let (service, id) = (&route.target.service, &context.request_id);
        typed::check_wanted(&head.headers)?;
        if typed.face.body().is_some() {
            typed::check_sent(head)?;
        }
        let arguments = Arguments::of_head(&typed.face, head, route)?;
        let shelf = self.shelves.get(service).expect("every service with a typed route has a shelf");
        let body = settle(UploadStatus::collect(body, context.deadline, shelf).await, &upload, service, id)?;
        let arguments = arguments.with_body(&body.bytes())?;
        drop(body);
        let echo = typed::Echo::of(&typed.face, &arguments);
        let outcome = self.mesh.invoke(service, &typed.function, arguments, context).await;
        let result = settle(outcome, &upload, service, id)?;
        typed::answer(&typed.face, result.as_ref(), &echo, route.target, id)
    }

    fn route<'a>(
        &'a self,
        head: &'a Parts,
        host: Option<&'a str>,
        path: Path<'a>,
    ) -> Result<Option<Match<'a, Target>>, Problem> {
        match self.routes.find(&RequestHead { host, method: &head.method, path, headers: &head.headers }) {
            RouteLookup::Route(route) => Ok(Some(route)),
            RouteLookup::MethodNotAllowed(methods) => Err(Problem::method_not_allowed(&methods)),
            RouteLookup::None => Ok(None),
        }
    }

    /// The answer for a path without a route. The document is one: it gives way to a route for its path.
    fn unrouted(&self, head: &Parts) -> Result<Response<Body>, Problem> {
        match &self.document {
            Some(document) if head.uri.path() == Document::PATH => document.answer(head),
            _ => {
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

impl Caller<'_> {
    /// The context of the call that the request becomes. It goes on with what another host's mesh says of the call behind it, if that one is
    /// trusted: a circle of calls that leads through a plain service ends like any other.
    fn context(&self, headers: &HeaderMap, timeout: Duration) -> CallContext {
        let context = CallContext::new(self.id.clone(), self.began, timeout);
        if !self.trusted {
            return context;
        }
        let told = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let left = told(CallContext::TIMEOUT_HEADER).and_then(|left| left.parse().ok()).map(Duration::from_millis);
        let depth = told(CallContext::DEPTH_HEADER).and_then(|depth| depth.parse::<usize>().ok());
        let depth = depth.map_or(0, |depth| depth.saturating_add(1));
        context.within(self.began, left.unwrap_or(timeout)).at_depth(depth)
    }
}

/// The id that a trusted proxy gave, or a new one: an id of a stranger's choice would let him hide among the log lines of another.
fn request_id(headers: &HeaderMap, trusted: bool) -> RequestId {
    let given = headers.get(RequestId::HEADER).filter(|_| trusted).and_then(|id| RequestId::accept(id.to_str().ok()?));
    given.unwrap_or_else(|| RequestId::from_random(rand::random()))
}

fn clean_path(head: &Parts) -> Result<Path<'_>, Problem> {
    Path::parse(head.uri.path()).map_err(|why| Problem::bad_request("bad-path", why.to_string()))
}

/// What a call came to. A body that was too large is the answer, whatever the service made of it.
fn settle<T>(
    outcome: Result<T, CallFailure>,
    upload: &UploadStatus,
    service: &ServiceName,
    id: &RequestId,
) -> Result<T, Problem> {
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
