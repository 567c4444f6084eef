//! `[[route]]`: which requests go to which service, or to which function of a service.

use super::auth::{AuthConfig, Policies};
use super::edge::GatewayConfig;
use super::matching::Matching;
use super::own_answer::OwnAnswerKeys;
use super::rate::{LimitedRoute, RateLimits};
use super::reader::finding::ValueOrigin;
use super::reader::function::Callee;
use super::reader::key::{ManifestKey, Sourced};
use super::reader::key_spans::KeySpans;
use super::reader::kind::TextKind;
use super::reader::measure::{DurationKind, SizeKind};
use super::reader::report::Report;
use super::reader::section::Section;
use super::route_auth::{AuthKeys, RouteAuth};
use super::route_call::{CALL, CallKeys, RouteCall};
use super::saga::SagaConfig;
use super::service::{ServiceConfig, Services};
use super::{
    cors, edge, entry, idle_keys, interim, limits, route_auth, route_cache, route_saga, transforms, websocket,
};
use crate::cache::CachePolicy;
use crate::contract::HttpBindingKey;
use crate::gateway::{AddressList, Answerer, CorsPolicy, RouteLimits, RouteTransforms, WebSocketSettings};
use crate::route::Rule;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The settings of one route.
#[derive(Debug, Clone)]
pub struct Route {
    /// Which requests it matches, and how the path changes on the way to the service.
    pub rule: Rule,
    /// Who answers. A service is in the manifest, and has a component if there is a `call`.
    pub answerer: Answerer,
    /// The function that answers. `None`: the service answers by HTTP.
    pub call: Option<RouteCall>,
    /// The largest body of a request, in bytes: 0 to 1 TiB.
    pub body: u64,
    /// The rate limits that must admit a request; `None`: there are none.
    pub limits: Option<RouteLimits>,
    /// How long a request may take until the head of its answer: 1 ms to 1 h.
    pub timeout: Duration,
    /// How WebSockets are passed on; `None`: not at all.
    pub websocket: Option<WebSocketSettings>,
    /// Whether interim answers (1xx) are passed on. Then the service has addresses, by HTTP/1.1.
    pub interim: bool,
    /// Whom it lets in; `None`: everybody.
    pub auth: Option<RouteAuth>,
    /// Which clients it lets in, by their addresses; `None`: all.
    pub addresses: Option<Arc<AddressList>>,
    /// Which pages of other origins may use it; `None`: the service decides.
    pub cors: Option<Arc<CorsPolicy>>,
    /// Which of its answers are kept; `None`: none.
    pub cache: Option<Arc<CachePolicy>>,
    /// What is changed in requests and answers.
    pub transforms: RouteTransforms,
}

static SERVICE: ManifestKey<TextKind> = ManifestKey::without_default(
    "service",
    TextKind { min: 1 },
    "The service that answers by HTTP. It must be in the manifest.",
);
static BODY: ManifestKey<SizeKind> = ManifestKey::without_default(
    "body",
    limits::BODY,
    "The largest body of a request. Absent: `body` in the service's `limits`.",
);
static TIMEOUT: ManifestKey<DurationKind> = ManifestKey::without_default(
    "timeout",
    edge::TOTAL,
    "How long a request may take until the head of its answer. Absent: `timeout` in `[gateway]`.",
);

/// The routes of the manifest.
#[derive(Default)]
pub(super) struct Routes {
    /// In the order of the text.
    pub(super) all: Vec<Route>,
    /// Where problems that are found later are shown, for each route.
    pub(super) spans: Vec<KeySpans<HttpBindingKey>>,
    /// The line of the first route for each identity (see [`identity`]).
    first_lines: BTreeMap<String, usize>,
}

/// What routes refer to: the services, the policies and the rate limits of the manifest, and the gateway's defaults.
struct RouteContext<'a> {
    services: &'a Services,
    gateway: &'a GatewayConfig,
    policies: &'a Policies,
    /// The policies of a route that names none.
    usual: &'a [usize],
    limits: &'a RateLimits,
    sagas: &'a [SagaConfig],
    /// Where relative paths begin.
    folder: &'a Path,
}

/// Reads every `[[route]]`. A route that has no timeout, no `auth` or no `cors` has that of `gateway`.
pub(super) fn read_all(
    root: &mut Section<'_>,
    services: &Services,
    gateway: &GatewayConfig,
    policies: &Policies,
    (limits, sagas): (&RateLimits, &[SagaConfig]),
    folder: &Path,
) -> Routes {
    let mut routes = Routes::default();
    let usual = route_auth::resolve(gateway.default_auth.clone(), policies, root.report).unwrap_or_default();
    for section in root.list("route") {
        read(section, &RouteContext { services, gateway, policies, usual: &usual, limits, sagas, folder }, &mut routes);
    }
    routes
}

/// Reads one route, and adds it to `routes` if nothing about it is wrong.
fn read(mut section: Section<'_>, context: &RouteContext<'_>, routes: &mut Routes) {
    let RouteContext { services, gateway, policies, usual, limits, sagas, folder } = *context;
    let report = section.report;
    let mut matching = Matching::read(&mut section);
    idle_keys::refuse_without_get(&section, matching.methods.as_ref().map(|found| found.value.as_slice()));
    let keys = CallKeys::read(&mut section);
    let spans = keys.spans(&section, matching.path.as_ref());
    let own = OwnAnswerKeys::read(&mut section);
    let saga = route_saga::read(&mut section, sagas);
    route_saga::with_head(saga.as_ref(), &mut matching);
    let service = service(&mut section, keys.call.as_ref(), services);
    let (body, timeout) = (section.find(&BODY), section.find(&TIMEOUT).map_or(gateway.timeout, |found| found.value));
    let websocket = websocket::read(&mut section, service);
    let auth = AuthKeys::read(&mut section).finish(&section, usual, policies);
    let bound = LimitedRoute {
        guests: !OwnAnswerKeys::are_written(&section)
            && service.is_none_or(|service| !services.only_addresses.contains(&service.spec.name)),
        callers: !matches!(auth, Ok(None)),
    };
    let limits = limits.of_route(&mut section, bound);
    let cors = cors::read(&mut section, gateway.cors.as_ref());
    let cache = route_cache::read(&mut section);
    let interim = interim::read(&mut section, service, cache.is_some());
    let addresses = Some(entry::addresses(&mut section)).filter(|list| !list.is_empty()).map(Arc::new);
    let transforms = transforms::read(&mut section, services);
    let call = keys.finish(&section, &mut matching, services);
    if let (Some(call), Ok(Some(auth))) = (&call, &auth) {
        refuse_credential(call, auth, policies, spans.origin(&HttpBindingKey::FromHeader), report);
    }
    if let Some(rule) = matching.rule(&section) {
        refuse_duplicate(&rule, &mut routes.first_lines, report);
        let own = own.finish(&section, &rule.value, folder);
        let own_body = if saga.is_some() { route_saga::BODY } else { 0 };
        let called = service.map(|service| Answerer::Service(service.spec.name.clone()));
        if let (Some(answerer), Ok(auth)) =
            (called.or(own).or(saga.map(Answerer::Saga)).filter(|_| section.is_whole()), auth)
        {
            let body = body.map_or(service.map_or(own_body, |service| service.body), |found| found.value);
            let cache = cache.map(|keys| keys.finish(&section, (service, call.as_ref()), auth.as_ref()));
            let rule = rule.value;
            routes.all.push(Route {
                rule,
                answerer,
                call,
                body,
                limits,
                timeout,
                websocket,
                interim,
                auth,
                cors,
                cache,
                addresses,
                transforms,
            });
            routes.spans.push(spans);
        }
    }
    section.close();
}

/// The service that the route names, in `service` or in `call`.
fn service<'a>(
    section: &mut Section<'_>,
    call: Option<&Sourced<Callee>>,
    services: &'a Services,
) -> Option<&'a ServiceConfig> {
    let report = section.report;
    match (section.find(&SERVICE), call) {
        (Some(named), None) => services.find(&named.value, &named.origin, report),
        (None, Some(call)) => services.find(&call.value.service, &call.origin, report),
        (Some(_), Some(call)) => {
            report.push(call.origin.clone(), "`service` and `call` exclude each other", "leave one of them out");
            None
        }
        (None, None) => {
            let own = OwnAnswerKeys::are_written(section) || section.has(route_saga::NAME);
            if section.lacks(SERVICE.name) && section.lacks(CALL.name) && !own {
                let help = "add service = \"NAME\", or call = \"NAME/function\"";
                report.push_if_whole(ValueOrigin::Text(section.span.clone()), "this route names no service", help);
            }
            None
        }
    }
}

/// Reports a parameter of a function that stands in the header of a credential: the gateway lets no credential through.
fn refuse_credential(call: &RouteCall, auth: &RouteAuth, policies: &Policies, origin: ValueOrigin, report: &Report) {
    let own = auth.policies.iter().filter_map(|at| policies.all.get(*at)).filter(|policy| !policy.forward);
    for policy in own {
        let AuthConfig { name, header: Some(header), .. } = policy else { continue };
        if call.from_header.values().any(|text| text.eq_ignore_ascii_case(header.as_str())) {
            let message = format!("`from_header` names `{header}`, which has the credential of policy `{name}`");
            let help = format!("leave it out, or write forward = true in [auth.{name}]");
            report.push_if_whole(origin.clone(), message, help);
        }
    }
}

/// Reports a rule that can never win, because an earlier rule matches the same requests.
fn refuse_duplicate(rule: &Sourced<Rule>, first_lines: &mut BTreeMap<String, usize>, report: &Report) {
    let line = report.line(&rule.origin);
    let identity = identity(&rule.value);
    if let Some(first) = first_lines.get(&identity) {
        let message = format!("this route matches the same requests as the one in line {first}");
        let help = "the first always wins: take one of them out, or tell them apart by host, method or headers";
        report.push_if_whole(rule.origin.clone(), message, help);
    } else {
        first_lines.insert(identity, line);
    }
}

/// A text that two rules share exactly if they match the same requests: the rule's description without the names of its
/// parameters. `/a/{b}` and `/a/{c}` match the same paths, so both have the same text.
fn identity(rule: &Rule) -> String {
    let description = rule.description();
    let (head, headers) = description.split_once(" [").unwrap_or((&description, ""));
    let segments: Vec<&str> =
        head.split('/').map(|segment| if segment.starts_with('{') { "{}" } else { segment }).collect();
    format!("{} [{headers}", segments.join("/"))
}
