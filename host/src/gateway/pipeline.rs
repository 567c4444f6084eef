//! The pipeline of a request: every stage, in order.

use super::access_log::{AccessRecord, LoggedClient};
use super::answer_extras::AnswerExtras;
use super::authentication::{self, Admitted, RouteCaller};
use super::body_budget::BodyBudget;
use super::body_decoding::EncodedUpload;
use super::body_limit::UploadStatus;
use super::caching::{CacheEffect, CacheFetch, CacheTurn, CachedRequest, RequestPlace, SharedCache};
use super::call::{Call, CallFailure};
use super::call_outcome::settle;
use super::caller::Caller;
use super::entry_gate::EntryGate;
use super::openapi_document::{DOCUMENT_PATH, OpenapiDocument};
use super::problem::Problem;
use super::rates::{LimitStage, RateAdmission, RequestToAdmit};
use super::request_changes::RequestChanges;
use super::request_trace::{GatewayTraces, RequestTrace};
use super::route_numbers::RouteNumbers;
use super::saga_answer::{SagaRequest, SagaRoute};
use super::settings::{Answerer, Settings, Target};
use super::told_hosts::ToldHosts;
use super::typed::{self, Arguments};
use super::websocket::{SocketHandshake, SocketPermits};
use super::{
    acme_answer, client_address, cors, count_scopes, forwarded_request, head_check, https_only, own_answer,
    public_answer, saga_answer, sticky_fields,
};
use crate::audit::AuditRecord;
use crate::base::{Body, CallContext, HostAndPort, ServiceName, WorkPayer, remove_claimed_identity};
use crate::listen::Peer;
use crate::route::{Match, Path, RequestHead, RouteLookup, RoutingTable};
use crate::telemetry::{AccessFormat, CacheMetrics, GatewayMetrics};
use arc_swap::ArcSwap;
use http::header::TE;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body as _;
use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

/// The public edge. It answers every request: with the answer of a service, or with a problem of its own.
pub struct Gateway<C> {
    pub(super) settings: Settings,
    /// Replaced when a swap changes it.
    pub(super) document: Option<ArcSwap<OpenapiDocument>>,
    /// One budget for each service, so that a flood of requests to one service uses up no other's.
    pub(super) body_budgets: BTreeMap<ServiceName, BodyBudget>,
    /// The kept answers, if a route has a cache.
    pub(super) cache: Option<Arc<SharedCache>>,
    pub(super) routes: Arc<RoutingTable<Target>>,
    /// What counts by route knows each by its number.
    pub(super) numbers: RouteNumbers,
    pub(super) socket_permits: SocketPermits,
    pub(super) entry: EntryGate,
    pub(super) metrics: Arc<GatewayMetrics>,
    pub(super) traces: Option<Arc<GatewayTraces>>,
    /// Makes the keys of rate limits: nobody outside can foresee which keys share a bucket.
    pub(super) hasher: RandomState,
    pub(super) mesh: Arc<C>,
}

impl<C: Call> Gateway<C> {
    /// A gateway that calls the services of `routes` through `mesh`.
    pub fn new(mut settings: Settings, routes: Arc<RoutingTable<Target>>, mesh: Arc<C>) -> Self {
        for proxy in &mut settings.trusted_proxies {
            *proxy = proxy.to_canonical();
        }
        let document = settings.openapi.take().map(|text| ArcSwap::from_pointee(OpenapiDocument::new(text)));
        let budget = |(_, target): &(_, Target)| {
            let budget = BodyBudget::new(settings.body_memory, target.open_uploads);
            Some((target.service()?.clone(), budget))
        };
        let body_budgets = routes.routes().iter().filter_map(budget).collect();
        let metrics = Arc::new(GatewayMetrics::new(count_scopes::scopes(&routes)));
        let numbers = RouteNumbers::first(routes.routes().len());
        let cached = count_scopes::cached(&routes, &numbers, &metrics);
        let cache = (!cached.is_empty()).then(|| {
            let mesh = Arc::clone(&mesh);
            let metrics = Arc::new(CacheMetrics::new(cached));
            Arc::new(SharedCache::new(settings.cache, settings.cache_disk.clone(), metrics, move || {
                mesh.table_number()
            }))
        });
        let traces = settings.traces.take().map(|tracer| Arc::new(GatewayTraces::new(tracer, &routes)));
        let (socket_permits, hasher) = (SocketPermits::of(&routes), RandomState::new());
        let entry = EntryGate::new(std::mem::take(&mut settings.entry));
        Self {
            settings,
            document,
            body_budgets,
            cache,
            routes,
            numbers,
            socket_permits,
            entry,
            metrics,
            traces,
            hasher,
            mesh,
        }
    }

    /// Answers one request. When the client goes away, this future is dropped, and with it the call.
    pub async fn handle(&self, mut request: Request<Body>, peer: Peer) -> Response<Body> {
        let began = Instant::now();
        // A socket that listens on IPv4 and IPv6 shows an IPv4 peer as an IPv6 address.
        let address = peer.addr.ip().to_canonical();
        // A proxy that names no client passes on what that client says: nothing of it is the proxy's word.
        let trusted = self.settings.trusted_proxies.contains(&address) && !peer.is_unnamed;
        let id = head_check::request_id(request.headers(), trusted);
        let unrouted = (Arc::clone(&self.metrics), count_scopes::unrouted(&self.routes));
        let secure = peer.is_secure();
        let begin = |traces| RequestTrace::begin(traces, &mut request, (&id, trusted, secure), began);
        let trace = self.traces.as_ref().map(begin);
        let scope = trace.as_ref().map(RequestTrace::scope);
        let caller = Caller { id: &id, peer: address, trusted, secure, began, trace: scope };
        let (mut record, audited) = {
            let client = || client_address::of(request.headers(), address, trusted, &self.settings.trusted_proxies);
            let logged = (self.settings.access != AccessFormat::Short).then(|| LoggedClient::new(client(), &request));
            let record = AccessRecord::begin(unrouted, &request, id.clone(), began, peer, logged);
            (record, self.settings.audit.as_ref().map(|_| client()))
        };
        record.trace = trace;
        let mut extras = AnswerExtras::default();
        let (answer, kind) = match self.pipeline(request, &caller, &mut record, &mut extras).await {
            Ok(answer) => (answer, "answer"),
            Err(problem) => {
                let kind = problem.counted_as();
                self.audit(&problem, &record, audited.unwrap_or(address));
                (problem.answer(&id), kind)
            }
        };
        let mut answer = extras.write(public_answer::finish(answer, &id));
        if let Some(https) = &self.settings.https {
            https_only::announce(https, record.peer(), &mut answer);
        }
        record.follow(answer, kind)
    }

    /// The stages of a request, from top to bottom. The first stage that refuses the request ends it. `extras` are
    /// added to whatever answer it gets.
    async fn pipeline<'s>(
        &'s self,
        request: Request<Body>,
        caller: &Caller<'_>,
        record: &mut AccessRecord,
        extras: &mut AnswerExtras<'s>,
    ) -> Result<Response<Body>, Problem> {
        let (mut head, body) = request.into_parts();
        head_check::check_bounds(&head.headers, &self.settings)?;
        // Before anything reads a field: a typed route may take an argument from any of them.
        remove_claimed_identity(&mut head.headers, caller.trusted);
        let host = head_check::check(&head, caller.trusted, record.peer().secure.as_deref())?;
        let path = head_check::clean_path(&head)?;
        if let Some(answer) = self.answer_early(&head, (host, path), caller, record) {
            return answer;
        }
        let Some(route) = self.route(&head, host, path)? else { return self.unrouted(&head) };
        let Target { timeout, typed, left_out, .. } = route.target;
        (record.scope, record.service) = (route.index, route.target.service().cloned());
        let (_, target) = &self.routes.routes()[route.index];
        extras.begin(target, &head);
        // Before anything of the body is read.
        let (admitted, payer) = self.admit(&route, &head, caller, record.peer(), extras).await?;
        if let Answerer::Saga(saga) = &route.target.answerer {
            let starter = saga_answer::starter(admitted.as_ref().map(|admitted| &*admitted.identity));
            let (body_limit, deadline) = (route.target.body_limit, caller.began + *timeout);
            let request = SagaRequest { head: &head, body, body_limit, starter, deadline };
            // Boxed: a call of a service would pay for the size of this future.
            return Box::pin(self.answer_saga(saga, request)).await;
        }
        let Some(service) = route.target.service() else { return own_answer::answer(&route, &head).await };
        let (place, limit) = ((route.index, service), route.target.body_limit);
        let handshake = SocketHandshake::begin(&head, &body, route.target, place, &self.socket_permits)?;
        let (body, upload) = UploadStatus::bound(&head.headers, body, limit, service)?;
        let changes = RequestChanges::begin(route.target, &head.headers)?;
        if let Some(reason) = left_out {
            return settle(Err(CallFailure::left_out(reason)), &upload, service, caller.id);
        }
        let mut context = caller.context(&head.headers, *timeout);
        context.identity = admitted.as_ref().map(|Admitted { identity, .. }| Arc::clone(identity));
        context.sticky_fields = sticky_fields::of(&self.settings.sticky, &head.headers);
        (context.payer, context.report) = (payer, record.reporter());
        let bare = body.is_end_stream() && handshake.is_none();
        let turn = self.cache_turn(&head, bare, &route, (host, caller), &context).await?;
        if let Some(at) = typed {
            return self.invoke((*at, service), &route, &head, (body, upload, changes.coding), &context, turn).await;
        }
        let hosts = ToldHosts::new(&head.headers, host, caller.trusted, caller.secure);
        let publish = |answer| self.publish(answer, (&head, host), &hosts, &route);
        let (found, fetch, mut change) = turn.into_parts();
        if let Some(found) = found {
            return Ok(publish(found));
        }
        let origin = caller.forwarded_from(host, admitted.as_ref());
        let mut request = forwarded_request::build(&head, body, &route, &origin)?;
        if route.target.trailers && head.headers.contains_key(TE) {
            record.peer().pass_trailers();
            // `te` ends at each hop, and h2 refuses any but this one.
            request.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
        }
        if let Some(handshake) = &handshake {
            handshake.offer(&mut request);
        } else if route.target.interim {
            public_answer::pass_interim(route.target, (&head, record.peer()), &mut request);
        }
        if handshake.is_none()
            && let Some(reading) = BodyBudget::reading(&head.headers, request.body())
        {
            // A call of the mesh holds a place of the service, and a client that sends slowly shall hold none. Boxed:
            // most requests have no body, and would pay for the size of this future.
            let read = Box::pin(self.budget(service).read_ahead(request.body_mut(), reading, context.deadline)).await;
            settle(read, &upload, service, caller.id)?;
        }
        changes.apply(&mut request, &upload, &self.mesh, &context);
        let answer = self.call(fetch, &mut change, service, request, (upload, context)).await?;
        let answer = publish(answer.map(|body| record.peer().read_ahead(body)));
        change.inspect_answer(&answer);
        Ok(match handshake {
            Some(handshake) => handshake.finish(answer, &self.metrics),
            None => answer,
        })
    }

    /// The answer of the gateway's own to a request that needs no route: a proof for an ACME authority, a redirect to
    /// `https`, the refusal of the gate, or the answer to a preflight.
    fn answer_early(
        &self,
        head: &Parts,
        (host, path): (Option<HostAndPort<'_>>, Path<'_>),
        caller: &Caller<'_>,
        record: &mut AccessRecord,
    ) -> Option<Result<Response<Body>, Problem>> {
        if let Some(answer) = self.settings.acme.as_ref().and_then(|acme| acme_answer::find(acme, head, path)) {
            return Some(Ok(answer));
        }
        if let Some(https) = &self.settings.https
            && let Err(problem) = https_only::check(https, head, host, record.peer(), caller.trusted)
        {
            return Some(Err(problem));
        }
        if let Err(problem) = self.entry.check(|| self.client(&head.headers, caller)) {
            return Some(Err(problem));
        }
        self.preflight(&cors::requested_method(head)?, head, (host, path), record)
    }

    /// Who the client is, and whether the route lets it in: by its address, its rate limits and its policies. Returns
    /// who pays for the work of guests, too.
    async fn admit<'r>(
        &self,
        route: &'r Match<'_, Target>,
        head: &Parts,
        caller: &Caller<'_>,
        peer: &Peer,
        extras: &mut AnswerExtras<'_>,
    ) -> Result<(Option<Admitted<'r>>, Option<Arc<dyn WorkPayer>>), Problem> {
        let Target { limits, access, addresses, .. } = route.target;
        if let Some(addresses) = addresses {
            addresses.check(self.client(&head.headers, caller))?;
        }
        let begin = |limits| {
            let client = self.client(&head.headers, caller);
            let route = self.numbers.of(route.index);
            let request = RequestToAdmit { headers: &head.headers, client, route };
            RateAdmission::begin(limits, &self.hasher, request, caller.began)
        };
        let mut rates = limits.as_ref().map(begin);
        // Before an issuer is asked: a flood of wrong credentials must not reach it.
        if let Some(rates) = rates.as_mut().filter(|rates| rates.has(LimitStage::Early)) {
            let outcome = rates.admit(LimitStage::Early, None).await;
            extras.rates = Some(rates.fields());
            outcome?;
        }
        let admitted = match access {
            // Boxed: a request to a route without policies would pay for the size of this future.
            Some(access) => {
                let certificate = || authentication::shown_certificate(peer);
                let caller = RouteCaller { id: caller.id, service: route.target.service(), certificate: &certificate };
                Some(Box::pin(access.admit(&head.headers, caller)).await?)
            }
            None => None,
        };
        if let Some(rates) = rates.as_mut().filter(|rates| rates.has(LimitStage::Late)) {
            let outcome = rates.admit(LimitStage::Late, admitted.as_ref().map(|admitted| &*admitted.identity)).await;
            extras.rates = Some(rates.fields());
            outcome?;
        }
        Ok((admitted, rates.and_then(|rates| rates.payer())))
    }

    /// Starts or shows a saga, whose input is JSON as the arguments of a typed route are.
    async fn answer_saga(&self, saga: &SagaRoute, request: SagaRequest<'_>) -> Result<Response<Body>, Problem> {
        if request.head.method == Method::POST {
            typed::check_content_type(request.head, false)?;
        }
        saga_answer::answer(&self.settings.sagas, saga, request).await
    }

    /// The client's address, behind trusted proxies.
    fn client(&self, headers: &HeaderMap, caller: &Caller<'_>) -> IpAddr {
        client_address::of(headers, caller.peer, caller.trusted, &self.settings.trusted_proxies)
    }

    /// Records that a caller was refused. The function of a service that refuses somebody is no business of the host.
    fn audit(&self, problem: &Problem, record: &AccessRecord, peer: IpAddr) {
        let Some(trail) = &self.settings.audit else { return };
        let kind = problem.counted_as();
        let refused = matches!(problem.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        if !refused || matches!(kind, "function-error" | "cors-refused" | "address-refused") {
            return;
        }
        trail.refused(|| {
            let event = AuditRecord::new(&peer.to_string(), "refused").outcome(kind).request(record.id().as_str());
            match self.routes.routes().get(record.scope) {
                Some((rule, _)) => event.on(&rule.description()),
                None => event,
            }
        });
    }

    /// The answer to the preflight of a request with this method, if the route of that request has a policy for it.
    /// Otherwise the preflight goes on as any `OPTIONS`.
    fn preflight(
        &self,
        method: &Method,
        head: &Parts,
        (host, path): (Option<HostAndPort<'_>>, Path<'_>),
        record: &mut AccessRecord,
    ) -> Option<Result<Response<Body>, Problem>> {
        let found = self.routes.find(&RequestHead { host, method, path, headers: &head.headers });
        let RouteLookup::Route(route) = found else { return None };
        let policy = route.target.cors.as_ref()?;
        (record.scope, record.service) = (route.index, route.target.service().cloned());
        Some(policy.preflight(&head.headers, method, route.rule.methods()).ok_or_else(cors::refusal))
    }

    /// Makes `answer` the public answer to this request.
    fn publish(
        &self,
        answer: Response<Body>,
        (head, host): (&Parts, Option<HostAndPort<'_>>),
        hosts: &ToldHosts<'_>,
        route: &Match<'_, Target>,
    ) -> Response<Body> {
        public_answer::publish(answer, &head.method, hosts, route, |path| self.leads(head, host, path))
    }

    /// The service to which a GET of `reference`, a path with or without a query, leads a client that sends the headers
    /// of this request.
    fn leads(&self, head: &Parts, host: Option<HostAndPort<'_>>, reference: &str) -> Option<ServiceName> {
        let path = Path::parse(reference.split(['?', '#']).next()?).ok()?;
        match self.routes.find(&RequestHead { host, method: &Method::GET, path, headers: &head.headers }) {
            RouteLookup::Route(found) => found.target.service().cloned(),
            RouteLookup::MethodNotAllowed(_) | RouteLookup::None => None,
        }
    }

    /// The cache's turn at a request whose call would have this context. `is_bare`: it has no content, and is no
    /// handshake.
    async fn cache_turn(
        &self,
        head: &Parts,
        is_bare: bool,
        route: &Match<'_, Target>,
        (host, caller): (Option<HostAndPort<'_>>, &Caller<'_>),
        context: &CallContext,
    ) -> Result<CacheTurn, Problem> {
        let Some(cache) = &self.cache else { return Ok(CacheTurn::Nothing) };
        let at =
            RequestPlace { host, secure: caller.secure, trusted: caller.trusted, route: self.numbers.of(route.index) };
        cache.turn(&CachedRequest { head, is_bare, at, context }, route.target.cache.as_ref()).await
    }

    /// Calls the service by HTTP: for this request alone, or for an answer that may be kept.
    async fn call(
        &self,
        fetch: Option<Box<CacheFetch>>,
        change: &mut CacheEffect,
        service: &ServiceName,
        mut request: Request<Body>,
        (upload, context): (UploadStatus, CallContext),
    ) -> Result<Response<Body>, Problem> {
        let Some(fetch) = fetch else {
            change.send();
            return settle(self.mesh.call(service, request, &context).await, &upload, service, &context.request_id);
        };
        fetch.condition(request.headers_mut());
        let (mesh, service) = (Arc::clone(&self.mesh), service.clone());
        let ask = async move {
            let outcome = mesh.call(&service, request, &context).await;
            settle(outcome, &upload, &service, &context.request_id)
        };
        Box::pin(fetch.finish(ask)).await
    }

    fn budget(&self, service: &ServiceName) -> &BodyBudget {
        self.body_budgets.get(service).expect("every service with a route has a budget")
    }

    /// The remaining stages on a typed route. They check the request in this order, and only a request without errors
    /// reaches the service.
    async fn invoke(
        &self,
        (at, service): (usize, &ServiceName),
        route: &Match<'_, Target>,
        head: &Parts,
        (body, upload, coding): (Body, UploadStatus, Option<EncodedUpload>),
        context: &CallContext,
        turn: CacheTurn,
    ) -> Result<Response<Body>, Problem> {
        let id = &context.request_id;
        typed::check_accept(&head.headers)?;
        let (found, fetch, mut change) = turn.into_parts();
        if let Some(found) = found {
            return Ok(found);
        }
        let watched = fetch.as_ref().and_then(|fetch| fetch.watch());
        let watched = watched.map(|watch| context.clone().watched_by(watch));
        let context = watched.as_ref().unwrap_or(context);
        // From here on the request is one for this form of the function, whatever is swapped meanwhile.
        let function = settle(self.mesh.pin(service, at, context), &upload, service, id)?;
        let binding = &function.binding;
        let brings_body = typed::brings_body(binding, head);
        if brings_body == Some(true) {
            typed::check_content_type(head, coding.is_some())?;
        }
        let arguments = Arguments::from_head(binding, head, route)?;
        let body = match coding {
            Some(coding) => coding.decoded(body, &upload),
            None => body,
        };
        let body = settle(self.budget(service).collect(body, context.deadline).await, &upload, service, id)?;
        if brings_body.is_none() && !body.bytes().is_empty() {
            typed::check_content_type(head, coding.is_some())?;
        }
        let arguments = arguments.with_body(&body.bytes())?;
        drop(body);
        let echo = typed::EchoedArguments::of(binding, &arguments);
        let Some(fetch) = fetch else {
            change.send();
            let outcome = self.mesh.invoke(&function, arguments, context).await;
            let result = settle(outcome, &upload, service, id)?;
            let answer = typed::answer(binding, result.as_ref(), &echo, service, id)?;
            change.inspect_answer(&answer);
            return Ok(answer);
        };
        let (mesh, service, context) = (Arc::clone(&self.mesh), service.clone(), context.clone());
        let ask = async move {
            let (outcome, id) = (mesh.invoke(&function, arguments, &context).await, &context.request_id);
            let result = settle(outcome, &upload, &service, id)?;
            typed::answer(&function.binding, result.as_ref(), &echo, &service, id)
        };
        Box::pin(fetch.finish(ask)).await
    }

    fn route<'a>(
        &'a self,
        head: &'a Parts,
        host: Option<HostAndPort<'a>>,
        path: Path<'a>,
    ) -> Result<Option<Match<'a, Target>>, Problem> {
        match self.routes.find(&RequestHead { host, method: &head.method, path, headers: &head.headers }) {
            RouteLookup::Route(route) => Ok(Some(route)),
            RouteLookup::MethodNotAllowed(methods) => Err(Problem::method_not_allowed(&methods)),
            RouteLookup::None => Ok(None),
        }
    }

    /// The answer for a path without a route: the OpenAPI document, or 404. A route for the document's path goes before
    /// the document.
    fn unrouted(&self, head: &Parts) -> Result<Response<Body>, Problem> {
        match &self.document {
            Some(document) if head.uri.path() == DOCUMENT_PATH => document.load().answer(head),
            _ => {
                let detail = "no route has this host and path";
                Err(Problem::new(StatusCode::NOT_FOUND, "no-route", "There is no such route", detail))
            }
        }
    }
}
