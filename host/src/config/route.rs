//! `[[route]]`: which requests go to which service.

use crate::base::ServiceName;
use crate::config::finding::Place;
use crate::config::kind::{Kind, List, Problem, Table, Text, refused};
use crate::config::measure::{Duration, Size};
use crate::config::section::{Found, Key, Report, Section};
use crate::config::service::{Service, Services};
use crate::config::suggest::did_you_mean;
use crate::config::{edge, service};
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
    /// The service that answers them; it is in the manifest.
    pub service: ServiceName,
    /// The largest body of a request, in bytes.
    pub body: u64,
    /// How long a request may take until the head of its answer.
    pub timeout: time::Duration,
}

static PREFIX: Key<Text> = Key { name: "prefix", kind: Text { min: 1 }, default: None };
static PATH: Key<Text> = Key { name: "path", kind: Text { min: 1 }, default: None };
static HOST: Key<Text> = Key { name: "host", kind: Text { min: 1 }, default: None };
static METHOD: Key<Methods> = Key { name: "method", kind: Methods, default: None };
static HEADERS: Key<Table<Text>> = Key { name: "headers", kind: Table(Text { min: 0 }), default: None };
static SERVICE: Key<Text> = Key { name: "service", kind: Text { min: 1 }, default: None };
static STRIP_PREFIX: Key<Text> = Key { name: "strip_prefix", kind: Text { min: 1 }, default: None };
static REWRITE: Key<Text> = Key { name: "rewrite", kind: Text { min: 1 }, default: None };
static BODY: Key<Size> = Key { name: "body", kind: service::BODY, default: None };
static TIMEOUT: Key<Duration> = Key { name: "timeout", kind: edge::TOTAL, default: None };

/// One method, or several.
struct Methods;

/// The names of the methods in a list of them.
const NAMES: List<Text> = List { of: Text { min: 1 }, max: 16 };

impl Kind for Methods {
    type Value = Vec<String>;

    fn accepts(&self) -> String {
        "a method, or a list of at most 16".into()
    }

    fn help(&self) -> String {
        "write \"GET\", or [\"GET\", \"HEAD\"]".into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<Vec<String>, Vec<Problem>> {
        match value.get_ref() {
            DeValue::String(name) => Ok(vec![name.to_string()]),
            DeValue::Array(_) => Ok(NAMES.read(value)?.into_iter().map(Spanned::into_inner).collect()),
            _ => Err(refused(self, value)),
        }
    }
}

/// Reads every `[[route]]`. `timeout`: what holds where a route says nothing.
pub(super) fn read_all(root: &mut Section<'_>, services: &Services, timeout: time::Duration) -> Vec<Route> {
    let report = root.report;
    let mut first_lines: BTreeMap<String, usize> = BTreeMap::new();
    let mut routes = Vec::new();
    for mut section in root.list("route") {
        let rule = rule(&mut section);
        if let Some(rule) = &rule {
            refuse_twin(rule, &mut first_lines, report);
        }
        let service = service(&mut section, services);
        let body = section.find(&BODY);
        let timeout = section.find(&TIMEOUT).map_or(timeout, |found| found.value);
        section.close();
        if let (Some(rule), Some(service)) = (rule, service) {
            let body = body.map_or(service.body, |found| found.value);
            routes.push(Route { rule: rule.value, service: service.name.clone(), body, timeout });
        }
    }
    routes
}

/// The service that the route names.
fn service<'a>(section: &mut Section<'_>, services: &'a Services) -> Option<&'a Service> {
    let report = section.report;
    let Some(named) = section.find(&SERVICE) else {
        if section.lacks(SERVICE.name) {
            let place = Place::Text(section.span.clone());
            report.push_if_whole(place, "this route names no service", "add service = \"NAME\"");
        }
        return None;
    };
    let service = services.all.iter().find(|service| service.name.as_str() == named.value);
    if service.is_none() && !services.misnamed.contains(&named.value) {
        let message = format!("there is no service `{}`", named.value);
        let names = services.all.iter().map(|service| service.name.as_str());
        report.push_if_whole(named.place, message, did_you_mean(&named.value, names, "the services of this manifest"));
    }
    service
}

/// The rule, and the place of its path; `None` when anything about it is wrong, and then all of that was noted.
fn rule(section: &mut Section<'_>) -> Option<Found<Rule>> {
    let report = section.report;
    let before = report.count();
    let (prefix, path) = (section.find(&PREFIX), section.find(&PATH));
    let (host, methods, headers) = (section.find(&HOST), section.find(&METHOD), section.find(&HEADERS));
    let (strip_prefix, rewrite) = (section.find(&STRIP_PREFIX), section.find(&REWRITE));
    let (place, rule) = match (prefix, path) {
        (Some(prefix), None) => (prefix.place, Rule::prefix(&prefix.value)),
        (None, Some(path)) => (path.place, Rule::exact(&path.value)),
        (Some(_), Some(path)) => {
            report.push(path.place, "`prefix` and `path` exclude each other", "leave one of them out");
            return None;
        }
        (None, None) => {
            if section.lacks(PREFIX.name) && section.lacks(PATH.name) {
                let place = Place::Text(section.span.clone());
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
        narrow(rule.clone().unwrap_or_else(|()| anywhere()), host, report, |rule, host| rule.with_host(host));
    let narrowed = narrow(narrowed, methods, report, |rule, methods| rule.with_methods(methods));
    let narrowed = narrow(narrowed, headers, report, with_headers);
    rule.ok()?;
    let narrowed = narrow(narrowed, strip_prefix, report, |rule, prefix| rule.with_strip_prefix(prefix));
    let narrowed = narrow(narrowed, rewrite, report, |rule, template| rule.with_rewrite(template));
    (report.count() == before).then_some(Found { value: narrowed, place })
}

/// The rule with `found` applied to it, or as it was when that cannot be.
fn narrow<T>(
    rule: Rule,
    found: Option<Found<T>>,
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

/// Notes why there cannot be such a rule. Its messages say what is wrong and, after a colon, how to mend it.
fn refuse(error: &RuleError, place: Place, report: &Report) {
    let text = error.to_string();
    let outside_quotes = |at: &usize| text[..*at].matches('`').count().is_multiple_of(2);
    let colon = text.match_indices(": ").map(|(at, _)| at).find(outside_quotes);
    let (message, help) =
        colon.map_or((&*text, "see [[route]] in docs/manifest.md"), |at| (&text[..at], &text[at + 2..]));
    report.push(place, message, help);
}

/// Refuses a rule that can never win, because one before it matches the same.
fn refuse_twin(rule: &Found<Rule>, first_lines: &mut BTreeMap<String, usize>, report: &Report) {
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
