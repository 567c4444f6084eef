//! `[service.NAME]`: the component or the addresses that implement a service, and how it is called.

use super::addresses::{self, Addresses, WEIGHT};
use super::build::{self, BuildConfig};
use super::health::HealthConfig;
use super::late_finding_key::LateFindingKey;
use super::placement::{self, OwnPlace};
use super::reader::file::{PathKind, RequiredPath};
use super::reader::finding::{Finding, ValueOrigin};
use super::reader::function::FunctionKind;
use super::reader::key::{ManifestKey, Sourced};
use super::reader::key_spans::KeySpans;
use super::reader::kind::{CountKind, FlagKind, ListKind, TableKind, TextKind};
use super::reader::report::Report;
use super::reader::scope::ScopeKind;
use super::reader::section::Section;
use super::reader::suggest::did_you_mean;
use super::subscription::{self, TopicUse};
use super::topic::Topics;
use super::{breaker, egress, granted_env, health, idle_keys, limits, record, resilience, rollout};
use crate::base::ServiceName;
use crate::events::TopicName;
use crate::fault::Fault;
use crate::mesh::{Dial, TrafficSettings};
use crate::rollout::{GrantSettings, ReplicaSettings, ServiceSpec};
use crate::runtime::{Isolation, Limits};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use toml::Spanned;

/// The settings of one service. It has a `component`, or addresses, or both.
#[derive(Debug, Clone)]
pub struct ServiceConfig {
    /// What is deployed. Its connections have no TLS yet: the certificates are read later.
    pub spec: ServiceSpec,
    /// The component's file; it existed when the manifest was read.
    pub component: Option<PathBuf>,
    /// A PEM file of root certificates for its https addresses; it existed when the manifest was read. `None`: the
    /// system's roots.
    pub ca: Option<PathBuf>,
    /// The largest body of a request, in bytes, unless the route has another limit: 0 to 1 TiB.
    pub body: u64,
    /// How many of its calls may be under way while their clients still send.
    pub open_uploads: usize,
    /// How each endpoint is checked; `None`: it is not checked.
    pub health: Option<HealthConfig>,
    /// The fault that is injected from the start; `None`: none.
    pub fault: Option<Fault>,
    /// The topics on which it publishes, and those to which it subscribes.
    pub topics: TopicUse,
    /// How its component is made; `None`: elsewhere.
    pub build: Option<BuildConfig>,
    /// The folder of its examples, for `atoll test`; it existed when the manifest was read.
    pub tests: Option<PathBuf>,
}

impl ServiceConfig {
    /// Whether its instances serve several calls, and may remember one in the next.
    pub(super) fn keeps_instances(&self) -> bool {
        matches!(self.spec.replicas.isolation, Isolation::Reuse(_))
    }
}

static COMPONENT: ManifestKey<PathKind> =
    ManifestKey::without_default("component", PathKind, "The WebAssembly component.");
static HTTP2: ManifestKey<FlagKind> = ManifestKey::new(
    "http2",
    FlagKind,
    "false",
    "Whether its `urls` speak HTTP/2, as gRPC needs: with `http` by prior knowledge, with `https` by ALPN. Trailer \
     sections are passed on in both directions, where the client speaks HTTP/2 and sends `te: trailers`.",
);
static REPLICAS: ManifestKey<CountKind<u16>> = ManifestKey::new(
    "replicas",
    CountKind { min: 1, max: 64 },
    "1",
    "The number of endpoints of the component. Each has its own instances, its own breaker and its own load.",
);
static STATE: ManifestKey<FlagKind> = ManifestKey::new(
    "state",
    FlagKind,
    "false",
    "Whether it has a store of its own. Without one, a component that imports a store is refused.",
);
static BUCKET: ManifestKey<TextKind> = ManifestKey::without_default(
    "bucket",
    TextKind { min: 1 },
    "The name under which the component opens its store by `wasi:keyvalue`, where that was written for another host: \
     `in_memory`, for one. Its own name, `default` and an empty one open the same store.",
);
static CONFIG: ManifestKey<TableKind<TextKind>> = ManifestKey::new(
    "config",
    TableKind(TextKind { min: 0 }),
    "{}",
    "The values that the component reads through `wasi:config/store`. Not for secrets: see `secrets`.",
);
static CALLS: ManifestKey<ListKind<TextKind>> = ManifestKey::new(
    "calls",
    ListKind { of: TextKind { min: 1 }, max: 256 },
    "[]",
    "The services of this manifest that it may call, by their contracts or by HTTP. A component that imports the \
     contract of another service without this grant is refused.",
);
static WIT: ManifestKey<PathKind> = ManifestKey::without_default(
    "wit",
    PathKind,
    "The folder of its WIT files, with those in its `deps`: the docs in them go into `/openapi.json`. Absent: no docs, \
     because a component carries none. A component that is new (in a swap, for `atoll check`, in a manifest that is \
     applied) is refused if it lacks an interface that the files' world exports, or a function of an interface, or has \
     it with other types; it may have more, and lack what is behind `@unstable`. Functions with resources, or with \
     types of another package, are compared by their names. One that has served goes on when the files go on: a start, \
     an apply and a rollback only warn.",
);
static TESTS: ManifestKey<PathKind> = ManifestKey::without_default(
    "tests",
    PathKind,
    "The folder of its examples, files of TOML: calls of its functions and of those that it uses of others, each with \
     the answer. Only `atoll test` reads it. Absent: none but those in the docs of its WIT.",
);
static IDEMPOTENT: ManifestKey<ListKind<FunctionKind>> = ManifestKey::new(
    "idempotent",
    ListKind { of: FunctionKind, max: 256 },
    "[]",
    "The functions of the component that may be called twice without harm. A failed call of one of them is tried \
     again, within the bounds of `retry`.",
);

static REQUIRES: ManifestKey<ListKind<ScopeKind>> = ManifestKey::new(
    "requires",
    ListKind { of: ScopeKind, max: 64 },
    "[]",
    "The scopes that whoever calls it must have, all of them, whether the call comes from a route or from another \
     service. A call without them is refused: 403 `forbidden`.",
);

const COMPONENT_FILE: RequiredPath = RequiredPath {
    name: "the component",
    is_folder: false,
    wrong_type_help: "name the .wasm file itself",
    absent_help: "build it first, or correct the path",
};
const TESTS_FOLDER: RequiredPath = RequiredPath {
    name: "the folder",
    is_folder: true,
    wrong_type_help: "name the folder that holds the .toml files with the examples",
    absent_help: "correct the path, or leave `tests` out",
};
const WIT_FOLDER: RequiredPath = RequiredPath {
    name: "the folder",
    is_folder: true,
    wrong_type_help: "name the folder that holds the .wit files of the service",
    absent_help: "correct the path, or leave `wit` out",
};

/// The services of the manifest.
#[derive(Default)]
pub(super) struct Services {
    /// In the order of the text.
    pub(super) all: Vec<ServiceConfig>,
    /// Where problems that are found later are shown, for each service.
    pub(super) spans: BTreeMap<ServiceName, KeySpans<LateFindingKey>>,
    /// The services whose component's file is not there, with what to say of it. They have no `component`.
    pub(super) absent: Vec<(ServiceName, Finding)>,
    /// The services of which it is not certain what they are granted, or what they name of their component: one of
    /// these keys is wrong and was reported. What follows from these keys is not reported too.
    pub(super) unsettled: BTreeSet<ServiceName>,
    /// The services that have `urls` and no `component`.
    pub(super) only_addresses: Vec<ServiceName>,
    names: Vec<ServiceName>,
    /// The keys that are not service names. They were reported; a route or a grant that uses one is not reported again.
    misnamed: Vec<String>,
}

impl Services {
    /// The service `named`, which is written at `origin`. If there is none, that is reported.
    pub(super) fn find(&self, named: &str, origin: &ValueOrigin, report: &Report) -> Option<&ServiceConfig> {
        let name = self.name(named, origin, report)?;
        self.all.iter().find(|service| service.spec.name == *name)
    }

    fn name(&self, named: &str, origin: &ValueOrigin, report: &Report) -> Option<&ServiceName> {
        let name = self.names.iter().find(|name| name.as_str() == named);
        if name.is_none() && !self.misnamed.iter().any(|misnamed| misnamed == named) {
            let names = self.names.iter().map(ServiceName::as_str);
            let help = did_you_mean(named, names, "the services of this manifest");
            report.push_if_whole(origin.clone(), format!("there is no service `{named}`"), help);
        }
        name
    }

    /// The services that a list names.
    fn named(&self, list: Vec<Spanned<String>>, report: &Report) -> Vec<ServiceName> {
        let names = list.into_iter().filter_map(|named| {
            let name = self.name(named.get_ref(), &ValueOrigin::Text(named.span()), report)?;
            Some(Spanned::new(named.span(), name.clone()))
        });
        report.distinct(names.collect(), ServiceName::clone)
    }
}

/// Reads every `[service.NAME]`.
pub(super) fn read_all(
    root: &mut Section<'_>,
    (folder, own): (&Path, Option<OwnPlace<'_>>),
    env: &dyn Fn(&str) -> Option<String>,
    topics: &Topics,
) -> Services {
    let report = root.report;
    let mut services = Services::default();
    let mut sections = root.sections("service");
    // The parser sorts a table by name; people expect the order of the text.
    sections.sort_by_key(|(key, _)| key.span().start);
    // All names are collected before the first service is read: a service may call one that is written below it.
    for (key, _) in &sections {
        match ServiceName::new(key.get_ref()) {
            Ok(name) => services.names.push(name),
            Err(invalid) => {
                let help = "rename it; the name is also the service's host name among the services";
                report.push(ValueOrigin::Text(key.span()), invalid.to_string(), help);
                services.misnamed.push((*key.get_ref()).into());
            }
        }
    }
    for (key, section) in sections {
        read(&key, section, (folder, own), env, topics, &mut services);
    }
    services
}

/// Reads one service, and adds it to `services` unless its name is wrong. Everything else that is wrong is reported in
/// any case.
fn read(
    key: &Spanned<&str>,
    mut section: Section<'_>,
    (folder, own): (&Path, Option<OwnPlace<'_>>),
    env: &dyn Fn(&str) -> Option<String>,
    topics: &Topics,
    services: &mut Services,
) {
    let report = section.report;
    let begin = report.count();
    let component = section.find(&COMPONENT);
    let no_component = section.lacks(COMPONENT.name);
    let build = build::read(&mut section, component.as_ref(), folder);
    let mut spans = KeySpans::new(component.as_ref().and_then(Sourced::span).unwrap_or_else(|| key.span()));
    let limits = limits::limits(&mut section);
    let dial = Dial { connect: limits.connect, tls: None, http2: false };
    // Hosts outside are reached with HTTP/1.1.
    let to_urls = Dial { http2: section.get(&HTTP2), ..dial.clone() };
    let Addresses { settings: addresses, none, ca } = addresses::read(&mut section, folder, to_urls, &mut spans);
    // A wrong `component` or wrong `urls` were reported already.
    if no_component && none {
        let help = "add component = \"path/to/component.wasm\", or urls = [\"http://127.0.0.1:5001\"], or both";
        let message = format!("service `{}` has neither `component` nor `urls`", key.get_ref());
        report.push_if_whole(ValueOrigin::Text(key.span()), message, help);
    }
    let before = report.count();
    let (calls, idempotent, wit) = (section.get_sourced(&CALLS), section.get_sourced(&IDEMPOTENT), section.find(&WIT));
    let tests = section.find(&TESTS);
    spans.note(LateFindingKey::Calls, Some(&calls));
    spans.note(LateFindingKey::Wit, wit.as_ref());
    spans.note(LateFindingKey::Idempotent, Some(&idempotent));
    let health = health::read(&mut section, !no_component, &mut spans);
    let mut settled = section.is_whole() && report.count() == before;
    let breaker = breaker::read(&mut section, limits.instance.timeout);
    let traffic = traffic(&mut section, &limits);
    let fault = resilience::fault(&mut section);
    let rollout = rollout::read(&mut section);
    let requires = report.distinct(section.get(&REQUIRES), String::clone).into_iter().map(Arc::from).collect();
    let place = placement::read(&mut section, own);
    let replicas = replicas(&mut section, limits.instance, place.here);
    let record = record::read(&mut section, &replicas.isolation);
    let before = report.count();
    let topics = subscription::read(&mut section, key.get_ref(), !no_component, topics);
    let called = services.named(calls.value, report);
    let grants = grants(&mut section, folder, env, called, topics.publish.clone(), dial);
    if report.count() == begin {
        idle_keys::refuse_of_service(&section);
    }
    section.close();
    settled &= report.count() == before && (no_component || component.is_some());
    let component = component.map(|found| look_for(&found, folder, (key.get_ref(), build.is_some()), report));
    let wit = wit.map(|found| WIT_FOLDER.resolve(&found, folder, report));
    let tests = tests.map(|found| TESTS_FOLDER.resolve(&found, folder, report));
    let idempotent = report.distinct(idempotent.value, String::clone);
    let Ok(name) = ServiceName::new(key.get_ref()) else { return };
    services.spans.insert(name.clone(), spans);
    services.unsettled.extend((!settled).then(|| name.clone()));
    let absent = |missing: Option<Finding>| services.absent.extend(missing.map(|missing| (name.clone(), missing)));
    let component = component.and_then(|component| component.map_err(absent).ok());
    services.only_addresses.extend((no_component && !none).then(|| name.clone()));
    let open_uploads = limits.open_uploads * (addresses.urls.len() + places(no_component, &replicas));
    let events = !topics.publish.is_empty() || !topics.subscribe.is_empty();
    place.refuse_bound(report, own, (grants.state, events));
    let spec = ServiceSpec {
        replicas,
        addresses,
        grants,
        idempotent,
        requires,
        wit,
        traffic,
        breaker,
        rollout,
        record,
        placement: place.placement,
        ..ServiceSpec::new(name)
    };
    let body = limits.body;
    services.all.push(ServiceConfig { spec, component, ca, body, open_uploads, health, fault, topics, build, tests });
}

/// The policy of its calls.
fn traffic(section: &mut Section<'_>, limits: &limits::LimitKeys) -> TrafficSettings {
    TrafficSettings {
        timeout: limits.instance.timeout,
        total: limits.total,
        bulkhead: limits.bulkhead.clone(),
        balance: resilience::balance(section),
        retry: resilience::retry(section),
    }
}

/// How many endpoints its component has at least, here or on another node.
fn places(no_component: bool, replicas: &ReplicaSettings) -> usize {
    if no_component { 0 } else { replicas.count.max(1) }
}

/// The endpoints of its component, whose instances have these limits, if it may stand `here`.
fn replicas(section: &mut Section<'_>, limits: Limits, here: bool) -> ReplicaSettings {
    let count = section.get(&REPLICAS).into();
    ReplicaSettings {
        count: if here { count } else { 0 },
        weight: section.get(&WEIGHT),
        limits,
        isolation: limits::isolation(section),
    }
}

/// What the service may reach. It gets the topics of `publish` later, when their types are known.
fn grants(
    section: &mut Section<'_>,
    folder: &Path,
    env: &dyn Fn(&str) -> Option<String>,
    calls: Vec<ServiceName>,
    publish: Vec<TopicName>,
    dial: Dial,
) -> GrantSettings {
    let config = section.get(&CONFIG);
    GrantSettings {
        state: section.get(&STATE),
        bucket: bucket(section),
        secrets: granted_env::secrets(section, &config, folder, env),
        config,
        env: granted_env::read(section, folder, env),
        calls,
        egress: egress::read(section),
        publish,
        topics: Vec::new(),
        dial,
    }
}

/// The file of the component of a service, or that it is missing. `is_built`: `atoll build` makes it.
fn look_for(
    found: &Sourced<PathBuf>,
    folder: &Path,
    (service, is_built): (&str, bool),
    report: &Report,
) -> Result<PathBuf, Option<Finding>> {
    COMPONENT_FILE.look_for(found, folder).map_err(|(message, help)| {
        let help =
            if is_built { format!("`{}` makes it", BuildConfig::verb(&[service], &report.source.name)) } else { help };
        report.finding(found.origin.clone(), message, help)
    })
}

/// The other name of the service's store, which must have one.
fn bucket(section: &mut Section<'_>) -> Option<String> {
    let found = section.find(&BUCKET)?;
    if section.lacks(STATE.name) {
        let help = "add state = true, or leave it out";
        section.report.push_if_whole(found.origin, "`bucket` has no effect without `state`", help);
    }
    Some(found.value)
}
