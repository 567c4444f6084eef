//! `[service.NAME]`: what implements a service, and its policy.

use crate::base::ServiceName;
use crate::config::file::{File, Wanted};
use crate::config::finding::ValueOrigin;
use crate::config::function::Function;
use crate::config::health::Health;
use crate::config::kind::{Count, Flag, List, Table, Text};
use crate::config::place::{Places, ServiceKey};
use crate::config::section::{ManifestKey, Report, Section, Sourced};
use crate::config::suggest::did_you_mean;
use crate::config::url::{Url, Urls, WEIGHT};
use crate::config::{breaker, egress, health, policy, resilience};
use crate::egress::Allow;
use crate::fault::Fault;
use crate::mesh::BulkheadSettings;
use crate::{balance, retry, runtime};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Spanned;

/// What the manifest says about one service. At least one of `component` and `urls` is there.
#[derive(Debug, Clone)]
pub struct ServiceConfig {
    /// What callers call it.
    pub name: ServiceName,
    /// The component's file; it was there when the manifest was read.
    pub component: Option<PathBuf>,
    /// Addresses of plain HTTP services that serve it, no two the same.
    pub urls: Vec<Url>,
    /// A PEM file of the authorities that vouch for its https addresses; it was there when the manifest was read. `None`: those of the system.
    pub ca: Option<PathBuf>,
    /// How often the host names of `urls` are resolved again: 1 s to 1 h, default 30 s.
    pub dns: Duration,
    /// Endpoints of the component, each with its own instances, breaker and load: 1 to 64.
    pub replicas: usize,
    /// The share of the calls that each replica gets beside the other endpoints: 1 to 1000.
    pub weight: u16,
    /// Whether it has a store of its own.
    pub state: bool,
    /// What it reads through `wasi:config/store`.
    pub config: BTreeMap<String, String>,
    /// The services that it may call, each in the manifest, no two the same; itself may be one of them.
    pub calls: Vec<ServiceName>,
    /// Where it may send requests outside; nowhere by default.
    pub egress: Allow,
    /// The folder of its WIT files, for the docs in them; it was there when the manifest was read.
    pub wit: Option<PathBuf>,
    /// Its functions that may be called again when a call has failed: `function` or `interface#function`, no two the same.
    pub idempotent: Vec<String>,
    /// Limits of each instance, and of each try of a call.
    pub limits: runtime::Limits,
    /// How many calls are under way or wait, and for how long they wait.
    pub bulkhead: BulkheadSettings,
    /// How long the connection to one of `urls` may take: 1 ms to 1 h, default 1 s.
    pub connect: Duration,
    /// How long a call may take until the head of its answer, with all its tries and waits: 1 ms to 1 h, default 15 s. It may be shorter than
    /// `limits.timeout`, and then it holds for one try as well.
    pub total: Duration,
    /// Whether calls share instances.
    pub isolation: runtime::Isolation,
    /// The largest body of a request, in bytes, where the route says nothing else.
    pub body: u64,
    /// The breaker of each endpoint. The lease of a probe is `limits.timeout` and 1 s.
    pub breaker: crate::breaker::Settings,
    /// How an endpoint is chosen.
    pub balance: balance::Settings,
    /// Whether and when a call that failed is tried again.
    pub retry: retry::Settings,
    /// How each endpoint is asked whether it can serve; `None`: it is not asked.
    pub health: Option<Health>,
    /// What goes wrong on purpose from the start; `None`: nothing.
    pub fault: Option<Fault>,
}

static COMPONENT: ManifestKey<File> = ManifestKey { name: "component", kind: File, default: None };
static REPLICAS: ManifestKey<Count<u16>> =
    ManifestKey { name: "replicas", kind: Count { min: 1, max: 64 }, default: Some("1") };
static STATE: ManifestKey<Flag> = ManifestKey { name: "state", kind: Flag, default: Some("false") };
static CONFIG: ManifestKey<Table<Text>> =
    ManifestKey { name: "config", kind: Table(Text { min: 0 }), default: Some("{}") };
static CALLS: ManifestKey<List<Text>> =
    ManifestKey { name: "calls", kind: List { of: Text { min: 1 }, max: 256 }, default: Some("[]") };
static WIT: ManifestKey<File> = ManifestKey { name: "wit", kind: File, default: None };
static IDEMPOTENT: ManifestKey<List<Function>> =
    ManifestKey { name: "idempotent", kind: List { of: Function, max: 256 }, default: Some("[]") };

const COMPONENT_FILE: Wanted = Wanted {
    name: "the component",
    is_folder: false,
    mistaken: "name the .wasm file itself",
    absent: "build it first, or correct the path",
};
const WIT_FOLDER: Wanted = Wanted {
    name: "the folder",
    is_folder: true,
    mistaken: "name the folder that holds the .wit files of the service",
    absent: "correct the path, or leave `wit` out",
};

/// The services of the manifest.
#[derive(Default)]
pub(super) struct Services {
    /// In the order in which they were written.
    pub(super) all: Vec<ServiceConfig>,
    /// Where later faults of each are shown.
    pub(super) places: BTreeMap<ServiceName, Places<ServiceKey>>,
    /// Those that have `urls` and no `component`.
    pub(super) addresses_alone: Vec<ServiceName>,
    names: Vec<ServiceName>,
    /// The names that are no names; routes and grants may use them without a second complaint.
    misnamed: Vec<String>,
}

impl Services {
    /// The service that is called `named` at `place`; where there is none, that is noted.
    pub(super) fn find(&self, named: &str, place: &ValueOrigin, report: &Report) -> Option<&ServiceConfig> {
        let name = self.name(named, place, report)?;
        self.all.iter().find(|service| service.name == *name)
    }

    fn name(&self, named: &str, place: &ValueOrigin, report: &Report) -> Option<&ServiceName> {
        let name = self.names.iter().find(|name| name.as_str() == named);
        if name.is_none() && !self.misnamed.iter().any(|misnamed| misnamed == named) {
            let names = self.names.iter().map(ServiceName::as_str);
            let help = did_you_mean(named, names, "the services of this manifest");
            report.push_if_whole(place.clone(), format!("there is no service `{named}`"), help);
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
pub(super) fn read_all(root: &mut Section<'_>, folder: &Path) -> Services {
    let report = root.report;
    let mut services = Services::default();
    let mut sections = root.sections("service");
    // A table is sorted by name; people expect the order in which they wrote.
    sections.sort_by_key(|(key, _)| key.span().start);
    // All names before the first service: it may call one that is written below it.
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
        read(&key, section, folder, &mut services);
    }
    services
}

/// Reads one service, and adds it to `services` unless its name is wrong; its other faults are noted all the same.
fn read(key: &Spanned<&str>, mut section: Section<'_>, folder: &Path, services: &mut Services) {
    let report = section.report;
    let component = section.find(&COMPONENT);
    let no_component = section.lacks(COMPONENT.name);
    let mut places = Places::new(component.as_ref().and_then(Sourced::span).unwrap_or_else(|| key.span()));
    let urls = Urls::read(&mut section, folder, &mut places);
    // Where one of them is wrong, that was noted already.
    if no_component && urls.none {
        let help = "add component = \"path/to/component.wasm\", or urls = [\"http://127.0.0.1:5001\"], or both";
        let message = format!("service `{}` has neither `component` nor `urls`", key.get_ref());
        report.push_if_whole(ValueOrigin::Text(key.span()), message, help);
    }
    let (calls, idempotent) = (section.get_found(&CALLS), section.get_found(&IDEMPOTENT));
    let wit = section.find(&WIT);
    let health = health::read(&mut section, !no_component, &mut places);
    places.note(ServiceKey::Calls, Some(&calls));
    places.note(ServiceKey::Wit, wit.as_ref());
    places.note(ServiceKey::Idempotent, Some(&idempotent));
    let policy::LimitKeys { instance: limits, bulkhead, connect, total, body } = policy::limits(&mut section);
    let breaker = breaker::read(&mut section, limits.timeout);
    let (balance, retry) = (resilience::balance(&mut section), resilience::retry(&mut section));
    let (isolation, fault) = (policy::isolation(&mut section), resilience::fault(&mut section));
    let (replicas, weight) = (section.get(&REPLICAS).into(), section.get(&WEIGHT));
    let (state, config) = (section.get(&STATE), section.get(&CONFIG));
    let egress = egress::read(&mut section);
    section.close();
    let component = component.map(|found| COMPONENT_FILE.at(&found, folder, report));
    let wit = wit.map(|found| WIT_FOLDER.at(&found, folder, report));
    let (calls, idempotent) = (services.named(calls.value, report), report.distinct(idempotent.value, String::clone));
    let Ok(name) = ServiceName::new(key.get_ref()) else { return };
    services.places.insert(name.clone(), places);
    if no_component && !urls.none {
        services.addresses_alone.push(name.clone());
    }
    let Urls { all: urls, ca, dns, .. } = urls;
    services.all.push(ServiceConfig {
        name,
        component,
        urls,
        ca,
        dns,
        replicas,
        weight,
        state,
        config,
        calls,
        egress,
        wit,
        idempotent,
        limits,
        bulkhead,
        connect,
        total,
        isolation,
        body,
        breaker,
        balance,
        retry,
        health,
        fault,
    });
}
