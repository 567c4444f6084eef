//! `[service.NAME]`: what implements a service, and its policy.

use crate::balance;
use crate::base::ServiceName;
use crate::breaker;
use crate::config::address::{File, HttpAddress};
use crate::config::finding::Place;
use crate::config::function::Function;
use crate::config::kind::{Choice, Count, Flag, List, Table, Text};
use crate::config::place::{Places, ServiceKey};
use crate::config::policy;
use crate::config::section::{Found, Key, Report, Section};
use crate::config::suggest::did_you_mean;
use crate::runtime;
use http::Uri;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
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
    /// The services that it may call, each in the manifest, no two the same; itself may be one of them.
    pub calls: Vec<ServiceName>,
    /// The folder of its WIT files, for the docs in them; it was there when the manifest was read.
    pub wit: Option<PathBuf>,
    /// Its functions that may be called again when a call has failed: `function` or `interface#function`, no two the same.
    pub idempotent: Vec<String>,
    /// Limits of each replica.
    pub limits: runtime::Limits,
    /// Whether calls share instances.
    pub isolation: runtime::Isolation,
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

static CALLS: Key<List<Text>> =
    Key { name: "calls", kind: List { of: Text { min: 1 }, max: 256 }, default: Some("[]") };
static WIT: Key<File> = Key { name: "wit", kind: File, default: None };
static IDEMPOTENT: Key<List<Function>> =
    Key { name: "idempotent", kind: List { of: Function, max: 256 }, default: Some("[]") };
/// The services of the manifest.
#[derive(Default)]
pub(super) struct Services {
    /// In the order in which they were written.
    pub(super) all: Vec<Service>,
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
    pub(super) fn find(&self, named: &str, place: &Place, report: &Report) -> Option<&Service> {
        let name = self.name(named, place, report)?;
        self.all.iter().find(|service| service.name == *name)
    }

    fn name(&self, named: &str, place: &Place, report: &Report) -> Option<&ServiceName> {
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
            let name = self.name(named.get_ref(), &Place::Text(named.span()), report)?;
            Some(Spanned::new(named.span(), name.clone()))
        });
        distinct(names.collect(), report)
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
                report.push(Place::Text(key.span()), invalid.to_string(), help);
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
    let (component, urls) = (section.find(&COMPONENT), section.find(&URLS));
    let no_component = section.lacks(COMPONENT.name);
    let no_urls = section.lacks(URLS.name) || urls.as_ref().is_some_and(|urls| urls.value.is_empty());
    // Where one of them is wrong, that was noted already.
    if no_component && no_urls {
        let help = "add component = \"path/to/component.wasm\", or urls = [\"http://127.0.0.1:5001\"], or both";
        let message = format!("service `{}` has neither `component` nor `urls`", key.get_ref());
        report.push_if_whole(Place::Text(key.span()), message, help);
    }
    let (calls, idempotent) = (section.get_found(&CALLS), section.get_found(&IDEMPOTENT));
    let wit = section.find(&WIT);
    let mut places = Places::new(component.as_ref().and_then(Found::span).unwrap_or_else(|| key.span()));
    places.note(ServiceKey::Calls, Some(&calls));
    places.note(ServiceKey::Wit, wit.as_ref());
    places.note(ServiceKey::Idempotent, Some(&idempotent));
    let (limits, body) = policy::limits(&mut section);
    let breaker = policy::breaker(&mut section, limits.timeout);
    let isolation = policy::isolation(&mut section);
    let (replicas, state) = (section.get(&REPLICAS).into(), section.get(&STATE));
    let (config, balance) = (section.get(&CONFIG), section.get(&BALANCE));
    section.close();
    let component = component.map(|found| component_file(&found, folder, report));
    let wit = wit.map(|found| wit_folder(&found, folder, report));
    let urls = urls.map_or_else(Vec::new, |urls| distinct(urls.value, report));
    let (calls, idempotent) = (services.named(calls.value, report), distinct(idempotent.value, report));
    let Ok(name) = ServiceName::new(key.get_ref()) else { return };
    services.places.insert(name.clone(), places);
    if no_component && !no_urls {
        services.addresses_alone.push(name.clone());
    }
    services.all.push(Service {
        name,
        component,
        urls,
        replicas,
        state,
        config,
        calls,
        wit,
        idempotent,
        limits,
        isolation,
        body,
        breaker,
        balance,
    });
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

/// The folder of the WIT files, from the manifest's folder; it must be there.
fn wit_folder(found: &Found<PathBuf>, folder: &Path, report: &Report) -> PathBuf {
    let path = folder.join(&found.value);
    match std::fs::metadata(&path) {
        Ok(facts) if facts.is_dir() => {}
        Ok(_) => {
            let help = "name the folder that holds the .wit files of the service";
            report.push(found.place.clone(), format!("`{}` is no folder", found.value.display()), help);
        }
        Err(error) => {
            let message = format!("cannot find the folder `{}`: {error}", found.value.display());
            let help = format!("correct the path, or leave `wit` out; looked for {}", path.display());
            report.push(found.place.clone(), message, help);
        }
    }
    path
}

/// The items, of which no two may be the same: an address with two breakers, say, would count its failures by halves.
fn distinct<T: PartialEq + Display>(items: Vec<Spanned<T>>, report: &Report) -> Vec<T> {
    let mut distinct: Vec<T> = Vec::new();
    for item in items {
        let span = item.span();
        let item = item.into_inner();
        if distinct.contains(&item) {
            report.push(Place::Text(span), format!("`{item}` is there twice"), "write each of them once");
        } else {
            distinct.push(item);
        }
    }
    distinct
}
