//! `[service.NAME]`: what implements a service, and its policy.

use crate::balance;
use crate::base::ServiceName;
use crate::breaker;
use crate::config::address::{File, HttpAddress};
use crate::config::finding::{Place, Span};
use crate::config::kind::{Choice, Count, Flag, List, Table, Text};
use crate::config::measure::{Duration, GIB, HOUR, KIB, Size, TIB, in_memory};
use crate::config::section::{Found, Key, Report, Section};
use crate::runtime;
use http::Uri;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time;
use toml::Spanned;

/// What the manifest says about one service. At least one of `component` and `urls` is there.
#[derive(Debug, Clone)]
pub struct Service {
    /// What callers call it.
    pub name: ServiceName,
    /// The component's file; it was there when the manifest was read.
    pub component: Option<PathBuf>,
    /// Plain HTTP addresses: scheme, host and port, no two the same.
    pub urls: Vec<Uri>,
    /// Endpoints of the component, each with its own instances, breaker and load: 1 to 64.
    pub replicas: usize,
    /// Whether it has a store of its own.
    pub state: bool,
    /// What it reads through `wasi:config/store`.
    pub config: BTreeMap<String, String>,
    /// Limits of each replica.
    pub limits: runtime::Limits,
    /// The largest body of a request, in bytes, where the route says nothing else.
    pub body: u64,
    /// The breaker of each endpoint.
    pub breaker: breaker::Settings,
    /// How an endpoint is chosen.
    pub balance: balance::Policy,
}

static COMPONENT: Key<File> = Key { name: "component", kind: File, default: None };
static URLS: Key<List<HttpAddress>> = Key { name: "urls", kind: List { of: HttpAddress, max: 64 }, default: None };
static REPLICAS: Key<Count<u16>> = Key { name: "replicas", kind: Count { min: 1, max: 64 }, default: Some("1") };
static STATE: Key<Flag> = Key { name: "state", kind: Flag, default: Some("false") };
static CONFIG: Key<Table<Text>> = Key { name: "config", kind: Table(Text { min: 0 }), default: Some("{}") };
static BALANCE: Key<Choice<balance::Policy>> = Key {
    name: "balance",
    kind: Choice(&[("random", balance::Policy::Random), ("round-robin", balance::Policy::RoundRobin)]),
    default: Some(r#""random""#),
};

/// The memory of a 32-bit component ends at 4 GiB; below 64 KiB, one page, nothing can start.
const MEMORY: Size = Size { min: 64 * KIB, max: 4 * GIB };
/// The bodies that requests may have: the kind of a service's `limits.body` and of a route's `body`.
pub(super) const BODY: Size = Size { min: 0, max: TIB };

static MEMORY_LIMIT: Key<Size> = Key { name: "memory", kind: MEMORY, default: Some(r#""128MiB""#) };
static TIMEOUT: Key<Duration> =
    Key { name: "timeout", kind: Duration { min: 1, max: HOUR }, default: Some(r#""10s""#) };
static CONCURRENCY: Key<Count<u16>> =
    Key { name: "concurrency", kind: Count { min: 1, max: 10_000 }, default: Some("256") };
static WAITING: Key<Count<u16>> = Key { name: "waiting", kind: Count { min: 0, max: 10_000 }, default: Some("128") };
static BODY_LIMIT: Key<Size> = Key { name: "body", kind: BODY, default: Some(r#""2MiB""#) };

static FAILURE_THRESHOLD: Key<Count<u32>> =
    Key { name: "failure_threshold", kind: Count { min: 1, max: 1000 }, default: Some("5") };
static RECOVERY_TIMEOUT: Key<Duration> =
    Key { name: "recovery_timeout", kind: Duration { min: 1, max: HOUR }, default: Some(r#""5s""#) };

/// How much longer than a call its probe may hold the half-open slot.
const LEASE_MARGIN: time::Duration = time::Duration::from_secs(1);

/// The services of the manifest.
#[derive(Default)]
pub(super) struct Services {
    /// In the order in which they were written.
    pub(super) all: Vec<Service>,
    /// Where later faults of each are shown: at its component, or at its name.
    pub(super) spans: BTreeMap<ServiceName, Span>,
    /// The names that are no names; routes may use them without a second complaint.
    pub(super) misnamed: Vec<String>,
}

/// Reads every `[service.NAME]`.
pub(super) fn read_all(root: &mut Section<'_>, folder: &Path) -> Services {
    let mut services = Services::default();
    let mut sections = root.sections("service");
    // A table is sorted by name; people expect the order in which they wrote.
    sections.sort_by_key(|(key, _)| key.span().start);
    for (key, section) in sections {
        match read(&key, section, folder) {
            Some((service, span)) => {
                services.spans.insert(service.name.clone(), span);
                services.all.push(service);
            }
            None => services.misnamed.push(key.into_inner().into()),
        }
    }
    services
}

/// One service and the span for its later faults; `None` when its name is wrong, and then its other faults are noted all the same.
fn read(key: &Spanned<&str>, mut section: Section<'_>, folder: &Path) -> Option<(Service, Span)> {
    let report = section.report;
    let name = ServiceName::new(key.get_ref()).map_err(|invalid| {
        let help = "rename it; the name is also the service's host name among the services";
        report.push(Place::Text(key.span()), invalid.to_string(), help);
    });
    let component = section.find(&COMPONENT);
    let urls = section.find(&URLS);
    let empty = urls.as_ref().is_some_and(|urls| urls.value.is_empty());
    // Where one of them is wrong, that was noted already.
    if section.lacks(COMPONENT.name) && (section.lacks(URLS.name) || empty) {
        let help = "add component = \"path/to/component.wasm\", or urls = [\"http://127.0.0.1:5001\"], or both";
        let message = format!("service `{}` has neither `component` nor `urls`", key.get_ref());
        report.push_if_whole(Place::Text(key.span()), message, help);
    }
    let span = match &component {
        Some(Found { place: Place::Text(span), .. }) => span.clone(),
        _ => key.span(),
    };
    let (limits, body) = limits(&mut section);
    let breaker = breaker(&mut section, limits.timeout);
    let (replicas, state) = (section.get(&REPLICAS).into(), section.get(&STATE));
    let (config, balance) = (section.get(&CONFIG), section.get(&BALANCE));
    section.close();
    let component = component.map(|found| component_file(&found, folder, report));
    let urls = urls.map_or_else(Vec::new, |urls| distinct(urls.value, report));
    Some((Service { name: name.ok()?, component, urls, replicas, state, config, limits, body, breaker, balance }, span))
}

fn limits(service: &mut Section<'_>) -> (runtime::Limits, u64) {
    let mut section = service.section("limits");
    let limits = runtime::Limits {
        memory: in_memory(section.get(&MEMORY_LIMIT)),
        timeout: section.get(&TIMEOUT),
        concurrency: section.get(&CONCURRENCY).into(),
        waiting: section.get(&WAITING).into(),
    };
    let body = section.get(&BODY_LIMIT);
    section.close();
    (limits, body)
}

fn breaker(service: &mut Section<'_>, timeout: time::Duration) -> breaker::Settings {
    let mut section = service.section("breaker");
    let settings = breaker::Settings {
        failure_threshold: section.get(&FAILURE_THRESHOLD),
        recovery_timeout: section.get(&RECOVERY_TIMEOUT),
        probe_lease: timeout + LEASE_MARGIN,
    };
    section.close();
    settings
}

/// The file of the component, from the manifest's folder; it must be there.
fn component_file(found: &Found<PathBuf>, folder: &Path, report: &Report) -> PathBuf {
    let file = folder.join(&found.value);
    match std::fs::metadata(&file) {
        Ok(facts) if facts.is_file() => {}
        Ok(_) => {
            let help = "name the .wasm file itself";
            report.push(found.place.clone(), format!("`{}` is no file", found.value.display()), help);
        }
        Err(error) => {
            let message = format!("cannot find the component `{}`: {error}", found.value.display());
            let help = format!("build it first, or correct the path; looked for {}", file.display());
            report.push(found.place.clone(), message, help);
        }
    }
    file
}

/// The addresses, of which no two may be the same: one place with two breakers would count its failures by halves.
fn distinct(urls: Vec<Spanned<Uri>>, report: &Report) -> Vec<Uri> {
    let mut distinct: Vec<Uri> = Vec::new();
    for url in urls {
        let span = url.span();
        let url = url.into_inner();
        if distinct.contains(&url) {
            report.push(Place::Text(span), format!("`{url}` is there twice"), "write each address once");
        } else {
            distinct.push(url);
        }
    }
    distinct
}
