//! `[[route]]`: which requests go to which service, or to which function of it.

use crate::base::ServiceName;
use crate::config::finding::ValueOrigin;
use crate::config::function::Callee;
use crate::config::kind::{KindError, List, Table, Text, ValueKind, refused};
use crate::config::measure::{Duration, Size};
use crate::config::place::Places;
use crate::config::route_call::{CALL, CallKeys, RouteCall};
use crate::config::section::{ManifestKey, Report, Section, Sourced};
use crate::config::service::{ServiceConfig, Services};
use crate::config::{edge, policy};
use crate::contract::HttpBindingKey;
use crate::route::{Rule, RuleError};
use std::collections::BTreeMap;
use std::time;
use toml::Spanned;
use toml::de::DeValue;

/// What the manifest says about one route.
#[derive(Debug, Clone)]
pub struct Route {
    /// Which requests it is for, and how their path is changed for the service.
    pub rule: Rule,
    /// The service that answers them; it is in the manifest, with a component where `call` is there.
    pub service: ServiceName,
    /// The function of the service that answers them, where it is not the service's HTTP.
    pub call: Option<RouteCall>,
    /// The largest body of a request, in bytes.
    pub body: u64,
    /// How long a request may take until the head of its answer.
    pub timeout: time::Duration,
}

static PREFIX: ManifestKey<Text> = ManifestKey { name: "prefix", kind: Text { min: 1 }, default: None };
static PATH: ManifestKey<Text> = ManifestKey { name: "path", kind: Text { min: 1 }, default: None };
static HOST: ManifestKey<Text> = ManifestKey { name: "host", kind: Text { min: 1 }, default: None };
static METHOD: ManifestKey<Methods> = ManifestKey { name: "method", kind: Methods, default: None };
static HEADERS: ManifestKey<Table<Text>> = ManifestKey { name: "headers", kind: Table(Text { min: 0 }), default: None };
static SERVICE: ManifestKey<Text> = ManifestKey { name: "service", kind: Text { min: 1 }, default: None };
static STRIP_PREFIX: ManifestKey<Text> = ManifestKey { name: "strip_prefix", kind: Text { min: 1 }, default: None };
static REWRITE: ManifestKey<Text> = ManifestKey { name: "rewrite", kind: Text { min: 1 }, default: None };
static BODY: ManifestKey<Size> = ManifestKey { name: "body", kind: policy::BODY, default: None };
static TIMEOUT: ManifestKey<Duration> = ManifestKey { name: "timeout", kind: edge::TOTAL, default: None };

/// One method, or several.
struct Methods;

/// The names of the methods in a list of them.
const NAMES: List<Text> = List { of: Text { min: 1 }, max: 16 };

impl ValueKind for Methods {
    type Value = Vec<String>;

    fn accepts(&self) -> String {
        "a method, or a list of at most 16".into()
    }

    fn help(&self) -> String {
        "write \"GET\", or [\"GET\", \"HEAD\"]".into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<Vec<String>, Vec<KindError>> {
        match value.get_ref() {
            DeValue::String(name) => Ok(vec![name.to_string()]),
            DeValue::Array(_) => Ok(NAMES.read(value)?.into_iter().map(Spanned::into_inner).collect()),
            _ => Err(refused(self, value)),
        }
    }
}

/// What a route asks of a request, and how it changes the path, as it was written.
pub(super) struct Matching {
    pub(super) prefix: Option<Sourced<String>>,
    pub(super) path: Option<Sourced<String>>,
    pub(super) methods: Option<Sourced<Vec<String>>>,
    host: Option<Sourced<String>>,
    headers: Option<Sourced<BTreeMap<String, String>>>,
    pub(super) strip_prefix: Option<Sourced<String>>,
    pub(super) rewrite: Option<Sourced<String>>,
    /// False when one of these was wrong, and noted: then they may not say what was meant.
    pub(super) right: bool,
}

impl Matching {
    fn read(section: &mut Section<'_>) -> Self {
        let before = section.report.count();
        let matching = Self {
            prefix: section.find(&PREFIX),
            path: section.find(&PATH),
            methods: section.find(&METHOD),
            host: section.find(&HOST),
            headers: section.find(&HEADERS),
            strip_prefix: section.find(&STRIP_PREFIX),
            rewrite: section.find(&REWRITE),
            right: true,
        };
        Self { right: section.report.count() == before, ..matching }
    }
}

/// The routes of the manifest.
#[derive(Default)]
pub(super) struct Routes {
    /// In the order in which they were written.
    pub(super) all: Vec<Route>,
    /// Where later faults of each are shown.
    pub(super) places: Vec<Places<HttpBindingKey>>,
    /// The line of the first route that matches what the key says.
    first_lines: BTreeMap<String, usize>,
}

/// Reads every `[[route]]`. `timeout`: what holds where a route says nothing.
pub(super) fn read_all(root: &mut Section<'_>, services: &Services, timeout: time::Duration) -> Routes {
    let mut routes = Routes::default();
    for section in root.list("route") {
        read(section, services, timeout, &mut routes);
    }
    routes
}

/// Reads one route, and adds it to `routes` where nothing about it is wrong.
fn read(mut section: Section<'_>, services: &Services, timeout: time::Duration, routes: &mut Routes) {
    let report = section.report;
    let mut matching = Matching::read(&mut section);
    let keys = CallKeys::read(&mut section);
    let places = keys.places(&section, matching.path.as_ref());
    let service = service(&mut section, keys.call.as_ref(), services);
    let (body, timeout) = (section.find(&BODY), section.find(&TIMEOUT).map_or(timeout, |found| found.value));
    let call = keys.finish(&section, &mut matching, services);
    if let Some(rule) = rule(&section, matching) {
        refuse_twin(&rule, &mut routes.first_lines, report);
        if let Some(service) = service {
            let body = body.map_or(service.body, |found| found.value);
            routes.all.push(Route { rule: rule.value, service: service.name.clone(), call, body, timeout });
            routes.places.push(places);
        }
    }
    section.close();
}

/// The service that the route names, alone or with a function.
fn service<'a>(
    section: &mut Section<'_>,
    call: Option<&Sourced<Callee>>,
    services: &'a Services,
) -> Option<&'a ServiceConfig> {
    let report = section.report;
    match (section.find(&SERVICE), call) {
        (Some(named), None) => services.find(&named.value, &named.place, report),
        (None, Some(call)) => services.find(&call.value.service, &call.place, report),
        (Some(_), Some(call)) => {
            report.push(call.place.clone(), "`service` and `call` exclude each other", "leave one of them out");
            None
        }
        (None, None) => {
            if section.lacks(SERVICE.name) && section.lacks(CALL.name) {
                let help = "add service = \"NAME\", or call = \"NAME/function\"";
                report.push_if_whole(ValueOrigin::Text(section.span.clone()), "this route names no service", help);
            }
            None
        }
    }
}

/// The rule, and the place of its path; `None` when anything about it is wrong, and then all of that was noted.
fn rule(section: &Section<'_>, matching: Matching) -> Option<Sourced<Rule>> {
    let report = section.report;
    let (before, right) = (report.count(), matching.right);
    let (place, rule) = match (matching.prefix, matching.path) {
        (Some(prefix), None) => (prefix.place, Rule::prefix(&prefix.value)),
        (None, Some(path)) => (path.place, Rule::exact(&path.value)),
        (Some(_), Some(path)) => {
            report.push(path.place, "`prefix` and `path` exclude each other", "leave one of them out");
            return None;
        }
        (None, None) => {
            if section.lacks(PREFIX.name) && section.lacks(PATH.name) {
                let place = ValueOrigin::Text(section.span.clone());
                let help = "add prefix = \"/…\" or path = \"/…\"; prefix = \"/\" matches every path";
                report.push_if_whole(place, "this route has neither `prefix` nor `path`", help);
            }
            return None;
        }
    };
    // With a path that is wrong, the keys that do not depend on it are checked all the same.
    let rule = rule.map_err(|error| refuse(&error, place.clone(), report));
    let anywhere = || Rule::prefix("/").expect("`/` is a prefix");
    let narrowed =
        narrow(rule.clone().unwrap_or_else(|()| anywhere()), matching.host, report, |rule, host| rule.with_host(host));
    let narrowed = narrow(narrowed, matching.methods, report, |rule, methods| rule.with_methods(methods));
    let narrowed = narrow(narrowed, matching.headers, report, with_headers);
    rule.ok()?;
    let narrowed = narrow(narrowed, matching.strip_prefix, report, |rule, prefix| rule.with_strip_prefix(prefix));
    let narrowed = narrow(narrowed, matching.rewrite, report, |rule, template| rule.with_rewrite(template));
    (right && report.count() == before).then_some(Sourced { value: narrowed, place })
}

/// The rule with `found` applied to it, or as it was when that cannot be.
fn narrow<T>(
    rule: Rule,
    found: Option<Sourced<T>>,
    report: &Report,
    with: impl FnOnce(Rule, &T) -> Result<Rule, RuleError>,
) -> Rule {
    let Some(found) = found else { return rule };
    with(rule.clone(), &found.value).unwrap_or_else(|error| {
        refuse(&error, found.place, report);
        rule
    })
}

/// Headers in the order of their names, so that two routes which ask for the same look the same.
fn with_headers(rule: Rule, headers: &BTreeMap<String, String>) -> Result<Rule, RuleError> {
    let mut headers: Vec<_> = headers.iter().collect();
    headers.sort_by_key(|(name, _)| name.to_ascii_lowercase());
    headers.into_iter().try_fold(rule, |rule, (name, value)| rule.with_header(name, value))
}

/// Notes why there cannot be such a rule.
fn refuse(error: &RuleError, place: ValueOrigin, report: &Report) {
    report.push_error(place, error, "see [[route]] in docs/manifest.md");
}

/// Refuses a rule that can never win, because one before it matches the same.
fn refuse_twin(rule: &Sourced<Rule>, first_lines: &mut BTreeMap<String, usize>, report: &Report) {
    let line = report.line(&rule.place);
    let identity = identity(&rule.value);
    if let Some(first) = first_lines.get(&identity) {
        let message = format!("this route matches the same requests as the one in line {first}");
        let help = "the first always wins: take one of them out, or tell them apart by host, method or headers";
        report.push_if_whole(rule.place.clone(), message, help);
    } else {
        first_lines.insert(identity, line);
    }
}

/// What the rule matches, as text: its description, in which parameters have no names, since `/a/{b}` and `/a/{c}` match the same.
fn identity(rule: &Rule) -> String {
    let description = rule.description();
    let (head, headers) = description.split_once(" [").unwrap_or((&description, ""));
    let segments: Vec<&str> =
        head.split('/').map(|segment| if segment.starts_with('{') { "{}" } else { segment }).collect();
    format!("{} [{headers}", segments.join("/"))
}
